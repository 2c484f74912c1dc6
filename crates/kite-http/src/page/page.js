// The page of `kite serve`: takes the server's events and shows them.

import { Chart } from "./chart.js";
import { bytes, clock, compact, counted, day, duration, grouped } from "./format.js";
import { Prices } from "./prices.js";
import { CLIENTS, CONNECTIONS, connectionName, DISK_FULL, DISK_HIGH, diskUse, problems } from "./state.js";
import { Stream } from "./stream.js";
import { element, fill, head, setClass, setText } from "./table.js";

const TOKEN = "kite-token";
// From then on the header says that the page is behind.
const LATE_S = 3;
const MOST_POINTS = 600;
const LEVELS = { healthy: "live", degraded: "degraded", critical: "down" };

const part = (id) => document.getElementById(id);
const body = (id) => part(id).querySelector("tbody");

const charts = [
  new Chart("Ticks received", "ticks", (rate) => `${compact(rate)}/s`),
  new Chart("Bytes received", "bytes", (rate) => `${bytes(rate)}/s`),
  new Chart("Ticks to clients", "ticks_out", (rate) => `${compact(rate)}/s`),
  new Chart("Bytes to disk", "on_disk", (rate) => `${bytes(rate)}/s`),
];

const state = {
  status: null,
  // When the status came, by the browser's clock that only goes forward.
  at: null,
  run: null,
  newest: 0,
  points: [],
  lost: null,
  // Whether the page waits for a token.
  isAsking: false,
};

const handlers = {
  status(status) {
    // What clients did in the last second is the difference to the status before.
    const before = new Map((state.status?.relay?.clients ?? []).map((it) => [it.name, it]));
    for (const client of status.relay?.clients ?? []) client.before = before.get(client.name) ?? client;
    state.at = performance.now();
    state.status = status;
    showStatus(status);
  },
  rates(rates) {
    if (rates.all) state.points = [];
    state.points = state.points.concat(rates.points).slice(-MOST_POINTS);
    [state.run, state.newest] = [rates.run, rates.newest];
  },
  incidents({ last }) {
    const list = part("incidents").querySelector("ol");
    list.replaceChildren(...last.map(incidentLine).reverse());
    list.hidden = last.length === 0;
    part("incidents").querySelector("[data-part=none]").hidden = last.length > 0;
  },
  list: (list) => prices.list(list),
  prices: (newest) => prices.prices(newest),
};

function address() {
  const has = state.run ? { run: state.run, since: state.newest } : {};
  return `events?${new URLSearchParams({ ...prices.query, ...has })}`;
}

const prices = new Prices(part("prices"), () => stream.reopen());
const stream = new Stream(address, readToken(), {
  event(name, data) {
    state.lost = null;
    part("main").hidden = false;
    handlers[name]?.(data);
    if (name === "rates") drawCharts();
    showTime();
  },
  lost(reason, pauseMs) {
    const now = performance.now();
    state.lost = { since: state.lost?.since ?? state.at ?? now, reason, again: now + pauseMs };
    showTime();
  },
  refused: askToken,
});

head(part("connections").querySelector("table"), CONNECTIONS);
head(part("clients").querySelector("table"), CLIENTS);
part("charts").append(...charts.map((chart) => chart.node));
setInterval(() => {
  showTime();
  if (!state.lost) prices.show();
}, 1000);
stream.follow();

function showStatus(status) {
  const { relay, recorder, nats } = status;
  fill(body("connections"), CONNECTIONS, status.connections, connectionName);
  part("clients").hidden = relay === null;
  if (relay) showClients(relay);
  part("recorder").hidden = recorder === null;
  if (recorder) showRecorder(recorder);
  part("nats").hidden = nats === null;
  if (nats) showNats(nats);
  const facts = [
    counted(status.connections.length, "connection"),
    counted(status.instruments, "instrument"),
    relay ? counted(relay.clients.filter((it) => it.sockets > 0).length, "client") : null,
    `up ${duration(status.uptime_s)}`,
  ];
  setText(part("summary"), facts.filter(Boolean).map(unbroken).join(" · "));
  setText(part("version"), `kite ${status.version}`);
  showProblems(problems(status));
}

/** Keeps a number and its noun on one line. */
const unbroken = (text) => text.replaceAll(" ", "\u00a0");

function showClients(relay) {
  fill(body("clients"), CLIENTS, relay.clients, (client) => client.name);
  part("clients").querySelector("table").hidden = relay.clients.length === 0;
  part("clients").querySelector("[data-part=none]").hidden = relay.clients.length > 0;
}

function showRecorder(recorder) {
  const card = part("recorder");
  card.querySelector(".disk").hidden = recorder.disk === null;
  if (recorder.disk) {
    const { free_bytes: free, total_bytes: total } = recorder.disk;
    const used = diskUse(recorder);
    const text = `${bytes(free)} free of ${bytes(total)}`;
    const meter = card.querySelector(".meter");
    meter.setAttribute("aria-label", `Disk: ${text}`);
    setClass(meter, used > DISK_FULL ? "meter full" : used > DISK_HIGH ? "meter high" : "meter");
    meter.firstChild.style.width = `${(100 * used).toFixed(1)}%`;
    setText(card.querySelector(".disk span"), text);
  }
  const facts = [
    ["State", recorder.failing ? "failing" : "writing", recorder.failing ? "down" : "up"],
    ["On tape", `${bytes(recorder.bytes_on_disk)}, raw ${bytes(recorder.bytes_raw)}`],
    ["Ticks", grouped(recorder.ticks)],
    ["Waiting", bytes(recorder.queued_bytes)],
    ["Frames lost", grouped(recorder.lost), recorder.lost > 0 ? "down" : ""],
    ["Frames dropped", grouped(recorder.dropped), recorder.dropped > 0 ? "down" : ""],
    ["Gaps on tape", grouped(recorder.gaps)],
    ["File", recorder.file ?? "none yet"],
  ];
  showFacts(card.querySelector("dl"), facts);
  const error = card.querySelector("[data-part=error]");
  error.hidden = !recorder.error;
  setClass(error, recorder.failing ? "error" : "note");
  setText(error, recorder.error ? `Last failure: ${recorder.error}` : "");
}

function showNats(nats) {
  const card = part("nats");
  const facts = [
    ["State", nats.connected ? "connected" : "not connected", nats.connected ? "up" : "down"],
    ["Ticks published", grouped(nats.ticks)],
    ["Ticks dropped", grouped(nats.dropped), nats.dropped > 0 ? "down" : ""],
    ["Not confirmed", counted(nats.unconfirmed, "message"), nats.unconfirmed > 0 ? "down" : ""],
    ["Sockets lost", grouped(nats.losses)],
  ];
  showFacts(card.querySelector("dl"), facts);
  const error = card.querySelector("[data-part=error]");
  error.hidden = !nats.error;
  setClass(error, nats.connected ? "note" : "error");
  setText(error, nats.error ? `Last error: ${nats.error}` : "");
}

function showFacts(list, facts) {
  if (list.children.length !== facts.length) {
    list.replaceChildren(
      ...facts.map(([label]) => {
        const pair = element("div");
        pair.append(element("dt", "", label), element("dd"));
        return pair;
      }),
    );
  }
  facts.forEach(([, text, tone], place) => {
    const value = list.children[place].lastChild;
    setText(value, text);
    setClass(value, tone ?? "");
  });
}

function showProblems(texts) {
  const card = part("problems");
  const list = card.querySelector("ul");
  // Written only after a change, because a screen reader reads it then.
  if ([...list.children].map((it) => it.textContent).join("\n") !== texts.join("\n")) {
    list.replaceChildren(...texts.map((text) => element("li", "", text)));
  }
  card.hidden = texts.length === 0;
}

function incidentLine(incident) {
  const item = element("li", incident.severity);
  const time = element("time", "", clock(incident.unix_ms));
  time.title = `${day(incident.unix_ms)} ${clock(incident.unix_ms)} IST`;
  item.append(time, element("span", "severity", incident.severity), element("span", "text", incident.text));
  return item;
}

function drawCharts() {
  const newest = state.points.at(-1);
  if (!newest) return;
  const unixOffset = (state.status?.now_ms ?? Date.now()) - newest.at_ms;
  for (const chart of charts) chart.draw(state.points, unixOffset);
}

/** Shows how old the page is. Called each second, and when something comes or is lost. */
function showTime() {
  const { status, lost, at } = state;
  const now = performance.now();
  const age = at === null ? null : (now - at) / 1000;
  const isLate = lost !== null || state.isAsking || (age !== null && age >= LATE_S);
  document.body.classList.toggle("late", isLate && status !== null);
  part("lost").hidden = lost === null;
  if (lost) {
    setText(part("lost-text"), "Connection to the server lost");
    const again = Math.ceil(Math.max(0, lost.again - now) / 1000);
    const from = status ? ` The page shows ${clock(status.now_ms)} IST.` : "";
    setText(part("lost-age"), `${duration((now - lost.since) / 1000)} ago: ${lost.reason}.${from} Next attempt ${again ? `in ${again} s` : "now"}.`);
  }
  if (!status) return;
  setText(part("clock"), `${clock(status.now_ms + age * 1000)} IST`);
  setText(part("updated"), `updated ${duration(age)} ago`);
  const level = state.isAsking ? "token needed" : lost ? "no connection" : LEVELS[status.level];
  setText(part("level"), level);
  setClass(part("level"), `pill ${lost ? "critical" : state.isAsking ? "" : status.level}`);
  document.title = level === "live" ? "kite serve" : `${level} – kite serve`;
}

function readToken() {
  try {
    return sessionStorage.getItem(TOKEN);
  } catch {
    return null;
  }
}

/** Asks for a token. `isWrong` says that the server has refused one. */
function askToken(isWrong) {
  const form = part("token");
  const value = part("token-value");
  [form.hidden, state.isAsking, state.lost] = [false, true, null];
  part("lost").hidden = true;
  setText(part("level"), "token needed");
  if (isWrong) setText(part("token-why"), "The server refuses this token.");
  value.focus();
  return new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      const token = value.value.trim();
      if (!token) return;
      try {
        sessionStorage.setItem(TOKEN, token);
      } catch {
        // The token then lasts until the page is loaded again.
      }
      [form.hidden, value.value, state.isAsking] = [true, "", false];
      resolve(token);
    };
  });
}
