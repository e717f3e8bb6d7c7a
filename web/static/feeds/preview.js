// The small picture of a feed: what its outputs get now. It is asked for only while it can be seen.

import { request } from "../shared/api.js";
import { make, pause, write } from "../shared/dom.js";

const EVERY_MS = 2000;
const AFTER_ERROR_MS = 10_000;
const WORDS = { waiting: "Waiting for a worker", running: "No picture yet", stopped: "Stopped", failed: "Failed" };

export class Preview {
  constructor() {
    this.image = make("img", { hidden: true });
    this.text = make("span", { className: "fine" });
    this.element = make("div", { className: "preview" }, this.image, this.text);
    this.tag = "";
    new IntersectionObserver((entries) => {
      this.seen = entries.at(-1).isIntersecting;
      this.#follow();
    }).observe(this.element);
    document.addEventListener("visibilitychange", () => this.#follow());
  }

  show({ id, name, state }) {
    this.path = `/api/feeds/${id}/picture`;
    this.runs = state === "running";
    this.image.alt = `What ${name} sends now`;
    write(this.text, WORDS[state] ?? "");
    if (!this.runs) this.#put(null);
    this.#follow();
  }

  get #wanted() {
    return this.runs && this.seen && !document.hidden && this.element.isConnected;
  }

  /** Ask again and again while the picture is wanted. */
  async #follow() {
    if (this.following) return;
    this.following = true;
    while (this.#wanted) await pause(await this.#load() ? EVERY_MS : AFTER_ERROR_MS);
    this.following = false;
  }

  /** Returns whether the server answered. */
  async #load() {
    try {
      const response = await request("GET", this.path, { headers: this.tag ? { "If-None-Match": this.tag } : {} });
      this.#put(response.status === 200 ? await response.blob() : null, response.headers.get("ETag") ?? "");
    } catch (error) {
      if (error.status === 304) return true;
      this.#put(null);
      return false;
    }
    return true;
  }

  /** Show a picture, or the words if it is null. */
  #put(picture, tag = "") {
    if (this.image.src) URL.revokeObjectURL(this.image.src);
    this.tag = tag;
    this.image.hidden = !picture;
    if (picture) this.image.src = URL.createObjectURL(picture);
    else this.image.removeAttribute("src");
  }
}
