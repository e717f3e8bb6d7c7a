// The tiles and colours from which a background is chosen, and the user's own backgrounds on the server.

import { request } from "./api.js";
import { icon, make } from "./dom.js";
import { BACKGROUNDS } from "./words.js";

const PATH = "/api/backgrounds";

/** A radio button with a picture. choice: of /api/backgrounds. key: what chooses it on the keyboard, as it is shown; ""
 * if nothing does. remove: called to delete one of the user's own; null for the others. */
export function backgroundTile(choice, { key = "", remove = null } = {}) {
  const label = key ? BACKGROUNDS.keyed(choice.title, key) : choice.title;
  const radio = make("input", { type: "radio", name: "background", value: choice.spec, aria: { label } });
  const tile = make("div", { className: "tile-choice", data: { kind: choice.kind, key } }, radio, backgroundFace(choice),
    make("span", { className: "title" }, choice.title));
  if (key) tile.append(make("kbd", { aria: { hidden: true } }, key));
  if (remove) tile.append(removeButton(choice, remove));
  return tile;
}

/** What a background looks like. */
export function backgroundFace(choice) {
  const face = make("span", { className: `face ${choice.kind}` });
  if (choice.kind === "color") face.style.setProperty("--face", choice.spec.slice("color:".length));
  if (choice.thumbnail) face.append(make("img", { src: choice.thumbnail, alt: "" }));
  if (choice.kind === "video") face.append(icon("play"));
  if (choice.kind === "none") face.append(icon("room"));
  return face;
}

function removeButton(choice, remove) {
  const button = make("button", { type: "button", className: "remove", aria: { label: BACKGROUNDS.remove(choice.title) } }, "×");
  button.addEventListener("click", () => remove(choice));
  return button;
}

/** A radio button with a colour. */
export function colourChip(choice) {
  const radio = make("input", { type: "radio", name: "background", value: choice.spec, title: choice.title,
    aria: { label: choice.title } });
  return make("div", { className: "chip" }, radio, backgroundFace(choice));
}

/** Uploads one of the user's own. Returns its choice. Throws Error if the file is of another kind, else as `request`. */
export async function addBackground(file) {
  if (!/^(image|video)\//.test(file.type || "image/")) throw new Error(BACKGROUNDS.strangeFile);
  const type = file.type || "application/octet-stream";
  return (await request("POST", PATH, { body: file, type })).json();
}

/** Deletes one of the user's own. Throws as `request`. */
export const removeBackground = (choice) => request("DELETE", `${PATH}/${choice.id}`);
