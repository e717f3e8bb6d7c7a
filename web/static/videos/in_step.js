// Two videos that play in step: the source, muted, follows the result. Knows nothing about the page.

import { clockStart } from "./clock_start.js";

const JUMP_S = 0.3; // a larger drift is corrected by seeking, a smaller one by playing slightly faster or slower
const DRIFT_S = 0.02;
const GAIN = 0.5; // of the rate, per second of drift
const RATE = 0.1; // the most by which the rate may differ

/** What to do about a drift, in seconds, of a video behind another one that plays at `rate`: {seek} or {rate}. */
export function correction(drift, rate, playing) {
  if (Math.abs(drift) > JUMP_S || (!playing && Math.abs(drift) > DRIFT_S)) return { seek: true };
  if (Math.abs(drift) <= DRIFT_S) return { rate };
  return { rate: rate * (1 + Math.max(-RATE, Math.min(RATE, drift * GAIN))) };
}

export class InStep {
  /** leader: the result. follower: its source. startS: the time of the source at which the result begins. */
  constructor(leader, follower, startS) {
    Object.assign(this, { leader, follower, startS, originS: null, stopped: new AbortController() });
    const { signal } = this.stopped;
    for (const type of ["play", "pause", "seeking", "seeked", "ratechange", "timeupdate"]) {
      leader.addEventListener(type, () => this.#follow(), { signal });
    }
    follower.addEventListener("loadeddata", () => this.#begin(), { signal, once: true });
    follower.addEventListener("canplay", () => this.#follow(), { signal });
    this.#tick();
  }

  /** The drift of the follower in seconds; positive if it is behind. */
  get drift() { return this.#target() - this.follower.currentTime; }

  stop() {
    this.stopped.abort();
    this.follower.pause();
  }

  #target() {
    const end = Number.isFinite(this.follower.duration) ? this.follower.duration : Infinity;
    return Math.min(end, this.originS + this.startS + this.leader.currentTime);
  }

  /** Before the first seek, the follower's position is the start of its clock. */
  #begin() {
    this.originS = clockStart(this.follower);
    this.#follow();
  }

  #tick() {
    if (this.stopped.signal.aborted) return;
    this.#follow();
    setTimeout(() => this.#tick(), 200);
  }

  #follow() {
    const { leader, follower } = this;
    const playing = !leader.paused && !leader.seeking && leader.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA;
    if (this.originS === null) {
      if (playing && follower.readyState >= HTMLMediaElement.HAVE_METADATA) follower.play().catch(() => {}); // loads data
      return;
    }
    if (follower.readyState < HTMLMediaElement.HAVE_METADATA || follower.seeking) return;
    const { seek, rate } = correction(this.drift, leader.playbackRate, playing);
    if (seek) follower.currentTime = this.#target();
    follower.playbackRate = rate ?? leader.playbackRate;
    if (playing && follower.paused && !follower.ended) follower.play().catch(() => {});
    if (!playing && !follower.paused) follower.pause();
  }
}
