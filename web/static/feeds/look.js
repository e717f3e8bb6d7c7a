// What a feed looks like: background and engine. A change applies while the feed runs.

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

/** The two fields of one feed. */
export class Look {
  /** change(options): sends changed options. Returns whether the server accepted them. */
  constructor(change) {
    this.background = make("input", { type: "text", autocomplete: "off", spellcheck: false });
    this.engine = make("select");
    const label = (text, field) => make("label", {}, text, field);
    this.element = make("form", { className: "look" }, label("Background", this.background), label("Engine", this.engine));
    this.element.addEventListener("submit", (event) => { event.preventDefault(); this.background.blur(); });
    this.background.addEventListener("change", () => this.#send(change, { background: this.background.value.trim() }));
    this.engine.addEventListener("change", () => this.#send(change, { engine: this.engine.value }));
  }

  /** Show the feed's options, but not over what is being typed. */
  show({ options, source }) {
    this.shown = options;
    suggest(this.background, source.address);
    const names = ["auto", ...engines.map(({ name }) => name)];
    if (this.engine.options.length !== names.length) this.engine.replaceChildren(...names.map((name) => new Option(name)));
    if (document.activeElement !== this.background) this.background.value = options.background;
    if (document.activeElement !== this.engine) this.engine.value = options.engine;
  }

  async #send(change, options) {
    if (!await change(options)) this.#restore();
  }

  #restore() {
    this.background.value = this.shown.background;
    this.engine.value = this.shown.engine;
  }
}
