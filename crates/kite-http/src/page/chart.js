// Small charts of rates over the last ten minutes, or less right after the start.

import { clock } from "./format.js";
import { element, setText } from "./table.js";

const SPANS_MS = [60_000, 120_000, 300_000, 600_000];
const [WIDTH, HEIGHT] = [600, 100];
// A line is broken where seconds are missing.
const GAP_MS = 2_500;
const SVG = "http://www.w3.org/2000/svg";

function drawn(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** One chart. `points` have `at_ms` and the rate by `name`, null where it is unknown. */
export class Chart {
  #name;
  #unit;
  #line = drawn("path", { class: "line", "vector-effect": "non-scaling-stroke" });
  #area = drawn("path", { class: "area" });
  #mark = drawn("path", { class: "mark", "vector-effect": "non-scaling-stroke" });
  #svg = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  #now = element("strong");
  #most = element("span");
  #points = [];
  #from = element("span");
  #span = SPANS_MS.at(-1);
  #pointed = null;
  #unixOffset = 0;

  constructor(title, name, unit) {
    this.#name = name;
    this.#unit = unit;
    this.title = title;
    this.node = element("figure", "chart");
    const caption = element("figcaption");
    caption.append(element("span", "title", title), this.#now);
    for (const share of [0.25, 0.5, 0.75]) {
      const y = HEIGHT * share;
      this.#svg.append(drawn("path", { class: "grid", d: `M0 ${y}H${WIDTH}`, "vector-effect": "non-scaling-stroke" }));
    }
    this.#svg.append(this.#area, this.#line, this.#mark);
    const axis = element("div", "axis");
    axis.append(this.#from, this.#most);
    this.node.append(caption, this.#svg, axis);
    this.#svg.addEventListener("pointermove", (event) => {
      const box = this.#svg.getBoundingClientRect();
      this.#pointed = (event.clientX - box.left) / box.width;
      this.#show();
    });
    this.#svg.addEventListener("pointerleave", () => {
      this.#pointed = null;
      this.#show();
    });
  }

  /** Draws the points up to the newest. `unixOffset` converts their times to those of the day. */
  draw(points, unixOffset) {
    const name = this.#name;
    this.#points = points;
    this.#unixOffset = unixOffset;
    this.node.hidden = points.every((point) => point[name] === null);
    const end = points.at(-1)?.at_ms ?? 0;
    const covered = end - (points[0]?.at_ms ?? end);
    this.#span = SPANS_MS.find((span) => span >= covered) ?? SPANS_MS.at(-1);
    const most = Math.max(1, ...points.map((point) => point[name] ?? 0));
    const x = (point) => (WIDTH * (1 - (end - point.at_ms) / this.#span)).toFixed(1);
    const y = (point) => (HEIGHT * (1 - point[name] / most)).toFixed(1);
    let [line, area, before] = ["", "", null];
    const close = () => (before ? `L${x(before)} ${HEIGHT}Z` : "");
    for (const point of points) {
      if (point[name] === null) continue;
      const joins = before && point.at_ms - before.at_ms <= GAP_MS;
      if (!joins) {
        area += `${close()}M${x(point)} ${HEIGHT}`;
        line += `M${x(point)} ${y(point)}`;
      }
      line += `L${x(point)} ${y(point)}`;
      area += `L${x(point)} ${y(point)}`;
      before = point;
    }
    this.#line.setAttribute("d", line);
    this.#area.setAttribute("d", area + close());
    const newest = points.at(-1)?.[name] ?? null;
    const minutes = this.#span / 60_000;
    const [now, top] = [newest === null ? "unknown" : this.#unit(newest), this.#unit(most)];
    this.#svg.setAttribute("aria-label", `${this.title}: ${now} now, at most ${top} within ${minutes} min`);
    setText(this.#from, `${minutes} min`);
    setText(this.#most, `max ${top}`);
    this.#show();
  }

  /** Shows the newest rate, or the one at the pointer. */
  #show() {
    const [name, newest] = [this.#name, this.#points.at(-1)];
    if (!newest) return;
    let point = newest;
    if (this.#pointed !== null) {
      const at = newest.at_ms - this.#span * (1 - this.#pointed);
      const distance = (it) => Math.abs(it.at_ms - at);
      point = this.#points.reduce((best, it) => (distance(it) < distance(best) ? it : best));
    }
    const value = point[name] === null ? "–" : this.#unit(point[name]);
    const place = (WIDTH * (1 - (newest.at_ms - point.at_ms) / this.#span)).toFixed(1);
    this.#mark.setAttribute("d", point === newest ? "" : `M${place} 0V${HEIGHT}`);
    setText(this.#now, point === newest ? value : `${value} at ${clock(point.at_ms + this.#unixOffset)}`);
  }
}
