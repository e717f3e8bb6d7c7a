// The list of picked subjects, with what can be done with them, and the buttons for picking. Builds its own elements.

import { icon, make, write } from "./dom.js";
import { COLOURS } from "./pick_layer.js";
import { PICK } from "./words.js";

export class PickPanel {
  /** place: the element to fill. subjects: a `Subjects`. */
  constructor({ place, subjects }) {
    this.subjects = subjects;
    this.chips = make("ul", { className: "subjects", aria: { label: PICK.subjects } });
    this.add = make("button", { type: "button", className: "quiet" }, icon("plus"), PICK.add);
    this.add.addEventListener("click", () => this.#add());
    this.undo = button("undo", PICK.undo, () => this.#travel("undo"));
    this.redo = button("redo", PICK.redo, () => this.#travel("redo"));
    this.signs = make("fieldset", { className: "segments signs" }, make("legend", { className: "unseen" }, PICK.sign),
      sign("this", PICK.inside, true), sign("not", PICK.outside, false));
    this.hint = make("p", { className: "fine pick-hint" });
    this.status = make("p", { className: "unseen", role: "status" });
    this.bar = make("div", { className: "pick-bar" }, this.signs, this.undo, this.redo);
    place.append(this.chips, this.bar, this.add, this.hint, this.status);
    subjects.addEventListener("change", () => this.#show());
    this.show(false);
  }

  /** Whether clicks mean "not this". */
  get negative() { return this.signs.querySelector("[value=not]").checked; }

  /** picking: whether the user can pick now. hint: how to pick. */
  show(picking, hint = "") {
    for (const part of [this.bar, this.add, this.hint]) part.hidden = !picking;
    write(this.hint, hint);
    if (!picking) this.signs.querySelector("[value=this]").checked = true;
    this.#show();
  }

  /** Undo and redo by keys, except while the user types. */
  key(event) {
    const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
    const typed = event.target.matches?.("input[type=text], textarea");
    const act = { z: shiftKey ? "redo" : "undo", y: "redo" }[key.toLowerCase()];
    if (!(ctrlKey || metaKey) || altKey || typed || !act) return;
    event.preventDefault();
    this.#travel(act);
  }

  say(text) { write(this.status, text); }

  #show() {
    const { subjects } = this;
    const focused = document.activeElement?.dataset?.pick;
    this.chips.replaceChildren(...subjects.list.map((subject, index) => this.#chip(subject, index)));
    this.chips.hidden = !subjects.list.length;
    if (focused) (this.chips.querySelector(`[data-pick="${focused}"]`) ?? this.chips.querySelector("input") ?? this.add).focus();
    this.undo.disabled = !subjects.past.length;
    this.redo.disabled = !subjects.future.length;
  }

  #chip({ name, keep, prompts }, index) {
    const { subjects } = this;
    const title = PICK.title(name);
    const radio = make("input", { type: "radio", name: "subject", value: name, checked: name === subjects.active,
      className: "over", data: { pick: `radio ${name}` } });
    radio.addEventListener("change", () => subjects.select(name));
    const toggle = make("button", { type: "button", className: "quiet keep", role: "switch", data: { pick: `keep ${name}` },
      title: PICK.keepTip(keep), aria: { checked: String(keep), label: PICK.keep(title) } }, keep ? PICK.kept : PICK.removed);
    toggle.addEventListener("click", () => { subjects.toggle(name); this.say(PICK.toggled(title, !keep)); });
    const remove = button("close", PICK.delete(title), () => { subjects.delete(name); this.say(PICK.deleted(title)); });
    remove.dataset.pick = `delete ${name}`;
    return make("li", { className: "subject", data: { colour: index % COLOURS, keep: String(keep) } },
      make("label", {}, radio, make("span", { className: "swatch" }), make("span", { className: "title" }, title),
        make("span", { className: "fine" }, PICK.count(prompts.length))), toggle, remove);
  }

  /** act: "undo" or "redo". */
  #travel(act) {
    this.subjects[act]();
    this.say(PICK[`${act}ne`]);
  }

  #add() {
    const name = this.subjects.add();
    this.say(PICK.begun(PICK.title(name)));
  }
}

function button(image, label, act) {
  const element = make("button", { type: "button", className: "bare", title: label, aria: { label } }, icon(image));
  element.addEventListener("click", act);
  return element;
}

function sign(value, title, checked) {
  return make("label", {}, make("input", { type: "radio", name: "sign", value, checked }), make("span", {}, title));
}
