// Runs the official Node client and prints what it reports, as JSON lines.
//
//     collect.js PLAN
//
// The plan and the lines are those of collect.py. The client has one socket a process.
"use strict";

const { KiteTicker } = require("kiteconnect");

// Ends a client that its check did not end.
setTimeout(() => process.exit(70), 300_000).unref();

const METHODS = { subscribe: "subscribe", unsubscribe: "unsubscribe", set_mode: "setMode" };

function print(report) {
  process.stdout.write(JSON.stringify(report) + "\n");
}

function event(name, details) {
  print({ event: name, ...details });
}

function tick(packet) {
  const { instrument_token: token, mode, ...fields } = packet;
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Date) fields[name] = value.getTime() / 1000;
  }
  return JSON.stringify({ token, mode, fields }) + "\n";
}

function work(ms) {
  if (ms) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

const plan = JSON.parse(process.argv[2]);
const names = plan.names ?? {};
const make = new Function("KiteTicker", ...Object.keys(names), `return ${plan.client}`);
const ticker = make(KiteTicker, ...Object.values(names));

ticker.on("connect", () => {
  event("connect");
  for (const [name, ...args] of plan.calls ?? []) ticker[METHODS[name]](...args);
});
ticker.on("ticks", (ticks) => {
  process.stdout.write(ticks.map(tick).join(""));
  work(plan.work_ms);
});
ticker.on("message", (data) => {
  if (data.byteLength < 4) event("heartbeat");
});
ticker.on("order_update", (order) => event("order", { order }));
ticker.on("close", ({ code, reason }) => event("close", { code, reason }));
ticker.on("error", ({ message }) => event("error", { message }));
ticker.on("reconnect", () => event("reconnect"));
ticker.connect();
