// The subjects that a user picks: named lists of prompts, with undo and redo. Prompts are texts, in the vocabulary of
// `stream/records/subjects.py`; coordinates are 0 to 1, of the upright picture. Knows nothing about pages.

const PLACED = /^(point|box):(-?)([\d.]+(?:,[\d.]+)+)(?:@([\d.]+))?$/;
const DIGITS = 4; // of coordinates: a fifth of a pixel in 1920
const SMALLEST = 0.001; // side of a box
const MS = 1000;
const NAME = /^[A-Za-z0-9_-]{1,32}$/;

/** A point or a box as { kind, inside, place, at }, or null for a prompt without a place in the picture. */
export function readPrompt(text) {
  const [, kind, sign, numbers, at = 0] = PLACED.exec(text) ?? [];
  return kind ? { kind, inside: !sign, place: numbers.split(",").map(Number), at: Number(at) } : null;
}

/** inside: false for a point that is not the subject. at: the time of the frame, in seconds from the start. */
export function pointPrompt([x, y], inside = true, at = 0) {
  return `point:${inside ? "" : "-"}${rounded(x)},${rounded(y)}${time(at)}`;
}

/** The box between two opposite corners. */
export function boxPrompt(first, second, at = 0) {
  const [x, y] = [0, 1].map((axis) => rounded(Math.min(first[axis], second[axis])));
  const [width, height] = [0, 1].map((axis) => Math.max(SMALLEST, rounded(Math.abs(first[axis] - second[axis]))));
  return `box:${x},${y},${width},${height}${time(at)}`;
}

const rounded = (number) => Number(Math.min(1, Math.max(0, number)).toFixed(DIGITS));

/** Rounded down: a prompt must not be later than its frame. */
function time(at) {
  const seconds = Math.floor(at * MS + 1e-6) / MS;
  return seconds > 0 ? `@${seconds}` : "";
}

/** What the user typed as a name: blanks become dashes, and "Subject 1" is the title of subject-1. "" if it cannot be
 * a name. */
export function asName(text) {
  const name = text.trim().replace(/\s+/g, "-").replace(/^Subject-(?=\d+$)/, "subject-");
  return NAME.test(name) ? name : "";
}

const isPositive = (text) => readPrompt(text)?.inside ?? true;
const isComplete = (subject) => subject.prompts.some(isPositive);

/** The subjects as texts, as `--subject` of the command line takes them. */
export const specs = (subjects) => subjects.flatMap(({ name, keep, prompts }) => {
  return prompts.map((prompt) => `${name}=${keep ? "" : "not:"}${prompt}`);
});

export class Subjects extends EventTarget {
  /** Event: "change", when a subject or the active one has changed. list: as in `options`. */
  constructor(list = []) {
    super();
    this.replace(list);
  }

  /** Start over with another list. */
  replace(list) {
    this.list = list.map(({ name, keep = true, prompts }) => ({ name, keep, prompts: [...prompts] }));
    this.active = this.list.at(-1)?.name ?? "";
    this.past = [];
    this.future = [];
    this.#tell();
  }

  /** As in the options of a video. A subject needs a prompt that finds it, so others are left out. */
  get options() { return this.list.filter(isComplete).map(({ name, keep, prompts }) => ({ name, keep, prompts: [...prompts] })); }

  /** The place of a subject in the list. */
  index(name) { return this.list.findIndex((subject) => subject.name === name); }

  /** Let the next prompts describe this subject. */
  select(name) {
    this.active = name;
    this.#tell();
  }

  /** Add a subject without prompts, which the next ones describe. Returns its name. */
  add() {
    const name = this.#free();
    this.#change([...this.list, { name, keep: true, prompts: [] }], name);
    return name;
  }

  /** Add a point to the active subject, or to a new one. A point that is not the subject needs an active subject that
   * has been found; without one, what is there becomes a subject that is removed. Returns the subject's name. */
  point(place, inside = true, at = 0) {
    const active = this.list[this.index(this.active)];
    if (inside || (active && isComplete(active))) return this.#append(pointPrompt(place, inside, at));
    const name = this.#free();
    this.#change([...this.list, { name, keep: false, prompts: [pointPrompt(place, true, at)] }], this.active);
    return name;
  }

  /** Add the box between two corners to the active subject, or to a new one. Returns the subject's name. */
  box(first, second, at = 0) { return this.#append(boxPrompt(first, second, at)); }

  /** Make what a prompt finds a subject: the active one if it has no prompts yet, else a new one. Returns its name. */
  pick(prompt) {
    const active = this.list[this.index(this.active)];
    if (active && !active.prompts.length) return this.#append(prompt);
    const name = this.#free();
    this.#change([...this.list, { name, keep: true, prompts: [prompt] }], name);
    return name;
  }

  /** Whether a subject has this prompt. */
  has(prompt) { return this.list.some(({ prompts }) => prompts.includes(prompt)); }

  /** Keep a subject that was removed from the matte, or the other way round. */
  toggle(name) {
    this.#change(this.list.map((subject) => (subject.name === name ? { ...subject, keep: !subject.keep } : subject)), this.active);
  }

  /** Delete a subject. */
  delete(name) {
    const list = this.list.filter((subject) => subject.name !== name);
    this.#change(list, this.active === name ? list.at(-1)?.name ?? "" : this.active);
  }

  /** Delete one prompt of a subject, by its place in the subject's list. */
  deletePrompt(name, index) {
    this.#change(this.list.map((subject) => {
      return subject.name === name ? { ...subject, prompts: subject.prompts.filter((_, each) => each !== index) } : subject;
    }), name);
  }

  /** Give a subject another name, as `asName` returns it. Returns whether it is free. */
  rename(name, next) {
    if (next === name) return true;
    if (!next || this.index(next) >= 0) return false;
    this.#change(this.list.map((subject) => (subject.name === name ? { ...subject, name: next } : subject)),
      this.active === name ? next : this.active);
    return true;
  }

  /** Emphasise the mark of a prompt in the picture; without arguments, none. Event: "emphasis". */
  emphasise(name = "", index = -1) {
    this.emphasised = { name, index };
    this.dispatchEvent(new Event("emphasis"));
  }

  clear() { if (this.list.length) this.#change([], ""); }

  undo() { this.#travel(this.past, this.future); }

  redo() { this.#travel(this.future, this.past); }

  #append(prompt) {
    const name = this.index(this.active) < 0 ? this.#free() : this.active;
    const known = this.index(name) < 0 ? [...this.list, { name, keep: true, prompts: [] }] : this.list;
    const added = (subject) => (subject.name === name ? { ...subject, prompts: [...subject.prompts, prompt] } : subject);
    this.#change(known.map(added), name);
    return name;
  }

  /** The first name that is free. */
  #free() {
    let number = 1;
    while (this.index(`subject-${number}`) >= 0) number += 1;
    return `subject-${number}`;
  }

  #change(list, active) {
    this.past.push({ list: this.list, active: this.active });
    this.future = [];
    Object.assign(this, { list, active });
    this.#tell();
  }

  #travel(from, to) {
    if (!from.length) return;
    to.push({ list: this.list, active: this.active });
    Object.assign(this, from.pop());
    this.#tell();
  }

  #tell() { this.dispatchEvent(new Event("change")); }
}
