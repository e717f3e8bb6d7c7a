// Tools for the video: mirror, picture-in-picture, full screen, snapshot.

import { find, keep, read } from "../shared/dom.js";
import { TOOLS } from "../shared/words.js";

const MIRROR = "mattebox.mirror";

export class Tools {
  /** live(): the connection, or null. note(text): shows a message to the user. */
  constructor({ live, note }) {
    Object.assign(this, { live, note });
    this.theatre = find("theatre");
    find("tool-mirror").addEventListener("click", () => this.#mirror(!this.mirrored));
    find("tool-pip").addEventListener("click", () => this.#togglePictureInPicture());
    find("tool-full").addEventListener("click", () => this.#toggleFullscreen());
    find("tool-snapshot").addEventListener("click", () => this.snapshot());
    find("tool-pip").hidden = !document.pictureInPictureEnabled;
    find("tool-full").hidden = !document.fullscreenEnabled;
    document.addEventListener("fullscreenchange", () => press("tool-full", Boolean(document.fullscreenElement)));
    this.#mirror(read(MIRROR, false));
  }

  /** Enable or disable the tools that need a video. */
  enable(enabled) {
    for (const name of ["pip", "snapshot", "record"]) find(`tool-${name}`).disabled = !enabled;
  }

  /** Keep picture-in-picture when a new connection uses another element. */
  follow(video) {
    if (document.pictureInPictureElement && document.pictureInPictureElement !== video) video.requestPictureInPicture().catch(() => {});
  }

  /** Save the newest frame, as received and not mirrored, as a PNG. */
  async snapshot() {
    const video = this.live()?.shown;
    if (!video) return;
    const canvas = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    const name = fileName("png");
    save(await new Promise((done) => { canvas.toBlob(done, "image/png"); }), name);
    this.note(TOOLS.saved(name));
  }

  #mirror(on) {
    this.mirrored = on;
    this.theatre.classList.toggle("mirrored", on);
    press("tool-mirror", on);
    keep(MIRROR, on);
  }

  async #togglePictureInPicture() {
    if (document.pictureInPictureElement) await document.exitPictureInPicture();
    else await this.live()?.shown?.requestPictureInPicture().catch(() => this.note(TOOLS.noPictureInPicture));
  }

  async #toggleFullscreen() {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await this.theatre.requestFullscreen().catch(() => {});
  }
}

export function press(id, pressed) { find(id).setAttribute("aria-pressed", String(pressed)); }

/** A file name with the current time: "mattebox 2025-01-31 09.05.00.png". */
export function fileName(extension) {
  const two = (n) => String(n).padStart(2, "0");
  const now = new Date();
  const day = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join("-");
  return `mattebox ${day} ${two(now.getHours())}.${two(now.getMinutes())}.${two(now.getSeconds())}.${extension}`;
}

/** Download the blob as a file. */
export function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
