// The choice of view: the result, the matte, and two views that show the room to the user.

import { find, make } from "../shared/dom.js";
import { VALUES } from "../shared/words.js";

const SHOWN = ["composite", "matte", "overlay", "side-by-side"];

export class Views {
  constructor(choices) {
    this.choices = choices;
    this.place = find("views");
    for (const value of SHOWN) {
      const radio = make("input", { type: "radio", name: "view", value });
      this.place.append(make("label", {}, radio, make("span", {}, VALUES.view[value])));
    }
    this.place.addEventListener("change", ({ target }) => choices.choose({ view: target.value }));
    choices.addEventListener("change", () => this.mark());
  }

  mark() {
    const value = this.choices.value("view") ?? "composite";
    for (const radio of this.place.querySelectorAll("input")) radio.checked = radio.value === value;
  }
}
