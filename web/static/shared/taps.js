// Guards against taps on a control that was not there when the user aimed: for a moment after a tap, a control that
// appeared, moved or changed its name near that tap ignores taps. Keyboards and scripts are not affected.

export const SETTLE_MS = 600;
const NEAR_PX = 48; // a fingertip
const MOVED_PX = 8;
const CONTROLS = "a, button, input, label, select, summary, textarea, [role=slider]";
const GUARDED = ["mousedown", "touchstart", "click"];

export class Taps {
  constructor() {
    this.last = null; // the last accepted tap: { ms, x, y, control, places: where each control was }
    this.pressed = null; // the control under the finger, with its name when it was pressed
    this.blocked = false;
  }

  /** Watch all taps on the page. */
  listen() {
    const capture = { capture: true, passive: false };
    addEventListener("pointerdown", (event) => event.isTrusted && this.#press(event), capture);
    for (const type of GUARDED) addEventListener(type, (event) => event.isTrusted && this.#filter(event), capture);
    for (const type of ["wheel", "touchmove"]) addEventListener(type, () => { this.last = null; }, { passive: true });
    addEventListener("keydown", () => { this.blocked = false; }, true);
  }

  #press(event) {
    if (!event.isPrimary) return;
    const control = event.target.closest?.(CONTROLS) ?? null;
    this.blocked = Boolean(control) && this.#isMistaken(event, control);
    this.pressed = control && { control, name: nameOf(control) };
    if (this.blocked) { event.preventDefault(); event.stopImmediatePropagation(); return; }
    const places = new Map([...document.querySelectorAll(CONTROLS)].map((each) => [each, placeOf(each)]));
    this.last = { ms: performance.now(), x: event.clientX, y: event.clientY, control, places };
  }

  #isMistaken({ clientX, clientY }, control) {
    const { last } = this;
    if (!last || performance.now() - last.ms > SETTLE_MS) return false;
    if (Math.hypot(clientX - last.x, clientY - last.y) > NEAR_PX) return false;
    const [before, now] = [last.places.get(control), placeOf(control)];
    if (!before || before.name !== now.name) return true;
    return control !== last.control && Math.hypot(now.x - before.x, now.y - before.y) > MOVED_PX;
  }

  #filter(event) {
    const { pressed } = this;
    const renamed = event.type === "click" && pressed && event.target.closest?.(CONTROLS) === pressed.control
      && nameOf(pressed.control) !== pressed.name; // while the finger was down
    if (!this.blocked && !renamed) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }
}

function placeOf(control) {
  const { x, y } = control.getBoundingClientRect();
  return { x, y, name: nameOf(control) };
}

/** What a control says that it does. */
function nameOf(control) {
  if (control.matches("input, select, textarea")) return control.id || control.value;
  return `${control.disabled ?? ""} ${control.getAttribute("aria-label") ?? control.textContent}`;
}
