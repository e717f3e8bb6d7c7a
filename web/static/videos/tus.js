// Uploads that go on where they were cut off: a client of tus 1.0 for our own server. Knows nothing of the page.

import { keep, pause, read } from "../shared/dom.js";

const PATH = "/api/uploads";
const VERSION = { "Tus-Resumable": "1.0.0" };
const PIECE = 32 * 2 ** 20; // bytes in a request: what is lost at most when a browser sends nothing of a broken one
const KEY = "mattebox.uploads";
const PATIENCE_MS = [500, 1000, 2000, 4000, 8000];
const GONE = [403, 404, 410];

export class UploadError extends Error {
  constructor(status, problem) {
    super(problem.detail || `the server answered ${status}`);
    this.status = status;
  }
}

const fingerprint = (file) => [file.name, file.size, file.lastModified].join("|");

/** {address: {name, size, fingerprint}} of uploads that were begun here and may be gone on with. */
export const remembered = () => read(KEY, {});

export function forget(address) {
  const { [address]: _, ...others } = remembered();
  keep(KEY, others);
}

export class Upload extends EventTarget {
  /** Events: `progress` whenever `sent` has changed, `trouble` with .waiting while the server cannot be reached. */
  constructor(file) {
    super();
    Object.assign(this, { file, sent: 0, address: "", stopped: false, waiting: false });
  }

  get id() { return this.address.split("/").pop(); }

  /** Resolves when all has come; rejects with UploadError where the server refuses. */
  async run() {
    for (let tries = 0; !this.stopped;) {
      try {
        if (!this.address) await this.#begin();
        else this.#tell(await this.#ask());
        do { // once at least: what had all come may have been cut off before the server looked at it
          this.#tell(await this.#send());
          tries = 0;
        } while (this.sent < this.file.size && !this.stopped);
        return;
      } catch (error) {
        if (this.stopped) return;
        if (GONE.includes(error.status) && this.address) { forget(this.address); this.address = ""; continue; }
        const fleeting = error.status === undefined || error.status >= 500 || [408, 409, 423, 429].includes(error.status);
        if (!fleeting || error.status === 507) throw error;
        this.#wait(true);
        await pause(PATIENCE_MS[Math.min(tries++, PATIENCE_MS.length - 1)]);
      }
    }
  }

  stop() {
    this.stopped = true;
    this.request?.abort();
  }

  /** Stop, and have the server forget what has come. */
  async cancel() {
    this.stop();
    if (!this.address) return;
    forget(this.address);
    for (let tries = 0; tries < 5; tries++) {
      const answer = await fetch(this.address, { method: "DELETE", headers: VERSION }).catch(() => null);
      if (answer && answer.status !== 423) return; // 423: our own last request is still being ended
      await pause(500);
    }
  }

  async #begin() {
    const known = Object.entries(remembered()).find(([, upload]) => upload.fingerprint === fingerprint(this.file));
    if (known) {
      [this.address] = known;
      this.#tell(await this.#ask());
      return;
    }
    const name = btoa(String.fromCodePoint(...new TextEncoder().encode(this.file.name)));
    const headers = { ...VERSION, "Upload-Length": this.file.size, "Upload-Metadata": `filename ${name}` };
    const answer = await fetch(PATH, { method: "POST", headers });
    if (!answer.ok) throw new UploadError(answer.status, await answer.json().catch(() => ({})));
    this.address = answer.headers.get("Location");
    keep(KEY, { ...remembered(), [this.address]: { name: this.file.name, size: this.file.size, fingerprint: fingerprint(this.file) } });
    this.#tell(0);
  }

  async #ask() {
    const answer = await fetch(this.address, { method: "HEAD", headers: VERSION, cache: "no-store" });
    if (!answer.ok) throw new UploadError(answer.status, {});
    return Number(answer.headers.get("Upload-Offset"));
  }

  /** By XMLHttpRequest, for fetch tells nothing of how much has gone. */
  #send() {
    const from = this.sent;
    return new Promise((resolve, reject) => {
      const request = this.request = new XMLHttpRequest();
      request.open("PATCH", this.address);
      const headers = { ...VERSION, "Upload-Offset": from, "Content-Type": "application/offset+octet-stream" };
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      request.upload.onprogress = ({ loaded }) => this.#tell(from + loaded);
      request.onerror = () => reject(new TypeError("the server cannot be reached"));
      request.onabort = () => reject(new TypeError("stopped"));
      request.onload = () => {
        if (request.status === 204) { resolve(Number(request.getResponseHeader("Upload-Offset"))); return; }
        let problem = {};
        try { problem = JSON.parse(request.responseText); } catch { /* not ours */ }
        reject(new UploadError(request.status, problem));
      };
      request.send(this.file.slice(from, from + PIECE));
    });
  }

  #tell(sent) {
    this.sent = sent;
    this.#wait(false);
    this.dispatchEvent(new Event("progress"));
  }

  #wait(waiting) {
    if (this.waiting === waiting) return;
    this.waiting = waiting;
    this.dispatchEvent(new Event("trouble"));
  }
}
