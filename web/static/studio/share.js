// Sharing: broadcast the studio's video under a name, and get the addresses for viewers, OBS and publishers.

import { request } from "../shared/api.js";
import { find, keep, read, write } from "../shared/dom.js";
import { SHARE } from "../shared/words.js";

const KEY = "mattebox.share";
const FIELDS = { view: "share-view", obs: "share-obs", whip: "share-whip", token: "share-token" };

export class Share {
  /** start(name) and stop() put the studio on air and take it off air; both may throw. */
  constructor({ start, stop }) {
    Object.assign(this, { start, stop });
    this.dialog = find("share");
    this.name = find("share-name");
    this.lasts = find("share-lasts");
    Object.assign(this.name, { value: read(KEY, {}).name ?? "studio" });
    find("share-open").addEventListener("click", () => { this.dialog.showModal(); this.#addresses(); });
    find("share-close").addEventListener("click", () => this.dialog.close());
    for (const field of [this.name, this.lasts]) field.addEventListener("change", () => this.#addresses());
    find("share-go").addEventListener("click", () => this.#toggle());
    for (const id of Object.values(FIELDS)) this.#copyable(find(id));
    this.show(null, false);
  }

  /** name: the name under which the studio is on air, or null. camera: whether the camera is open. */
  show(name, camera) {
    this.onAir = name;
    const button = find("share-go");
    write(button, name ? SHARE.stop : SHARE.start);
    button.disabled = !camera;
    button.classList.toggle("primary", !name);
    this.name.disabled = Boolean(name);
    write(find("share-state"), name ? SHARE.onAir(name) : camera ? SHARE.off : SHARE.noCamera);
    find("on-air").hidden = !name;
  }

  async #toggle() {
    const button = find("share-go");
    button.disabled = true;
    write(find("share-state"), this.onAir ? "" : SHARE.starting);
    try {
      await (this.onAir ? this.stop() : this.start(this.name.value));
    } catch (error) {
      write(find("share-state"), SHARE.failed(error.message));
    }
    button.disabled = false;
  }

  async #addresses() {
    const name = this.name.value;
    if (!this.name.reportValidity()) return; // checks the pattern in the HTML
    keep(KEY, { name });
    const link = async (kind) => {
      const json = { kind, name, expires_s: Number(this.lasts.value) };
      return (await request("POST", "/api/links", { json })).json();
    };
    try {
      const [view, publish] = await Promise.all([link("view"), link("publish")]);
      const values = { view: view.page, obs: `${view.page}&clean`, whip: publish.url.split("?")[0], token: publish.token };
      for (const [field, id] of Object.entries(FIELDS)) find(id).value = values[field];
    } catch (error) {
      write(find("share-state"), `${error.message}.`);
    }
  }

  #copyable(field) {
    const button = field.nextElementSibling;
    button.addEventListener("click", async () => {
      field.select();
      const done = await navigator.clipboard?.writeText(field.value).then(() => true, () => false);
      write(find("share-copied"), done ? SHARE.copied : SHARE.notCopied);
      setTimeout(() => write(find("share-copied"), ""), 2500);
    });
  }
}
