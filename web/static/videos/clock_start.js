// Where a video's own clock begins. Browsers keep the times of the file, and recordings of streams do not begin at 0.

const LEAST_S = 0.25; // an earlier position may be that of a video that has begun to play

/** In seconds. Call it when a video's first data has loaded ("loadeddata"), before any seek. */
export function clockStart({ currentTime, duration }) {
  return currentTime > LEAST_S && currentTime < duration ? currentTime : 0; // the length may be unknown to the browser
}
