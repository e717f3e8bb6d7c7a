// One picture that stays: connects, watches that frames keep coming, and connects again by itself when they stop.
// Knows nothing about cameras or pages. What is shown is only ever what the server sent.

import { Refusal } from "./api.js";
import { pause } from "./dom.js";

// Without a new frame for so long, the picture is lost: longer where pictures come less often than that, which is learnt
// from those that came, and from vain attempts.
const STALL_MS = 700;
const FIRST_FRAME_MS = 8000;
const LONGEST_MS = 10_000; // between two pictures of the slowest engine
const CALM_MS = 60_000;
const GATHER_MS = 1000;
const WHY_MS = 250;
const SLEPT_MS = 2500; // a timer this late means the computer slept or the tab was held back
const BACKOFF_MS = [250, 500, 1000, 2000, 3000];
const FATAL = [400, 401, 403, 406, 409, 413, 415, 422];

export class Live {
  /**
   * stage: element with two videos and a canvas. track: what to send, or null to view only.
   * place(sdp, old): sends the offer in place of the session `old`, gives { id, sdp } back. leave(id): ends it.
   * why(id): the name of the state that says why a session's picture stopped; it is not waited for long.
   * onState(name, extra): what to tell the user. onShow(video): another element shows the picture from now on.
   * iceServers(): as RTCPeerConnection takes them. heldMs(): for so long the server holds pictures back by itself.
   */
  constructor({ stage, track = null, place, leave, onState, onShow = () => {}, why = async () => "reconnecting", iceServers,
    heldMs = () => 0 }) {
    Object.assign(this, { stage, track, place, leave, onState, onShow, why, iceServers, heldMs });
    this.videos = [...stage.querySelectorAll("video")];
    this.videos.forEach((video) => video.addEventListener("resize", () => video === this.shown && this.#fit(video)));
    this.canvas = stage.querySelector("canvas");
    this.id = null;
    this.connection = null;
    this.running = false;
    this.reconnects = 0;
    this.gapMs = 0; // between pictures of late
    this.vain = 0; // connections given up in a row because no picture came
    this.vainMs = -CALM_MS;
  }

  /** Connect, and stay connected until `stop`. */
  async run() {
    this.running = true;
    let failures = 0;
    this.state("connecting");
    while (this.running) {
      try {
        await this.#connect();
        failures = 0;
        const why = await this.#watch();
        if (!this.running) return;
        this.reconnects += 1;
        this.#hold();
        this.state(why === "reconnecting" ? await this.#reason() : why);
      } catch (error) {
        if (!this.running) return;
        if (error instanceof Refusal && FATAL.includes(error.status)) {
          await this.stop();
          this.onState(error.status === 401 || error.status === 403 ? "denied" : "unsupported", `(${error.message})`);
          return;
        }
        await this.#wait(error, failures++);
      }
    }
  }

  async stop() {
    this.running = false;
    this.#close();
    this.videos.forEach((video) => { video.srcObject = null; video.classList.remove("shown"); });
    this.canvas.classList.remove("shown");
    this.stage.parentElement.style.removeProperty("--ratio");
    const id = this.id;
    this.id = null;
    if (id) await this.leave(id).catch(() => {});
  }

  /** Someone learnt that the server gave the session up: no need to wait for frames to fail. */
  lost(why) {
    this.verdict ??= why;
    if (this.stage.dataset.state === "reconnecting") this.state(why); // the frames failed first, now it is known why
  }

  /** The element that shows the picture, or null while there is none. */
  get shown() { return this.videos.find((video) => video.classList.contains("shown")) ?? null; }

  /** Inbound and outbound statistics of the video and those of the way it takes, or nulls. */
  async stats() {
    const found = { in: null, out: null, pair: null };
    if (!this.connection) return found;
    for (const report of (await this.connection.getStats()).values()) {
      if (report.type === "candidate-pair" && report.nominated && report.state === "succeeded") found.pair = report;
      if (report.kind !== "video") continue;
      if (report.type === "inbound-rtp") found.in = report;
      if (report.type === "outbound-rtp") found.out = report;
    }
    return found;
  }

  state(name, extra) {
    if (!this.running) return; // it was stopped meanwhile, and that was said
    this.stage.dataset.state = name;
    this.onState(name, extra);
  }

  async #connect() {
    this.#close();
    this.verdict = undefined;
    const connection = new RTCPeerConnection({ iceServers: await this.iceServers(), bundlePolicy: "max-bundle" });
    this.connection = connection;
    const transceiver = this.#transceiver(connection);
    const video = this.videos.find((v) => !v.classList.contains("shown"));
    connection.addEventListener("track", (event) => {
      if ("jitterBufferTarget" in event.receiver) event.receiver.jitterBufferTarget = 0;
      video.srcObject ??= new MediaStream();
      video.srcObject.addTrack(event.track);
      video.play().catch(() => { video.muted = true; return video.play(); }).catch(() => {});
    });
    video.srcObject = null;
    preferH264(transceiver);
    await connection.setLocalDescription();
    await gathered(connection);
    const answer = await this.place(connection.localDescription.sdp, this.id);
    if (!this.running) { this.leave(answer.id).catch(() => {}); return; }
    this.id = answer.id;
    await connection.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    await this.#firstFrame(video);
    this.#show(video);
  }

  #transceiver(connection) {
    if (!this.track) {
      connection.addTransceiver("audio", { direction: "recvonly" });
      return connection.addTransceiver("video", { direction: "recvonly" });
    }
    return connection.addTransceiver(this.track, {
      direction: "sendrecv",
      streams: [new MediaStream([this.track])],
      sendEncodings: [{ maxBitrate: 4_000_000, maxFramerate: 30 }],
    });
  }

  async #firstFrame(video) {
    const ends = performance.now() + FIRST_FRAME_MS * 2 ** this.vain;
    let frames = 0;
    video.requestVideoFrameCallback(() => { frames = 1; });
    while (this.running && !frames) {
      if (document.hidden) frames = (await this.stats()).in?.framesDecoded || 0; // nothing is drawn in a hidden tab
      const late = performance.now() > ends;
      if (late) this.#gaveUp();
      if (late || this.connection.connectionState === "failed") throw new Error("no picture came");
      await pause(20);
    }
  }

  /** The new picture in place of the old one, or of the frame that was held. */
  #show(video) {
    this.canvas.classList.remove("shown");
    this.#fit(video);
    for (const other of this.videos) {
      other.classList.toggle("shown", other === video);
      if (other !== video) other.srcObject = null;
    }
    this.lastFrameMs = performance.now();
    this.state("live");
    this.onShow(video);
    const next = () => {
      if (!video.classList.contains("shown")) return;
      this.#seen();
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  }

  /** What is around the picture takes its shape, also when that changes: side by side is twice as wide. */
  #fit(video) {
    if (video.videoWidth) this.stage.parentElement.style.setProperty("--ratio", video.videoWidth / video.videoHeight);
  }

  #seen() {
    const now = performance.now();
    this.gapMs = Math.min(LONGEST_MS, Math.max(now - this.lastFrameMs, 0.9 * this.gapMs));
    this.lastFrameMs = now;
  }

  #patienceMs() {
    if (performance.now() - this.vainMs > CALM_MS) this.vain = 0;
    return (document.hidden ? 3 : 1) * Math.max((STALL_MS + this.heldMs()) * 2 ** this.vain, 3 * this.gapMs);
  }

  #gaveUp() {
    this.vain = Math.min(3, this.vain + 1);
    this.vainMs = performance.now();
  }

  /** Resolves with the reason when the picture is lost. */
  async #watch() {
    let decoded = 0;
    let tickMs = performance.now();
    while (this.running && !this.verdict) {
      await pause(100);
      const now = performance.now();
      const count = (await this.stats()).in?.framesDecoded || 0;
      if (now - tickMs > SLEPT_MS) this.lastFrameMs = now;
      else if (count !== decoded) this.#seen();
      decoded = count;
      tickMs = now;
      if (this.connection?.connectionState === "failed") return "reconnecting";
      const silent = this.track?.muted === true;
      if (silent) this.state("cameraSilent");
      if (now - this.lastFrameMs > this.#patienceMs() && !silent) {
        this.#gaveUp();
        return "reconnecting";
      }
      if (!silent && now - this.lastFrameMs < 200) this.state("live");
    }
    return this.verdict || "reconnecting";
  }

  #reason() {
    const late = pause(WHY_MS).then(() => "reconnecting");
    return Promise.race([this.why(this.id).catch(() => late), late]);
  }

  /** Keep showing the last frame while there is none. */
  #hold() {
    const video = this.shown;
    if (!video || !video.videoWidth) return;
    this.canvas.width = video.videoWidth;
    this.canvas.height = video.videoHeight;
    this.canvas.getContext("2d").drawImage(video, 0, 0);
    this.canvas.classList.add("shown");
    video.classList.remove("shown");
  }

  async #wait(error, failures) {
    const delay = BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)];
    if (!(error instanceof Refusal)) {
      this.state(error instanceof TypeError ? "unreachable" : "reconnecting");
      await pause(delay);
      return;
    }
    const names = { 404: "notLive", 429: "full", 503: "full" };
    for (let left = Math.max(1, error.retryS); left > 0 && this.running; left--) {
      this.state(names[error.status] || "unreachable", `in ${left} s.`);
      await pause(1000);
    }
  }

  #close() {
    this.connection?.close();
    this.connection = null;
  }
}

/** H.264 first: what most machines decode in hardware, and what the server encodes best. */
export function preferH264(transceiver) {
  const codecs = RTCRtpReceiver.getCapabilities("video")?.codecs ?? [];
  const rank = (codec) => (codec.mimeType === "video/H264" ? 0 : codec.mimeType === "video/VP8" ? 1 : 2);
  const sorted = codecs.map((c, i) => [rank(c), i, c]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map((e) => e[2]);
  if (sorted.length && transceiver.setCodecPreferences) transceiver.setCodecPreferences(sorted);
}

/** Candidates travel in the offer; a slow server of candidates is not waited for. */
export function gathered(connection) {
  if (connection.iceGatheringState === "complete") return undefined;
  const complete = new Promise((resolve) => {
    connection.addEventListener("icegatheringstatechange", () => {
      if (connection.iceGatheringState === "complete") resolve();
    });
  });
  return Promise.race([complete, pause(GATHER_MS)]);
}
