// The draggable line between before and after: a layer over the result, of which only the part left of the line is shown.

export class Divider {
  /** layer: clipped at its property --at. handle: the slider on it. say(percent): the slider's value in words. */
  constructor(layer, handle, say) {
    Object.assign(this, { layer, handle, say });
    handle.addEventListener("pointerdown", (event) => {
      handle.setPointerCapture(event.pointerId);
      handle.focus();
    });
    handle.addEventListener("pointermove", (event) => {
      if (handle.hasPointerCapture(event.pointerId)) this.#drag(event.clientX);
    });
    handle.addEventListener("keydown", (event) => this.#key(event));
    this.place(50);
  }

  /** Move the line. percent: the share of the width, from the left, that shows the layer. */
  place(percent) {
    this.percent = Math.min(100, Math.max(0, percent));
    this.layer.style.setProperty("--at", `${this.percent}%`);
    this.handle.setAttribute("aria-valuenow", String(Math.round(this.percent)));
    this.handle.setAttribute("aria-valuetext", this.say(Math.round(this.percent)));
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
