#!/usr/bin/env node
// The npm compiler behind the command line that forge, py-solc-x and ape expect of a native solc:
//   solc --version
//   solc --standard-json [FILE] [--base-path DIR] [--include-path DIR]... [--allow-paths LIST]
"use strict";
const fs = require("fs");
const path = require("path");

const WITH_VALUE = new Set(["--base-path", "--include-path", "--allow-paths", "--evm-version"]);

function parse(argv) {
  const options = { version: false, standardJson: false, roots: [], file: null };
  for (let i = 0; i < argv.length; i++) {
    const [name, inline] = argv[i].split(/=(.*)/s);
    const value = WITH_VALUE.has(name) ? (inline ?? argv[++i]) : null;
    if (name === "--version") options.version = true;
    else if (name === "--standard-json") options.standardJson = true;
    else if (name === "--base-path" || name === "--include-path") options.roots.push(value);
    else if (!WITH_VALUE.has(name) && !name.startsWith("--")) options.file = name;
    else if (!WITH_VALUE.has(name)) throw new Error(`option ${name} is not supported; use --standard-json`);
  }
  return options;
}

function reader(roots) {
  const folders = roots.length ? roots : ["."];
  return (name) => {
    for (const folder of folders) {
      const file = path.resolve(folder, name);
      if (fs.existsSync(file)) return { contents: fs.readFileSync(file, "utf8") };
    }
    return { error: `File not found: ${name}` };
  };
}

/** Sources given by "urls" become "content", which is all the npm compiler takes. */
function inline(input, roots) {
  const read = reader(roots);
  for (const [name, source] of Object.entries(input.sources ?? {})) {
    if (source.content !== undefined || !source.urls) continue;
    const found = source.urls.concat(name).map(read).find((answer) => answer.contents !== undefined);
    if (found) input.sources[name] = { content: found.contents };
  }
  return input;
}

function main() {
  const options = parse(process.argv.slice(2));
  const versionFile = process.env.BITWATT_SOLC_VERSION_FILE;
  if (options.version && versionFile && fs.existsSync(versionFile)) {
    process.stdout.write(fs.readFileSync(versionFile, "utf8"));
    return 0;
  }
  const solc = require("solc");
  if (options.version) {
    const banner = "solc, the solidity compiler commandline interface\n";
    process.stdout.write(`${banner}Version: ${solc.version()}\n`);
    return 0;
  }
  if (!options.standardJson) throw new Error("only --version and --standard-json are supported");
  const input = inline(JSON.parse(fs.readFileSync(options.file ?? 0, "utf8")), options.roots);
  const output = solc.compile(JSON.stringify(input), { import: reader(options.roots) });
  process.stdout.write(output + "\n");
  return 0;
}

try {
  process.exitCode = main();
} catch (error) {
  process.stderr.write(`solc: ${error.message}\n`);
  process.exitCode = 1;
}
