// Resumable uploads: a tus 1.0 client for our own server. Knows nothing about the page.

import { keep, pause, read } from "../shared/dom.js";

const PATH = "/api/uploads";
const VERSION = { "Tus-Resumable": "1.0.0" };
const CHUNK = 32 * 2 ** 20; // bytes per request, and the most that an interruption can lose
export const KEY = "mattebox.uploads"; // in local storage
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
export const GONE = [403, 404, 410]; // statuses of an upload that no longer exists

export class UploadError extends Error {
  constructor(status, problem) {
    super(problem.detail || `the server answered ${status}`);
    this.status = status;
  }
}

export const fingerprint = (file) => [file.name, file.size, file.lastModified].join("|");

/** {address: {name, size, fingerprint}} of uploads from this browser that can be resumed. */
export const remembered = () => read(KEY, {});

export function forget(address) {
  const { [address]: _, ...others } = remembered();
  keep(KEY, others);
}

/** Remember more about an upload. */
export function annotate(address, fields) {
  const { [address]: known } = remembered();
  if (known) keep(KEY, { ...remembered(), [address]: { ...known, ...fields } });
}

/** Remove an upload from the server. */
export async function discard(address) {
  forget(address);
  for (let tries = 0; tries < 5; tries++) {
    const answer = await fetch(address, { method: "DELETE", headers: VERSION }).catch(() => null);
    if (answer && answer.status !== 423) return; // 423: the server has not noticed yet that our last request was aborted
    await pause(500);
  }
}

// Only on secure pages; on others, two tabs that send the same file take turns by the server's refusals.
const locks = navigator.locks;

/** Whether another tab is sending the upload. */
export async function isSentElsewhere(address) {
  const { held = [] } = (await locks?.query()) ?? {};
  return held.some(({ name }) => name === address);
}

/** Resolves when no other tab is sending the upload; `work` runs meanwhile here. */
export const exclusively = (address, work) => (locks ? locks.request(address, work) : work());

export class Upload extends EventTarget {
  /** Events: `progress` when `sent` has changed; `trouble` when `waiting` has: whether the server is unreachable, or
   * `elsewhere`: whether it waits for another tab that is sending the same file. */
  constructor(file) {
    super();
    Object.assign(this, { file, sent: 0, address: "", stopped: false, waiting: false, elsewhere: false });
  }

  get id() { return this.address.split("/").pop(); }

  /** Resolves when the upload is complete or stopped; rejects with UploadError if the server refuses it. */
  async run() {
    for (let tries = 0; !this.stopped;) {
      try {
        if (!this.address) await this.#begin();
        this.elsewhere = await isSentElsewhere(this.address);
        this.dispatchEvent(new Event("trouble"));
        await exclusively(this.address, async () => {
          this.elsewhere = false;
          if (this.stopped) return;
          this.#setSent(await this.#offset());
          do { // at least once: a complete upload may have been interrupted before the server probed it
            this.#setSent(await this.#send());
            tries = 0;
          } while (this.sent < this.file.size && !this.stopped);
        });
        return;
      } catch (error) {
        if (this.stopped) return;
        if (GONE.includes(error.status) && this.address) { forget(this.address); this.address = ""; continue; }
        const temporary = error.status === undefined || error.status >= 500 || [408, 409, 423, 429].includes(error.status);
        if (!temporary || error.status === 507) throw error;
        this.#setWaiting(true);
        await pause(RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]);
      }
    }
  }

  stop() {
    this.stopped = true;
    this.request?.abort();
  }

  /** Stop, and remove the upload from the server. */
  async cancel() {
    this.stop();
    if (this.address) await discard(this.address);
  }

  async #begin() {
    const known = Object.entries(remembered()).find(([, upload]) => upload.fingerprint === fingerprint(this.file));
    if (known) {
      [this.address] = known;
      return;
    }
    const name = btoa(String.fromCodePoint(...new TextEncoder().encode(this.file.name)));
    const headers = { ...VERSION, "Upload-Length": this.file.size, "Upload-Metadata": `filename ${name}` };
    const answer = await fetch(PATH, { method: "POST", headers });
    if (!answer.ok) throw new UploadError(answer.status, await answer.json().catch(() => ({})));
    this.address = answer.headers.get("Location");
    keep(KEY, { ...remembered(), [this.address]: { name: this.file.name, size: this.file.size, fingerprint: fingerprint(this.file) } });
  }

  async #offset() {
    const answer = await fetch(this.address, { method: "HEAD", headers: VERSION, cache: "no-store" });
    if (!answer.ok) throw new UploadError(answer.status, {});
    return Number(answer.headers.get("Upload-Offset"));
  }

  /** Uses XMLHttpRequest, because fetch does not report upload progress. */
  #send() {
    const from = this.sent;
    return new Promise((resolve, reject) => {
      const request = this.request = new XMLHttpRequest();
      request.open("PATCH", this.address);
      const headers = { ...VERSION, "Upload-Offset": from, "Content-Type": "application/offset+octet-stream" };
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      request.upload.onprogress = ({ loaded }) => this.#setSent(from + loaded);
      request.onerror = () => reject(new TypeError("the server cannot be reached"));
      request.onabort = () => reject(new TypeError("stopped"));
      request.onload = () => {
        if (request.status === 204) { resolve(Number(request.getResponseHeader("Upload-Offset"))); return; }
        let problem = {};
        try { problem = JSON.parse(request.responseText); } catch { /* not from our server */ }
        reject(new UploadError(request.status, problem));
      };
      request.send(this.file.slice(from, from + CHUNK));
    });
  }

  #setSent(sent) {
    this.sent = sent;
    this.#setWaiting(false);
    this.dispatchEvent(new Event("progress"));
  }

  #setWaiting(waiting) {
    if (this.waiting === waiting) return;
    this.waiting = waiting;
    this.dispatchEvent(new Event("trouble"));
  }
}
