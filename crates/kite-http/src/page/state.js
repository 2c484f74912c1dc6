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
  { label: "Reconnects", kind: "number", text: (it) => grouped(it.reconnects) },
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

/** What a person should look at, without numbers that change each second. */
export function problems(status) {
  const texts = [];
  const several = status.connections.length > 1;
  for (const it of status.connections) {
    const name = several ? `Connection ${connectionName(it)}` : "The connection";
    if (isSilent(it)) texts.push(`${name} is up but silent.`);
    else if (!isLive(it)) texts.push(`${name} is ${it.phase}${it.why ? `: ${it.why}` : ""}.`);
  }
  if (status.dark > 0) texts.push(`No connection streams ${counted(status.dark, "instrument")}.`);
  for (const client of status.relay?.clients ?? []) {
    if (isSlow(client)) texts.push(`Client ${client.name} reads too slowly.`);
  }
  const recorder = status.recorder;
  if (recorder?.failing) texts.push(`The recorder cannot write: ${recorder.error ?? "no file"}.`);
  else if (recorder && diskUse(recorder) > DISK_FULL) texts.push("The recorder's disk is almost full.");
  return texts;
}
