// Sharing: publish the studio's video under a name, and get the addresses for viewers, OBS and publishers.

import { request } from "../shared/api.js";
import { find, keep, pause, read, write } from "../shared/dom.js";
import { SETTLE_MS } from "../shared/taps.js";
import { SHARE } from "../shared/words.js";
import { Secret } from "./secret.js";
import { makeTabs } from "./tabs.js";

const KEY = "mattebox.share";
const TRANSPARENT = "transparent"; // the background that only the page for OBS shows
const FIELDS = { view: "share-view", obs: "share-obs", clean: "share-clean", whip: "share-whip", token: "share-token" };
const SCOPES = { "share-watch": "view", "share-for-obs": "view", "share-publish": "publish" }; // the link of each tab

export class Share {
  /** start(name) and stop() put the studio on air and take it off air; both may throw. useGreen(): choose green as the
   * background. */
  constructor({ choices, start, stop, useGreen }) {
    Object.assign(this, { start, stop, tab: "share-watch", made: {} });
    this.dialog = find("share");
    this.name = find("share-name");
    this.lasts = find("share-lasts");
    this.fields = Object.fromEntries(Object.entries(FIELDS).map(([field, id]) => [field, new Secret(find(id), copied)]));
    this.name.value = read(KEY, {}).name ?? "studio";
    find("share-open").addEventListener("click", () => { this.dialog.showModal(); this.tabs.select(this.tab); });
    find("share-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => this.#each((field) => field.show(false)));
    for (const field of [this.name, this.lasts]) field.addEventListener("change", () => { this.#forget(); this.#addresses(); });
    find("share-go").addEventListener("click", () => this.#toggle());
    this.tabs = makeTabs(find("share-tabs"), (id) => { this.tab = id; if (this.dialog.open) this.#addresses(); });
    this.tabs.select(this.tab);
    for (const button of this.dialog.querySelectorAll(".use-green")) {
      button.addEventListener("click", () => { useGreen(); write(find("share-copied"), SHARE.green); });
    }
    const warn = () => {
      const clear = choices.value("background") === TRANSPARENT;
      for (const text of this.dialog.querySelectorAll(".transparent")) text.hidden = !clear;
    };
    choices.addEventListener("change", warn);
    warn();
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

  /** The button changes its meaning, so it pauses before it can be pressed again. */
  async #toggle() {
    const button = find("share-go");
    button.disabled = true;
    write(find("share-state"), this.onAir ? "" : SHARE.starting);
    try {
      await (this.onAir ? this.stop() : this.start(this.name.value));
    } catch (error) {
      write(find("share-state"), SHARE.failed(error.message));
    }
    button.disabled = true;
    await pause(SETTLE_MS);
    button.disabled = find("stop").disabled; // the camera was closed meanwhile
  }

  /** Get the addresses of the shown tab, unless they are known. Only a link that is needed is made. */
  async #addresses() {
    const kind = SCOPES[this.tab];
    if (this.made[kind] || !this.name.reportValidity()) return; // checks the pattern in the HTML
    const name = this.name.value;
    keep(KEY, { name });
    const making = request("POST", "/api/links", { json: { kind, name, expires_s: Number(this.lasts.value) } });
    this.made[kind] = making;
    try {
      const link = await (await making).json();
      if (this.made[kind] !== making) return; // the name was changed meanwhile
      if (kind === "view") this.#fill({ view: link.page, obs: link.obs, clean: `${link.page}&clean` });
      else this.#fill({ whip: link.url.split("?")[0], token: link.token });
    } catch (error) {
      if (this.made[kind] === making) this.made[kind] = null;
      write(find("share-state"), `${error.message}.`);
    }
  }

  #fill(values) { for (const [field, value] of Object.entries(values)) this.fields[field].set(value); }

  #forget() {
    this.made = {};
    this.#each((field) => field.set(""));
  }

  #each(act) { Object.values(this.fields).forEach(act); }
}

function copied(text) {
  write(find("share-copied"), text);
  setTimeout(() => write(find("share-copied"), ""), 2500);
}
