// This device's microphone: closed until the user switches it on, and again as soon as it is switched off.

import { find, write } from "../shared/dom.js";
import { MICROPHONE } from "../shared/words.js";
import { Level } from "./level.js";

const SILENT = 0.05; // a level, 0 to 1; a connected microphone in a quiet room is above it
const SILENT_MS = 6000;
const ERRORS = { NotAllowedError: "refused", SecurityError: "refused", NotReadableError: "busy", AbortError: "busy" };

export class Microphone {
  /** devices: the choice. changed(track): send this track from now on; null: send no sound. note(text): shows a message. */
  constructor({ devices, changed, note }) {
    Object.assign(this, { devices, changed, note, track: null, wanted: false });
    this.button = find("tool-microphone");
    this.level = new Level((level) => this.#heard(level));
    this.button.addEventListener("click", () => this.switch(!this.wanted));
    devices.addEventListener("microphone", () => { if (this.wanted) this.#open(); });
    this.#show();
  }

  /** Whether it can be switched on: only while the camera is open. */
  enable(enabled) {
    this.button.disabled = !enabled;
    if (!enabled) this.switch(false);
  }

  switch(on) {
    this.wanted = on;
    if (on) this.#open();
    else this.#use(null);
    this.#show();
  }

  async #open(device = this.devices.id("microphone")) {
    const attempt = (this.attempt = {});
    const isCurrent = () => this.wanted && this.attempt === attempt;
    try {
      const track = await this.#request(device);
      if (isCurrent()) this.#use(track);
      else track.stop();
    } catch (error) {
      if (!isCurrent()) return;
      if (this.track) this.devices.refresh(); // the old one stays in use
      else this.switch(false);
      this.note(MICROPHONE[ERRORS[error.name] ?? "none"]);
    }
  }

  /** Open the device; another one where it is away. */
  async #request(device) {
    if (!navigator.mediaDevices?.getUserMedia) throw new DOMException("", "SecurityError");
    const audio = this.devices.constraints("microphone", device);
    try {
      return (await navigator.mediaDevices.getUserMedia({ audio, video: false })).getAudioTracks()[0];
    } catch (error) {
      if (device && ["OverconstrainedError", "NotFoundError"].includes(error.name)) return this.#request("");
      throw error;
    }
  }

  /** Send this track from now on, and close the one before it. */
  #use(track) {
    const old = this.track;
    this.track = track;
    this.loudMs = performance.now();
    this.changed(track);
    old?.stop();
    this.level.follow(track);
    this.devices.use("microphone", track);
    track?.addEventListener("ended", () => this.#fallBack(track));
    this.#show();
  }

  /** The microphone is gone: use another one, or switch off. */
  async #fallBack(old) {
    if (this.track !== old) return;
    const id = old.getSettings().deviceId;
    this.#use(null);
    await this.devices.refresh();
    const [other] = this.devices.others("microphone", id);
    if (!this.wanted) return;
    if (other) await this.#open(other.deviceId);
    else this.switch(false);
    this.note(this.track ? MICROPHONE.moved(old.label, this.track.label) : MICROPHONE.lost(old.label));
  }

  /** level: 0 to 1; null: unknown. */
  #heard(level) {
    this.devices.showLevel(level ?? 0);
    this.button.style.setProperty("--level", level ?? 0);
    if (level === null || level > SILENT || !this.track) this.loudMs = performance.now();
    else if (performance.now() - this.loudMs > SILENT_MS) {
      this.note(MICROPHONE.silent(this.track.label));
      this.loudMs = Infinity; // shown once
    }
  }

  #show() {
    const on = Boolean(this.track);
    this.button.setAttribute("aria-checked", String(on));
    write(this.button.querySelector(".state"), on ? MICROPHONE.on : this.wanted ? MICROPHONE.asking : MICROPHONE.off);
    this.button.querySelector("use").setAttribute("href", on ? "#i-microphone" : "#i-microphone-off");
  }
}
