// One feed in the list: its source, its outputs, and buttons to change them.

import { make, write } from "../shared/dom.js";
import { isStream, Look } from "./look.js";
import { Preview } from "./preview.js";

const WORDS = {
  waiting: "Waiting for a free worker", running: "Running", stopped: "Stopped", failed: "Failed",
  connecting: "Connecting", live: "Live", reconnecting: "Reconnecting", paused: "Off", ended: "Ended", idle: "Idle",
  "": "Not running",
};
const TONES = { live: "good", running: "good", connecting: "wait", waiting: "wait", reconnecting: "wait", failed: "bad", ended: "bad" };

export class FeedCard {
  /** change(method, json): sends a change of this feed. Returns the error's text, or "". */
  constructor(change) {
    this.name = make("h3");
    this.note = make("p", { className: "note bad", role: "status" });
    this.toggle = make("button", { type: "button", onclick: () => this.#send(change, "PATCH", { running: !this.runs }) });
    const remove = make("button", { type: "button", onclick: () => this.#remove(change) }, "Remove");
    this.state = state();
    const buttons = make("div", { className: "buttons" }, this.toggle, remove);
    const head = make("div", { className: "row" }, this.name, this.state, buttons);
    this.preview = new Preview();
    this.source = new Line("Source");
    this.watch = make("a", { className: "watch", target: "_blank", hidden: true }, "Watch");
    this.source.element.append(make("div", { className: "buttons" }, this.watch));
    this.look = new Look((options) => this.#send(change, "PATCH", { options }));
    this.outputs = make("ul", { className: "outputs", aria: { label: "Outputs" } });
    this.lines = new Map();
    this.added = make("input", { type: "text", placeholder: "Add an output: rtmp://server/app/stream-key", autocomplete: "off", spellcheck: false, required: true, aria: { label: "Address of a new output" } });
    const form = make("form", { className: "add-output" }, this.added, make("button", {}, "Add"));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (await this.#send(change, "PATCH", { outputs: { add: [{ address: this.added.value.trim() }] } })) this.added.value = "";
    });
    this.element = make("li", { className: "feed" }, head, this.source.element, this.look.element, this.outputs, form, this.note, this.preview.element);
    this.change = change;
  }

  show(feed) {
    this.runs = feed.state === "running" || feed.state === "waiting";
    write(this.name, feed.name);
    write(this.toggle, this.runs ? "Stop" : "Start");
    showState(this.state, feed.state, feed.detail);
    const { meters } = feed;
    this.source.show(feed.source, meters ? [`${Math.round(meters.fps_in)} frames a second`, `${meters.width}×${meters.height}`] : []);
    this.preview.show(feed);
    this.#showWatch(feed);
    this.look.show(feed);
    const ids = new Set(feed.outputs.map(({ id }) => id));
    for (const [id, line] of this.lines) if (!ids.has(id)) { line.element.parentElement.remove(); this.lines.delete(id); }
    for (const output of feed.outputs) this.#line(output).show(output, counts(output));
  }

  /** A stream of this server can be watched on the page of its viewers. */
  #showWatch({ source }) {
    this.watch.hidden = !isStream(source.address);
    if (this.watch.hidden) return;
    const name = source.address.slice("live:".length);
    this.watch.href = `/view/${encodeURIComponent(name)}`;
    this.watch.setAttribute("aria-label", `Watch ${name}`);
  }

  #line(output) {
    if (!this.lines.has(output.id)) {
      const line = new Line("Output", {
        toggle: (paused) => this.#send(this.change, "PATCH", { outputs: { [paused ? "pause" : "resume"]: [output.id] } }),
        remove: () => this.#send(this.change, "PATCH", { outputs: { remove: [output.id] } }),
      });
      this.lines.set(output.id, line);
      this.outputs.append(make("li", {}, line.element));
    }
    return this.lines.get(output.id);
  }

  async #send(change, method, json) {
    const problem = await change(method, json);
    write(this.note, problem);
    return !problem;
  }

  #remove(change) {
    if (confirm(`Remove the feed ${this.name.textContent}? Its outputs end, and its addresses are forgotten.`)) this.#send(change, "DELETE");
  }
}

/** A source or an output: address, state, numbers; an output also has buttons. */
class Line {
  constructor(kind, actions) {
    this.address = make("span", { className: "address" });
    this.state = state();
    this.numbers = make("span", { className: "fine" });
    this.element = make("div", { className: "row" }, make("strong", {}, kind), this.address, this.state, this.numbers);
    if (!actions) return;
    this.toggle = make("button", { type: "button", className: "quiet", onclick: () => actions.toggle(!this.paused) });
    const remove = make("button", { type: "button", className: "quiet", onclick: actions.remove }, "Remove");
    this.element.append(make("div", { className: "buttons" }, this.toggle, remove));
  }

  show(part, numbers) {
    write(this.address, part.address);
    showState(this.state, part.state || (part.paused ? "paused" : ""), part.reason);
    write(this.numbers, numbers.join(" · "));
    if (!this.toggle) return;
    this.paused = part.paused;
    write(this.toggle, part.paused ? "Turn on" : "Turn off");
  }
}

const state = () => make("span", { className: "state" }, make("span", { className: "dot" }), make("span"));

function showState(element, name, reason) {
  element.dataset.tone = TONES[name] ?? "";
  element.dataset.state = name;
  write(element.lastChild, reason ? `${WORDS[name] ?? name}: ${reason}` : WORDS[name] ?? name);
}

function counts({ frames, dropped, bitrate_bps: bps, latency_ms: ms }) {
  const texts = [];
  if (ms) texts.push(`${Math.round(ms)} ms delay`);
  if (bps) texts.push(`${(bps / 1e6).toFixed(2)} Mbit/s`);
  if (frames) texts.push(`${frames} frames`);
  if (dropped) texts.push(`${dropped} dropped`);
  return texts;
}
