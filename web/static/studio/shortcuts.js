// Keyboard shortcuts of the studio: digits choose a background, letters use a tool. None acts while the user types.

import { find } from "../shared/dom.js";

const TOOLS = { c: "tool-compare", m: "tool-mirror", p: "tool-pip", f: "tool-full", s: "tool-snapshot", r: "tool-record",
  a: "tool-microphone" };
const TYPED = "input:not([type=radio], [type=checkbox], [type=range], [type=color]), select, textarea, dialog, dialog *";

export function listenToKeys({ background }) {
  addEventListener("keydown", (event) => {
    const modified = event.ctrlKey || event.metaKey || event.altKey;
    if (modified || event.repeat || event.target.matches?.(TYPED) || document.querySelector("dialog[open]")) return;
    if (/^[1-9]$/.test(event.key)) background(Number(event.key));
    const tool = find(TOOLS[event.key.toLowerCase()]);
    if (tool && !tool.disabled) tool.click();
  });
}
