// New videos: each is sent at once, can be trimmed and looked at meanwhile, and becomes a job when it is started.

import { get, request } from "../shared/api.js";
import { find, make, write } from "../shared/dom.js";
import { isTransparent } from "./look.js";
import { Trim } from "./trim.js";
import { forget, remembered, Upload } from "./tus.js";
import { lasting, size, WORDS } from "./videowords.js";

export class Drafts {
  constructor(look, onDenied) {
    Object.assign(this, { look, onDenied, list: find("drafts"), drafts: new Set() });
    find("start-all").addEventListener("click", () => { for (const draft of [...this.drafts]) draft.start(); });
  }

  /** What was begun before the page was loaded: some is complete, the rest needs its file again. */
  async restore() {
    for (const [address, { name, size: bytes }] of Object.entries(remembered())) {
      const known = await get(address).catch((error) => ({ gone: [403, 404, 410].includes(error.status), state: "" }));
      if (known.gone) forget(address);
      else if (known.state) this.#show(new Draft(this, { name, size: bytes, address, known }));
    }
  }

  add(files) {
    for (const file of files) {
      for (const old of this.drafts) if (old.waitsFor(file)) old.remove(false);
      this.#show(new Draft(this, { file, name: file.name, size: file.size }));
    }
  }

  #show(draft) {
    this.drafts.add(draft);
    this.list.append(draft.card);
    this.mark();
    draft.begin();
  }

  drop(draft) {
    this.drafts.delete(draft);
    draft.card.remove();
    this.mark();
  }

  mark() {
    find("drafts-part").hidden = this.drafts.size === 0;
    find("start-all").hidden = [...this.drafts].filter((draft) => draft.startable).length < 2;
  }
}

class Draft {
  constructor(all, { file = null, name, size: bytes, address = "", known = null }) {
    Object.assign(this, { all, file, name, bytes, address, known, armed: false, failed: false, began: Date.now() });
    this.trim = new Trim(file, name, () => this.#showFrame());
    this.bar = make("progress", { max: Math.max(1, bytes), value: 0, aria: { label: `${name}: sent` } });
    this.status = make("p", { className: "status", role: "status" }, make("span", { className: "dot" }), make("span", { className: "words" }));
    this.go = make("button", { type: "button", className: "primary" }, "Start");
    this.drop = make("button", { type: "button", className: "quiet" }, "Remove");
    this.go.addEventListener("click", () => this.start());
    this.drop.addEventListener("click", () => this.remove(true));
    this.card = make("li", { className: "card-row draft" },
      this.trim.element,
      make("div", { className: "facts" },
        make("h3", { title: name }, name), make("p", { className: "fine" }, size(bytes)), this.bar, this.status,
        this.trim.fields, make("div", { className: "buttons" }, this.go, this.drop)));
  }

  get startable() { return !this.failed && !this.armed && (this.file !== null || this.complete); }

  get complete() { return this.known !== null && this.known.offset === this.bytes; }

  get place() { return this.upload?.address || this.address; }

  waitsFor(file) { return this.file === null && this.name === file.name && this.bytes === file.size; }

  async begin() {
    if (!this.file) { this.#restored(); return; }
    this.upload = new Upload(this.file);
    this.upload.addEventListener("progress", () => this.#progress());
    this.upload.addEventListener("trouble", () => this.#progress());
    try {
      await this.upload.run();
      if (this.upload.stopped) return;
      this.address = this.upload.address;
      this.known = await get(this.address);
      this.#complete();
    } catch (error) {
      this.#fail(error);
    }
  }

  #restored() {
    const percent = Math.floor((100 * this.known.offset) / Math.max(1, this.bytes));
    this.bar.value = this.known.offset;
    if (this.known.state === "arriving" && this.known.offset < this.bytes) { this.#say("wait", WORDS.again(percent)); this.go.hidden = true; }
    else this.#complete();
  }

  #progress() {
    const { sent, waiting } = this.upload;
    this.bar.value = sent;
    if (waiting) { this.#say("wait", WORDS.unreachable); return; }
    this.first ??= { sent, at: Date.now() };
    const rate = (sent - this.first.sent) / Math.max(1, Date.now() - this.first.at);
    const left = rate > 0 && Date.now() - this.first.at > 1500 ? lasting((this.bytes - sent) / rate / 1000) : "";
    const percent = Math.floor((100 * sent) / Math.max(1, this.bytes));
    const words = percent < 100 ? WORDS.sending(percent, left) : WORDS.checking;
    this.#say("wait", this.armed && percent < 100 ? `${words}. ${WORDS.armed}` : words);
  }

  #complete() {
    this.bar.value = this.bytes;
    this.bar.hidden = true;
    if (this.known.state === "unusable") { this.#fail({ message: this.known.detail }); return; }
    if (this.known.media) this.trim.know(this.known.media);
    this.#say("good", WORDS.ready);
    this.all.mark();
    if (this.armed) this.#submit();
  }

  start() {
    if (!this.startable) return;
    this.armed = true;
    this.go.disabled = true;
    if (this.complete) this.#submit(); else this.#progress();
    this.all.mark();
  }

  async #submit() {
    this.#say("wait", "Starting…");
    const headers = { "Idempotency-Key": (this.key ??= crypto.getRandomValues(new Uint32Array(4)).join("-")) };
    try {
      await request("POST", "/api/jobs", { json: { upload: this.known.id, ...this.trim.cut(), ...this.all.look.wish() }, headers });
      forget(this.address);
      this.all.drop(this);
    } catch (error) {
      this.armed = this.go.disabled = false;
      this.key = undefined;
      this.#say("bad", `${error.message}.`);
      if (error.status === 401) this.all.onDenied();
    }
  }

  async #showFrame() {
    if (!this.complete) { this.trim.say("The preview needs the whole video; it is still being sent."); return; }
    this.trim.say(WORDS.previewing);
    try {
      const json = { upload: this.known.id, at_s: this.trim.at, options: this.all.look.options() };
      const picture = await (await request("POST", "/api/previews", { json })).blob();
      this.trim.show(picture, isTransparent(json.options));
    } catch (error) {
      this.trim.say(`No preview: ${error.message}.`);
    }
  }

  async remove(there) {
    this.all.drop(this);
    this.trim.close();
    if (!there) return;
    if (this.place && [...this.all.drafts].some((other) => other.place === this.place)) this.upload?.stop(); // dropped twice
    else if (this.upload) await this.upload.cancel();
    else {
      forget(this.address);
      await request("DELETE", this.address, { headers: { "Tus-Resumable": "1.0.0" } }).catch(() => {});
    }
  }

  #fail(error) {
    this.failed = true;
    this.go.hidden = this.bar.hidden = true;
    if (this.address) forget(this.address);
    this.#say("bad", `${error.message[0].toUpperCase()}${error.message.slice(1)}.`.replace(/\.\.$/, "."));
    if (error.status === 401) this.all.onDenied();
    this.all.mark();
  }

  #say(tone, words) {
    this.status.dataset.tone = tone;
    write(this.status.querySelector(".words"), words);
  }
}
