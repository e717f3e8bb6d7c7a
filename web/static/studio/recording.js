// Records the server's video, as received, to a file. A new connection starts a new file.

import { find, write } from "../shared/dom.js";
import { TOOLS } from "../shared/words.js";
import { fileName, press, save } from "./tools.js";

// H.264 first: it keeps the colours' tags. Chromium's VP9 tags what it gets as H.264 wrongly (6 levels off on average).
const TYPES = ["video/mp4;codecs=avc1.42E01F", "video/webm;codecs=h264", "video/webm;codecs=vp9", "video/webm"];
const CHUNK_MS = 1000; // browsers may store chunks on disk
const RATE_BPS = 8_000_000;

export class Recording {
  constructor({ live, note }) {
    Object.assign(this, { live, note });
    this.recorder = null;
    this.on = false;
    find("tool-record").addEventListener("click", () => (this.on ? this.stop() : this.#begin()));
    setInterval(() => this.#showTime(), 500);
  }

  /** Another connection shows the video now. */
  follow(video) {
    if (!this.on || this.recorder?.stream === video.srcObject) return;
    this.#end();
    this.#start(video);
  }

  stop() {
    this.on = false;
    this.#end();
    this.#showTime();
  }

  #begin() {
    const video = this.live()?.shown;
    if (!video?.srcObject) return;
    this.on = true;
    this.beganMs = performance.now();
    this.#start(video);
    this.#showTime();
  }

  #end() {
    if (this.recorder && this.recorder.state !== "inactive") this.recorder.stop();
    this.recorder = null;
  }

  #start(video) {
    const mimeType = TYPES.find((type) => globalThis.MediaRecorder?.isTypeSupported(type));
    if (!mimeType) { this.on = false; this.note(TOOLS.noRecorder); return; }
    const recorder = new MediaRecorder(video.srcObject, { mimeType, videoBitsPerSecond: RATE_BPS });
    const chunks = [];
    const name = fileName(mimeType.includes("mp4") ? "mp4" : "webm");
    recorder.addEventListener("dataavailable", ({ data }) => { if (data.size) chunks.push(data); });
    recorder.addEventListener("stop", () => {
      if (this.recorder === recorder) this.recorder = null; // its track ended; `follow` starts the next
      if (!chunks.length) return;
      save(new Blob(chunks, { type: mimeType }), name);
      this.note(TOOLS.saved(name));
    });
    recorder.start(CHUNK_MS);
    this.recorder = recorder;
  }

  #showTime() {
    const { on } = this;
    const button = find("tool-record");
    if (button.getAttribute("aria-pressed") !== String(on)) {
      press("tool-record", on);
      button.setAttribute("aria-label", on ? TOOLS.stopRecording : TOOLS.record);
      find("recording").hidden = !on;
    }
    if (!on) return;
    const seconds = Math.floor((performance.now() - this.beganMs) / 1000);
    write(find("recording").querySelector("span"), `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`);
  }
}
