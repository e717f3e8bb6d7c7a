// This device's camera.

const CONSTRAINTS = { video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } }, audio: false };
const STATES = { NotAllowedError: "refused", SecurityError: "refused", NotReadableError: "busyCamera", AbortError: "busyCamera" };

export class NoCamera extends Error {
  /** state: the name of the state in STATES that explains why. */
  constructor(state) {
    super(state);
    this.state = state;
  }
}

/** Open the camera; the browser may ask the user for permission. asking(): called before. Throws NoCamera. */
export async function openCamera(asking) {
  if (!navigator.mediaDevices?.getUserMedia) throw new NoCamera("insecure");
  asking();
  try {
    const camera = await navigator.mediaDevices.getUserMedia(CONSTRAINTS);
    camera.getVideoTracks()[0].contentHint = "motion";
    return camera;
  } catch (error) {
    throw new NoCamera(STATES[error.name] ?? "noCamera");
  }
}

/** Show the camera in the small tile; without a camera, hide the tile. */
export function showTile(tile, camera) {
  tile.hidden = !camera;
  const video = tile.querySelector("video");
  video.srcObject = camera;
  if (camera) video.play().catch(() => {});
}
