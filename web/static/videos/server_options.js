// What the server offers: the formats of results, the engines and the choosers. Empty until its answer arrives.

import { get } from "../shared/api.js";

const RETRY_MS = 3000;

class ServerOptions extends EventTarget {
  /** Event: `known`, when the server has listed them. */
  constructor() {
    super();
    this.formats = [];
    this.engines = [];
    this.choosers = [];
  }

  /** Retries until the server answers. */
  async load() {
    try {
      const { formats, engines, choosers = [] } = await get("/api/options");
      Object.assign(this, { formats, engines, choosers });
      this.dispatchEvent(new Event("known"));
    } catch {
      setTimeout(() => this.load(), RETRY_MS);
    }
  }

  /** Whether subjects can be found by points and by prompts of this kind. */
  understands(kind) { return this.choosers.some(({ prompts }) => ["point", kind].every((each) => prompts.includes(each))); }

  /** Whether the server can list what could be a subject. */
  get lists() { return this.choosers.some(({ lists }) => lists); }

  format(name) { return this.formats.find((format) => format.name === name); }

  /** Whether the format supports transparency. True for a format that is not known yet. */
  isTransparent(name) { return this.format(name)?.transparent ?? true; }

  /** The formats of videos. A picture gets the server's default format for pictures. */
  get videoFormats() { return this.formats.filter((format) => !format.still); }

  /** Whether browsers can play or show results of this type. */
  isPlayable(mime) { return this.formats.some((format) => format.mime === mime && format.played); }
}

export const serverOptions = new ServerOptions();
