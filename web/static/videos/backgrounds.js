// The backgrounds to choose from, as on the page Live: tiles, colours, strength of the blur, and the user's own files.

import { get } from "../shared/api.js";
import { addBackground, backgroundFace, backgroundTile, colourChip, removeBackground } from "../shared/background_tiles.js";
import { find, write } from "../shared/dom.js";
import { BACKGROUNDS } from "../shared/words.js";

const kindOf = (spec) => spec.split(":", 1)[0];

export class Backgrounds extends EventTarget {
  /** Events: `choose`, with the spec in `detail`; `known`, when the list has changed. */
  constructor() {
    super();
    Object.assign(this, { tiles: find("backgrounds"), colours: find("colours"), strength: find("blur"), picker: find("colour") });
    Object.assign(this, { blur: 0.7, known: null }); // known: the choices by spec, or null before the server has listed them
    for (const group of [this.tiles, this.colours]) {
      group.addEventListener("change", ({ target }) => target.name === "background" && this.#choose(target.value));
    }
    this.strength.addEventListener("input", () => this.#choose(`blur:${Number(this.strength.value)}`));
    this.picker.addEventListener("input", () => this.#choose(`color:${this.picker.value}`));
    find("upload").addEventListener("change", ({ target }) => { this.add([...target.files]); target.value = ""; });
    find("delete-own").addEventListener("click", () => this.#remove(this.known.get(this.spec)));
  }

  /** Fetch and list them. */
  async load() {
    const { backgrounds } = await get("/api/backgrounds");
    this.known = new Map(backgrounds.map((choice) => [choice.spec, choice]));
    const ofKind = (...kinds) => backgrounds.filter((choice) => kinds.includes(choice.kind));
    const blur = { spec: `blur:${this.blur}`, title: BACKGROUNDS.blur, kind: "blur" };
    const pictures = ofKind("image", "video");
    const common = [...ofKind("transparent"), blur, ...pictures.filter((choice) => !choice.own)];
    const own = pictures.filter((choice) => choice.own);
    const remove = (choice) => this.#remove(choice);
    this.tiles.replaceChildren(...common.map((choice) => backgroundTile(choice)),
      ...own.map((choice) => backgroundTile(choice, { remove })), find("add"));
    this.colours.replaceChildren(...ofKind("color").map(colourChip), find("any-colour"));
    this.dispatchEvent(new Event("known"));
  }

  /** Whether the background exists. True before the list is known. */
  exists(spec) { return !this.known || !/^(upload|gallery)/.test(spec) || this.known.has(spec); }

  /** A background's name, and what it looks like. */
  title(spec) {
    const kind = kindOf(spec);
    return this.known?.get(spec)?.title ?? (kind === "blur" ? BACKGROUNDS.blur : kind === "color" ? spec.slice(6) : "");
  }

  face(spec) { return backgroundFace(this.known?.get(spec) ?? { spec, kind: kindOf(spec) }); }

  /** Show which one is chosen. */
  show(spec) {
    this.spec = spec;
    const kind = kindOf(spec), own = this.known?.get(spec)?.own;
    if (kind === "blur") this.#showBlur(spec);
    if (kind === "color") this.picker.value = spec.slice("color:".length);
    find("blur-row").hidden = kind !== "blur";
    find("delete-own").hidden = !own;
    let found = false;
    for (const radio of document.getElementsByName("background")) found = (radio.checked = radio.value === spec) || found;
    find("any-colour").classList.toggle("chosen", kind === "color" && !found);
  }

  #showBlur(spec) {
    this.blur = Number(spec.slice("blur:".length)) || this.blur;
    this.strength.value = this.blur;
    write(find("blur-value"), `${Math.round(this.blur * 100)} %`);
    const radio = this.tiles.querySelector("[data-kind=blur] input");
    if (radio) radio.value = spec;
  }

  /** Upload the files in turn, choosing each. */
  async add(files) {
    for (const file of files) {
      this.#note(BACKGROUNDS.adding(file.name || ""));
      try {
        const added = await addBackground(file);
        await this.load();
        this.#note("");
        this.#choose(added.spec);
      } catch (error) {
        this.#note(BACKGROUNDS.notAdded(error.message), true);
      }
    }
  }

  async #remove(choice) {
    this.#note("");
    try {
      await removeBackground(choice);
      await this.load();
      this.tiles.querySelector("input:checked")?.focus();
    } catch (error) {
      this.#note(`${error.message}.`, true);
    }
  }

  #choose(spec) { this.dispatchEvent(new CustomEvent("choose", { detail: spec })); }

  #note(words, bad = false) {
    write(find("background-note"), words);
    find("background-note").classList.toggle("bad", bad);
  }
}
