// Holds the web to its budgets, gzipped: first-load JavaScript 120 kB, any other chunk 60 kB, CSS 8 kB.
// Usage: check_web_size.mjs DIST
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const dist = process.argv[2];
const page = readFileSync(join(dist, "index.html"), "utf8");
const size = (name) => gzipSync(readFileSync(join(dist, "assets", name)), { level: 9 }).length;
const names = readdirSync(join(dist, "assets"));
const first = names.filter((name) => name.endsWith(".js") && page.includes(name));
const later = names.filter((name) => name.endsWith(".js") && !page.includes(name));
const sum = (list) => list.reduce((total, name) => total + size(name), 0);

const rows = [
  ["first-load JavaScript", sum(first), 120_000],
  ["largest lazy chunk", Math.max(0, ...later.map(size)), 60_000],
  ["CSS", sum(names.filter((name) => name.endsWith(".css"))), 8_000],
];
for (const [name, bytes, limit] of rows)
  console.log(`web: ${name} ${(bytes / 1000).toFixed(1)} kB of ${limit / 1000} kB`);
process.exitCode = first.length && rows.every(([, bytes, limit]) => bytes <= limit) ? 0 : 1;
