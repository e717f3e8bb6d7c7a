// One new video or picture: a player of its file, sliders for the part to process, a choice among several video
// streams, and a preview of one frame.

import { icon, make, write } from "../shared/dom.js";
import { clockStart } from "./clock_start.js";
import { clock, WORDS } from "./words.js";

const STEP_S = 0.05;

export class Trim {
  /** file: null if only the server has it. preview(): called when the user asks for a preview of the frame at `at`. */
  constructor(file, name, preview) {
    Object.assign(this, { start: 0, end: null, length: 0, at: 0, origin: 0 });
    this.video = make("video", { muted: true, playsInline: true, preload: "metadata", controls: true, aria: { label: name } });
    this.picture = make("img", { alt: "Preview of the frame", hidden: true });
    this.noteElement = make("p", { className: "fine", role: "status" });
    this.button = make("button", { type: "button", className: "quiet" }, "Preview this frame");
    this.button.addEventListener("click", () => (this.picture.hidden ? preview() : this.#back()));
    this.streams = make("select", { hidden: true, aria: { label: "Video stream" } });
    this.streams.addEventListener("change", () => this.#back());
    this.element = make("div", { className: "look-at" },
      make("div", { className: "screen" }, icon("film"), this.video, this.picture), this.streams, this.button, this.noteElement);
    this.from = this.#handle("Start", () => this.#move("start"));
    this.to = this.#handle("End", () => this.#move("end"));
    this.words = make("p", { className: "fine" });
    this.fields = make("div", { className: "trim", hidden: true, role: "group" }, make("div", { className: "rail" }, this.from, this.to), this.words);
    this.fields.setAttribute("aria-label", "The part to process");
    this.video.addEventListener("loadedmetadata", () => this.#setLength(this.video.duration));
    this.video.addEventListener("loadeddata", () => this.#setOrigin(clockStart(this.video)), { once: true });
    this.video.addEventListener("timeupdate", () => { this.at = Math.max(0, this.video.currentTime - this.origin); });
    this.video.addEventListener("error", () => { this.video.hidden = this.unplayable = true; this.#judge(); });
    this.name = name;
    if (file) this.url = URL.createObjectURL(file);
    if (file) this.#open(this.url, file.type.startsWith("image/")); else this.video.hidden = true;
  }

  /** media: the properties of the video, as the server probed them. source: where the server has it. */
  setMedia(media, source) {
    this.usable = true;
    this.source = source;
    if (!this.url) this.#open(source, media.still);
    if (media.still) {
      this.still = this.video.hidden = true;
      write(this.button, "Preview");
    }
    this.#judge();
    if (!this.length) this.#setLength(media.duration_s);
    if (media.video_streams > 1) this.#offerStreams(media.video_streams);
  }

  /** Where the browser can read the file; "" while that is unknown. */
  get address() { return this.url ?? this.source ?? ""; }

  /** The fields of a job request for the chosen part. */
  range() {
    const whole = this.end === null || this.end >= this.length - STEP_S;
    return { start_s: this.start, ...(!whole && { end_s: this.end }) };
  }

  /** The field of a request for the chosen video stream; none for the best one. */
  stream() { return this.streams.value && { stream: Number(this.streams.value) }; }

  /** Shows a preview. transparent: on a checkerboard. */
  show(blob, transparent) {
    this.picture.parentElement.classList.toggle("checkered", transparent);
    URL.revokeObjectURL(this.picture.src);
    this.picture.src = URL.createObjectURL(blob);
    this.picture.hidden = false;
    if (this.original) this.original.hidden = true; // a transparent preview does not hide it
    this.video.pause();
    write(this.button, this.still ? "Back to the picture" : this.video.hidden ? "Another preview" : "Back to the video");
    this.note(this.still ? "" : WORDS.preview(clock(this.at)));
  }

  /** Only if the server can use the file, it matters that the browser cannot play it. */
  #judge() { if (this.unplayable && this.usable) this.note(WORDS.noPlayer); }

  note(words) { write(this.noteElement, words); }

  close() {
    this.video.removeAttribute("src");
    if (this.url) URL.revokeObjectURL(this.url);
  }

  /** A picture has no player. */
  #open(url, isPicture) {
    this.video.hidden = isPicture;
    if (!isPicture) { this.video.src = url; return; }
    this.original = make("img", { src: url, alt: this.name });
    this.original.addEventListener("error", () => { this.original.remove(); this.unplayable = true; this.#judge(); });
    this.video.after(this.original);
  }

  #back() {
    this.picture.hidden = true;
    if (this.original) this.original.hidden = false;
    write(this.button, this.still ? "Preview" : "Preview this frame");
    this.note("");
  }

  #offerStreams(count) {
    const numbers = Array.from({ length: count }, (_, number) => make("option", { value: number }, WORDS.stream(number)));
    this.streams.replaceChildren(make("option", { value: "" }, WORDS.bestStream), ...numbers);
    this.streams.hidden = false;
  }

  #setLength(seconds) {
    if (!Number.isFinite(seconds) || seconds <= 0) return;
    this.length = seconds;
    for (const handle of [this.from, this.to]) handle.max = seconds;
    this.to.value = seconds;
    this.fields.hidden = false;
    this.#showPart();
  }

  /** Times count from the start of the file, as on the server. */
  #setOrigin(seconds) {
    if (!seconds || this.start || this.end !== null) return; // after a seek, the start of its clock is unknown
    this.origin = seconds;
    this.at = 0;
    this.#setLength(this.video.duration - seconds);
  }

  #handle(label, onInput) {
    const slider = make("input", { type: "range", min: 0, max: 1, step: STEP_S, value: 0, aria: { label } });
    slider.addEventListener("input", onInput);
    return slider;
  }

  #move(which) {
    if (which === "start") this.from.value = Math.min(this.from.value, this.to.value - 2 * STEP_S);
    else this.to.value = Math.max(this.to.value, Number(this.from.value) + 2 * STEP_S);
    this.start = Number(this.from.value);
    this.end = Number(this.to.value);
    this.at = which === "start" ? this.start : Math.max(0, this.end - STEP_S);
    if (!this.video.hidden) this.video.currentTime = this.origin + this.at;
    if (!this.picture.hidden) this.#back();
    this.#showPart();
  }

  #showPart() {
    const end = this.end ?? this.length;
    const trimmed = this.range().end_s || this.start;
    write(this.words, `${WORDS.part(this.start, end)}, ${trimmed ? WORDS.long(end - this.start) : WORDS.whole}`);
    this.from.setAttribute("aria-valuetext", clock(this.start));
    this.to.setAttribute("aria-valuetext", clock(end));
    this.fields.style.setProperty("--from", this.start / this.length);
    this.fields.style.setProperty("--to", end / this.length);
  }
}
