// The list of jobs, updated by server-sent events, with the actions that each job's state allows.

import { get, request } from "../shared/api.js";
import { find, icon, make, write } from "../shared/dom.js";
import { isTransparent } from "./job_options.js";
import { serverOptions } from "./server_options.js";
import { duration, PICKING, place, REASONS, sentence, size, STATES, WORDS } from "./words.js";

const FINAL = ["done", "failed", "cancelled"];

export class JobList extends EventTarget {
  /** play(job, result, name): called to play a result. pick(job): called to pick its subjects again. denied(): called when the user has to sign in. Event: `job`, with the
   * job in `detail`, when it is shown or has changed. */
  constructor({ play, pick, denied }) {
    super();
    Object.assign(this, { play, pick, denied, cards: new Map(), list: find("jobs"), more: find("more-jobs"), next: null });
    this.more.addEventListener("click", () => this.#showMore());
    serverOptions.addEventListener("known", () => { for (const card of this.cards.values()) card.formatsKnown(); });
  }

  listen() {
    this.events?.close();
    const events = this.events = new EventSource("/api/jobs/events");
    events.addEventListener("job", ({ data }) => this.#show(JSON.parse(data)));
    events.addEventListener("removed", ({ data }) => this.#drop(JSON.parse(data).id));
    events.addEventListener("notice", ({ data }) => this.#notice(JSON.parse(data).code === "ok" ? "" : WORDS.storeDown));
    events.addEventListener("open", () => { this.#notice(""); this.#catchUp(); });
    events.addEventListener("error", () => {
      this.#notice(WORDS.lost);
      if (events.readyState === EventSource.CLOSED) setTimeout(() => this.#reconnect(), 3000);
    });
  }

  async #reconnect() {
    try {
      await get("/api/jobs?limit=1");
    } catch (error) {
      if (error.status === 401) { this.denied(); return; }
    }
    this.listen();
  }

  /** Shows the list as far as it was shown, without the jobs that were removed while the stream was interrupted. */
  async #catchUp() {
    const before = [...this.cards.keys()], found = new Set();
    const oldest = Math.min(...[...this.cards.values()].map((card) => card.job.created_s));
    let page = { next: "" };
    do {
      page = await get(`/api/jobs?cursor=${page.next}`).catch(() => null);
      if (!page) return;
      for (const job of page.jobs) { found.add(job.id); this.#show(job); }
    } while (page.next && page.jobs.at(-1).created_s > oldest);
    for (const id of before) if (!found.has(id)) this.#drop(id);
    this.#setNext(page.next);
  }

  async #showMore() {
    this.more.disabled = true;
    try {
      const page = await get(`/api/jobs?cursor=${this.next}`);
      for (const job of page.jobs) this.#show(job);
      this.#setNext(page.next);
    } catch (error) {
      this.#notice(`${error.message}.`);
    }
    this.more.disabled = false;
  }

  /** Whether a job of this upload is shown. */
  hasUpload(id) { return [...this.cards.values()].some((card) => card.job.upload === id); }

  /** Shows a job that was just submitted. */
  add(job) { if (!this.cards.has(job.id)) this.#show(job); }

  /** Moves the focus to a job's first button. */
  focus(id) { this.cards.get(id)?.buttons.querySelector("button, a")?.focus(); }

  #setNext(cursor) {
    this.next = cursor;
    this.more.hidden = !cursor;
  }

  #show(job) {
    let card = this.cards.get(job.id);
    if (card?.job.updated_s > job.updated_s) return; // an event came before the list
    if (!card) {
      card = new Card(job, this);
      this.cards.set(job.id, card);
      const older = [...this.cards.values()].filter((other) => other.job.created_s < job.created_s);
      const next = older.reduce((a, b) => (!a || b.job.created_s > a.job.created_s ? b : a), null);
      this.list.insertBefore(card.element, next?.element ?? null);
    }
    card.update(job);
    find("none").hidden = true;
    this.dispatchEvent(new CustomEvent("job", { detail: job }));
  }

  #drop(id) {
    this.cards.get(id)?.element.remove();
    this.cards.delete(id);
    find("none").hidden = this.cards.size > 0;
  }

  #notice(words) { write(find("notice"), words); }
}

class Card {
  constructor(job, all) {
    Object.assign(this, { all, job, path: `/api/jobs/${job.id}`, shape: "" });
    this.picture = make("img", { alt: "", hidden: true });
    this.picture.addEventListener("load", () => { this.picture.hidden = false; });
    this.picture.addEventListener("error", () => { this.picture.hidden = this.noPicture = true; this.#showResult(); });
    this.bar = make("progress", { max: 1, aria: { label: `${job.title || "Video"}: progress` } });
    this.status = make("p", { className: "status" }, make("span", { className: "dot" }), make("span", { className: "words" }));
    this.detail = make("p", { className: "fine meters" });
    this.buttons = make("div", { className: "buttons" });
    this.note = make("p", { className: "note bad", role: "alert" });
    this.element = make("li", { className: "card-row job" },
      make("div", { className: isTransparent(job.options) ? "screen checkered" : "screen" }, icon("film"), this.picture),
      make("div", { className: "facts" }, make("h3", { title: job.title }, job.title || "Video"),
        this.status, this.bar, this.detail, this.buttons, this.note));
  }

  update(job) {
    this.job = job;
    const { frames, of_frames: of, fps, left_s: left } = job.progress;
    const [tone, words] = STATES[job.state];
    this.element.dataset.state = job.state;
    this.status.dataset.tone = tone;
    write(this.status.querySelector(".words"), words);
    this.bar.hidden = FINAL.includes(job.state) || job.state === "queued" && !frames;
    if (of) this.bar.value = frames / of; else this.bar.removeAttribute("value");
    write(this.detail, this.#details(job, { frames, of, fps, left }));
    this.#refreshPicture(job);
    this.#actions(job);
  }

  /** Called when it becomes known which results can be played. */
  formatsKnown() {
    this.shape = "";
    this.#actions(this.job);
    if (this.noPicture) this.#showResult();
  }

  #details(job, { frames, of, fps, left }) {
    if (job.state === "failed") return WORDS.failed(REASONS[job.reason], job.detail);
    const parts = [];
    if (job.state === "done") {
      const { width, height, duration_s: length } = job.media ?? {};
      if (width) parts.push(`${width}×${height}`);
      if (length) parts.push(duration(length));
      parts.push(...Object.values(job.results).map((result) => size(result.bytes)));
      parts.push(...job.warnings.map(([, sentence]) => sentence));
    } else if (!FINAL.includes(job.state)) {
      if (job.state === "queued") parts.push(...place(job.progress));
      if (of && frames) parts.push(`${Math.floor((100 * frames) / of)} %`, `${frames} of ${of} frames`);
      if (job.state === "running" && fps) parts.push(`${fps.toFixed(1)} fps`);
      if (job.state === "running" && left) parts.push(`${duration(left)} left`);
    }
    return parts.join(" · ");
  }

  #refreshPicture(job) {
    const version = `${job.state}-${job.progress.segments_done}-${Math.floor(Date.now() / 2000)}`;
    if (job.state === "queued" || (this.version === version) || (FINAL.includes(job.state) && this.version?.startsWith(job.state))) return;
    this.version = version;
    this.picture.src = `${this.path}/preview?v=${encodeURIComponent(version)}`;
  }

  /** Short jobs make no preview picture, so a frame of the result, or the resulting picture, is shown instead. */
  #showResult() {
    const [result] = Object.values(this.job.results);
    if (this.still || !result || !serverOptions.isPlayable(result.mime)) return;
    if (result.mime.startsWith("image/")) this.still = make("img", { src: result.url, alt: "", loading: "lazy" });
    else this.still = make("video", { src: `${result.url}#t=0.1`, muted: true, playsInline: true, preload: "metadata", tabIndex: -1, aria: { hidden: true } });
    this.picture.after(this.still);
  }

  /** Replaces the buttons only if others are needed, so that the focus is not lost. */
  #actions(job) {
    const shape = `${job.state} ${Object.keys(job.results)}`;
    if (this.shape === shape) return;
    this.shape = shape;
    this.buttons.replaceChildren(...this.#resultButtons(job), ...this.#stateButtons(job));
  }

  #resultButtons(job) {
    if (job.state !== "done") return [];
    const several = Object.keys(job.results).length > 1;
    return Object.entries(job.results).flatMap(([name, result], index) => {
      const of = several ? ` ${name}` : "";
      const link = make("a", { className: index ? "button second" : "button", href: `${result.url}&download=true`, download: "" }, `Download${of}`);
      const play = make("button", { type: "button" }, `${job.media?.still ? "Show" : "Play"}${of}`);
      play.addEventListener("click", () => this.all.play(this.job, result, name));
      return serverOptions.isPlayable(result.mime) ? [play, link] : [link];
    });
  }

  #stateButtons(job) {
    const patch = (paused) => () => request("PATCH", this.path, { json: { paused } });
    const actions = {
      queued: [["Pause", patch(true)], ["Cancel", () => request("DELETE", `${this.path}?keep=true`)]],
      running: [["Pause", patch(true)], ["Cancel", () => request("DELETE", `${this.path}?keep=true`)]],
      paused: [["Resume", patch(false)], ["Cancel", () => request("DELETE", `${this.path}?keep=true`)]],
      failed: [["Try again", () => request("POST", `${this.path}/retry`)]],
    }[job.state] ?? [];
    const canPick = FINAL.includes(job.state) && job.upload && serverOptions.understands("point");
    if (canPick) actions.push([PICKING.again, async () => this.all.pick(this.job), PICKING.againTip]);
    if (FINAL.includes(job.state)) actions.push(["Remove", () => request("DELETE", this.path)]);
    return actions.map((action) => this.#button(...action));
  }

  #button(words, act, title = "") {
    const button = make("button", { type: "button", className: "quiet", title }, words);
    button.addEventListener("click", async () => {
      button.disabled = true;
      write(this.note, "");
      try {
        await act();
      } catch (error) {
        button.disabled = false;
        write(this.note, sentence(error.message));
      }
    });
    return button;
  }
}
