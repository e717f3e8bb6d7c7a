// The form with the settings of new jobs: background, format, engine and others. It shows those of all new videos, which
// are remembered across visits, or those that one video has for itself.

import { find, keep, make, read, write } from "../shared/dom.js";
import { Backgrounds } from "./backgrounds.js";
import { serverOptions } from "./server_options.js";
import { LOOK, METADATA } from "./words.js";

const KEY = "mattebox.look";
const DEFAULTS = { background: "color:#1f2937", format: "", engine: "auto", temporal: "auto", height: "0", matte: false, metadata: Object.keys(METADATA)[0] };

/** options: of a job, in the server's format. */
export const isTransparent = (options) => options.background === "transparent";

export class JobOptions extends EventTarget {
  /** Event: `change`, when settings have changed, or what is known of them. */
  constructor() {
    super();
    Object.assign(this, { form: find("look"), common: { ...DEFAULTS, ...read(KEY, {}) }, draft: null, others: new Set() });
    this.backgrounds = new Backgrounds();
    this.form.elements.metadata.append(...Object.entries(METADATA).map(([value, title]) => make("option", { value }, title)));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("change", ({ target }) => {
      if (target.name && target.name !== "background") this.#choose(target.name, target.type === "checkbox" ? target.checked : target.value);
    });
    this.backgrounds.addEventListener("choose", ({ detail }) => this.#choose("background", detail));
    this.backgrounds.addEventListener("known", () => this.#reconcileAll());
    serverOptions.addEventListener("known", () => { this.#listEngines(); this.#listFormats(); this.#reconcileAll(); });
    find("look-done").addEventListener("click", () => this.edit(null));
    find("look-common").addEventListener("click", () => this.share(this.draft));
    this.show();
  }

  /** Lists the backgrounds. Does not need the server's records, unlike `serverOptions`, which lists the rest. */
  load() { return this.backgrounds.load(); }

  /** The settings in the form. */
  get chosen() { return this.draft?.look ?? this.common; }

  /** The settings of a draft: its own ones, or the common ones. */
  of(draft) { return draft.look ?? this.common; }

  /** Show the settings of one draft in the form; at first they are equal to the common ones. null: the common ones. */
  edit(draft) {
    const before = this.draft;
    this.draft = draft;
    if (draft) { draft.look ??= { ...this.common }; this.others.add(draft); draft.lookChanged(); }
    if (before && before !== draft) before.lookClosed();
    this.show();
  }

  /** Let a draft have the common settings again. */
  share(draft) {
    draft.look = null;
    this.others.delete(draft);
    if (this.draft === draft) this.edit(null);
    draft.lookChanged();
    this.#changed();
  }

  /** Called when a draft with settings of its own is restored or removed. */
  adopt(draft) { this.others.add(draft); this.#reconcile(draft.look, "background"); }

  leave(draft) {
    this.others.delete(draft);
    if (this.draft === draft) { this.draft = null; this.show(); }
  }

  /** The fields of a job request for a draft. still: for a picture, whose format the server chooses. */
  jobFields(draft, still = false) {
    const { format, height, matte, metadata } = this.of(draft);
    const outputs = [{ name: "result", ...(format && !still && { format }) }];
    const ofMatte = still ? {} : { format: serverOptions.format(format)?.matte };
    if (matte) outputs.push({ name: "matte", ...ofMatte, view: "matte", background: "color:#000000" });
    return { options: this.options(draft), outputs, height: Number(height), metadata };
  }

  options(draft) {
    const { background, engine, temporal } = this.of(draft);
    return { background, engine, temporal, ...(draft.subjects.length && { subjects: draft.subjects }) };
  }

  /** The settings of a draft in a few words. */
  summary(draft) {
    const { background, format, height, matte, engine, metadata } = this.of(draft);
    const still = draft.known?.media?.still; // its format is the server's choice
    const words = [this.backgrounds.title(background) || LOOK.background, still ? "" : format.toUpperCase(), height !== "0" && LOOK.lines(height),
      engine !== DEFAULTS.engine && serverOptions.engines.find(({ name }) => name === engine)?.title, matte && LOOK.matte,
      LOOK.metadata[metadata]];
    return words.filter(Boolean).join(" · ");
  }

  #listEngines() {
    const list = this.form.elements.engine;
    const option = ({ name, label, sentence }) => make("option", { value: name, title: sentence }, label);
    list.replaceChildren(list.options[0], ...serverOptions.engines.map(option));
  }

  /** The first format is the server's default. */
  #listFormats() {
    this.form.elements.format.replaceChildren(...serverOptions.videoFormats.map(({ name, title }) => make("option", { value: name }, title)));
  }

  #choose(name, value) {
    this.chosen[name] = value;
    this.#reconcile(this.chosen, name);
    this.show();
    if (this.draft) this.draft.lookChanged(); else keep(KEY, this.common);
  }

  /** Replaces what the server does not offer, and shows the result. */
  #reconcileAll() {
    for (const look of [this.common, ...[...this.others].map((draft) => draft.look)]) this.#reconcile(look, "background");
    this.show();
  }

  /** Replaces what the server does not offer. If the background is transparent and the format opaque, changes the one of
   * them that is not `chosen`. */
  #reconcile(look, chosen) {
    const { engines, videoFormats } = serverOptions;
    if (!this.backgrounds.exists(look.background)) look.background = DEFAULTS.background;
    if (!(look.metadata in METADATA)) look.metadata = DEFAULTS.metadata; // settings of an earlier version have none
    if (engines.length && !engines.some(({ name }) => name === look.engine)) look.engine = DEFAULTS.engine;
    if (!videoFormats.length) return;
    if (!videoFormats.some(({ name }) => name === look.format)) look.format = videoFormats[0].name;
    if (!isTransparent(look) || serverOptions.isTransparent(look.format)) return;
    if (chosen === "background") look.format = videoFormats.find((format) => format.transparent).name;
    else look.background = DEFAULTS.background;
  }

  /** Updates the form. */
  show() {
    const { chosen, draft, form } = this;
    this.backgrounds.show(chosen.background);
    for (const name of ["format", "engine", "temporal", "height", "metadata"]) form.elements[name].value = chosen[name];
    form.elements.matte.checked = chosen.matte;
    for (const option of form.elements.format.options) {
      option.disabled = isTransparent(chosen) && !serverOptions.isTransparent(option.value);
    }
    const opaque = serverOptions.videoFormats.filter((format) => !format.transparent).map(({ name }) => name.toUpperCase()).join(", ");
    write(find("format-note"), isTransparent(chosen) && opaque ? `Not available with a transparent background: ${opaque}.` : "");
    form.classList.toggle("single", Boolean(draft));
    find("look-buttons").hidden = !draft;
    write(find("look-title"), draft ? LOOK.single : LOOK.common);
    write(find("look-of"), draft ? draft.name : LOOK.applies);
    this.#changed();
  }

  #changed() { this.dispatchEvent(new Event("change")); }
}
