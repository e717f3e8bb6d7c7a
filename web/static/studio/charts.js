// Small charts of the last two minutes, drawn as SVG.

import { draw, make, write } from "../shared/dom.js";
import { CHARTS } from "../shared/words.js";

const SAMPLES = 120;
const [WIDTH, HEIGHT] = [240, 56];

export class Chart {
  /** title: names the lines in order. top: the least value that the full height stands for. short: a title that fits on
   * a phone. */
  constructor(title, top, lines = 1, short = title) {
    Object.assign(this, { title, top });
    this.lines = Array.from({ length: lines }, () => []);
    this.paths = this.lines.map((_, n) => draw("path", { class: `line line-${n}` }));
    this.value = make("strong");
    this.limit = make("span", { className: "limit" });
    this.svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
      draw("path", { class: "base", d: `M0 ${HEIGHT - 0.5}H${WIDTH}` }), ...this.paths);
    const heading = make("figcaption", {}, make("span", {}, short), this.value);
    this.element = make("figure", { className: "chart" }, heading, this.svg, this.limit);
  }

  /** Add one number per line, or null where it is unknown. */
  add(...values) {
    this.lines.forEach((line, n) => {
      line.push(values[n] ?? null);
      if (line.length > SAMPLES) line.shift();
    });
  }

  /** Update the SVG; call this only while the chart is visible. */
  draw() {
    const full = Math.max(this.top, ...this.lines.flat().map((value) => value ?? 0));
    this.lines.forEach((line, n) => this.paths[n].setAttribute("d", path(line, full)));
    const now = this.lines.map((line) => line.at(-1) ?? null);
    const text = now.every((value) => value === null) ? CHARTS.none : now.map(formatted).join(", ");
    write(this.value, text);
    write(this.limit, String(Math.round(full)));
    this.svg.setAttribute("aria-label", `${this.title}: ${text}`);
  }

  clear() { this.lines.forEach((line) => { line.length = 0; }); }
}

function formatted(value) {
  if (value === null) return CHARTS.none;
  return value < 10 && value % 1 ? value.toFixed(1) : String(Math.round(value));
}

/** The line's path data: the newest number at the right, a gap where a number is unknown. */
function path(line, full) {
  const x = (n) => WIDTH - (line.length - 1 - n) * (WIDTH / (SAMPLES - 1));
  const y = (value) => HEIGHT - 2 - (value / full) * (HEIGHT - 6);
  let pen = "M";
  return line.map((value, n) => {
    if (value === null) { pen = "M"; return ""; }
    const step = `${pen}${x(n).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
    return step;
  }).join("");
}
