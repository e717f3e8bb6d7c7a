// The formats of results, and the engines, as the server lists them. Empty until its answer arrives.

import { get } from "../shared/api.js";

const RETRY_MS = 3000;

class Formats extends EventTarget {
  /** Event: `known`, when the server has listed them. */
  constructor() {
    super();
    this.all = [];
    this.engines = [];
  }

  /** Retries until the server answers. */
  async load() {
    try {
      const { formats, engines } = await get("/api/options");
      Object.assign(this, { all: formats, engines });
      this.dispatchEvent(new Event("known"));
    } catch {
      setTimeout(() => this.load(), RETRY_MS);
    }
  }

  find(name) { return this.all.find((format) => format.name === name); }

  /** Whether the format supports transparency. True for a format that is not known yet. */
  isTransparent(name) { return this.find(name)?.transparent ?? true; }

  /** Whether browsers can play results of this type. */
  isPlayable(mime) { return this.all.some((format) => format.mime === mime && format.played); }
}

export const formats = new Formats();
