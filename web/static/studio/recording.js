// Records what the server sent, as it came, to a file. A connection that is made anew begins a new file.

import { find, write } from "../shared/dom.js";
import { TOOLS } from "../shared/words.js";
import { fileName, press, save } from "./tools.js";

const KINDS = ["video/mp4;codecs=avc1.42E01F", "video/webm;codecs=vp9", "video/webm"];
const PIECE_MS = 1000; // browsers keep the pieces on the disk
const RATE_BPS = 8_000_000;

export class Recording {
  constructor({ live, note }) {
    Object.assign(this, { live, note });
    this.recorder = null;
    this.wanted = false;
    find("tool-record").addEventListener("click", () => (this.wanted ? this.stop() : this.#begin()));
    setInterval(() => this.#tell(), 500);
  }

  /** Another connection shows the picture now. */
  follow(video) {
    if (!this.wanted || this.recorder?.stream === video.srcObject) return;
    this.#end();
    this.#start(video);
  }

  stop() {
    this.wanted = false;
    this.#end();
    this.#tell();
  }

  #begin() {
    const video = this.live()?.shown;
    if (!video?.srcObject) return;
    this.wanted = true;
    this.beganMs = performance.now();
    this.#start(video);
    this.#tell();
  }

  #end() {
    if (this.recorder && this.recorder.state !== "inactive") this.recorder.stop();
    this.recorder = null;
  }

  #start(video) {
    const mimeType = KINDS.find((kind) => globalThis.MediaRecorder?.isTypeSupported(kind));
    if (!mimeType) { this.wanted = false; this.note(TOOLS.noRecorder); return; }
    const recorder = new MediaRecorder(video.srcObject, { mimeType, videoBitsPerSecond: RATE_BPS });
    const pieces = [];
    const name = fileName(mimeType.includes("mp4") ? "mp4" : "webm");
    recorder.addEventListener("dataavailable", ({ data }) => { if (data.size) pieces.push(data); });
    recorder.addEventListener("stop", () => {
      if (this.recorder === recorder) this.recorder = null; // its track ended; the next one is waited for
      if (!pieces.length) return;
      save(new Blob(pieces, { type: mimeType }), name);
      this.note(TOOLS.saved(name));
    });
    recorder.start(PIECE_MS);
    this.recorder = recorder;
  }

  #tell() {
    const on = this.wanted;
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
