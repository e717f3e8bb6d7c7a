// Fast, Balanced, Best: a few controls at once, and what each was measured to cost on this server.

import { find, keep, make, read, write } from "../shared/dom.js";
import { COSTS, CUSTOM, PRESETS } from "../shared/words.js";
import { same } from "./choices.js";

const KEY = "mattebox.costs";
const SETTLED = 6; // seconds with one choice before its figures are taken
const NAMES = ["engine", "temporal", "refine", "foreground"];

export class Presets {
  constructor(choices) {
    this.choices = choices;
    this.costs = read(KEY, {});
    this.place = find("presets");
    this.gpu = false;
    this.engines = []; // with their ranks, as the server tells
    this.steady = 0;
    for (const name of Object.keys(PRESETS)) this.place.append(this.#card(name));
    this.place.addEventListener("change", ({ target }) => this.choices.choose(this.#options(target.value) ?? {}));
    choices.addEventListener("change", () => { this.steady = 0; this.mark(); });
    this.mark();
  }

  /** As the server tells. workers: the ready ones. */
  learn({ engines, workers }) {
    this.engines = engines;
    this.gpu = workers.some((worker) => /cuda|gpu|h200|rtx/i.test(worker.device));
    this.mark();
  }

  /** Once a second while live: what the chosen preset costs here. */
  measure({ meters, glassMs }) {
    const name = this.#current();
    const wanted = this.choices.value("engine");
    const ready = name && meters?.matte_fps > 0 && (wanted === "auto" || wanted === meters.engine);
    this.steady = ready ? this.steady + 1 : 0;
    if (this.steady < SETTLED || glassMs === null) return;
    const { engine, device } = meters;
    const cost = { fps: Math.round(meters.matte_fps), ms: Math.round(glassMs / 5) * 5, engine, device };
    if (same(cost, this.costs[name])) return;
    this.costs[name] = cost;
    keep(KEY, this.costs);
    this.mark();
  }

  mark() {
    const current = this.#current();
    for (const radio of this.place.querySelectorAll("input")) {
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

  /** null is a control's default. Null as a whole: there is no engine for it, or none is known yet. */
  #options(name) {
    const none = Object.fromEntries(NAMES.map((each) => [each, null]));
    const fast = best(this.engines, "live", false);
    const fine = best(this.engines, "files", this.gpu);
    if (name === "fast") return fast && { ...none, engine: fast.name, temporal: "live", refine: "off", foreground: "keep" };
    if (name === "best") return fine && { ...none, engine: fine.name, foreground: fine.colours ? "estimate" : null };
    return none;
  }

  #current() {
    const is = (options) => Object.entries(options).every(([option, value]) => {
      return same(this.choices.value(option), value ?? this.choices.schema?.[option]?.default ?? null);
    });
    return Object.keys(PRESETS).find((name) => this.#options(name) && is(this.#options(name))) ?? null;
  }

  #card(name) {
    const radio = make("input", { type: "radio", name: "preset", value: name });
    return make("label", { className: "preset" }, radio, make("span", { className: "title" }, PRESETS[name].title),
      make("span", { className: "cost" }), make("span", { className: "fine" }, PRESETS[name].text));
  }
}

/** The engine of the highest rank for a job, "live" or "files". gpu: is there one? */
function best(engines, job, gpu) {
  const ranked = engines.filter((engine) => engine[job] && (gpu || !engine[job].cuda));
  return ranked.sort((a, b) => b[job].order - a[job].order)[0];
}
