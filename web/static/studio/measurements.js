// The line under the video, the panel of figures and charts that it opens, and the warnings.

import { find, make, write } from "../shared/dom.js";
import { warnings } from "../shared/measure.js";
import { CAUSES, CHARTS, METERS, WARNINGS } from "../shared/words.js";
import { Chart } from "./charts.js";

const PATIENCE = 3; // seconds that a warning must last before it is shown

export class Measurements {
  /** title(engine): an engine in plain words. remedy(): what helps if the server is too busy, as text. */
  constructor({ title, remedy }) {
    Object.assign(this, { title, remedy });
    this.line = find("meters");
    this.button = find("measurements-open");
    this.panel = find("measurements");
    this.charts = {
      fps: new Chart(CHARTS.fps, 30, 2, CHARTS.fpsShort), glass: new Chart(CHARTS.glass, 100),
      dropped: new Chart(CHARTS.dropped, 5), load: new Chart(CHARTS.load, 100),
    };
    find("charts").replaceChildren(...Object.values(this.charts).map((chart) => chart.element));
    this.button.addEventListener("click", () => this.#open(this.panel.hidden));
    this.since = new Map();
  }

  /** sample: of Measure, once a second. notice: a text to show instead of warnings, or "". isPrivate: whether the view
   * shows the room, which only the user sees. */
  show(sample, notice = "", isPrivate = false) {
    this.sample = sample;
    const parts = line(sample);
    this.line.replaceChildren(...parts.map((text) => make("span", {}, text)));
    write(find("summary"), isPrivate ? METERS.onlyYou : this.title(sample.meters?.engine));
    this.button.disabled = false;
    this.charts.fps.add(sample.fpsIn, sample.fpsOut);
    this.charts.glass.add(sample.glassMs);
    this.charts.dropped.add(sample.dropRate);
    this.charts.load.add(sample.load === null ? null : 100 * sample.load);
    if (!this.panel.hidden) this.#draw();
    this.#warn(sample, notice);
  }

  clear() {
    this.line.replaceChildren();
    write(find("summary"), "");
    this.button.disabled = true;
    this.#open(false);
    Object.values(this.charts).forEach((chart) => chart.clear());
    this.since.clear();
    find("notice").hidden = true;
  }

  #open(visible) {
    this.panel.hidden = !visible;
    this.button.setAttribute("aria-expanded", String(visible));
    if (visible) this.#draw();
  }

  #draw() {
    Object.values(this.charts).forEach((chart) => chart.draw());
    const rows = facts(this.sample).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
    find("facts").replaceChildren(...rows);
  }

  /** Show the notice, or the most important warning that has lasted long enough. */
  #warn(sample, notice) {
    const found = warnings(sample);
    for (const name of this.since.keys()) if (!found.some(([each]) => each === name)) this.since.delete(name);
    for (const [name] of found) this.since.set(name, (this.since.get(name) ?? 0) + 1);
    const lasting = found.find(([name]) => this.since.get(name) >= PATIENCE);
    const text = notice || (lasting ? warningText(lasting) + (lasting[0] === "capacity" ? this.remedy() : "") : "");
    write(find("notice"), text);
    find("notice").hidden = !text;
  }
}

function warningText([name, ...numbers]) {
  const text = WARNINGS[name];
  return typeof text === "function" ? text(...numbers) : text;
}

function line({ meters, fpsIn, fpsOut, glassMs, dropped, load, width, height }) {
  const parts = [];
  if (fpsIn !== null) parts.push(METERS.in(Math.round(fpsIn)));
  if (fpsOut !== null) parts.push(meters ? METERS.out(Math.round(fpsOut)) : METERS.fps(Math.round(fpsOut)));
  if (glassMs !== null) parts.push(METERS.glass(Math.round(glassMs)));
  if (dropped !== null) parts.push(METERS.dropped(dropped, mainCause(meters?.dropped ?? {})));
  if (meters?.engine) parts.push(METERS.engine(meters.engine, meters.device));
  if (load !== null) parts.push(METERS.load(Math.round(100 * load)));
  if (width) parts.push(METERS.size(width, height));
  return parts;
}

function facts({ meters, networkMs, glassMs, glassMeasured, width, height }) {
  const names = CHARTS.facts;
  const rows = [];
  if (width) rows.push([names.size, METERS.size(width, height)]);
  if (meters?.bitrate_bps) rows.push([names.bitrate, `${(meters.bitrate_bps / 1e6).toFixed(1)} Mb/s`]);
  if (meters) rows.push([names.server, `${Math.round(meters.latency_ms)} ms`]);
  if (meters?.capacity_fps) rows.push([names.capacity, METERS.fps(Math.round(meters.capacity_fps))]);
  if (networkMs !== null) rows.push([names.network, `${Math.round(networkMs)} ms`]);
  if (glassMs !== null) rows.push([names.delay, glassMeasured ? METERS.measured : METERS.estimated]);
  if (meters) rows.push([names.causes, causes(meters.dropped ?? {})]);
  return rows;
}

/** The cause of most dropped frames. */
function mainCause(dropped) {
  return Object.entries(dropped).filter(([, count]) => count).sort((a, b) => b[1] - a[1])[0]?.[0];
}

function causes(dropped) {
  const found = Object.entries(dropped).filter(([, count]) => count);
  return found.map(([cause, count]) => `${CAUSES[cause] ?? cause}: ${count}`).join("; ") || CHARTS.facts.nothing;
}
