// What is chosen: remembered over reloads, checked against what the server offers, and sent while the picture is live.

import { keep, read } from "../shared/dom.js";

const KEY = "mattebox.options";
const START = { background: "blur:0.7" };
const PRIVATE = { view: ["overlay", "side-by-side"], background: ["none"] }; // what shows the room is chosen anew each time

export class Choices extends EventTarget {
  /** send(part) takes it to the server, while live. Events: "change" (something was chosen), "refused" (detail: error). */
  constructor(send) {
    super();
    this.send = send;
    this.schema = null;
    this.engines = []; // what the server says of each
    this.automatic = []; // what the engine `auto` is here; nobody knows before a worker is ready
    this.chosen = forget({ ...START, ...read(KEY, {}) });
    this.known = {}; // what the server has
    this.sending = false;
  }

  /** What the server offers, as GET /api/options has it. options: their schema; choices that it does not know are
   * dropped. workers: those that are ready. */
  learn({ options, engines, workers }) {
    this.schema = flat(options);
    this.engines = engines;
    this.automatic = workers.map((worker) => worker.engine);
    this.schema.engine.labels = Object.fromEntries(engines.map(({ name, label }) => [name, label]));
    this.schema.engine.hints = Object.fromEntries(engines.map(({ name, sentence }) => [name, sentence]));
    const fitting = (options) => Object.fromEntries(Object.entries(options).filter(([name, value]) => {
      return name in this.schema && allowed(this.schema[name], value);
    }));
    this.chosen = { ...fitting(this.chosen), edges: fitting(this.chosen.edges ?? {}) };
    for (const name of this.#special()) if (!this.heeds(name)) delete this.chosen[name];
    this.#tell();
  }

  /** Has an option an effect with the engine that is chosen? Some options make `auto` the engine that takes them. */
  heeds(name) {
    const engine = this.value("engine");
    const takers = this.#takers(name);
    if (!takers.length || takers.some((taker) => taker.name === engine)) return true;
    const implied = takers.some((taker) => name in taker.implied_by);
    const here = !this.automatic.length || takers.some((taker) => this.automatic.includes(taker.name));
    return engine === "auto" && (implied || here);
  }

  /** The engines that take an option which others refuse; none: every engine takes it. */
  #takers(name) { return this.engines.filter((engine) => engine.options.includes(name)); }

  #special() { return new Set(this.engines.flatMap((engine) => engine.options)); }

  /** The value of an option or of an edge, chosen or by default. */
  value(name) {
    const field = this.schema?.[name];
    const place = field?.edge ? this.chosen.edges ?? {} : this.chosen;
    return place[name] ?? field?.default ?? null;
  }

  /** null puts an option back to its default; edges may stand among the others. Another engine leaves behind what only
   * the old one heeds: the server refuses what would have no effect. */
  choose(part) {
    if ("engine" in part) {
      const kept = this.engines.find((engine) => engine.name === part.engine)?.options ?? [];
      for (const name of this.#special()) if (!kept.includes(name)) delete this.chosen[name];
    }
    for (const [name, value] of Object.entries(part)) {
      const edge = this.schema?.[name]?.edge;
      const place = edge ? (this.chosen.edges = { ...this.chosen.edges }) : this.chosen;
      if (value === null || value === undefined) delete place[name];
      else place[name] = value;
    }
    this.#tell();
    return this.#sync();
  }

  reset() {
    const all = Object.keys(this.schema).filter((name) => name !== "background");
    return this.choose(Object.fromEntries(all.map((name) => [name, null])));
  }

  /** What an offer carries. */
  get options() {
    return { ...this.chosen, edges: this.chosen.edges ?? {} };
  }

  /** An offer with these options was accepted; or null: nothing is connected. */
  sent(options) { this.known = options; }

  /** What was chosen while the connection was being made. */
  catchUp() { return this.#sync(); }

  async #sync() {
    if (this.sending) return; // the one under way looks again at its end: the newest wins
    this.sending = true;
    try {
      for (let part = this.#missing(); Object.keys(part).length; part = this.#missing()) {
        if (!(await this.send(part))) break;
        this.known = { ...this.known, ...part };
      }
      keep(KEY, forget(this.chosen));
    } catch (error) {
      if (!Object.keys(this.known).length) return; // the connection ended meanwhile: the next offer carries it
      this.chosen = Object.fromEntries(Object.entries(this.known).filter(([, value]) => value !== null));
      this.#tell();
      this.dispatchEvent(new CustomEvent("refused", { detail: error }));
    } finally {
      this.sending = false;
    }
  }

  #missing() {
    const { options, known } = this;
    const names = new Set([...Object.keys(options), ...Object.keys(known)]);
    const changed = [...names].filter((name) => !same(options[name] ?? null, known[name] ?? null));
    return Object.fromEntries(changed.map((name) => [name, options[name] ?? null]));
  }

  #tell() { this.dispatchEvent(new Event("change")); }
}

export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function forget(options) {
  const kept = { ...options };
  for (const [name, values] of Object.entries(PRIVATE)) if (values.includes(kept[name])) kept[name] = START[name];
  return JSON.parse(JSON.stringify(kept)); // what is undefined is left out
}

/** JSON Schema to { name: { name, description, default, enum, minimum, maximum, type, edge } }. */
function flat(schema) {
  const fields = {};
  const add = (properties, edge) => {
    for (const [name, field] of Object.entries(properties)) {
      const target = field.$ref && schema.$defs[field.$ref.split("/").pop()];
      if (target?.properties && name === "edges") add(target.properties, true);
      else fields[name] = { name, edge, ...target, ...field };
    }
  };
  add(schema.properties, false);
  return fields;
}

function allowed(field, value) {
  if (field.name === "background") return typeof value === "string";
  if (field.enum) return field.enum.includes(value);
  if (typeof field.default === "number") return value >= field.minimum && value <= field.maximum;
  return typeof field.default !== "boolean" || typeof value === "boolean";
}
