// What the state of the feed means: columns of connections and clients, and what needs attention.

import { compact, counted, duration, grouped } from "./format.js";

const NONE = "–";
// Kite sends a heartbeat each second.
const SILENT_S = 5;
/** Shares of a disk that is used. */
export const [DISK_HIGH, DISK_FULL] = [0.85, 0.95];

const isLive = (connection) => connection.phase === "live";
const isSilent = (connection) => isLive(connection) && connection.silent_s > SILENT_S;

/** Connections count from 1 for people. */
export function connectionName({ account, connection }) {
  return account === null ? String(connection + 1) : `${account} ${connection + 1}`;
}

function reconnects(it) {
  const failed = isLive(it) || it.failed_attempts === 0 ? "" : `, ${grouped(it.failed_attempts)} failed`;
  return grouped(it.reconnects) + failed;
}

export const CONNECTIONS = [
  { label: "Connection", text: connectionName },
  {
    label: "State",
    text: (it) => (isSilent(it) ? "silent" : it.phase),
    tone: (it) => `state ${isSilent(it) ? "warn" : isLive(it) ? "up" : "down"}`,
  },
  { label: "Instruments", kind: "number", text: (it) => grouped(it.instruments) },
  { label: "Ticks/s", kind: "number", text: (it) => compact(it.ticks_per_second) },
  { label: "Last frame", kind: "number", text: (it) => (it.silent_s === null ? NONE : `${duration(it.silent_s)} ago`) },
  { label: "Up for", kind: "number", text: (it) => (isLive(it) ? duration(it.uptime_s) : NONE) },
  { label: "Reconnects", kind: "number", text: reconnects },
  { label: "Why down", kind: "why", text: (it) => (isLive(it) ? "" : (it.why ?? "")) },
];

const grown = (client, name) => Math.max(0, client[name] - client.before[name]);

/** Whether a client has not read everything in the last second. */
export const isSlow = (client) => grown(client, "conflated") > 0 || grown(client, "dropped") > 0;

function clientState(client) {
  if (client.sockets === 0) return client.removed ? "removed" : "not connected";
  if (grown(client, "dropped") > 0) return "slow, drops";
  if (grown(client, "conflated") > 0) return "slow, conflated";
  return "reading";
}

export const CLIENTS = [
  { label: "Client", text: (it) => it.name },
  {
    label: "State",
    text: clientState,
    tone: (it) => `state ${it.sockets === 0 ? "off" : isSlow(it) ? "warn" : "up"}`,
  },
  { label: "Sockets", kind: "number", text: (it) => grouped(it.sockets) },
  { label: "Instruments", kind: "number", text: (it) => grouped(it.instruments) },
  { label: "Ticks sent", kind: "number", text: (it) => grouped(it.out) },
  { label: "Waiting", kind: "number", text: (it) => grouped(it.waiting) },
  { label: "Conflated", kind: "number", text: (it) => grouped(it.conflated) },
  { label: "Dropped", kind: "number", text: (it) => grouped(it.dropped), tone: (it) => (it.dropped > 0 ? "down" : "") },
];

/** Returns the share of the recorder's disk that is used, 0 if it is unknown. */
export function diskUse({ disk }) {
  return disk?.total_bytes ? 1 - disk.free_bytes / disk.total_bytes : 0;
}

/** [1, 2, 3, 5] → "1 to 3 and 5". */
function ranges(numbers) {
  const runs = [];
  for (const number of numbers) {
    const run = runs.at(-1);
    if (run?.at(-1) === number - 1) run.push(number);
    else runs.push([number]);
  }
  // Two numbers are not a range.
  const texts = runs.flatMap((run) => (run.length > 2 ? `${run[0]} to ${run.at(-1)}` : run));
  return texts.length > 1 ? `${texts.slice(0, -1).join(", ")} and ${texts.at(-1)}` : String(texts[0]);
}

/** What is wrong with a connection; null if nothing is. An attempt and the pause before it are one. */
function fault(it) {
  if (isSilent(it)) return "up but silent";
  if (isLive(it)) return null;
  if (!it.why) return it.phase;
  return `${["opening", "waiting"].includes(it.phase) ? "down" : it.phase}: ${it.why}`;
}

/** A sentence for each fault of an account's connections. */
function faults(connections) {
  if (connections.length === 1) {
    const what = fault(connections[0]);
    return what === null ? [] : [`The connection is ${what}.`];
  }
  const groups = new Map();
  for (const it of connections) {
    const what = fault(it);
    if (what === null) continue;
    const key = JSON.stringify([it.account, what]);
    const group = groups.get(key) ?? { account: it.account, what, numbers: [] };
    group.numbers.push(it.connection + 1);
    groups.set(key, group);
  }
  return [...groups.values()].map(({ account, what, numbers }) => {
    const names = `${account === null ? "" : `${account} `}${ranges(numbers)}`;
    return numbers.length === 1 ? `Connection ${names} is ${what}.` : `Connections ${names} are ${what}.`;
  });
}

/** What a person should look at, without numbers that change each second. */
export function problems(status) {
  const texts = faults(status.connections);
  if (status.dark > 0) texts.push(`No connection streams ${counted(status.dark, "instrument")}.`);
  for (const client of status.relay?.clients ?? []) {
    if (isSlow(client)) texts.push(`Client ${client.name} reads too slowly.`);
  }
  const recorder = status.recorder;
  if (recorder?.failing) texts.push(`The recorder cannot write: ${recorder.error ?? "no file"}.`);
  else if (recorder && diskUse(recorder) > DISK_FULL) texts.push("The recorder's disk is almost full.");
  const nats = status.nats;
  if (nats && !nats.connected) texts.push(`NATS is not connected${nats.error ? `: ${nats.error}` : ""}.`);
  return texts;
}
