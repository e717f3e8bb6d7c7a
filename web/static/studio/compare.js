// Before and after: this device's camera left of a draggable line, the server's video right of it.

import { Divider } from "../shared/divider.js";
import { find } from "../shared/dom.js";
import { TOOLS } from "../shared/words.js";

export class Compare {
  constructor() {
    this.layer = find("compare");
    this.button = find("tool-compare");
    this.button.addEventListener("click", () => this.show(this.layer.hidden));
    this.divider = new Divider(this.layer, find("compare-handle"), TOOLS.compare);
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
}
