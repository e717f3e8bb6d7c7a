// The list of picked subjects, with what can be done with them, and the buttons for picking. Builds its own elements.

import { icon, make, write } from "./dom.js";
import { COLOURS } from "./pick_layer.js";
import { asName, readPrompt } from "./subjects.js";
import { PICK } from "./words.js";

export class PickPanel {
  /** place: the element to fill. subjects: a `Subjects`. candidates: a `Candidates`. search(): a promise of the candidates
   * in the picture that is shown, or of null if it is shown no longer. */
  constructor({ place, subjects, candidates, search }) {
    Object.assign(this, { subjects, candidates, search });
    this.chips = make("ul", { className: "subjects", aria: { label: PICK.subjects } });
    this.add = make("button", { type: "button", className: "quiet" }, icon("plus"), PICK.add);
    this.add.addEventListener("click", () => this.#add());
    this.undo = button("undo", PICK.undo, () => this.#travel("undo"));
    this.redo = button("redo", PICK.redo, () => this.#travel("redo"));
    this.signs = make("fieldset", { className: "segments signs" }, make("legend", { className: "unseen" }, PICK.sign),
      sign("this", PICK.inside, true), sign("not", PICK.outside, false));
    this.suggest = make("button", { type: "button", className: "quiet" }, PICK.suggest);
    this.suggest.addEventListener("click", () => this.#suggest());
    this.found = make("ul", { className: "mark-list", aria: { label: PICK.suggestions } });
    for (const event of ["pointerleave", "focusout"]) this.found.addEventListener(event, () => candidates.emphasise());
    candidates.addEventListener("change", () => this.#showCandidates());
    this.searched = make("p", { className: "fine", aria: { live: "polite" } });
    this.hint = make("p", { className: "fine pick-hint" });
    this.status = make("p", { className: "unseen", role: "status" });
    this.bar = make("div", { className: "pick-bar" }, this.signs, this.undo, this.redo);
    this.marks = make("ul", { className: "mark-list" });
    this.marks.addEventListener("keydown", (event) => this.#deleteByKey(event));
    for (const event of ["pointerleave", "focusout"]) this.marks.addEventListener(event, () => subjects.emphasise());
    place.append(this.chips, this.marks, this.bar, make("div", { className: "pick-actions" }, this.add, this.suggest),
      this.found, this.searched, this.hint, this.status);
    subjects.addEventListener("change", () => this.#show());
    this.show(false);
  }

  /** Whether clicks mean "not this". */
  get negative() { return this.signs.querySelector("[value=not]").checked; }

  /** picking: whether the user can pick now. hint: how to pick. suggesting: whether the server can list candidates. */
  show(picking, hint = "", suggesting = false) {
    this.suggest.hidden = !(picking && suggesting);
    if (!picking) { this.candidates.clear(); write(this.searched, ""); }
    for (const part of [this.bar, this.add, this.hint]) part.hidden = !picking;
    Object.assign(this, { picking, renamed: "" });
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
    if (subjects.index(this.renamed) < 0) this.renamed = "";
    this.showing = true; // a field that is replaced loses the focus, which does not end renaming
    this.chips.replaceChildren(...subjects.list.map((subject, index) => this.#chip(subject, index)));
    this.chips.hidden = !subjects.list.length;
    this.#showMarks();
    this.#showCandidates();
    if (focused) (this.#control(focused) ?? this.chips.querySelector("input") ?? this.add).focus();
    this.showing = false;
    this.undo.disabled = !subjects.past.length;
    this.redo.disabled = !subjects.future.length;
  }

  /** The element of this name, or, of a mark that was deleted, that of the mark in its place. */
  #control(pick) {
    const find = (name) => [...this.chips.querySelectorAll("[data-pick]"), ...this.marks.querySelectorAll("[data-pick]")]
      .find((element) => element.dataset.pick === name);
    const isMark = pick.startsWith("mark ");
    return find(pick) ?? (isMark ? this.marks.querySelector("li:last-child button") ?? find(`radio ${this.subjects.active}`) : null);
  }

  async #suggest() {
    if (this.candidates.list.length) { this.candidates.clear(); write(this.searched, ""); return; }
    this.suggest.disabled = true;
    write(this.searched, PICK.searching);
    try {
      const list = await this.search();
      this.candidates.show(list ?? []);
      write(this.searched, list ? PICK.suggested(list.length) : "");
    } catch (error) {
      write(this.searched, PICK.notSuggested(error.message));
    }
    this.suggest.disabled = false;
  }

  /** A button for each candidate that is not picked yet. */
  #showCandidates() {
    const { list } = this.candidates;
    const left = list.filter(({ subject }) => !this.subjects.has(subject));
    write(this.suggest, list.length ? PICK.hideSuggestions : PICK.suggest);
    this.found.hidden = !left.length;
    const numbers = [...this.found.querySelectorAll("button")].map((each) => Number(each.dataset.number));
    if (`${numbers}` === `${left.map(({ number }) => number)}`) return; // keeps the focus
    this.found.replaceChildren(...left.map((candidate) => this.#candidate(candidate)));
  }

  #candidate({ number, subject, area }) {
    const label = PICK.suggestion(number, subject, Math.round(100 * area));
    const pick = make("button", { type: "button", className: "quiet", title: label, aria: { label }, data: { number } }, String(number));
    pick.addEventListener("click", () => {
      this.say(PICK.picked(PICK.title(this.subjects.pick(subject))));
      this.candidates.emphasise();
    });
    for (const event of ["pointerenter", "focus"]) pick.addEventListener(event, () => this.candidates.emphasise(number));
    return make("li", {}, pick);
  }

  #chip({ name, keep, prompts }, index) {
    const { subjects } = this;
    const title = PICK.title(name);
    const radio = make("input", { type: "radio", name: "subject", value: name, checked: name === subjects.active,
      className: "over", data: { pick: `radio ${name}` } });
    radio.addEventListener("change", () => subjects.select(name));
    radio.addEventListener("keydown", (event) => { if (event.key === "F2") this.#beginRenaming(name); });
    const toggle = make("button", { type: "button", className: "quiet keep", role: "switch", data: { pick: `keep ${name}` },
      title: PICK.keepTip(keep), aria: { checked: String(keep), label: PICK.keep(title) } }, keep ? PICK.kept : PICK.removed);
    toggle.addEventListener("click", () => { subjects.toggle(name); this.say(PICK.toggled(title, !keep)); });
    const rename = button("pencil", PICK.rename(title), () => this.#beginRenaming(name));
    rename.dataset.pick = `rename ${name}`;
    const remove = button("close", PICK.delete(title), () => { subjects.delete(name); this.say(PICK.deleted(title)); });
    remove.dataset.pick = `delete ${name}`;
    const label = make("label", {}, radio, make("span", { className: "swatch" }), make("span", { className: "title" }, title),
      make("span", { className: "fine" }, PICK.count(prompts.length)));
    const parts = this.renamed === name ? [this.#nameField(name)] : [label, toggle, rename, remove];
    return make("li", { className: "subject", data: { colour: index % COLOURS, keep: String(keep) } }, ...parts);
  }

  #beginRenaming(name) {
    Object.assign(this, { renamed: name, typed: PICK.title(name) });
    this.#show();
    const field = this.chips.querySelector(".name");
    field.focus();
    field.select();
  }

  /** Enter and leaving the field rename the subject, Escape does not. */
  #nameField(name) {
    const field = make("input", { type: "text", className: "name", value: this.typed, maxLength: 32,
      data: { pick: `name ${name}` }, aria: { label: PICK.rename(PICK.title(name)) } });
    field.addEventListener("keydown", (event) => {
      if (!["Enter", "Escape"].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      if (event.key === "Escape") this.#endRenaming(name); else this.#rename(name, field);
    });
    field.addEventListener("input", () => { this.typed = field.value; field.removeAttribute("aria-invalid"); });
    field.addEventListener("blur", () => { if (this.renamed === name && !this.showing) this.#rename(name, field, true); });
    return field;
  }

  /** leaving: the field cannot stay open for another try. */
  #rename(name, field, leaving = false) {
    const next = field.value === PICK.title(name) ? name : asName(field.value);
    if (!next || (next !== name && this.subjects.index(next) >= 0)) {
      this.say(next ? PICK.taken(PICK.title(next)) : PICK.noName);
      if (leaving) this.#endRenaming(name, false); else field.setAttribute("aria-invalid", "true");
      return;
    }
    if (next !== name) this.say(PICK.renamed(PICK.title(name), PICK.title(next)));
    this.renamed = "";
    this.subjects.rename(name, next);
    this.#endRenaming(next, !leaving);
  }

  #endRenaming(name, focus = true) {
    this.renamed = "";
    this.#show();
    if (focus) this.#control(`rename ${name}`)?.focus();
  }

  /** The single marks of the active subject, while the user picks. */
  #showMarks() {
    const { list, active } = this.subjects;
    const subject = list[this.subjects.index(active)];
    this.marks.hidden = !this.picking || !subject?.prompts.length;
    if (this.marks.hidden) { this.marks.replaceChildren(); return; }
    this.marks.setAttribute("aria-label", PICK.marksOf(PICK.title(active)));
    this.marks.replaceChildren(...subject.prompts.map((prompt, index) => this.#mark(active, prompt, index)));
  }

  #mark(name, prompt, index) {
    const { subjects } = this;
    const read = readPrompt(prompt);
    const text = read ? PICK.mark(read) : prompt;
    const label = PICK.deleteMark(index + 1, read ? PICK.markAt(read) : prompt);
    const remove = make("button", { type: "button", className: "quiet", title: label, aria: { label }, data: { pick: `mark ${index}`, index } },
      make("span", { className: `kind ${read?.kind ?? ""} ${read?.inside === false ? "negative" : ""}` }), text, icon("close"));
    remove.addEventListener("click", () => this.#deleteMark(name, index));
    for (const event of ["pointerenter", "focus"]) remove.addEventListener(event, () => subjects.emphasise(name, index));
    return make("li", { data: { colour: subjects.index(name) % COLOURS } }, remove);
  }

  #deleteMark(name, index) {
    this.subjects.deletePrompt(name, index);
    this.subjects.emphasise();
    this.say(PICK.markDeleted(index + 1, PICK.title(name)));
  }

  #deleteByKey(event) {
    const { index } = event.target.dataset;
    if (!["Delete", "Backspace"].includes(event.key) || index === undefined) return;
    event.preventDefault();
    this.#deleteMark(this.subjects.active, Number(index));
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
