// Smooth, automatic, sharp: presets that set several options at once. What each costs here is measured, and shown as
// "slower here" on its card and in figures under Details.

import { find, keep, make, read, write } from "../shared/dom.js";
import { LATE_MS } from "../shared/measure.js";
import { COSTS, CUSTOM, PRESETS, PRESET_TITLES, WARNINGS } from "../shared/words.js";
import { same } from "./choices.js";

const KEY = "mattebox.costs";
const SETTLED = 6; // seconds with unchanged options before their cost is measured
const NAMES = ["engine", "temporal", "refine", "foreground"];
const ENOUGH = 0.8; // of the camera's frames; with fewer, a preset is slower here

export class Presets {
  constructor(choices) {
    this.choices = choices;
    this.costs = read(KEY, {});
    this.element = find("presets");
    this.workers = [];
    this.engines = []; // the server's descriptions of them, with their ranks
    this.unchanged = 0; // seconds
    for (const name of Object.keys(PRESETS)) this.element.append(card(name));
    this.element.addEventListener("change", ({ target }) => this.choices.choose(this.#options(target.value) ?? {}));
    choices.addEventListener("change", () => { this.unchanged = 0; this.#show(); });
    this.#show();
  }

  /** Takes the answer of GET /api/options. */
  learn({ engines, workers }) {
    this.engines = engines;
    this.workers = workers;
    this.#show();
  }

  /** Called once a second while live: measures the cost of the chosen preset. */
  measure({ meters, glassMs }) {
    const name = this.#current();
    const chosen = this.choices.value("engine");
    const ready = name && meters?.matte_fps > 0 && (chosen === "auto" || chosen === meters.engine);
    this.unchanged = ready ? this.unchanged + 1 : 0;
    if (this.unchanged < SETTLED || glassMs === null) return;
    const { engine, device } = meters;
    const [fps, of] = [meters.matte_fps, meters.fps_in].map(Math.round);
    const cost = { fps, of, ms: Math.round(glassMs / 5) * 5, engine, device };
    if (same(cost, this.costs[name])) return;
    this.costs[name] = cost;
    keep(KEY, this.costs);
    this.#show();
  }

  /** What helps if the server is too busy: the lightest preset, unless the chosen one uses its engine already. */
  remedy() {
    const fast = this.#engine("fast");
    const used = this.#engine(this.#current())?.name;
    return fast && used !== fast.name ? WARNINGS.lighter(this.choices.title(fast.name)) : WARNINGS.fewer;
  }

  #show() {
    const current = this.#current();
    for (const radio of this.element.querySelectorAll("input")) {
      const name = radio.value;
      radio.checked = name === current;
      radio.disabled = !this.#options(name);
      const [title, text] = radio.parentElement.querySelectorAll(".title, .fine");
      write(title, this.#title(name));
      write(text, PRESETS[name](this.choices.title(this.workers[0]?.engine)));
    }
    find("costs").replaceChildren(...Object.keys(PRESETS).map((name) => make("div", {},
      make("dt", {}, this.#title(name)), make("dd", {}, this.#figures(name)))));
    write(find("custom"), current ? "" : CUSTOM);
  }

  #title(name) {
    if (name === "balanced") return PRESET_TITLES.automatic;
    const title = this.choices.title(this.#engine(name)?.name) || PRESET_TITLES.unknown;
    return this.#isSlow(name) ? COSTS.slower(title) : title;
  }

  /** Whether the preset is too slow for live video: by its measured cost, or else by its engine and the devices. */
  #isSlow(name) {
    const cost = this.#cost(name);
    if (cost) return cost.fps < ENOUGH * cost.of || cost.ms > LATE_MS;
    return this.workers.length > 0 && Boolean(this.#engine(name)?.heavy) && !this.#gpu;
  }

  #figures(name) {
    const cost = this.#cost(name);
    return cost ? COSTS.measured(cost) : COSTS.unmeasured(this.#engine(name)?.name);
  }

  /** The measured cost, if it is that of the engine and the kind of device that the preset would use now. */
  #cost(name) {
    const cost = this.costs[name];
    const engine = this.#engine(name);
    if (!cost?.of || cost.engine !== (engine?.name ?? cost.engine)) return null;
    return engine?.heavy && this.workers.length && isGpu(cost) !== this.#gpu ? null : cost;
  }

  get #gpu() { return this.workers.some(isGpu); }

  /** The server's description of a preset's engine; undefined if it is unknown. name: null for custom settings. */
  #engine(name) {
    if (name === null) return undefined;
    if (name === "fast") return best(this.engines, "live", false);
    if (name === "best") return best(this.engines, "files", this.#gpu);
    return this.engines.find((engine) => engine.name === this.workers[0]?.engine);
  }

  /** The options of a preset, null for a default; undefined if no engine for it is known. */
  #options(name) {
    const defaults = Object.fromEntries(NAMES.map((each) => [each, null]));
    const engine = this.#engine(name);
    if (name === "fast") return engine && { ...defaults, engine: engine.name, temporal: "live", refine: "off", foreground: "keep" };
    if (name === "best") return engine && { ...defaults, engine: engine.name, foreground: engine.colours ? "estimate" : null };
    return defaults;
  }

  /** The name of the preset that matches the chosen options, or null. */
  #current() {
    const isChosen = (options) => Object.entries(options).every(([option, value]) => {
      return same(this.choices.value(option), value ?? this.choices.schema?.[option]?.default ?? null);
    });
    return Object.keys(PRESETS).find((name) => this.#options(name) && isChosen(this.#options(name))) ?? null;
  }
}

const isGpu = ({ device }) => device.startsWith("cuda");

function card(name) {
  const radio = make("input", { type: "radio", name: "preset", value: name });
  return make("label", { className: "preset" }, radio, make("span", { className: "title" }), make("span", { className: "fine" }));
}

/** The engine with the highest rank for a job, "live" or "files". gpu: whether the server has one. */
function best(engines, job, gpu) {
  const ranked = engines.filter((engine) => engine[job] && (gpu || !engine[job].cuda));
  return ranked.sort((a, b) => b[job].order - a[job].order)[0];
}
