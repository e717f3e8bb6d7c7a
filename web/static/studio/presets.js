// Fast, Balanced, Best: presets that set several options at once, with their measured cost on this server.

import { find, keep, make, read, write } from "../shared/dom.js";
import { COSTS, CUSTOM, PRESETS } from "../shared/words.js";
import { same } from "./choices.js";

const KEY = "mattebox.costs";
const SETTLED = 6; // seconds with unchanged options before their cost is measured
const NAMES = ["engine", "temporal", "refine", "foreground"];

export class Presets {
  constructor(choices) {
    this.choices = choices;
    this.costs = read(KEY, {});
    this.element = find("presets");
    this.gpu = false;
    this.engines = []; // the server's descriptions of them, with their ranks
    this.unchanged = 0; // seconds
    for (const name of Object.keys(PRESETS)) this.element.append(this.#card(name));
    this.element.addEventListener("change", ({ target }) => this.choices.choose(this.#options(target.value) ?? {}));
    choices.addEventListener("change", () => { this.unchanged = 0; this.#show(); });
    this.#show();
  }

  /** Takes the answer of GET /api/options. */
  learn({ engines, workers }) {
    this.engines = engines;
    this.gpu = workers.some((worker) => /cuda|gpu|h200|rtx/i.test(worker.device));
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
    const cost = { fps: Math.round(meters.matte_fps), ms: Math.round(glassMs / 5) * 5, engine, device };
    if (same(cost, this.costs[name])) return;
    this.costs[name] = cost;
    keep(KEY, this.costs);
    this.#show();
  }

  #show() {
    const current = this.#current();
    for (const radio of this.element.querySelectorAll("input")) {
      const name = radio.value;
      radio.checked = name === current;
      radio.disabled = !this.#options(name);
      const cost = this.costs[name];
      const line = radio.parentElement.querySelector(".cost");
      write(line, cost ? COSTS.measured(cost) : COSTS.unmeasured[name]);
      line.title = cost ? COSTS.tooltip(cost) : "";
    }
    write(find("custom"), current ? "" : CUSTOM);
  }

  /** The options of a preset, null for a default; undefined if no engine for it is known. */
  #options(name) {
    const defaults = Object.fromEntries(NAMES.map((each) => [each, null]));
    const fast = best(this.engines, "live", false);
    const finest = best(this.engines, "files", this.gpu);
    if (name === "fast") return fast && { ...defaults, engine: fast.name, temporal: "live", refine: "off", foreground: "keep" };
    if (name === "best") return finest && { ...defaults, engine: finest.name, foreground: finest.colours ? "estimate" : null };
    return defaults;
  }

  /** The name of the preset that matches the chosen options, or null. */
  #current() {
    const isChosen = (options) => Object.entries(options).every(([option, value]) => {
      return same(this.choices.value(option), value ?? this.choices.schema?.[option]?.default ?? null);
    });
    return Object.keys(PRESETS).find((name) => this.#options(name) && isChosen(this.#options(name))) ?? null;
  }

  #card(name) {
    const radio = make("input", { type: "radio", name: "preset", value: name });
    return make("label", { className: "preset" }, radio, make("span", { className: "title" }, PRESETS[name].title),
      make("span", { className: "cost" }), make("span", { className: "fine" }, PRESETS[name].text));
  }
}

/** The engine with the highest rank for a job, "live" or "files". gpu: whether the server has one. */
function best(engines, job, gpu) {
  const ranked = engines.filter((engine) => engine[job] && (gpu || !engine[job].cuda));
  return ranked.sort((a, b) => b[job].order - a[job].order)[0];
}
