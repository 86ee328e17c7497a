// Loads one address with autocannon and prints its figures as JSON.
// usage: node load.cjs '{"url": ..., "method": "POST", "headers": {...}, "bodies": "file.jsonl", "seconds": 10,
//                        "connections": 32, "rate": 500}'
// `bodies` holds one request body a line; each is sent once, over and over when they run out.
const autocannon = require("autocannon");
const fs = require("node:fs");

const options = JSON.parse(process.argv[2]);
const bodies = options.bodies ? fs.readFileSync(options.bodies, "utf8").trimEnd().split("\n") : null;
let next = options.first ?? 0;
const used = next;

const request = { method: options.method ?? "GET", headers: options.headers ?? {} };
if (bodies) {
  request.setupRequest = (given) => ({ ...given, body: bodies[next++ % bodies.length] });
}

autocannon(
  {
    url: options.url,
    connections: options.connections ?? 32,
    duration: options.seconds ?? 10,
    ...(options.rate ? { overallRate: options.rate } : {}),
    ...(options.amount ? { amount: options.amount } : {}),
    requests: [request],
    timeout: 20,
  },
  (error, result) => {
    if (error) {
      console.error(String(error));
      process.exit(1);
    }
    const { latency, requests } = result;
    console.log(
      JSON.stringify({
        requests_per_s: requests.total / result.duration,
        total: requests.total,
        seconds: result.duration,
        p50_ms: latency.p50,
        p97_5_ms: latency.p97_5,
        p99_ms: latency.p99,
        max_ms: latency.max,
        ok: result["2xx"],
        not_ok: result.non2xx,
        errors: result.errors,
        timeouts: result.timeouts,
        bodies_used: next - used,
      }),
    );
  },
);
