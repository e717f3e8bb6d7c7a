// The stage's shape: that of the camera, and the same in every state and view, so that nothing below it moves.

import { find, keep, read } from "../shared/dom.js";

const KEY = "mattebox.ratio";
const [LEAST, MOST] = [3 / 4, 16 / 9]; // a taller or wider video is shown with bars

/** Shape the stage like the last camera, and from then on like the camera that the video element shows. */
export function followShape(video) {
  const theatre = find("theatre");
  const set = (ratio) => theatre.style.setProperty("--ratio", Math.min(MOST, Math.max(LEAST, ratio)));
  set(Number(read(KEY, MOST)) || MOST);
  video.addEventListener("resize", () => {
    if (!video.videoWidth) return;
    set(video.videoWidth / video.videoHeight);
    keep(KEY, video.videoWidth / video.videoHeight);
  });
}
