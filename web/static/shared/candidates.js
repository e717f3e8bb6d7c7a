// Suggestions: what the server finds in one frame that could be a subject. They are drawn as outlines and picked by a
// click, or by their buttons.

import { request } from "./api.js";
import { make } from "./dom.js";

const SIDE_PX = 1280; // of a picture that is sent, at most: choosers scale it down anyway
const QUALITY = 0.9;
const TUS = { "Tus-Resumable": "1.0.0" };

export class Candidates extends EventTarget {
  /** Event: "change". list: as from POST /api/candidates, of the picture that is shown. emphasised: the number of one,
   * or 0. */
  constructor() {
    super();
    this.list = [];
    this.emphasised = 0;
  }

  show(list) {
    if (!list.length && !this.list.length) return;
    Object.assign(this, { list, emphasised: 0 });
    this.#tell();
  }

  clear() { this.show([]); }

  emphasise(number = 0) {
    if (number === this.emphasised) return;
    this.emphasised = number;
    this.#tell();
  }

  /** The smallest candidate at a place of the picture, or null. */
  at(place) {
    const hit = this.list.filter(({ outlines }) => isInside(outlines, place));
    return hit.reduce((least, each) => (least && least.area <= each.area ? least : each), null);
  }

  #tell() { this.dispatchEvent(new Event("change")); }
}

/** Whether a place lies inside an odd number of the outlines. */
function isInside(outlines, [x, y]) {
  let inside = false;
  for (const corners of outlines) {
    corners.forEach(([right, below], index) => {
      const [left, above] = corners.at(index - 1);
      if (below > y !== above > y && x < left + ((right - left) * (y - above)) / (below - above)) inside = !inside;
    });
  }
  return inside;
}

/** What the server finds in an upload. fields: of the request. */
export async function search(fields) {
  return (await (await request("POST", "/api/candidates", { json: fields })).json()).candidates;
}

/** What the server finds in the newest frame of a camera. fields: of the request. */
export async function searchCamera(stream, fields) {
  const body = await snapshot(stream);
  const headers = { ...TUS, "Upload-Length": body.size, "Upload-Metadata": `filename ${btoa("camera.jpg")}` };
  const type = "application/offset+octet-stream";
  const address = (await request("POST", "/api/uploads", { body, type, headers })).headers.get("Location");
  try {
    return await search({ ...fields, upload: address.split("/").at(-1) });
  } finally {
    request("DELETE", address, { headers: TUS, keepalive: true }).catch(() => {}); // else it expires
  }
}

/** The newest frame of a camera as a JPEG. */
async function snapshot(stream) {
  const video = make("video", { muted: true, playsInline: true, srcObject: stream });
  await video.play();
  const { videoWidth, videoHeight } = video;
  const scale = Math.min(1, SIDE_PX / Math.max(videoWidth, videoHeight));
  const canvas = make("canvas", { width: Math.round(scale * videoWidth), height: Math.round(scale * videoHeight) });
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  video.srcObject = null;
  return new Promise((ready) => canvas.toBlob(ready, "image/jpeg", QUALITY));
}
