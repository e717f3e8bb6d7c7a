// The settings for new jobs: background, format, engine and others. Remembers them across visits.

import { get } from "../shared/api.js";
import { find, keep, make, read, write } from "../shared/dom.js";
import { serverOptions } from "./server_options.js";

const KEY = "mattebox.look";
const DEFAULTS = { background: "color:#1f2937", format: "", engine: "auto", temporal: "auto", height: "0", matte: false };

/** options: of a job, in the server's format. */
export const isTransparent = (options) => options.background === "transparent";

export class JobOptions {
  constructor() {
    this.form = find("look");
    this.chosen = { ...DEFAULTS, ...read(KEY, {}) };
    this.tiles = find("backgrounds");
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("change", ({ target }) => {
      if (target.name) this.#choose(target.name, target.type === "checkbox" ? target.checked : target.value);
    });
    serverOptions.addEventListener("known", () => { this.#listEngines(serverOptions.engines); this.#listFormats(); });
    find("colour").addEventListener("input", ({ target }) => this.#choose("background", `color:${target.value}`));
  }

  /** Lists the backgrounds. Does not need the server's records, unlike `serverOptions`, which lists the rest. */
  async load() {
    const { backgrounds } = await get("/api/backgrounds");
    this.tiles.replaceChildren(...backgrounds.map(tile));
    if (/^(upload|gallery):/.test(this.chosen.background) && !backgrounds.some((b) => b.spec === this.chosen.background)) {
      this.chosen.background = DEFAULTS.background;
    }
    this.show();
  }

  #listEngines(engines) {
    const list = this.form.elements.engine;
    const option = ({ name, label, sentence }) => make("option", { value: name, title: sentence }, label);
    list.replaceChildren(list.options[0], ...engines.map(option));
    if (!engines.some(({ name }) => name === this.chosen.engine)) this.chosen.engine = DEFAULTS.engine;
  }

  /** The fields of a job request that these settings determine. still: for a picture, whose format the server chooses. */
  jobFields(still) {
    const { format, height, matte } = this.chosen;
    const outputs = [{ name: "result", ...(format && !still && { format }) }];
    const ofMatte = still ? {} : { format: serverOptions.format(format)?.matte };
    if (matte) outputs.push({ name: "matte", ...ofMatte, view: "matte", background: "color:#000000" });
    return { options: this.options(), outputs, height: Number(height) };
  }

  options() {
    const { background, engine, temporal } = this.chosen;
    return { background, engine, temporal };
  }

  /** The first format is the server's default. */
  #listFormats() {
    this.form.elements.format.replaceChildren(...serverOptions.videoFormats.map(({ name, title }) => make("option", { value: name }, title)));
    if (!serverOptions.videoFormats.some(({ name }) => name === this.chosen.format)) this.chosen.format = serverOptions.videoFormats[0].name;
    this.#reconcile("background");
    this.show();
  }

  #choose(name, value) {
    this.chosen[name] = value;
    this.#reconcile(name);
    this.show();
    keep(KEY, this.chosen);
  }

  /** If the background is transparent and the format opaque, changes the one of them that is not `chosen`. */
  #reconcile(chosen) {
    if (!isTransparent(this.chosen) || serverOptions.isTransparent(this.chosen.format)) return;
    if (chosen === "background") this.chosen.format = serverOptions.videoFormats.find((format) => format.transparent).name;
    else this.chosen.background = DEFAULTS.background;
  }

  /** Updates the form. */
  show() {
    for (const radio of this.tiles.querySelectorAll("input")) radio.checked = radio.value === this.chosen.background;
    for (const name of ["format", "engine", "temporal", "height"]) this.form.elements[name].value = this.chosen[name];
    this.form.elements.matte.checked = this.chosen.matte;
    if (this.chosen.background.startsWith("color:")) find("colour").value = this.chosen.background.slice("color:".length);
    for (const option of this.form.elements.format.options) {
      option.disabled = isTransparent(this.chosen) && !serverOptions.isTransparent(option.value);
    }
    const opaque = serverOptions.videoFormats.filter((format) => !format.transparent).map(({ name }) => name.toUpperCase()).join(", ");
    write(find("format-note"), isTransparent(this.chosen) && opaque ? `Not available with a transparent background: ${opaque}.` : "");
  }
}

function tile(choice) {
  const radio = make("input", { type: "radio", name: "background", value: choice.spec, title: choice.title, aria: { label: choice.title } });
  const face = make("span", { className: `swatch-face ${choice.kind}` });
  if (choice.kind === "color") face.style.setProperty("--face", choice.spec.slice("color:".length));
  if (choice.thumbnail) face.append(make("img", { src: choice.thumbnail, alt: "", loading: "lazy" }));
  return make("div", { className: "swatch-tile" }, radio, face, make("span", { className: "swatch-title" }, choice.title));
}
