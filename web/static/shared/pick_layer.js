// The layer over a picture on which the user picks subjects: it turns pointers and keys into points and boxes, and draws
// them. Knows neither live video nor files.

import { draw, make } from "./dom.js";
import { clamped, flipped, isInside, pictureRect, seenPlace } from "./picture_place.js";
import { readPrompt } from "./subjects.js";
import { PICK } from "./words.js";

const DRAG_PX = 6; // less is a click
const [STEP, LEAP] = [0.01, 0.1]; // of the crosshair, as shares of the picture
export const COLOURS = 8; // of subjects; more use them again
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class PickLayer {
  /** layer: covers the element that shows the picture. picture(): that element, a video or an image. mirrored(): whether
   * the user sees it mirrored. at(): the frame's time in seconds. isNow(at): whether prompts of that time are drawn as
   * those of this frame. candidates: those that are shown. negative(): whether clicks mean "not this". boxes(): whether boxes are understood. say(text). */
  constructor({ layer, subjects, candidates, picture, say, negative, boxes, mirrored = () => false, at = () => 0, isNow = () => true }) {
    Object.assign(this, { element: layer, subjects, candidates, picture, say, negative, boxes, mirrored, at, isNow });
    Object.assign(this, { cross: [0.5, 0.5], corner: null, grip: null });
    this.marks = make("div", { className: "marks" });
    this.outlines = draw("svg", { class: "outlines", viewBox: "0 0 1 1", preserveAspectRatio: "none" });
    this.frame = make("div", { className: "pick-frame", aria: { hidden: true } }, this.outlines, this.marks,
      this.rubber = make("div", { className: "mark box rubber", hidden: true }),
      this.crosshair = make("div", { className: "crosshair", hidden: true }));
    const keys = make("p", { id: `${layer.id}-keys`, hidden: true }, PICK.keys);
    layer.append(this.frame, keys);
    layer.tabIndex = 0;
    for (const [name, value] of [["role", "application"], ["aria-label", PICK.start], ["aria-describedby", keys.id]]) layer.setAttribute(name, value);
    layer.addEventListener("pointerdown", (event) => this.#press(event));
    layer.addEventListener("pointermove", (event) => this.#move(event));
    layer.addEventListener("pointerup", (event) => this.#release(event));
    layer.addEventListener("pointercancel", () => this.#letGo());
    layer.addEventListener("keydown", (event) => this.#key(event));
    layer.addEventListener("focus", () => { this.crosshair.hidden = !layer.matches(":focus-visible"); });
    layer.addEventListener("blur", () => { this.#letGo(); this.crosshair.hidden = true; });
    new ResizeObserver(() => this.place()).observe(layer);
    for (const event of ["change", "emphasis"]) subjects.addEventListener(event, () => this.draw());
    candidates.addEventListener("change", () => this.draw());
    layer.addEventListener("pointerleave", () => candidates.emphasise());
  }

  /** Follow the picture's size and draw the prompts; called again when the picture has another size or time. */
  place() {
    const picture = this.picture();
    const size = picture && { width: picture.videoWidth ?? picture.naturalWidth, height: picture.videoHeight ?? picture.naturalHeight };
    this.rect = size?.width ? pictureRect(this.element.getBoundingClientRect(), size, getComputedStyle(picture).objectFit) : null;
    this.frame.hidden = !this.rect;
    for (const side of ["left", "top", "width", "height"]) this.frame.style[side] = `${this.rect?.[side] ?? 0}px`;
    this.draw();
  }

  draw() {
    this.marks.replaceChildren(...this.subjects.list.flatMap(({ name, keep, prompts }, index) => {
      return prompts.map(readPrompt).map((prompt, place) => {
        if (!prompt) return null;
        const mark = make("span", { className: `mark ${prompt.kind}`, data: { colour: index % COLOURS } });
        mark.classList.toggle("negative", !prompt.inside || !keep);
        mark.classList.toggle("active", name === this.subjects.active);
        mark.classList.toggle("other-time", !this.isNow(prompt.at));
        const { emphasised } = this.subjects;
        mark.classList.toggle("emphasised", emphasised?.name === name && emphasised.index === place);
        return this.#put(mark, prompt.place);
      }).filter(Boolean);
    }));
    this.#put(this.crosshair, flipped(this.cross, this.mirrored()));
    this.#drawCandidates();
  }

  #drawCandidates() {
    const { list, emphasised } = this.candidates;
    this.outlines.classList.toggle("mirrored", this.mirrored());
    this.outlines.replaceChildren(...list.map(({ number, subject, outlines }) => {
      const d = outlines.map((corners) => `M${corners.map(([x, y]) => `${x} ${y}`).join("L")}Z`).join("");
      const state = number === emphasised ? "emphasised" : this.subjects.has(subject) ? "picked" : "";
      return draw("path", { d, class: state, "fill-rule": "evenodd" });
    }));
  }

  /** The candidate at a place that the user sees, or null. Picked ones are no longer candidates: clicks mark points in
   * them. */
  #candidate(seen) {
    const found = this.candidates.at(flipped(seen, this.mirrored()));
    return found && !this.subjects.has(found.subject) ? found : null;
  }

  /** Place an element at a place of the picture, (x, y) or (x, y, width, height). */
  #put(element, [x, y, width, height]) {
    const left = this.mirrored() ? 1 - x - (width ?? 0) : x;
    const sides = { left, top: y, ...(width !== undefined && { width, height }) };
    for (const [side, share] of Object.entries(sides)) element.style[side] = `${100 * share}%`;
    return element;
  }

  /** The place that the user sees under the pointer. */
  #seen({ clientX, clientY }) {
    const { left, top } = this.element.getBoundingClientRect();
    return seenPlace({ x: clientX - left, y: clientY - top }, this.rect);
  }

  #press(event) {
    if (event.button || !event.isPrimary || !this.rect) return;
    event.preventDefault();
    this.element.focus({ preventScroll: true });
    this.element.setPointerCapture(event.pointerId);
    this.crosshair.hidden = true;
    this.corner = null;
    this.grip = { x: event.clientX, y: event.clientY, seen: this.#seen(event), dragged: false };
  }

  #move(event) {
    const { grip } = this;
    if (!grip && this.rect && this.candidates.list.length) this.candidates.emphasise(this.#candidate(this.#seen(event))?.number);
    if (!grip || !this.boxes()) return;
    grip.dragged ||= Math.hypot(event.clientX - grip.x, event.clientY - grip.y) >= DRAG_PX;
    if (grip.dragged) this.#stretch(grip.seen, this.#seen(event));
  }

  #release(event) {
    const { grip } = this;
    this.#letGo();
    if (!grip) return;
    if (grip.dragged) this.#box(grip.seen, this.#seen(event));
    else if (isInside(grip.seen)) this.#point(grip.seen, event);
  }

  #letGo() {
    this.grip = this.corner = null;
    this.rubber.hidden = true;
  }

  #key(event) {
    const move = MOVES[event.key];
    const commands = { Enter: () => this.#enter(event), b: () => this.#corner(), B: () => this.#corner() };
    const escape = event.key === "Escape" && this.corner;
    if (event.ctrlKey || event.metaKey || !this.rect || !(move || commands[event.key] || escape)) return;
    event.preventDefault();
    event.stopPropagation();
    if (escape) { this.#letGo(); this.say(PICK.boxDropped); } else if (move) this.#walk(move, event.shiftKey ? LEAP : STEP);
    else if (!event.repeat) commands[event.key]();
  }

  #walk(direction, step) {
    this.cross = clamped(this.cross.map((share, axis) => share + step * direction[axis]));
    this.crosshair.hidden = false;
    this.draw();
    if (this.corner) this.#stretch(this.corner, this.cross);
    this.say(PICK.crosshair(...this.cross.map((share) => Math.round(100 * share))));
  }

  #enter(event) {
    this.crosshair.hidden = false;
    if (this.corner) this.#corner(); else this.#point(this.cross, event);
  }

  /** The first or second corner of a box, at the crosshair. */
  #corner() {
    if (!this.boxes()) return;
    this.crosshair.hidden = false;
    const first = this.corner;
    if (first) { this.#letGo(); this.#box(first, this.cross); return; }
    this.corner = this.cross;
    this.say(PICK.boxBegun);
  }

  #point(seen, { altKey, shiftKey }) {
    const inside = !(this.negative() || altKey || shiftKey);
    const candidate = inside && this.#candidate(seen);
    if (candidate) { this.say(PICK.picked(PICK.title(this.subjects.pick(candidate.subject)))); return; }
    const { length } = this.subjects.list;
    const title = PICK.title(this.subjects.point(flipped(seen, this.mirrored()), inside, this.at()));
    this.say(!inside && this.subjects.list.length > length ? PICK.cutOut(title) : PICK.added(inside, title));
  }

  #box(...corners) {
    const name = this.subjects.box(...corners.map((seen) => flipped(clamped(seen), this.mirrored())), this.at());
    this.say(PICK.boxed(PICK.title(name)));
  }

  #stretch(...corners) {
    const [first, second] = corners.map((seen) => flipped(clamped(seen), this.mirrored()));
    const from = first.map((share, axis) => Math.min(share, second[axis]));
    const size = first.map((share, axis) => Math.abs(share - second[axis]));
    this.rubber.hidden = false;
    this.#put(this.rubber, [...from, ...size]);
  }
}
