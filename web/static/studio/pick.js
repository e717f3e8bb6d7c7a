// Picking subjects on the live video. Meanwhile the stage shows the user's own picture, with everything that is not
// subject tinted; on air, where the server sends the finished video only, this device's camera shines through it.

import { Candidates, searchCamera } from "../shared/candidates.js";
import { find } from "../shared/dom.js";
import { PickLayer } from "../shared/pick_layer.js";
import { PickPanel } from "../shared/pick_panel.js";
import { Subjects } from "../shared/subjects.js";
import { PICK } from "../shared/words.js";
import { same } from "./choices.js";
import { press } from "./tools.js";

const SETTLE_MS = 120; // so that quick clicks are one change
const VIEW = "overlay"; // shows the room, so it is for the user only: see privacy.js
const OTHER_SHAPES = ["side-by-side", "stacked"];

export class Pick {
  /** live(): the connection, or null. tools: says whether the video is mirrored. own(): the camera's stream, or null.
   * camera(): that stream if it is shown over the video, or null where the server shows the user's own picture. */
  constructor({ choices, live, tools, own, camera }) {
    Object.assign(this, { choices, live, own, camera, picking: false, possible: false, before: null });
    this.button = find("pick-open");
    this.element = find("pick-layer");
    this.video = this.element.querySelector("video");
    this.subjects = new Subjects(this.#chosen);
    this.candidates = new Candidates();
    this.panel = new PickPanel({ place: find("pick-subjects"), subjects: this.subjects, candidates: this.candidates,
      search: () => this.#search() });
    this.layer = new PickLayer({ layer: this.element, subjects: this.subjects, candidates: this.candidates, picture: () => live()?.shown ?? null,
      mirrored: () => tools.mirrored, negative: () => this.panel.negative, boxes: () => choices.understands("box"),
      say: (text) => this.panel.say(text) });
    this.button.addEventListener("click", () => this.pick(!this.picking));
    find("tool-mirror").addEventListener("click", () => this.layer.place());
    for (const video of find("stage").querySelectorAll("video")) video.addEventListener("resize", () => this.layer.place());
    addEventListener("keydown", (event) => this.#key(event));
    this.subjects.addEventListener("change", () => this.#sendSoon());
    choices.addEventListener("change", () => this.#follow());
    this.#follow();
  }

  /** Whether there is live video on which to pick. */
  enable(possible) {
    this.possible = possible;
    this.#follow();
  }

  /** Called when another element, or another connection, shows the video. */
  shown() {
    this.#showCamera();
    this.layer.place();
  }

  /** Begin or end picking. */
  pick(picking) {
    if (picking === this.picking) return;
    this.picking = picking;
    this.element.hidden = !picking;
    find("theatre").classList.toggle("picking", picking);
    press("pick-open", picking);
    this.button.querySelector("span").textContent = picking ? PICK.stop : PICK.start;
    const hint = matchMedia("(hover: none)").matches ? PICK.touchHint : PICK.hint;
    this.panel.show(picking, hint(this.choices.understands("box")), Boolean(this.choices.lister));
    this.#changeView();
    this.#showCamera();
    this.layer.place();
    if (picking) this.element.focus({ preventScroll: true });
    else if (document.activeElement === document.body) this.button.focus({ preventScroll: true });
  }

  /** What could be a subject in the camera's newest frame; null if the user picks no longer. */
  async #search() {
    const stream = this.own();
    const found = stream ? await searchCamera(stream, { chooser: this.choices.lister }) : null;
    return this.picking ? found : null;
  }

  get #chosen() { return this.choices.value("subjects") ?? []; }

  #changeView() {
    const view = this.choices.value("view");
    if (this.picking) this.before = view;
    const next = this.picking ? VIEW : this.before;
    if (this.picking || view === VIEW) this.choices.choose({ view: next });
  }

  #showCamera() {
    const camera = this.picking ? this.camera() : null;
    this.video.hidden = !camera;
    if (this.video.srcObject === camera) return;
    this.video.srcObject = camera; // a hidden video would still be decoded
    if (camera) this.video.play().catch(() => {});
  }

  #sendSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#send(), SETTLE_MS);
  }

  #send() {
    this.timer = null;
    const { options } = this.subjects;
    if (!same(options, this.#chosen)) this.choices.choose({ subjects: options.length ? options : null });
  }

  /** Follow the choices: what the server offers or has refused, and the view. */
  #follow() {
    const { choices } = this;
    const offered = choices.understands("point");
    find("pick").hidden = !offered;
    this.button.disabled = !(offered && this.possible);
    if (!this.timer && !same(this.subjects.options, this.#chosen)) this.subjects.replace(this.#chosen);
    if (!offered || OTHER_SHAPES.includes(choices.value("view"))) this.pick(false);
  }

  #key(event) {
    if (!this.picking || event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") { this.pick(false); return; }
    this.panel.key(event);
  }
}
