// The table of prices: a filter, pages of rows, and the depth of an instrument on a click.

import { clock, compact, counted, duration, grouped, percent, price, signed } from "./format.js";
import { element, fill, head, setText } from "./table.js";

const ROWS = 25;
const TYPING_MS = 250;
const NONE = "–";

const or = (value, format) => (value === null || value === undefined ? NONE : format(value));
const sign = (row) => (row.percent > 0 ? "up" : row.percent < 0 ? "down" : "");

function nameButton() {
  const button = element("button", "name");
  button.type = "button";
  button.setAttribute("aria-expanded", "false");
  return button;
}

const COLUMNS = [
  { label: "Instrument", text: (row) => row.name, make: nameButton },
  { label: "Last", kind: "number last", text: (row) => or(row.last, price) },
  { label: "Change", kind: "number wide", tone: sign, text: (row) => or(row.change, signed) },
  { label: "%", kind: "number", tone: sign, text: (row) => or(row.percent, percent) },
  { label: "Bid", kind: "number wide", text: (row) => or(row.bid, price) },
  { label: "Ask", kind: "number wide", text: (row) => or(row.ask, price) },
  { label: "Volume", kind: "number wide", text: (row) => or(row.volume, compact) },
  { label: "OI", kind: "number wide", text: (row) => or(row.open_interest, compact) },
  { label: "Age", kind: "number wide", text: (row) => or(row.at, age) },
];

const age = (at) => duration((performance.now() - at) / 1000);

/** The section of the page. `changed` is called when other rows are to be sent. */
export class Prices {
  #section;
  #changed;
  #body;
  #rows = [];
  #found = 0;
  #subscribed = null;
  #panel = null;
  #panelRow = element("tr", "panel");
  #view = { filter: "", from: 0, depth: null };

  constructor(section, changed) {
    this.#section = section;
    this.#changed = changed;
    const table = section.querySelector("table");
    head(table, COLUMNS);
    this.#body = table.tBodies[0];
    this.#panelRow.dataset.extra = "1";
    this.#panelRow.append(element("td"));
    this.#body.addEventListener("click", (event) => this.#toggle(event.target.closest("tr")));
    let typing;
    this.#part("filter").addEventListener("input", (event) => {
      clearTimeout(typing);
      typing = setTimeout(() => this.#look({ filter: event.target.value.trim().slice(0, 60), from: 0 }), TYPING_MS);
    });
    const turn = (by) => () => this.#look({ from: Math.max(0, this.#view.from + by) });
    this.#part("previous").addEventListener("click", turn(-ROWS));
    this.#part("next").addEventListener("click", turn(ROWS));
  }

  /** What the event stream is asked for. */
  get query() {
    const { filter, from, depth } = this.#view;
    return { filter, from, rows: ROWS, ...(depth === null ? {} : { depth }) };
  }

  /** Takes the rows that are shown from now on. */
  list(list) {
    const before = new Map(this.#rows.map((row) => [row.token, row]));
    this.#rows = list.rows.map((row) => ({ ...before.get(row.token), ...row }));
    this.#found = list.found;
    this.#subscribed = list.subscribed;
    // Instruments were unsubscribed meanwhile.
    if (list.from > 0 && list.rows.length === 0) this.#look({ from: 0 });
    this.show();
  }

  /** Takes the newest ticks. */
  prices({ rows, panel }) {
    const now = performance.now();
    const newest = new Map(rows.map((row) => [row.token, row]));
    const moved = [];
    for (const row of this.#rows) {
      const tick = newest.get(row.token);
      if (!tick) continue;
      const [before, last] = [row.last, tick.last];
      Object.assign(row, tick, { at: now - tick.age_ms });
      if (before !== undefined && before !== last) {
        moved.push([row.token, Number(last) > Number(before) ? "up" : "down"]);
      }
    }
    if (panel) this.#panel = panel;
    this.show();
    for (const [token, direction] of moved) this.#glow(token, direction);
  }

  show() {
    const rows = fill(this.#body, COLUMNS, this.#rows, (row) => row.token);
    for (const [token, row] of rows) {
      row.dataset.token = token;
      const isOpen = token === this.#view.depth;
      row.querySelector("button").setAttribute("aria-expanded", String(isOpen));
    }
    const open = rows.get(this.#view.depth);
    if (!open) this.#panelRow.remove();
    else if (open.nextElementSibling !== this.#panelRow) open.after(this.#panelRow);
    if (open) this.#showPanel();
    this.#showPlace();
  }

  #part(name) {
    return this.#section.querySelector(`[data-part=${name}]`);
  }

  #look(change) {
    this.#view = { ...this.#view, ...change };
    this.#changed();
  }

  #toggle(row) {
    const token = Number(row?.dataset.token);
    if (!token) return;
    this.#panel = null;
    this.#look({ depth: this.#view.depth === token ? null : token });
    this.show();
  }

  #glow(token, direction) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const cell = this.#body.kept.get(token)?.children[1];
    cell?.animate([{ backgroundColor: `var(--${direction}-glow)` }, { backgroundColor: "transparent" }], 700);
  }

  #showPlace() {
    if (this.#subscribed === null) return;
    const [found, shown, from] = [this.#found, this.#rows.length, this.#view.from];
    const of = this.#view.filter ? `${grouped(found)} found of ${grouped(this.#subscribed)}` : grouped(found);
    let text = `${grouped(from + 1)} to ${grouped(from + shown)} of ${of}`;
    if (this.#subscribed === 0) text = "Nothing is subscribed: instruments come with the clients that ask for them.";
    else if (found === 0) text = `None of ${counted(this.#subscribed, "instrument")} has this in its name.`;
    setText(this.#part("place"), text);
    this.#part("previous").disabled = from === 0;
    this.#part("next").disabled = from + shown >= found;
    this.#section.querySelector("table").hidden = shown === 0;
  }

  #showPanel() {
    const cell = this.#panelRow.firstChild;
    // Columns that a narrow screen hides would take room if they were spanned.
    const headings = [...this.#section.querySelector("thead tr").children];
    cell.colSpan = headings.filter((heading) => heading.offsetParent !== null).length;
    const panel = this.#panel?.token === this.#view.depth ? this.#panel : null;
    if (!panel?.tick) {
      cell.replaceChildren(element("p", "note", panel ? "No tick yet." : "Waiting for the newest tick…"));
      return;
    }
    cell.replaceChildren(depth(panel), facts(panel));
  }
}

function depth(panel) {
  const { bids, asks } = panel.tick;
  if (!bids) {
    const why = panel.mode === "full" ? "This instrument has no market depth." : `Market depth needs full mode; this is ${panel.mode}.`;
    return element("p", "note", why);
  }
  const most = Math.max(1, ...[...bids, ...asks].map((level) => level.quantity));
  const table = element("table", "depth");
  table.append(element("caption", "unseen", `Market depth of ${panel.name}`), element("thead"), element("tbody"));
  const label = (text) => ({ label: text, kind: "number" });
  head(table, [label("Orders"), label("Quantity"), label("Bid"), label("Ask"), label("Quantity"), label("Orders")]);
  const quiet = (level, text) => (level.quantity === 0 && level.orders === 0 ? NONE : text);
  const bar = (level, side) => {
    const cell = element("td", `number bar ${side}`, quiet(level, grouped(level.quantity)));
    cell.style.setProperty("--share", `${(100 * level.quantity) / most}%`);
    return cell;
  };
  bids.forEach((bid, place) => {
    const ask = asks[place];
    const row = element("tr");
    row.append(
      element("td", "number", quiet(bid, grouped(bid.orders))),
      bar(bid, "bid"),
      element("td", "number up", quiet(bid, price(bid.price))),
      element("td", "number down", quiet(ask, price(ask.price))),
      bar(ask, "ask"),
      element("td", "number", quiet(ask, grouped(ask.orders))),
    );
    table.tBodies[0].append(row);
  });
  return table;
}

function facts(panel) {
  const { tick } = panel;
  const time = (seconds) => `${clock(seconds * 1000)} IST`;
  const all = [
    ["Open", tick.open, price],
    ["High", tick.high, price],
    ["Low", tick.low, price],
    ["Close", tick.close, price],
    ["Average", tick.average, price],
    ["Volume", tick.volume, grouped],
    ["Last quantity", tick.last_quantity, grouped],
    ["Buying", tick.buying, grouped],
    ["Selling", tick.selling, grouped],
    ["Open interest", tick.open_interest, grouped],
    ["OI high", tick.open_interest_high, grouped],
    ["OI low", tick.open_interest_low, grouped],
    ["Last trade", tick.traded, time],
    ["Exchange time", tick.exchange, time],
    ["Token", panel.token, String],
    ["Mode", panel.mode, String],
  ];
  const list = element("dl", "facts");
  for (const [label, value, format] of all) {
    if (value === null || value === undefined) continue;
    const pair = element("div");
    pair.append(element("dt", "", label), element("dd", "", format(value)));
    list.append(pair);
  }
  return list;
}
