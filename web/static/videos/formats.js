// The formats of results, as the server lists them. Empty until it has been asked.

import { get } from "../shared/api.js";

const AGAIN_MS = 3000;

class Formats extends EventTarget {
  /** Event: `known`, once the server has listed them. */
  constructor() {
    super();
    this.all = [];
  }

  /** Asks until there is an answer. */
  async load() {
    try {
      this.all = (await get("/api/options")).formats;
      this.dispatchEvent(new Event("known"));
    } catch {
      setTimeout(() => this.load(), AGAIN_MS);
    }
  }

  find(name) { return this.all.find((format) => format.name === name); }

  /** Can the format be transparent? One that is not known yet is not refused. */
  holdsAlpha(name) { return this.find(name)?.transparent ?? true; }

  /** Do browsers play a result of this type? */
  plays(mime) { return this.all.some((format) => format.mime === mime && format.played); }
}

export const formats = new Formats();
