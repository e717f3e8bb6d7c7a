// The player of results: a video or picture, alone or with its source left of a draggable line.

import { Divider } from "../shared/divider.js";
import { find, keep, make, read, write } from "../shared/dom.js";
import { InStep } from "./in_step.js";
import { isTransparent } from "./job_options.js";
import { clock, PLAYER } from "./words.js";

const KEY = "mattebox.compare";
const OTHER_SIZES = ["side-by-side", "stacked"]; // views that do not lie over the source

export class Player {
  constructor() {
    for (const name of ["", "title", "close", "stage", "note", "compare", "before", "bar", "play", "mute", "seek", "time"]) {
      this[name || "dialog"] = find(name ? `player-${name}` : "player");
    }
    this.layer = find("player-layer");
    new Divider(this.layer, find("player-handle"), PLAYER.compare);
    this.close.addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", ({ target }) => { if (target === this.dialog) this.dialog.close(); });
    this.dialog.addEventListener("close", () => this.#clear());
    this.compare.addEventListener("click", () => { keep(KEY, this.layer.hidden); this.#compare(this.layer.hidden); });
    this.play.addEventListener("click", () => (this.shown.paused ? this.shown.play().catch(() => {}) : this.shown.pause()));
    this.mute.addEventListener("click", () => { this.shown.muted = !this.shown.muted; });
    this.seek.addEventListener("input", () => { this.shown.currentTime = Number(this.seek.value); });
  }

  /** Show a result. name: of its output. */
  open(job, result, name) {
    this.#clear();
    this.job = job;
    this.isPicture = result.mime.startsWith("image/");
    write(this.title, job.title || "Video");
    write(this.note, "");
    const shown = this.shown = this.isPicture ? make("img", { src: result.url, alt: job.title })
      : make("video", { src: result.url, controls: true, autoplay: true, loop: true, playsInline: true });
    shown.classList.add("result");
    shown.addEventListener("error", () => { if (this.shown === shown) { write(this.note, PLAYER.cannotPlay); this.#offer(false); } });
    for (const type of ["loadedmetadata", "durationchange", "timeupdate", "play", "pause", "volumechange", "load"]) {
      shown.addEventListener(type, () => { if (this.shown === shown) this.#showState(); });
    }
    this.stage.prepend(shown);
    this.stage.classList.toggle("checkered", isTransparent(job.options));
    this.#offer(this.#canCompare(name));
    this.dialog.showModal();
    if (!this.compare.hidden) this.#checkSource();
  }

  /** Whether the source has the result's shape and was uploaded. A GIF does not tell its time. */
  #canCompare(name) {
    const { view } = this.job.outputs.find((output) => output.name === name) ?? {};
    const still = this.job.media?.still ?? false;
    return Boolean(this.job.upload) && this.isPicture === still && !OTHER_SIZES.includes(view ?? this.job.options.view);
  }

  get #source() { return `/api/uploads/${this.job.upload}/source`; }

  async #checkSource() {
    const { job } = this;
    const answer = await fetch(this.#source, { method: "HEAD" }).catch(() => null);
    if (this.job !== job) return;
    if (answer && !answer.ok) this.#refuse(PLAYER.gone);
    else if (read(KEY, false)) this.#compare(true);
  }

  #offer(possible) {
    if (!possible && !this.layer.hidden) this.#compare(false);
    this.compare.hidden = !possible;
  }

  #refuse(words) {
    this.#offer(false);
    write(this.note, words);
  }

  #compare(visible) {
    this.compare.setAttribute("aria-pressed", String(visible));
    this.layer.hidden = !visible;
    this.bar.hidden = !visible || this.isPicture;
    if (!this.isPicture) this.shown.controls = !visible;
    if (visible) this.#showSource(); else this.#hideSource();
  }

  #showSource() {
    const { job } = this;
    const source = this.isPicture ? make("img", { alt: "The original" })
      : make("video", { muted: true, playsInline: true, preload: "auto", aria: { label: "The original" } });
    source.addEventListener("error", async () => {
      const answer = await fetch(this.#source, { method: "HEAD" }).catch(() => null);
      if (this.job === job && source.isConnected) this.#refuse(answer?.ok === false ? PLAYER.gone : PLAYER.cannotCompare);
    });
    this.before.replaceChildren(source);
    source.src = this.#source;
    if (!this.isPicture) this.inStep = new InStep(this.shown, source, job.start_s);
    this.#showState();
  }

  #hideSource() {
    this.inStep?.stop();
    this.inStep = null;
    for (const video of this.before.querySelectorAll("video")) { video.removeAttribute("src"); video.load(); }
    this.before.replaceChildren();
  }

  #showState() {
    const { shown, stage } = this;
    const [width, height] = this.isPicture ? [shown.naturalWidth, shown.naturalHeight] : [shown.videoWidth, shown.videoHeight];
    if (width) stage.style.setProperty("--ratio", width / height);
    if (this.isPicture) return;
    const length = Number.isFinite(shown.duration) ? shown.duration : 0;
    this.seek.max = length;
    this.seek.value = shown.currentTime;
    this.seek.setAttribute("aria-valuetext", clock(shown.currentTime));
    write(this.time, `${clock(shown.currentTime)} / ${clock(length)}`);
    write(this.play, shown.paused ? PLAYER.play : PLAYER.pause);
    write(this.mute, shown.muted ? PLAYER.unmute : PLAYER.mute);
    this.mute.hidden = !this.job.media?.sound;
  }

  #clear() {
    if (!this.layer.hidden) this.#compare(false);
    this.job = null;
    this.shown?.remove();
    if (this.shown && !this.isPicture) { this.shown.removeAttribute("src"); this.shown.load(); }
    this.shown = null;
  }
}
