// Background, view, engine, steadiness: reads and shows what is chosen, remembers it, and says what changed.

import { get, request } from "./api.js";

const KEY = "mattebox.options";
const FIELDS = ["view", "engine", "temporal"];
const PRIVATE = { view: "composite" }; // what shows the room is chosen anew each time

export class Choices {
  /** onChange(part): the options that changed; a rejection puts the old choice back. */
  constructor(form, onChange) {
    this.form = form;
    this.onChange = onChange;
    this.options = { background: "blur:0.7", view: "composite", engine: "auto", temporal: "auto", ...remembered() };
    for (const name of FIELDS) {
      form.elements[name].value = this.options[name];
      form.elements[name].addEventListener("change", (event) => this.#choose(name, event.target.value));
    }
    this.list = form.querySelector("#backgrounds");
    this.list.addEventListener("change", (event) => this.#choose("background", event.target.value));
    form.querySelector("#colour").addEventListener("input", (event) => {
      clearTimeout(this.later); // a drag over the colours is one change
      this.later = setTimeout(() => this.#choose("background", `color:${event.target.value}`), 80);
    });
    form.querySelector("#upload").addEventListener("change", (event) => this.#upload(event.target));
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  async load() {
    const { backgrounds } = await get("/api/backgrounds");
    this.list.replaceChildren(...backgrounds.map((choice) => this.#swatch(choice)));
    const known = backgrounds.some((choice) => choice.spec === this.options.background);
    if (!known && this.options.background.startsWith("upload:")) this.options.background = "blur:0.7";
    this.#mark();
  }

  async #choose(name, value) {
    const old = this.options[name];
    this.options[name] = value;
    this.#mark();
    this.note("");
    try {
      await this.onChange({ [name]: value });
      remember(this.options);
    } catch (error) {
      this.options[name] = old;
      this.#mark();
      this.note(`Not changed: ${error.message}.`);
    }
  }

  note(words) { this.form.querySelector("#note").textContent = words; }

  #mark() {
    for (const radio of this.list.querySelectorAll("input")) radio.checked = radio.value === this.options.background;
    for (const name of FIELDS) this.form.elements[name].value = this.options[name];
  }

  #swatch(choice) {
    const cell = document.createElement("div");
    cell.className = "swatch";
    const radio = Object.assign(document.createElement("input"), { type: "radio", name: "background", value: choice.spec });
    radio.setAttribute("aria-label", choice.title);
    const title = Object.assign(document.createElement("span"), { className: "title", textContent: choice.title });
    cell.append(radio, face(choice), title);
    if (choice.own) cell.append(this.#removeButton(choice));
    return cell;
  }

  #removeButton(choice) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "remove", textContent: "×" });
    button.setAttribute("aria-label", `Delete ${choice.title}`);
    button.addEventListener("click", async () => {
      if (this.options.background === choice.spec) await this.#choose("background", "blur:0.7");
      await request("DELETE", `/api/backgrounds/${choice.id}`).catch((error) => this.note(error.message));
      await this.load();
    });
    return button;
  }

  async #upload(input) {
    const [file] = input.files;
    if (!file) return;
    this.note("");
    try {
      const type = file.type || "application/octet-stream";
      const choice = await (await request("POST", "/api/backgrounds", { body: file, type })).json();
      await this.load();
      await this.#choose("background", choice.spec);
    } catch (error) {
      this.note(`Not added: ${error.message}.`);
    }
    input.value = "";
  }
}

function face(choice) {
  const element = Object.assign(document.createElement("span"), { className: `face ${choice.kind}` });
  if (choice.kind === "color") element.style.setProperty("--face", choice.spec.slice("color:".length));
  if (choice.spec === "blur:0.7") element.classList.add("strong");
  if (choice.thumbnail) {
    element.append(Object.assign(document.createElement("img"), { src: choice.thumbnail, alt: "", loading: "lazy" }));
  }
  return element;
}

function remembered() {
  try {
    return { ...JSON.parse(localStorage.getItem(KEY)), ...PRIVATE };
  } catch {
    return {};
  }
}

function remember(options) {
  try {
    localStorage.setItem(KEY, JSON.stringify(options));
  } catch { /* a browser that keeps nothing */ }
}
