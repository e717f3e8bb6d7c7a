// Short functions for elements, and for values kept in local storage.

export const find = (id) => document.getElementById(id);

/** make("p", { className: "fine", data: { state: "x" }, aria: { label: "y" } }, "text", child) */
export function make(tag, { data = {}, aria = {}, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(aria)) element.setAttribute(`aria-${name}`, value);
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** An SVG element. */
export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** One of the icons defined at the top of the page. */
export const icon = (name) => draw("svg", { class: "icon", "aria-hidden": "true" }, draw("use", { href: `#i-${name}` }));

/** Set the text only if it changed, because a screen reader announces every write to a live region. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The JSON value stored under `key`, or `fallback`. */
export function read(key, fallback) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? fallback;
  } catch {
    return fallback;
  }
}

/** Store a value for `read`. */
export function keep(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch { /* local storage is disabled or full */ }
}
