// Shows the state of the page in the status line, and on a card over the video if the state has more text.

import { find, icon, make, write } from "./dom.js";
import { ALLOW, STATES, SYSTEM_TOO } from "./words.js";

const HELD = ["reconnecting", "draining", "full", "unreachable"]; // the last frame may stay visible behind the card

/** state: a name in STATES. extra: appended to the line: "in 3 s." or "(the reason)". */
export function showState(state, extra = "") {
  const { tone, line } = STATES[state];
  const status = find("status");
  Object.assign(status.dataset, { tone, state });
  write(status.querySelector(".words"), extra ? `${line.replace(/[.…]$/, "")} ${extra}` : line);
  const card = find("card");
  if (card) showCard(card, state, extra);
}

function showCard(card, state, extra) {
  const words = STATES[state];
  card.hidden = !words.title;
  if (card.hidden) { card.dataset.state = state; return; }
  write(card.querySelector(".extra"), extra.startsWith("(") ? extra.slice(1, -1) : extra && `Trying again ${extra}`);
  if (card.dataset.state === state) return; // only the countdown changed
  Object.assign(card.dataset, { state, tone: words.tone, held: HELD.includes(state) });
  card.querySelector(".badge").replaceChildren(icon(words.icon));
  write(card.querySelector("h2"), words.title);
  card.querySelector(".body").replaceChildren(...body(state, words));
  const button = card.querySelector("button");
  if (!button) return;
  button.hidden = !words.action;
  write(button, words.action ?? "");
}

function body(state, words) {
  const parts = [make("p", {}, words.text)];
  if (state === "refused") parts.push(make("p", { className: "how" }, ALLOW[browser()]), make("p", { className: "fine" }, SYSTEM_TOO));
  if (words.code) parts.push(make("p", {}, make("code", {}, words.code)));
  if (words.fine) parts.push(make("p", { className: "fine" }, words.fine));
  return parts;
}

function browser(agent = navigator.userAgent) {
  if (/iPhone|iPad/.test(agent)) return "ios";
  if (/Firefox\//.test(agent)) return "firefox";
  if (/Android/.test(agent)) return "android";
  return /Chrom(e|ium)\//.test(agent) ? "chromium" : "safari";
}
