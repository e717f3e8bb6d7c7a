// The card of one new video, from the choice of its file to the job that is made of it.

import { get, request } from "../shared/api.js";
import { make, write } from "../shared/dom.js";
import { isTransparent } from "./job_options.js";
import { LookRow } from "./look_row.js";
import { serverOptions } from "./server_options.js";
import { Trim } from "./trim.js";
import { annotate, discard, exclusively, forget, GONE, isSentElsewhere, Upload } from "./tus.js";
import { duration, PICKING, sentence, size, WORDS } from "./words.js";

const RETRY_MS = 2000;

export class Draft {
  /** file: null for an upload of an earlier visit. address: of the upload. known: its state on the server. mark: the
   * file's fingerprint. look: settings of its own, or null. subjects: as in the options of a job. */
  constructor(all, { file = null, name, bytes, address = "", known = null, mark, look = null, subjects = [] }) {
    Object.assign(this, { all, file, name, bytes, address, known, mark, look, subjects });
    Object.assign(this, { armed: false, failed: false, denied: false, closed: false }); // armed: to be started when the upload is complete
    this.trim = new Trim(file, name, () => this.#showFrame());
    this.lookRow = new LookRow(this, all.jobOptions);
    this.bar = make("progress", { max: Math.max(1, bytes), value: 0, aria: { label: `${name}: upload` } });
    this.status = make("p", { className: "status", role: "status" }, make("span", { className: "dot" }), make("span", { className: "words" }));
    this.startButton = make("button", { type: "button", className: "primary" }, "Start");
    this.pickButton = make("button", { type: "button", className: "quiet" });
    this.removeButton = make("button", { type: "button", className: "quiet" }, "Remove");
    this.startButton.addEventListener("click", () => this.start());
    this.pickButton.addEventListener("click", () => this.#pick());
    this.removeButton.addEventListener("click", () => this.remove(true));
    this.card = make("li", { className: "card-row draft", tabIndex: -1 },
      this.trim.element,
      make("div", { className: "facts" },
        make("h3", { title: name }, name), make("p", { className: "fine" }, size(bytes)), this.bar, this.status,
        this.trim.fields, this.lookRow.element, make("div", { className: "buttons" }, this.startButton, this.pickButton, this.removeButton)));
  }

  get startable() { return !this.failed && !this.armed && !this.elsewhere && (this.file !== null || this.complete); }

  get complete() { return this.known !== null && this.known.offset === this.bytes && this.known.state !== "arriving"; }

  get uploadAddress() { return this.upload?.address || this.address; }

  /** Whether this is an interrupted upload, which continues when its file is chosen again. */
  get needsFile() { return this.file === null && !this.complete && !this.elsewhere; }

  /** Whether the file may be the one that is needed. */
  isPartOf(file) { return this.needsFile && this.name === file.name && this.bytes === file.size; }

  /** Whether the focus is on the card, or was on its Start button and has not gone elsewhere since. */
  get hasFocus() {
    const { activeElement, body } = document;
    return this.card.contains(activeElement) || (this.focused && activeElement === body);
  }

  /** Called when it is listed. */
  adopt() {
    if (this.look) this.all.jobOptions.adopt(this);
    this.showLook();
  }

  showLook() {
    this.lookRow.show();
    write(this.pickButton, PICKING.open(this.subjects.length));
    this.pickButton.hidden = this.failed || !serverOptions.understands("point");
    this.pickButton.disabled = !this.trim.address;
  }

  /** Called when its own settings or subjects have changed. */
  lookChanged() {
    const { look, subjects } = this;
    if (this.uploadAddress) annotate(this.uploadAddress, { look, subjects });
    this.showLook();
  }

  /** Called when the form no longer shows its settings. */
  lookClosed() {
    this.showLook();
    this.lookRow.focus();
  }

  /** Show which card already has a file that was chosen again. */
  point() {
    this.card.scrollIntoView({ block: "nearest" });
    this.card.classList.remove("again");
    void this.card.offsetWidth; // restarts the animation
    this.card.classList.add("again");
  }

  async begin() {
    this.denied = false;
    if (!this.file) { this.#restored(); return; }
    this.upload = new Upload(this.file);
    this.upload.addEventListener("progress", () => this.#progress());
    this.upload.addEventListener("trouble", () => this.#progress());
    try {
      await this.upload.run();
      if (this.upload.stopped) return;
      this.address = this.upload.address;
      this.known = await get(this.address);
      if (!this.closed) this.#complete();
    } catch (error) {
      if (!this.closed) this.#fail(error);
    }
  }

  async #restored() {
    const percent = Math.floor((100 * this.known.offset) / Math.max(1, this.bytes));
    this.bar.value = this.known.offset;
    if (this.known.state !== "arriving") { this.#complete(); return; }
    this.startButton.hidden = true;
    this.elsewhere = await isSentElsewhere(this.address);
    this.#show("wait", this.elsewhere ? WORDS.elsewhere : WORDS.interrupted(percent));
    if (this.elsewhere) exclusively(this.address, () => {}).then(() => this.#refresh());
  }

  /** The other tab has stopped sending. */
  async #refresh() {
    if (this.closed) return;
    try {
      this.known = await get(this.address);
    } catch (error) {
      if (GONE.includes(error.status)) this.remove(false); else setTimeout(() => this.#refresh(), RETRY_MS);
      return;
    }
    if (this.closed) return;
    this.startButton.hidden = this.elsewhere = false;
    this.#restored();
  }

  #progress() {
    const { sent, waiting } = this.upload;
    if ((this.look || this.subjects.length) && !this.annotated && this.upload.address) { this.annotated = true; this.lookChanged(); }
    this.bar.value = sent;
    if (waiting) { this.#show("wait", WORDS.unreachable); return; }
    if (this.upload.elsewhere) { this.#show("wait", WORDS.elsewhere); return; }
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
    if (this.known.media) this.trim.setMedia(this.known.media, `${this.address}/source`);
    this.showLook();
    this.#show("good", WORDS.ready);
    this.all.update();
    if (this.armed) this.#submit();
  }

  start() {
    if (!this.startable) return;
    this.armed = true;
    this.focused = this.card.contains(document.activeElement); // a disabled button loses the focus
    this.startButton.disabled = true;
    if (this.complete) this.#submit(); else this.#progress();
    this.all.update();
  }

  async #submit() {
    this.#show("wait", WORDS.starting);
    const headers = { "Idempotency-Key": (this.key ??= crypto.getRandomValues(new Uint32Array(4)).join("-")) };
    const json = { upload: this.known.id, ...this.trim.range(), ...this.trim.stream(), ...this.all.jobOptions.jobFields(this, this.known.media?.still) };
    try {
      const job = await (await request("POST", "/api/jobs", { json, headers })).json();
      this.all.become(this, job);
    } catch (error) {
      this.armed = this.startButton.disabled = false;
      this.key = undefined;
      this.#show("bad", sentence(error.message));
      if (error.status === 401) this.all.onDenied();
    }
  }

  #pick() {
    const { trim, known, subjects } = this;
    const still = trim.still || this.file?.type.startsWith("image/");
    this.all.picking.open({
      title: this.name, source: trim.address, upload: () => (this.complete ? this.known.id : ""), media: known?.media ?? { still },
      part: { start_s: trim.start, end_s: trim.end ?? trim.length }, options: () => this.all.jobOptions.options(this), fields: trim.stream(), subjects, action: PICKING.done,
      done: async (picked) => { this.subjects = picked; this.lookChanged(); },
    });
  }

  async #showFrame() {
    if (!this.complete) { this.trim.note(WORDS.incomplete); return; }
    this.trim.note(WORDS.previewing);
    try {
      const json = { upload: this.known.id, at_s: this.trim.at, ...this.trim.stream(), options: this.all.jobOptions.options(this) };
      const picture = await (await request("POST", "/api/previews", { json })).blob();
      this.trim.show(picture, isTransparent(json.options));
    } catch (error) {
      this.trim.note(WORDS.noPreview(error.message));
    }
  }

  /** onServer: remove the upload too. */
  async remove(onServer) {
    this.all.drop(this);
    if (!onServer) { this.upload?.stop(); return; }
    if (this.upload) await this.upload.cancel();
    else if (this.address) await discard(this.address);
  }

  /** Called when it is no longer listed. */
  close() {
    this.closed = true;
    this.trim.close();
  }

  /** A card that failed shows its name, one sentence, and one button. */
  #fail(error) {
    if (error.status === 401) {
      this.denied = true;
      this.#show("wait", WORDS.denied);
      this.all.onDenied();
      return;
    }
    this.failed = true;
    this.card.classList.add("failed");
    for (const part of [this.trim.element, this.trim.fields, this.lookRow.element, this.startButton, this.pickButton, this.bar]) part.hidden = true;
    this.all.jobOptions.leave(this);
    if (this.uploadAddress) forget(this.uploadAddress);
    this.#show("bad", sentence(error.message));
    this.all.update();
  }

  #show(tone, words) {
    this.status.dataset.tone = tone;
    write(this.status.querySelector(".words"), words);
  }
}
