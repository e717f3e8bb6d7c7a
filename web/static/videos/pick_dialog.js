// The dialog in which the subjects of one video or picture are picked, on one frame at a time. Each prompt has the time
// of the frame on which it was made.

import { request } from "../shared/api.js";
import { Candidates, search } from "../shared/candidates.js";
import { find, make, write } from "../shared/dom.js";
import { PickLayer } from "../shared/pick_layer.js";
import { PickPanel } from "../shared/pick_panel.js";
import { readPrompt, Subjects } from "../shared/subjects.js";
import { PICK } from "../shared/words.js";
import { clockStart } from "./clock_start.js";
import { serverOptions } from "./server_options.js";
import { clock, PICKING, sentence, WORDS } from "./words.js";

const FPS = 25; // of a video whose rate is unknown
const SETTLE_MS = 400; // before the server is asked for a frame that the browser cannot show

export class PickDialog {
  constructor() {
    for (const name of ["title", "close", "stage", "times", "seek", "marks", "back", "next", "time", "note", "done", "preview"]) {
      this[name] = find(`pick-${name}`);
    }
    this.dialog = find("pick");
    this.subjects = new Subjects();
    this.candidates = new Candidates();
    this.panel = new PickPanel({ place: find("pick-subjects"), subjects: this.subjects, candidates: this.candidates,
      search: () => this.#search() });
    this.layer = new PickLayer({ layer: find("pick-layer"), subjects: this.subjects, candidates: this.candidates, picture: () => this.picture,
      negative: () => this.panel.negative, boxes: () => serverOptions.understands("box"), at: () => this.at,
      isNow: (at) => this.#isNow(at), say: (text) => this.panel.say(text) });
    this.close.addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => this.#clear());
    this.dialog.addEventListener("keydown", (event) => this.panel.key(event));
    this.seek.addEventListener("input", () => this.#go(Number(this.seek.value)));
    this.back.addEventListener("click", () => this.#go(this.at - this.frameS));
    this.next.addEventListener("click", () => this.#go(this.at + this.frameS));
    this.preview.addEventListener("click", () => this.#preview());
    this.done.addEventListener("click", () => this.#finish());
    this.subjects.addEventListener("change", () => this.#changed());
  }

  /** What to pick on. title: its name. source: its address. upload(): the id of the complete upload, "" before. media: its
   * properties, if known. part: { start_s, end_s }, the part to process; without end_s, to the end. options(): of a preview. fields: more of a
   * preview's request. subjects: as picked before. action: what `done(subjects)` does, in a word or two. */
  open(picked) {
    this.#clear();
    const { title, source, media, part, subjects, action } = this.picked = picked;
    this.frameS = 1 / (media?.fps || FPS);
    this.at = this.start = part.start_s ?? 0;
    this.end = part.end_s || this.start;
    this.origin = 0;
    write(this.title, PICKING.title(title));
    write(this.done, action);
    write(this.note, "");
    this.subjects.replace(subjects);
    const hint = matchMedia("(hover: none)").matches ? PICK.touchHint : PICK.hint;
    this.panel.show(true, hint(serverOptions.understands("box")), serverOptions.lists);
    this.times.hidden = Boolean(media?.still);
    if (media?.still) this.#openPicture(source); else this.#openVideo(source);
    this.stage.prepend(this.picture);
    this.dialog.showModal();
    this.#showTime();
    this.layer.element.focus();
  }

  #openPicture(source) {
    this.picture = make("img", { src: source, alt: this.picked.title });
    this.picture.addEventListener("load", () => this.layer.place());
    this.picture.addEventListener("error", () => this.#unplayable());
  }

  #openVideo(source) {
    const video = this.picture = make("video", { src: source, muted: true, playsInline: true, preload: "auto" });
    video.addEventListener("loadeddata", () => {
      if (this.picture !== video) return;
      this.origin = clockStart(video);
      if (!this.picked.part.end_s && Number.isFinite(video.duration)) this.end = video.duration - this.origin;
      this.layer.place();
      this.#go(this.start);
      this.#followFrames(video);
    }, { once: true });
    video.addEventListener("error", () => this.#unplayable());
  }

  /** The exact time of the frame on the screen. */
  #followFrames(video) {
    const next = (_, { mediaTime }) => {
      if (this.picture !== video) return;
      this.at = Math.max(0, mediaTime - this.origin);
      this.#showTime();
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  }

  /** The server shows the frames that the browser cannot. */
  #unplayable() {
    if (!this.picked || this.served) return;
    this.picture.remove();
    this.picture = this.served = make("img", { alt: this.picked.title });
    this.served.addEventListener("load", () => this.layer.place());
    this.stage.prepend(this.served);
    this.#preview();
  }

  /** What could be a subject in this frame; null if another one is shown meanwhile. */
  async #search() {
    const { picked, at } = this;
    const upload = picked.upload();
    if (!upload) throw new Error(WORDS.incomplete);
    const found = await search({ upload, at_s: at, ...picked.fields });
    return this.picked === picked && this.at === at ? found : null;
  }

  /** Show the frame at a time. */
  #go(at) {
    this.candidates.clear();
    this.at = Math.min(Math.max(this.start, this.end - this.frameS), Math.max(this.start, at));
    this.#hidePreview();
    this.#showTime();
    if (!this.served) { this.picture.currentTime = this.origin + this.at + this.frameS / 4; return; } // inside the frame
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#preview(), SETTLE_MS);
  }

  #isNow(at) { return Math.abs(at - this.at) < this.frameS / 2 || Boolean(this.picked?.media?.still); }

  #showTime() {
    for (const [name, value] of [["min", this.start], ["max", Math.max(this.end, this.start + this.frameS)], ["step", 0.01], ["value", this.at]]) {
      this.seek[name] = value;
    }
    this.seek.setAttribute("aria-valuetext", clock(this.at));
    write(this.time, PICKING.time(clock(this.at), clock(this.end)));
    this.#changed();
    this.layer.draw();
  }

  #changed() {
    if (!this.picked) return;
    const times = this.subjects.list.flatMap(({ prompts }) => prompts.map((text) => readPrompt(text)?.at)).filter((at) => at !== undefined);
    this.marks.replaceChildren(...[...new Set(times)].sort((a, b) => a - b).map((at) => {
      const count = times.filter((other) => other === at).length;
      const mark = make("button", { type: "button", title: PICKING.marks(count, clock(at)), aria: { label: PICKING.marks(count, clock(at)) } });
      mark.style.setProperty("--at", (at - this.start) / Math.max(this.frameS, this.end - this.start));
      mark.classList.toggle("now", this.#isNow(at));
      mark.addEventListener("click", () => this.#go(at));
      return mark;
    }));
    this.preview.disabled = !this.#ofFrame().length;
    if (!this.served) this.#hidePreview();
  }

  /** The subjects with the prompts of this frame only: at other times, what they point at is elsewhere. */
  #ofFrame() {
    const isHere = (text) => this.#isNow(readPrompt(text)?.at ?? this.at);
    return new Subjects(this.subjects.options.map((subject) => ({ ...subject, prompts: subject.prompts.filter(isHere) }))).options;
  }

  /** Show what the prompts of this frame choose: the rest of the picture is tinted. */
  async #preview() {
    const { picked, at } = this;
    if (!picked.upload()) { write(this.note, WORDS.incomplete); return; }
    write(this.note, WORDS.previewing);
    const options = { ...picked.options(), view: "overlay", subjects: this.#ofFrame() };
    try {
      const json = { upload: picked.upload(), at_s: at, ...picked.fields, options };
      const blob = await (await request("POST", "/api/previews", { json })).blob();
      if (this.picked === picked && this.at === at) this.#show(blob);
    } catch (error) {
      if (this.picked === picked) write(this.note, sentence(WORDS.noPreview(error.message)));
    }
  }

  #show(blob) {
    write(this.note, this.#ofFrame().length ? PICKING.previewed : "");
    this.shown ??= this.served ?? this.picture.parentElement.insertBefore(make("img", { alt: PICKING.previewed }), this.layer.element);
    URL.revokeObjectURL(this.shown.src);
    this.shown.src = URL.createObjectURL(blob);
  }

  #hidePreview() {
    if (!this.shown || this.served) return;
    URL.revokeObjectURL(this.shown.src);
    this.shown.remove();
    this.shown = null;
    write(this.note, "");
  }

  async #finish() {
    this.done.disabled = true;
    try {
      await this.picked.done(this.subjects.options);
      this.dialog.close();
    } catch (error) {
      write(this.note, sentence(error.message));
    }
    this.done.disabled = false;
  }

  #clear() {
    clearTimeout(this.timer);
    this.picked = null;
    this.panel.show(false);
    if (this.shown) URL.revokeObjectURL(this.shown.src);
    for (const element of [this.picture, this.shown]) element?.remove();
    if (this.picture instanceof HTMLVideoElement) { this.picture.removeAttribute("src"); this.picture.load(); }
    this.picture = this.shown = this.served = null;
  }
}
