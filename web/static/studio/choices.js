// The chosen options: remembered across reloads, checked against what the server offers, and sent while live.

import { keep, read } from "../shared/dom.js";
import { ROOM_BACKGROUND, ROOM_VIEWS } from "./privacy.js";

const KEY = "mattebox.options";
const DEFAULTS = { background: "blur:0.7" };
const NOT_REMEMBERED = { view: ROOM_VIEWS, background: [ROOM_BACKGROUND] };

export class Choices extends EventTarget {
  /** send(part): sends changed options to the server while live; false if it cannot. Events: "change" when a choice has
   * changed, "refused" when the server refused one (detail: the error). */
  constructor(send) {
    super();
    this.send = send;
    this.schema = null;
    this.engines = []; // the server's descriptions of them
    this.choosers = []; // of those that understand what can be picked in a picture
    this.automatic = []; // the engines that ready workers use for `auto`; empty until a worker is ready
    this.chosen = withoutRoom({ ...DEFAULTS, ...read(KEY, {}) });
    this.known = {}; // the options that the server has
    this.sending = false;
  }

  /** Takes the answer of GET /api/options, and drops choices that are not in its schema. */
  learn({ options, engines, workers, choosers = [] }) {
    this.schema = flat(options);
    this.engines = engines;
    this.automatic = workers.map((worker) => worker.engine);
    describe(this.schema.engine, engines);
    this.choosers = choosers.filter(({ prompts }) => prompts.includes("point"));
    if (this.choosers.length) describe(Object.assign(this.schema.chooser, { enum: ["auto", ...this.choosers.map(({ name }) => name)] }), this.choosers);
    else for (const name of ["subjects", "chooser"]) delete this.schema[name];
    const fitting = (options) => Object.fromEntries(Object.entries(options).filter(([name, value]) => {
      return name in this.schema && allowed(this.schema[name], value);
    }));
    this.chosen = { ...fitting(this.chosen), edges: fitting(this.chosen.edges ?? {}) };
    for (const name of this.#engineOptions()) if (!this.hasEffect(name)) delete this.chosen[name];
    this.#changed();
  }

  /** Whether the chosen model for subjects, or one that `auto` may choose, understands prompts of a kind. */
  understands(kind) {
    const chosen = this.value("chooser");
    return this.choosers.some(({ name, prompts }) => prompts.includes(kind) && ["auto", name].includes(chosen));
  }

  /** What lists candidates for a subject: the chosen model or "auto"; "" if the server has none. */
  get lister() {
    const able = this.choosers.filter(({ lists }) => lists).map(({ name }) => name);
    const chosen = this.value("chooser");
    return able.includes(chosen) ? chosen : able.length ? "auto" : "";
  }

  /** What the mattes of an engine are like, in a word or two; its name if the server has no words for it. */
  title(name = "") { return this.engines.find((engine) => engine.name === name)?.title || name; }

  /** Whether an option has an effect with the chosen engine. Some options make `auto` choose an engine that has it. */
  hasEffect(name) {
    const engine = this.value("engine");
    const supporting = this.#supporting(name);
    if (!supporting.length || supporting.some((each) => each.name === engine)) return true;
    const implied = supporting.some((each) => name in each.implied_by);
    const possible = !this.automatic.length || supporting.some((each) => this.automatic.includes(each.name));
    return engine === "auto" && (implied || possible);
  }

  /** The engines that support an option which others refuse; empty if every engine supports it. */
  #supporting(name) { return this.engines.filter((engine) => engine.options.includes(name)); }

  /** The options that only some engines support. */
  #engineOptions() { return new Set(this.engines.flatMap((engine) => engine.options)); }

  /** The chosen or default value of an option, or of one in `edges`. */
  value(name) {
    const field = this.schema?.[name];
    const options = field?.edge ? this.chosen.edges ?? {} : this.chosen;
    return options[name] ?? field?.default ?? null;
  }

  /** Changes options, including those in `edges`, and sends them; null resets one to its default. A new engine drops
   * the options that it does not support, because the server would refuse them. */
  choose(part) {
    if ("engine" in part) {
      const kept = this.engines.find((engine) => engine.name === part.engine)?.options ?? [];
      for (const name of this.#engineOptions()) if (!kept.includes(name)) delete this.chosen[name];
    }
    for (const [name, value] of Object.entries(part)) {
      const edge = this.schema?.[name]?.edge;
      const options = edge ? (this.chosen.edges = { ...this.chosen.edges }) : this.chosen;
      if (value === null || value === undefined) delete options[name];
      else options[name] = value;
    }
    this.#changed();
    return this.#sync();
  }

  reset() {
    const all = Object.keys(this.schema).filter((name) => !["background", "subjects"].includes(name));
    return this.choose(Object.fromEntries(all.map((name) => [name, null])));
  }

  /** The options for a new offer. */
  get options() {
    return { ...this.chosen, edges: this.chosen.edges ?? {} };
  }

  /** Called when the server has accepted an offer with these options; with {} when nothing is connected. */
  sent(options) { this.known = options; }

  /** Sends what was chosen while the connection was being made. */
  catchUp() { return this.#sync(); }

  async #sync() {
    if (this.sending) return; // the running call also sends what has changed meanwhile
    this.sending = true;
    try {
      for (let part = this.#missing(); Object.keys(part).length; part = this.#missing()) {
        if (!(await this.send(part))) break;
        this.known = { ...this.known, ...part };
      }
      keep(KEY, withoutRoom(this.chosen));
    } catch (error) {
      if (!Object.keys(this.known).length) return; // the connection has ended: the next offer includes the changes
      this.chosen = Object.fromEntries(Object.entries(this.known).filter(([, value]) => value !== null));
      this.#changed();
      this.dispatchEvent(new CustomEvent("refused", { detail: error }));
    } finally {
      this.sending = false;
    }
  }

  /** The options that differ from those of the server. */
  #missing() {
    const { options, known } = this;
    const names = new Set([...Object.keys(options), ...Object.keys(known)]);
    const changed = [...names].filter((name) => !same(options[name] ?? null, known[name] ?? null));
    return Object.fromEntries(changed.map((name) => [name, options[name] ?? null]));
  }

  #changed() { this.dispatchEvent(new Event("change")); }
}

export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** A copy of the options in which those that show the room have their defaults. */
function withoutRoom(options) {
  const kept = { ...options };
  for (const [name, values] of Object.entries(NOT_REMEMBERED)) if (values.includes(kept[name])) kept[name] = DEFAULTS[name];
  return JSON.parse(JSON.stringify(kept)); // drops undefined values
}

/** Converts the JSON Schema to { name: { name, description, default, enum, minimum, maximum, type, edge } }. */
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

/** Adds to the field what its values are called and what they mean. */
function describe(field, records) {
  field.labels = Object.fromEntries(records.map(({ name, label }) => [name, label]));
  field.hints = Object.fromEntries(records.map(({ name, sentence }) => [name, sentence]));
}

function allowed(field, value) {
  if (field.name === "background") return typeof value === "string";
  if (field.name === "subjects") return Array.isArray(value) && value.every(({ name, prompts }) => name && prompts?.length);
  if (field.enum) return field.enum.includes(value);
  if (typeof field.default === "number") return value >= field.minimum && value <= field.maximum;
  return typeof field.default !== "boolean" || typeof value === "boolean";
}
