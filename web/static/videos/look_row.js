// A line on the card of a new video: what it will look like, whether that is its own choice, and how to change it.

import { make, write } from "../shared/dom.js";
import { LOOK } from "./words.js";

export class LookRow {
  constructor(draft, jobOptions) {
    Object.assign(this, { draft, jobOptions, swatch: make("span", { className: "swatch", aria: { hidden: true } }) });
    this.summary = make("span", { className: "summary" });
    this.kind = make("span", { className: "kind" });
    this.change = make("button", { type: "button", className: "link" }, LOOK.different);
    this.common = make("button", { type: "button", className: "link" }, LOOK.useCommon);
    this.change.addEventListener("click", () => this.#open());
    this.common.addEventListener("click", () => { jobOptions.share(draft); this.change.focus(); });
    this.element = make("div", { className: "look-row" }, this.swatch,
      make("p", { className: "words" }, this.kind, this.summary),
      make("div", { className: "links" }, this.change, this.common));
  }

  show() {
    const { draft, jobOptions } = this;
    const own = draft.look !== null, open = jobOptions.draft === draft;
    const spec = jobOptions.of(draft).background;
    const face = `${spec} ${jobOptions.backgrounds.title(spec)}`;
    if (this.face !== face) { this.face = face; this.swatch.replaceChildren(jobOptions.backgrounds.face(spec)); }
    write(this.kind, own ? LOOK.own : LOOK.shared);
    write(this.summary, jobOptions.summary(draft));
    write(this.change, own ? LOOK.change : LOOK.different);
    this.change.setAttribute("aria-expanded", String(open));
    this.common.hidden = !own || open; // it is in the form then
    draft.card.classList.toggle("own", own);
    draft.card.classList.toggle("edited", open);
  }

  focus() { this.change.focus(); }

  #open() {
    this.jobOptions.edit(this.draft);
    this.jobOptions.form.scrollIntoView({ block: "nearest" });
    this.jobOptions.form.querySelector("#look-title").focus({ preventScroll: true });
  }
}
