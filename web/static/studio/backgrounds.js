// The backgrounds pane: tiles, what is to be known or set of the chosen one, a colour picker, and the user's own files.

import { get } from "../shared/api.js";
import { addBackground, backgroundTile, colourChip, removeBackground } from "../shared/background_tiles.js";
import { find, write } from "../shared/dom.js";
import { BACKGROUNDS } from "../shared/words.js";

const KEYS = 9;
const GREEN = "color:#00ff00";
const SETTLE_MS = 60; // so that dragging over the colours sends a few changes, not hundreds

export class Backgrounds {
  constructor(choices) {
    this.choices = choices;
    this.tiles = find("backgrounds");
    this.colours = find("colours");
    this.strength = find("blur");
    this.picker = find("colour");
    this.blur = 0.7;
    this.own = new Map(); // the user's own backgrounds by their specs
    for (const group of [this.tiles, this.colours]) {
      group.addEventListener("change", ({ target }) => target.name === "background" && this.#choose(target.value));
    }
    this.strength.addEventListener("input", () => this.#chooseSoon(`blur:${Number(this.strength.value)}`));
    this.picker.addEventListener("input", () => this.#chooseSoon(`color:${this.picker.value}`));
    find("use-green").addEventListener("click", () => this.useGreen());
    find("delete-own").addEventListener("click", () => this.#remove(this.own.get(this.#spec)));
    find("upload").addEventListener("change", ({ target }) => { this.add([...target.files]); target.value = ""; });
    choices.addEventListener("change", () => this.mark());
  }

  /** Fetch and show the backgrounds; called again after uploads and deletions. */
  async load() {
    const { backgrounds } = await get("/api/backgrounds");
    const ofKind = (...kinds) => backgrounds.filter((choice) => kinds.includes(choice.kind));
    const pictures = ofKind("image", "video");
    const blur = { spec: `blur:${this.blur}`, title: BACKGROUNDS.blur, kind: "blur" };
    const room = { spec: "none", title: BACKGROUNDS.none, kind: "none" };
    const own = pictures.filter((choice) => choice.own);
    this.own = new Map(own.map((choice) => [choice.spec, choice]));
    this.#dropMissing(backgrounds);
    const keyed = [blur, ...pictures.filter((choice) => !choice.own)]; // own ones come last: these keep their keys
    this.tiles.replaceChildren(
      ...keyed.map((choice, index) => this.#tile(choice, key(index, ""))),
      ...[...ofKind("transparent"), room].map((choice) => this.#tile(choice, "")),
      ...own.map((choice, index) => this.#tile(choice, key(index, BACKGROUNDS.shift))), find("add"));
    this.colours.replaceChildren(...ofKind("color").map(colourChip), find("any-colour"));
    this.mark();
  }

  /** Choose the background of a number key. own: with Shift, which chooses among the user's own. */
  press(number, own) {
    const radio = this.tiles.querySelector(`[data-key="${own ? BACKGROUNDS.shift : ""}${number}"] input`);
    if (!radio) return;
    radio.focus({ preventScroll: true });
    this.#choose(radio.value);
  }

  /** Upload the files in turn, choosing each. */
  async add(files) {
    for (const file of files) {
      this.note(BACKGROUNDS.adding(file.name || ""));
      try {
        const added = await addBackground(file);
        await this.load();
        this.note("");
        await this.#choose(added.spec);
      } catch (error) {
        this.note(BACKGROUNDS.notAdded(error.message), true);
      }
    }
  }

  note(words, bad = false) {
    write(find("note"), words);
    find("note").classList.toggle("bad", bad);
  }

  /** The server refused a choice, and the previous one is restored. */
  refused(error) { this.note(BACKGROUNDS.notChanged(error.message), true); }

  /** Choose the green that other programs key out. */
  useGreen() { return this.#choose(GREEN); }

  get #spec() { return this.choices.value("background") ?? this.choices.chosen.background; }

  /** Show which background is chosen. */
  mark() {
    const spec = this.#spec;
    const [kind, rest] = [spec.split(":", 1)[0], spec.slice(spec.indexOf(":") + 1)];
    if (kind === "blur") {
      this.blur = Number(rest);
      this.strength.value = rest;
      const radio = this.tiles.querySelector("[data-kind=blur] input");
      if (radio) radio.value = spec;
    }
    write(find("blur-value"), `${Math.round(this.blur * 100)} %`);
    this.#about(kind, this.own.get(spec));
    if (kind === "color") this.picker.value = rest;
    let found = false;
    for (const radio of document.getElementsByName("background")) found = (radio.checked = radio.value === spec) || found;
    find("any-colour").classList.toggle("chosen", kind === "color" && !found);
  }

  /** Below the tiles: the strength of the blur, what viewers see, or a hint. own: one of the user's own, or undefined. */
  #about(kind, own) {
    find("blur-row").hidden = kind !== "blur";
    find("use-green").hidden = kind !== "transparent";
    find("delete-own").hidden = !own;
    find("about").classList.toggle("hint", !own && !BACKGROUNDS.about[kind]);
    write(find("about"), kind === "blur" ? "" : own ? own.title : BACKGROUNDS.about[kind] ?? BACKGROUNDS.hint);
  }

  #choose(spec) {
    clearTimeout(this.timer);
    this.note("");
    return this.choices.choose({ background: spec });
  }

  #chooseSoon(spec) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#choose(spec), SETTLE_MS);
  }

  /** Replace a remembered choice that no longer exists. */
  #dropMissing(backgrounds) {
    const spec = this.choices.chosen.background ?? "";
    const gone = /^(upload|gallery):/.test(spec) && !backgrounds.some((choice) => choice.spec === spec);
    if (gone) this.#choose(`blur:${this.blur}`);
  }

  #tile(choice, key) {
    return backgroundTile(choice, { key, remove: choice.own ? () => this.#remove(choice) : null });
  }

  async #remove(choice) {
    await removeBackground(choice).catch((error) => this.note(error.message, true));
    await this.load().catch((error) => this.note(error.message, true));
    this.tiles.querySelector("input:checked")?.focus();
  }
}

const key = (index, prefix) => (index < KEYS ? `${prefix}${index + 1}` : "");

/** Call take(files) with files that are dropped anywhere on the page, or pasted. */
export function acceptFiles(take) {
  const veil = find("drop");
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => { if (holdsFiles(event)) { event.preventDefault(); veil.hidden = false; } });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) veil.hidden = true; });
  addEventListener("drop", (event) => {
    veil.hidden = true;
    if (!holdsFiles(event)) return;
    event.preventDefault();
    take([...event.dataTransfer.files]);
  });
  addEventListener("paste", (event) => { if (event.clipboardData?.files.length) take([...event.clipboardData.files]); });
}
