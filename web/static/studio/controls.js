// All controls, built from the server's JSON Schema of the options: it gives their ranges, defaults and explanations.

import { find, icon, make, write } from "../shared/dom.js";
import { CONTROLS, GROUPS, LABELS, SHARES, UNITS, VALUES } from "../shared/words.js";

const ELSEWHERE = ["background", "edges", "subjects"]; // chosen outside the drawer

export class Controls {
  constructor(choices) {
    this.choices = choices;
    this.controls = [];
    find("drawer-open").addEventListener("click", () => this.open(true));
    find("drawer-close").addEventListener("click", () => this.open(false));
    find("reset-all").addEventListener("click", () => choices.reset());
    addEventListener("keydown", ({ key }) => { if (key === "Escape" && !find("drawer").hidden) this.open(false); });
    choices.addEventListener("change", () => this.mark());
  }

  open(visible) {
    find("drawer").hidden = !visible;
    find("choices").hidden = visible;
    find("drawer-open").setAttribute("aria-expanded", String(visible));
    find(visible ? "drawer-close" : "drawer-open").focus();
  }

  /** Build the controls, once the schema is known. */
  build() {
    const known = this.choices.schema;
    const named = GROUPS.flatMap(([, names]) => names);
    const others = Object.keys(known).filter((name) => ![...ELSEWHERE, ...named].includes(name));
    const groups = [...GROUPS, ["More", others]].map(([title, names]) => [title, names.filter((name) => name in known)]);
    this.controls = [];
    find("controls").replaceChildren(...groups.filter(([, names]) => names.length).map(([title, names]) => {
      const rows = names.map((name) => this.#row(known[name]));
      return make("fieldset", {}, make("legend", {}, title), ...rows);
    }));
    this.mark();
  }

  /** Show the current values. */
  mark() {
    for (const control of this.controls) {
      const { field, input, reset, output } = control;
      const value = this.choices.value(field.name);
      control.show(value);
      input.disabled = !this.choices.hasEffect(field.name);
      if (output) write(output, formatted(field, value));
      reset.hidden = JSON.stringify(value) === JSON.stringify(field.default ?? null);
    }
    find("reset-all").disabled = this.controls.every((control) => control.reset.hidden);
  }

  #row(field) {
    const label = LABELS[field.name] ?? field.name;
    const id = `control-${field.name}`;
    const choose = (value) => this.choices.choose({ [field.name]: value });
    const { input, show, ranged } = control(field, id, choose);
    const reset = make("button", { type: "button", className: "reset", title: CONTROLS.reset(label),
      aria: { label: CONTROLS.reset(label) } }, icon("undo"));
    reset.addEventListener("click", () => { choose(null); document.getElementById(id).focus(); });
    const output = ranged ? make("output", { htmlFor: id }) : null;
    const focusable = input.id === id ? input : input.querySelector(`#${id}`);
    this.controls.push({ field, input: focusable, show, reset, output });
    const head = make("div", { className: "head" }, make("label", { htmlFor: id }, label), ...(output ? [output] : []), reset);
    const why = make("p", { className: "fine", id: `${id}-why` }, sentence(field.description));
    const byDefault = CONTROLS.byDefault(formatted(field, field.default ?? null));
    if (!listsDefault(field)) why.append(" ", make("span", { className: "default" }, byDefault));
    focusable.setAttribute("aria-describedby", why.id);
    return make("div", { className: "control" }, head, input, why);
  }
}

/** Whether the control's list of values marks the default. */
const listsDefault = (field) => Boolean(field.enum) || field.default === null || field.default === undefined;

/** The input for a field: { input, show(value), ranged }. */
function control(field, id, choose) {
  if (field.enum) return list(field, id, choose);
  if (typeof field.default === "boolean") return toggle(field, id, choose);
  if (typeof field.default === "number") return slider(field, id, choose);
  return colour(field, id, choose);
}

function list(field, id, choose) {
  const mark = (value) => (value === field.default ? ` (${CONTROLS.mark})` : "");
  const title = (value) => field.hints?.[value] ?? "";
  const option = (value) => make("option", { value, title: title(value) }, formatted(field, value) + mark(value));
  const input = make("select", { id }, ...field.enum.map(option));
  input.addEventListener("change", () => choose(input.value));
  return { input, show: (value) => { input.value = value; } };
}

function toggle(field, id, choose) {
  const input = make("input", { type: "checkbox", className: "switch", id });
  input.addEventListener("change", () => choose(input.checked));
  return { input, show: (value) => { input.checked = value; } };
}

function slider(field, id, choose) {
  const span = field.maximum - field.minimum;
  const step = span > 5 ? 0.5 : span > 0.5 ? 0.01 : 0.001;
  const range = make("input", { type: "range", id, min: field.minimum, max: field.maximum, step });
  range.addEventListener("input", () => choose(Number(range.value)));
  const tick = make("span", { className: "tick", aria: { hidden: true } });
  tick.style.setProperty("--at", (field.default - field.minimum) / span);
  return { input: make("div", { className: "slider" }, tick, range), show: (value) => { range.value = value; }, ranged: true };
}

function colour(field, id, choose) {
  const measured = make("option", { value: "" }, `${CONTROLS.measured} (${CONTROLS.mark})`);
  const mode = make("select", { id }, measured, make("option", { value: "pick" }, CONTROLS.pick));
  const picker = make("input", { type: "color", value: "#00b140", aria: { label: LABELS[field.name] } });
  mode.addEventListener("change", () => choose(mode.value ? picker.value : null));
  picker.addEventListener("change", () => choose(picker.value));
  const show = (value) => {
    mode.value = value ? "pick" : "";
    picker.hidden = !value;
    if (value) picker.value = value;
  };
  return { input: make("div", { className: "pick" }, mode, picker), show };
}

function formatted(field, value) {
  if (field.enum) return field.labels?.[value] ?? VALUES[field.name]?.[value] ?? value;
  if (typeof value === "boolean") return value ? CONTROLS.on : CONTROLS.off;
  if (value === null) return CONTROLS.measured;
  if (SHARES.includes(field.name)) return `${Math.round(value * 1000) / 10} %`;
  return `${value} ${UNITS[field.name] ?? ""}`.trim();
}

function sentence(text = "") {
  const start = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(start) || !start ? start : `${start}.`;
}
