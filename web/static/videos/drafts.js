// New videos: each is uploaded at once, can be trimmed and previewed, and becomes a job when it is started.

import { get, request } from "../shared/api.js";
import { find, make, write } from "../shared/dom.js";
import { isTransparent } from "./job_options.js";
import { Trim } from "./trim.js";
import { forget, remembered, Upload } from "./tus.js";
import { duration, size, WORDS } from "./words.js";

export class Drafts {
  constructor(jobOptions, onDenied) {
    Object.assign(this, { jobOptions, onDenied, list: find("drafts"), drafts: new Set() });
    find("start-all").addEventListener("click", () => { for (const draft of [...this.drafts]) draft.start(); });
  }

  /** Shows the uploads from before the page was loaded. Incomplete ones need their file again. */
  async restore() {
    for (const [address, { name, size: bytes }] of Object.entries(remembered())) {
      const known = await get(address).catch((error) => ({ gone: [403, 404, 410].includes(error.status), state: "" }));
      if (known.gone) forget(address);
      else if (known.state) this.#show(new Draft(this, { name, size: bytes, address, known }));
    }
  }

  add(files) {
    for (const file of files) {
      for (const old of this.drafts) if (old.needs(file)) old.remove(false);
      this.#show(new Draft(this, { file, name: file.name, size: file.size }));
    }
  }

  #show(draft) {
    this.drafts.add(draft);
    this.list.append(draft.card);
    this.update();
    draft.begin();
  }

  drop(draft) {
    this.drafts.delete(draft);
    draft.card.remove();
    this.update();
  }

  update() {
    find("drafts-part").hidden = this.drafts.size === 0;
    find("start-all").hidden = [...this.drafts].filter((draft) => draft.startable).length < 2;
  }
}

class Draft {
  /** file: null for an upload of an earlier visit. address: of the upload. known: its state on the server.
   * armed: to be submitted when the upload is complete. */
  constructor(all, { file = null, name, size: bytes, address = "", known = null }) {
    Object.assign(this, { all, file, name, bytes, address, known, armed: false, failed: false });
    this.trim = new Trim(file, name, () => this.#showFrame());
    this.bar = make("progress", { max: Math.max(1, bytes), value: 0, aria: { label: `${name}: upload` } });
    this.status = make("p", { className: "status", role: "status" }, make("span", { className: "dot" }), make("span", { className: "words" }));
    this.startButton = make("button", { type: "button", className: "primary" }, "Start");
    this.removeButton = make("button", { type: "button", className: "quiet" }, "Remove");
    this.startButton.addEventListener("click", () => this.start());
    this.removeButton.addEventListener("click", () => this.remove(true));
    this.card = make("li", { className: "card-row draft" },
      this.trim.element,
      make("div", { className: "facts" },
        make("h3", { title: name }, name), make("p", { className: "fine" }, size(bytes)), this.bar, this.status,
        this.trim.fields, make("div", { className: "buttons" }, this.startButton, this.removeButton)));
  }

  get startable() { return !this.failed && !this.armed && (this.file !== null || this.complete); }

  get complete() { return this.known !== null && this.known.offset === this.bytes; }

  get uploadAddress() { return this.upload?.address || this.address; }

  /** Whether this is an interrupted upload of the file. */
  needs(file) { return this.file === null && this.name === file.name && this.bytes === file.size; }

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
    if (this.known.state === "arriving" && this.known.offset < this.bytes) {
      this.#show("wait", WORDS.interrupted(percent));
      this.startButton.hidden = true;
    } else this.#complete();
  }

  #progress() {
    const { sent, waiting } = this.upload;
    this.bar.value = sent;
    if (waiting) { this.#show("wait", WORDS.unreachable); return; }
    this.first ??= { sent, at: Date.now() };
    const rate = (sent - this.first.sent) / Math.max(1, Date.now() - this.first.at);
    const left = rate > 0 && Date.now() - this.first.at > 1500 ? duration((this.bytes - sent) / rate / 1000) : "";
    const percent = Math.floor((100 * sent) / Math.max(1, this.bytes));
    const words = percent < 100 ? WORDS.uploading(percent, left) : WORDS.checking;
    this.#show("wait", this.armed && percent < 100 ? `${words}. ${WORDS.queued}` : words);
  }

  #complete() {
    this.bar.value = this.bytes;
    this.bar.hidden = true;
    if (this.known.state === "unusable") { this.#fail({ message: this.known.detail }); return; }
    if (this.known.media) this.trim.setMedia(this.known.media);
    this.#show("good", WORDS.ready);
    this.all.update();
    if (this.armed) this.#submit();
  }

  start() {
    if (!this.startable) return;
    this.armed = true;
    this.startButton.disabled = true;
    if (this.complete) this.#submit(); else this.#progress();
    this.all.update();
  }

  async #submit() {
    this.#show("wait", WORDS.starting);
    const headers = { "Idempotency-Key": (this.key ??= crypto.getRandomValues(new Uint32Array(4)).join("-")) };
    try {
      await request("POST", "/api/jobs", { json: { upload: this.known.id, ...this.trim.range(), ...this.all.jobOptions.jobFields(this.known.media?.still) }, headers });
      forget(this.address);
      this.all.drop(this);
    } catch (error) {
      this.armed = this.startButton.disabled = false;
      this.key = undefined;
      this.#show("bad", `${error.message}.`);
      if (error.status === 401) this.all.onDenied();
    }
  }

  async #showFrame() {
    if (!this.complete) { this.trim.note(WORDS.incomplete); return; }
    this.trim.note(WORDS.previewing);
    try {
      const json = { upload: this.known.id, at_s: this.trim.at, options: this.all.jobOptions.options() };
      const picture = await (await request("POST", "/api/previews", { json })).blob();
      this.trim.show(picture, isTransparent(json.options));
    } catch (error) {
      this.trim.note(WORDS.noPreview(error.message));
    }
  }

  /** onServer: remove the upload too. */
  async remove(onServer) {
    this.all.drop(this);
    this.trim.close();
    if (!onServer) return;
    const shared = this.uploadAddress && [...this.all.drafts].some((other) => other.uploadAddress === this.uploadAddress);
    if (shared) this.upload?.stop(); // the same file was added twice
    else if (this.upload) await this.upload.cancel();
    else {
      forget(this.address);
      await request("DELETE", this.address, { headers: { "Tus-Resumable": "1.0.0" } }).catch(() => {});
    }
  }

  #fail(error) {
    this.failed = true;
    this.startButton.hidden = this.bar.hidden = true;
    if (this.address) forget(this.address);
    this.#show("bad", `${error.message[0].toUpperCase()}${error.message.slice(1)}.`.replace(/\.\.$/, "."));
    if (error.status === 401) this.all.onDenied();
    this.all.update();
  }

  #show(tone, words) {
    this.status.dataset.tone = tone;
    write(this.status.querySelector(".words"), words);
  }
}
