// This device's camera. It can be exchanged while its stream is in use: the stream stays, its track changes.

import { DEVICES } from "../shared/words.js";

const STATES = { NotAllowedError: "refused", SecurityError: "refused", NotReadableError: "busyCamera", AbortError: "busyCamera" };

export class NoCamera extends Error {
  /** state: the name of the state in STATES that explains why. */
  constructor(state) {
    super(state);
    this.state = state;
  }
}

export class Camera {
  /**
   * devices: the choice. asking(): called before the browser may ask for permission. replaced(track): the stream has
   * another track now. lost(): the camera is gone and there is no other. note(text): shows a message to the user.
   */
  constructor({ devices, asking, replaced, lost, note }) {
    Object.assign(this, { devices, asking, replaced, lost, note, stream: null });
    devices.addEventListener("camera", () => this.#change());
    devices.addEventListener("format", () => this.#format());
  }

  /** Open the chosen camera, or another where that one is away. Returns its stream. Throws NoCamera. */
  async open() {
    if (!navigator.mediaDevices?.getUserMedia) throw new NoCamera("insecure");
    this.asking();
    const track = await this.#track();
    this.stream = new MediaStream([track]);
    await this.#watch(track);
    await this.#preferChosen(track);
    return this.stream;
  }

  /** Once the connected cameras are known: use the chosen one if it was found by its name, or say that it is not connected. */
  async #preferChosen(track) {
    const id = this.devices.id("camera");
    const name = this.devices.chosen.camera?.label;
    if (id && id !== track.getSettings().deviceId) await this.#change();
    else if (!id && name) this.note(DEVICES.away(name, track.label));
  }

  close() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.devices.use("camera", null);
  }

  /** Throws NoCamera. */
  async #track(device = this.devices.id("camera")) {
    try {
      return await this.#request(device);
    } catch (error) {
      if (device && ["OverconstrainedError", "NotFoundError"].includes(error.name)) return this.#track("");
      throw new NoCamera(STATES[error.name] ?? "noCamera");
    }
  }

  async #request(device) {
    const stream = await navigator.mediaDevices.getUserMedia({ video: this.devices.constraints("camera", device), audio: false });
    const [track] = stream.getVideoTracks();
    track.contentHint = "motion";
    return track;
  }

  /** Use the chosen camera from now on. A phone opens one camera at a time, so the old one may have to be closed first. */
  async #change() {
    const old = this.stream?.getVideoTracks()[0];
    if (!old) return;
    try {
      const track = await this.#track().catch((error) => {
        if (error.state !== "busyCamera") throw error;
        old.stop();
        return this.#track();
      });
      this.#replace(old, track);
    } catch (error) {
      this.note(DEVICES.notOpened[error.state] ?? DEVICES.notOpened.noCamera);
      if (old.readyState === "ended") await this.#fallBack(old);
      else this.devices.refresh();
    }
  }

  /** Use the chosen size and rate, without opening the camera again where the browser can. */
  async #format() {
    const track = this.stream?.getVideoTracks()[0];
    if (!track) return;
    const { deviceId, ...format } = this.devices.constraints("camera");
    await track.applyConstraints(format).catch(() => this.#change());
  }

  #replace(old, track) {
    if (!this.stream) { track.stop(); return; } // closed meanwhile
    this.stream.removeTrack(old);
    this.stream.addTrack(track);
    this.#watch(track);
    this.replaced(track);
    old.stop();
  }

  #watch(track) {
    track.addEventListener("ended", () => this.#fallBack(track)); // not dispatched by `stop`
    return this.devices.use("camera", track);
  }

  /** The camera is gone: use another one, unless the user has withdrawn the permission. */
  async #fallBack(old) {
    if (this.stream?.getVideoTracks()[0] !== old) return;
    const id = old.getSettings().deviceId;
    await this.devices.refresh();
    const [other] = this.devices.others("camera", id);
    try {
      if (!other || !(await allowed())) throw new NoCamera("cameraLost");
      this.#replace(old, await this.#track(other.deviceId));
      this.note(DEVICES.moved(old.label, other.label));
    } catch {
      if (this.stream) this.lost();
    }
  }
}

/** Whether a camera can be opened without asking the user. */
async function allowed() {
  const status = await navigator.permissions?.query({ name: "camera" }).catch(() => null);
  return !status || status.state === "granted";
}

/** Show the camera in the small tile; without a camera, hide the tile. */
export function showTile(tile, camera) {
  tile.hidden = !camera;
  const video = tile.querySelector("video");
  video.srcObject = camera;
  if (camera) video.play().catch(() => {});
}
