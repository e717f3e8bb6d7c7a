// The small picture of the user's camera over the stage: in any corner, or collapsed to a button. Both are remembered.

import { find, icon, keep, read } from "../shared/dom.js";
import { TILE } from "../shared/words.js";

const KEY = "mattebox.tile";
const DRAG_PX = 6; // less is a tap
const SIDES = { ArrowLeft: ["x", "left"], ArrowRight: ["x", "right"], ArrowUp: ["y", "top"], ArrowDown: ["y", "bottom"] };

export class Tile {
  constructor() {
    this.element = find("tile");
    this.button = find("tile-hide");
    Object.assign(this, { x: "left", y: "bottom", collapsed: false }, read(KEY, {}));
    this.button.addEventListener("click", () => this.#change({ collapsed: !this.collapsed }));
    this.button.addEventListener("keydown", (event) => this.#key(event));
    this.element.addEventListener("pointerdown", (event) => this.#grab(event));
    this.element.addEventListener("pointermove", (event) => this.#drag(event));
    for (const type of ["pointerup", "pointercancel"]) this.element.addEventListener(type, (event) => this.#drop(event));
    this.#show();
  }

  #change(part) {
    Object.assign(this, part);
    const { x, y, collapsed } = this;
    keep(KEY, { x, y, collapsed });
    this.#show();
  }

  #show() {
    Object.assign(this.element.dataset, { x: this.x, y: this.y, collapsed: this.collapsed });
    this.button.setAttribute("aria-label", this.collapsed ? TILE.show : TILE.hide);
    this.button.setAttribute("aria-expanded", String(!this.collapsed));
    this.button.title = this.collapsed ? TILE.show : `${TILE.hide}. ${TILE.move}`;
    this.button.replaceChildren(icon(this.collapsed ? "camera" : "close"));
  }

  #key(event) {
    const [axis, side] = SIDES[event.key] ?? [];
    if (!axis) return;
    event.preventDefault();
    this.#change({ [axis]: side });
  }

  #grab(event) {
    if (event.button || this.button.contains(event.target)) return;
    this.from = { x: event.clientX, y: event.clientY };
    this.element.setPointerCapture(event.pointerId);
  }

  #drag(event) {
    if (!this.from) return;
    this.element.style.translate = `${event.clientX - this.from.x}px ${event.clientY - this.from.y}px`;
  }

  /** Move to the corner nearest to where the tile was let go. */
  #drop(event) {
    if (!this.from) return;
    const moved = Math.hypot(event.clientX - this.from.x, event.clientY - this.from.y);
    this.from = null;
    const tile = this.element.getBoundingClientRect();
    const stage = this.element.parentElement.getBoundingClientRect();
    this.element.style.removeProperty("translate");
    if (event.type === "pointercancel" || moved < DRAG_PX) return;
    const x = tile.x + tile.width / 2 < stage.x + stage.width / 2 ? "left" : "right";
    const y = tile.y + tile.height / 2 < stage.y + stage.height / 2 ? "top" : "bottom";
    this.#change({ x, y });
  }
}
