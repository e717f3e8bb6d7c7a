// Keyboard shortcuts of the studio: digits choose a background, with Shift one of the user's own; letters use a tool. None
// acts while the user types.

import { find } from "../shared/dom.js";

const TOOLS = { c: "tool-compare", m: "tool-mirror", p: "tool-pip", f: "tool-full", s: "tool-snapshot", r: "tool-record",
  a: "tool-microphone", k: "pick-open" };
const TYPED = "input:not([type=radio], [type=checkbox], [type=range], [type=color]), select, textarea, dialog, dialog *";

const DIGIT = /^(?:Digit|Numpad)([1-9])$/; // the key's place: with Shift, what it types depends on the layout

/** background(number, own): chooses a background, 1-9. own: among the user's own. */
export function listenToKeys({ background }) {
  addEventListener("keydown", (event) => {
    const modified = event.ctrlKey || event.metaKey || event.altKey;
    if (modified || event.repeat || event.target.matches?.(TYPED) || document.querySelector("dialog[open]")) return;
    const digit = DIGIT.exec(event.code)?.[1];
    if (digit) background(Number(digit), event.shiftKey);
    const tool = find(TOOLS[event.key.toLowerCase()]);
    if (tool && !tool.disabled) tool.click();
  });
}
