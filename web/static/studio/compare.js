// Before and after: this device's camera left of a draggable line, the server's video right of it.

import { find } from "../shared/dom.js";
import { TOOLS } from "../shared/words.js";

export class Compare {
  constructor() {
    this.layer = find("compare");
    this.handle = find("compare-handle");
    this.button = find("tool-compare");
    this.button.addEventListener("click", () => this.show(this.layer.hidden));
    this.handle.addEventListener("pointerdown", (event) => {
      this.handle.setPointerCapture(event.pointerId);
      this.handle.focus();
    });
    this.handle.addEventListener("pointermove", (event) => {
      if (this.handle.hasPointerCapture(event.pointerId)) this.#drag(event.clientX);
    });
    this.handle.addEventListener("keydown", (event) => this.#key(event));
    this.place(50);
  }

  /** camera: the local stream, or null. possible: false for views whose size differs from the camera's. */
  follow(camera, possible = true) {
    this.camera = camera;
    this.button.disabled = !camera || !possible;
    if (this.button.disabled) this.show(false);
  }

  show(visible) {
    this.layer.hidden = !visible;
    this.button.setAttribute("aria-pressed", String(visible));
    const video = this.layer.querySelector("video");
    video.srcObject = visible ? this.camera : null; // a hidden video would still be decoded
    if (visible) video.play().catch(() => {});
  }

  /** Move the line. percent: the share of the width, from the left, that shows the camera. */
  place(percent) {
    this.percent = Math.min(100, Math.max(0, percent));
    this.layer.style.setProperty("--at", `${this.percent}%`);
    this.handle.setAttribute("aria-valuenow", String(Math.round(this.percent)));
    this.handle.setAttribute("aria-valuetext", TOOLS.compare(Math.round(this.percent)));
  }

  #drag(x) {
    const box = this.layer.getBoundingClientRect();
    this.place(((x - box.left) / box.width) * 100);
  }

  #key(event) {
    const step = event.shiftKey ? 10 : 2;
    const to = { ArrowLeft: this.percent - step, ArrowDown: this.percent - step, ArrowRight: this.percent + step,
      ArrowUp: this.percent + step, Home: 0, End: 100, PageDown: this.percent - 10, PageUp: this.percent + 10 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.place(to);
  }
}
