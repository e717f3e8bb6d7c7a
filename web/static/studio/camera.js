// The camera of this device.

const WANTED = { video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } }, audio: false };
const STATES = { NotAllowedError: "refused", SecurityError: "refused", NotReadableError: "busyCamera", AbortError: "busyCamera" };

export class NoCamera extends Error {
  /** state: the name of the page's state that says why. */
  constructor(state) {
    super(state);
    this.state = state;
  }
}

/** Raises NoCamera. Asks the user where the browser wants that; `asking()` comes before. */
export async function openCamera(asking) {
  if (!navigator.mediaDevices?.getUserMedia) throw new NoCamera("insecure");
  asking();
  try {
    const camera = await navigator.mediaDevices.getUserMedia(WANTED);
    camera.getVideoTracks()[0].contentHint = "motion";
    return camera;
  } catch (error) {
    throw new NoCamera(STATES[error.name] ?? "noCamera");
  }
}

/** Shows the camera in the small tile, or hides that. */
export function showTile(tile, camera) {
  tile.hidden = !camera;
  const video = tile.querySelector("video");
  video.srcObject = camera;
  if (camera) video.play().catch(() => {});
}
