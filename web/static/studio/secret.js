// Addresses and tokens that let somebody in: masked until the user asks, and copied without being shown.

import { write } from "../shared/dom.js";
import { SECRET } from "../shared/words.js";

const MASK = "•".repeat(8);

/** A read-only field with a button that copies its value and, if the value is secret, one that shows it. */
export class Secret {
  /** field: the input. copied(text): reports what came of copying. */
  constructor(field, copied) {
    Object.assign(this, { field, copied, value: "", isShown: false });
    [this.reveal, this.copy] = [".reveal", ".copy"].map((name) => field.parentElement.querySelector(name));
    this.reveal?.addEventListener("click", () => this.show(!this.isShown));
    this.copy.addEventListener("click", () => this.#copy());
    this.show(false);
  }

  set(value) {
    this.value = value;
    this.show(this.isShown);
  }

  show(isShown) {
    this.isShown = isShown;
    this.field.value = isShown ? this.value : masked(this.value);
    this.copy.disabled = !this.value;
    if (!this.reveal) return;
    const text = isShown ? SECRET.hide : SECRET.show;
    this.reveal.disabled = !this.value;
    write(this.reveal, text);
    this.reveal.setAttribute("aria-label", `${text} ${this.reveal.dataset.what}`);
  }

  async #copy() {
    if (await copyText(this.value)) { this.copied(SECRET.copied); return; }
    this.show(true);
    this.field.select();
    this.copied(SECRET.notCopied);
  }
}

/** A link without its token, to recognise it by; nothing of a bare token. Other values stay as they are. */
function masked(value) {
  if (!URL.canParse(value)) return value && MASK;
  const { host, pathname, hash } = new URL(value);
  return hash.includes("token=") ? `${host}${pathname}#${MASK}` : value;
}

/** Returns whether the text is in the clipboard. Pages without https have no `navigator.clipboard`. */
async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => false);
  const write = (event) => { event.clipboardData.setData("text/plain", text); event.preventDefault(); };
  document.addEventListener("copy", write, { once: true });
  const done = document.execCommand("copy");
  document.removeEventListener("copy", write);
  return done;
}
