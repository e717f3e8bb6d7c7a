// One new video to look at: the player of its file, the part that is wanted, and a frame as it will come out.

import { make, write } from "../shared/dom.js";
import { clock, WORDS } from "./videowords.js";

const STEP_S = 0.05;

export class Trim {
  /** preview(): a frame at `at` is wished. */
  constructor(file, name, preview) {
    Object.assign(this, { start: 0, end: null, length: 0, at: 0 });
    this.video = make("video", { muted: true, playsInline: true, preload: "metadata", controls: true, aria: { label: name } });
    this.picture = make("img", { alt: "The frame as it will come out", hidden: true });
    this.note = make("p", { className: "fine", role: "status" });
    this.button = make("button", { type: "button", className: "quiet" }, "Preview this frame");
    this.button.addEventListener("click", () => (this.picture.hidden ? preview() : this.#back()));
    this.element = make("div", { className: "look-at" },
      make("div", { className: "screen" }, this.video, this.picture), this.button, this.note);
    this.from = this.#handle("Start", () => this.#move("start"));
    this.to = this.#handle("End", () => this.#move("end"));
    this.words = make("p", { className: "fine" });
    this.fields = make("div", { className: "trim", hidden: true, role: "group" }, make("div", { className: "rail" }, this.from, this.to), this.words);
    this.fields.setAttribute("aria-label", "The part that is wanted");
    this.video.addEventListener("loadedmetadata", () => this.#lasts(this.video.duration));
    this.video.addEventListener("timeupdate", () => { this.at = this.video.currentTime; });
    this.video.addEventListener("error", () => { this.video.hidden = true; this.say(WORDS.noPlayer); });
    if (file) this.video.src = this.url = URL.createObjectURL(file);
    else this.video.hidden = true;
  }

  /** What the server found out about it. */
  know(media) {
    if (!this.length) this.#lasts(media.duration_s);
  }

  /** As a job has it. */
  cut() {
    const whole = this.end === null || this.end >= this.length - STEP_S;
    return { start_s: this.start, ...(!whole && { end_s: this.end }) };
  }

  /** transparent: the picture is to be seen through. */
  show(blob, transparent) {
    this.picture.parentElement.classList.toggle("checkered", transparent);
    URL.revokeObjectURL(this.picture.src);
    this.picture.src = URL.createObjectURL(blob);
    this.picture.hidden = false;
    this.video.pause();
    write(this.button, this.video.hidden ? "Another preview" : "Back to the video");
    this.say(`As it will come out, at ${clock(this.at)}.`);
  }

  say(words) { write(this.note, words); }

  close() {
    this.video.removeAttribute("src");
    if (this.url) URL.revokeObjectURL(this.url);
  }

  #back() {
    this.picture.hidden = true;
    write(this.button, "Preview this frame");
    this.say("");
  }

  #lasts(seconds) {
    if (!Number.isFinite(seconds) || seconds <= 0) return;
    this.length = seconds;
    for (const handle of [this.from, this.to]) handle.max = seconds;
    this.to.value = seconds;
    this.fields.hidden = false;
    this.#tell();
  }

  #handle(label, moved) {
    const range = make("input", { type: "range", min: 0, max: 1, step: STEP_S, value: 0, aria: { label } });
    range.addEventListener("input", moved);
    return range;
  }

  #move(which) {
    if (which === "start") this.from.value = Math.min(this.from.value, this.to.value - 2 * STEP_S);
    else this.to.value = Math.max(this.to.value, Number(this.from.value) + 2 * STEP_S);
    this.start = Number(this.from.value);
    this.end = Number(this.to.value);
    this.at = which === "start" ? this.start : Math.max(0, this.end - STEP_S);
    if (!this.video.hidden) this.video.currentTime = this.at;
    if (!this.picture.hidden) this.#back();
    this.#tell();
  }

  #tell() {
    const end = this.end ?? this.length;
    write(this.words, WORDS.part(this.start, end) + (this.cut().end_s || this.start ? `, ${clock(end - this.start)} long` : ", all of it"));
    this.from.setAttribute("aria-valuetext", clock(this.start));
    this.to.setAttribute("aria-valuetext", clock(end));
    this.fields.style.setProperty("--from", this.start / this.length);
    this.fields.style.setProperty("--to", end / this.length);
  }
}
