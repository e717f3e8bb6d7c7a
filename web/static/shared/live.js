// A live video connection that recovers by itself: it checks that frames keep arriving and reconnects when they stop.
// Knows nothing about cameras or pages. It shows only what the server sent.

import { Refusal } from "./api.js";
import { pause } from "./dom.js";
import { Sender } from "./sender.js";

// Without a new frame for this long, the video has stalled. The limit is raised for slower engines: it grows with the
// measured time between frames and with recent stalls.
const STALL_MS = 700;
const FIRST_FRAME_MS = 8000;
const LONGEST_GAP_MS = 10_000; // between two frames of the slowest engine
const STALL_MEMORY_MS = 60_000; // stalls count for this long
const GATHER_MS = 1000;
const REASON_MS = 250;
const SUSPENDED_MS = 2500; // a timer this late means that the computer slept or the browser throttled the tab
const BACKOFF_MS = [250, 500, 1000, 2000, 3000];
const FATAL = [400, 401, 403, 406, 409, 413, 415, 422];

export class Live extends Sender {
  /**
   * stage: element with two videos and a canvas. track: the camera's track to send, or null to view only. sound: the
   * microphone's track to send with it, or null.
   * place(sdp, old): sends an offer that replaces session `old`, and returns { id, sdp }. leave(id): ends the session.
   * reason(id): the name of the state that explains why a session's video stopped; waited for only briefly.
   * onState(name, extra): the state to show to the user. onShow(video): another element shows the video from now on.
   * iceServers(): in the format of RTCPeerConnection. delayMs(): how long the server buffers frames on purpose.
   * fit: give the stage the video's aspect ratio, which changes with the view: side by side is twice as wide.
   */
  constructor({ stage, track = null, sound = null, place, leave, onState, onShow = () => {},
    reason = async () => "reconnecting", iceServers, delayMs = () => 0, fit = true }) {
    super(track, sound);
    Object.assign(this, { stage, place, leave, onState, onShow, reason, iceServers, delayMs, fit });
    this.videos = [...stage.querySelectorAll("video")];
    this.videos.forEach((video) => video.addEventListener("resize", () => video === this.shown && this.#fit(video)));
    this.canvas = stage.querySelector("canvas");
    this.id = null;
    this.connection = null;
    this.running = false;
    this.connected = this.wasLive = false; // whether a connection was ever established, and has ever shown a frame
    this.reconnects = 0;
    this.gapMs = 0; // the longest gap between recent frames
    this.stalls = 0; // recent connections that were closed because no frame came
    this.lastStallMs = -STALL_MEMORY_MS;
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
        const reason = await this.#watch();
        if (!this.running) return;
        this.reconnects += 1;
        this.#freeze();
        this.state(reason === "reconnecting" ? await this.#askReason() : reason);
      } catch (error) {
        if (!this.running) return;
        if (error instanceof Refusal && FATAL.includes(error.status)) {
          await this.stop();
          this.onState(error.status === 401 || error.status === 403 ? "denied" : "unsupported", `(${error.message})`);
          return;
        }
        await this.#backOff(error, failures++);
      }
    }
  }

  async stop() {
    this.running = false;
    this.#close();
    this.videos.forEach((video) => { video.srcObject = null; video.classList.remove("shown"); });
    this.canvas.classList.remove("shown");
    if (this.fit) this.stage.parentElement.style.removeProperty("--ratio");
    const id = this.id;
    this.id = null;
    if (id) await this.leave(id).catch(() => {});
  }

  /** The server has ended the session: reconnect without waiting for frames to stop. */
  lost(reason) {
    this.endReason ??= reason;
    if (this.stage.dataset.state === "reconnecting") this.state(reason); // the frames stopped before the reason was known
  }

  /** Drop the last frame, which stays visible while the video is away. */
  forget() { this.canvas.classList.remove("shown"); }

  /** The element that shows the video, or null while there is none. */
  get shown() { return this.videos.find((video) => video.classList.contains("shown")) ?? null; }

  /** Statistics of the inbound and outbound video and of the candidate pair in use; null where there are none. */
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
    if (!this.running) return; // it was stopped meanwhile, and that state is shown already
    this.stage.dataset.state = name;
    this.onState(name, extra);
  }

  async #connect() {
    this.#close();
    this.endReason = undefined;
    const connection = new RTCPeerConnection({ iceServers: await this.iceServers(), bundlePolicy: "max-bundle" });
    this.connection = connection;
    connection.addEventListener("connectionstatechange", () => {
      this.connected ||= connection.connectionState === "connected";
    });
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
    return this.plugInto(connection, "sendrecv");
  }

  async #firstFrame(video) {
    const deadline = performance.now() + FIRST_FRAME_MS * 2 ** this.stalls;
    let frames = 0;
    video.requestVideoFrameCallback(() => { frames = 1; });
    while (this.running && !frames) {
      if (document.hidden) frames = (await this.stats()).in?.framesDecoded || 0; // hidden tabs get no frame callbacks
      const late = performance.now() > deadline;
      if (late) this.#countStall();
      if (late || this.connection.connectionState === "failed") throw new Error("no frame arrived");
      await pause(20);
    }
  }

  /** Show the new video in place of the old one or of the frozen frame. */
  #show(video) {
    this.canvas.classList.remove("shown");
    this.#fit(video);
    for (const other of this.videos) {
      other.classList.toggle("shown", other === video);
      if (other !== video) other.srcObject = null;
    }
    this.lastFrameMs = performance.now();
    this.wasLive = true;
    this.state("live");
    this.onShow(video);
    const next = () => {
      if (!video.classList.contains("shown")) return;
      this.#frameArrived();
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  }

  #fit(video) {
    if (this.fit && video.videoWidth) this.stage.parentElement.style.setProperty("--ratio", video.videoWidth / video.videoHeight);
  }

  #frameArrived() {
    const now = performance.now();
    this.gapMs = Math.min(LONGEST_GAP_MS, Math.max(now - this.lastFrameMs, 0.9 * this.gapMs));
    this.lastFrameMs = now;
  }

  #stallLimitMs() {
    if (performance.now() - this.lastStallMs > STALL_MEMORY_MS) this.stalls = 0;
    return (document.hidden ? 3 : 1) * Math.max((STALL_MS + this.delayMs()) * 2 ** this.stalls, 3 * this.gapMs);
  }

  #countStall() {
    this.stalls = Math.min(3, this.stalls + 1);
    this.lastStallMs = performance.now();
  }

  /** Resolves with the name of the state to show when the video has stopped. */
  async #watch() {
    let decoded = 0;
    let tickMs = performance.now();
    while (this.running && !this.endReason) {
      await pause(100);
      const now = performance.now();
      const count = (await this.stats()).in?.framesDecoded || 0;
      if (now - tickMs > SUSPENDED_MS) this.lastFrameMs = now;
      else if (count !== decoded) this.#frameArrived();
      decoded = count;
      tickMs = now;
      if (this.connection?.connectionState === "failed") return "reconnecting";
      const silent = Boolean(this.track) && (this.track.muted || this.track.readyState === "ended");
      if (silent) {
        this.state("cameraSilent");
        this.lastFrameMs = now;
      }
      if (now - this.lastFrameMs > this.#stallLimitMs() && !silent) {
        this.#countStall();
        return "reconnecting";
      }
      if (!silent && now - this.lastFrameMs < 200) this.state("live");
    }
    return this.endReason || "reconnecting";
  }

  #askReason() {
    const late = pause(REASON_MS).then(() => "reconnecting");
    return Promise.race([this.reason(this.id).catch(() => late), late]);
  }

  /** Keep the last frame on the canvas until the next video is shown. */
  #freeze() {
    const video = this.shown;
    if (!video || !video.videoWidth) return;
    this.canvas.width = video.videoWidth;
    this.canvas.height = video.videoHeight;
    this.canvas.getContext("2d").drawImage(video, 0, 0);
    this.canvas.classList.add("shown");
    video.classList.remove("shown");
  }

  async #backOff(error, failures) {
    const delay = BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)];
    if (!(error instanceof Refusal)) {
      this.state(error instanceof TypeError ? "unreachable" : this.#missing());
      await pause(delay);
      return;
    }
    const names = { 404: "notLive", 429: "full", 503: "full" };
    for (let left = Math.max(1, error.retryS); left > 0 && this.running; left--) {
      this.state(names[error.status] || "unreachable", `in ${left} s.`);
      await pause(1000);
    }
  }

  /** The name of the state to show while there is no video although the server answers. */
  #missing() {
    if (this.wasLive) return "reconnecting";
    return this.connected ? "connecting" : "blocked";
  }

  #close() {
    this.connection?.close();
    this.connection = null;
    this.unplug();
  }
}

/** Prefer H.264, which most machines decode in hardware and which the server encodes best. */
export function preferH264(transceiver) {
  const codecs = RTCRtpReceiver.getCapabilities("video")?.codecs ?? [];
  const rank = (codec) => (codec.mimeType === "video/H264" ? 0 : codec.mimeType === "video/VP8" ? 1 : 2);
  const sorted = codecs.map((c, i) => [rank(c), i, c]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map((e) => e[2]);
  if (sorted.length && transceiver.setCodecPreferences) transceiver.setCodecPreferences(sorted);
}

/** Wait until ICE candidates are gathered, for they are sent in the offer; but not long for a slow ICE server. */
export function gathered(connection) {
  if (connection.iceGatheringState === "complete") return undefined;
  const complete = new Promise((resolve) => {
    connection.addEventListener("icegatheringstatechange", () => {
      if (connection.iceGatheringState === "complete") resolve();
    });
  });
  return Promise.race([complete, pause(GATHER_MS)]);
}
