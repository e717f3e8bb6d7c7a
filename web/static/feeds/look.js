// What a feed looks like: background, engine, and text while its source is away. A change applies while the feed runs.

import { get } from "../shared/api.js";
import { find, make } from "../shared/dom.js";

let engines = [];

/** Ask the server for its engines and backgrounds. Throws as `get` does. */
export async function loadChoices() {
  const [menu, { backgrounds }] = await Promise.all([get("/api/options"), get("/api/backgrounds")]);
  engines = menu.engines;
  const choices = backgrounds.filter(({ kind }) => kind !== "transparent");
  offer("backgrounds", choices);
  offer("stream-backgrounds", [{ spec: "none", title: "As it is" }, ...choices]);
}

function offer(list, choices) {
  find(list).replaceChildren(...choices.map(({ spec, title }) => make("option", { value: spec }, title)));
}

/** Whether the source of a feed is published on this server. Such a stream is matted already. */
export const isStream = (address) => address.trim().toLowerCase().startsWith("live:");

/** Let a field of a background suggest those for a source: a stream may also stay as it is. */
export function suggest(field, address) {
  field.setAttribute("list", isStream(address) ? "stream-backgrounds" : "backgrounds");
}

/** The fields of one feed. */
export class Look {
  /** change(options): sends changed options. Returns whether the server accepted them. */
  constructor(change) {
    this.background = make("input", { type: "text", autocomplete: "off", spellcheck: false });
    this.engine = make("select");
    this.slate = make("input", { type: "text", maxLength: 80, autocomplete: "off", placeholder: "No text" });
    const label = (text, field) => make("label", {}, text, field);
    this.element = make("form", { className: "look" }, label("Background", this.background), label("Engine", this.engine), label("Text while the source is away", this.slate));
    this.element.append(make("button", { hidden: true })); // Enter submits a form of several fields only if it has a button
    this.element.addEventListener("submit", (event) => { event.preventDefault(); document.activeElement.blur(); });
    this.background.addEventListener("change", () => this.#send(change, { background: this.background.value.trim() }));
    this.engine.addEventListener("change", () => this.#send(change, { engine: this.engine.value }));
    this.slate.addEventListener("change", () => this.#send(change, { slate: this.slate.value }));
  }

  /** Show the feed's options, but not over what is being typed. */
  show({ options, source }) {
    this.shown = options;
    suggest(this.background, source.address);
    const names = ["auto", ...engines.map(({ name }) => name)];
    if (this.engine.options.length !== names.length) this.engine.replaceChildren(...names.map((name) => new Option(name)));
    if (document.activeElement !== this.background) this.background.value = options.background;
    if (document.activeElement !== this.engine) this.engine.value = options.engine;
    if (document.activeElement !== this.slate) this.slate.value = options.slate;
  }

  async #send(change, options) {
    if (!await change(options)) this.#restore();
  }

  #restore() {
    this.background.value = this.shown.background;
    this.engine.value = this.shown.engine;
    this.slate.value = this.shown.slate;
  }
}
