// Where a video's own clock begins: browsers keep the times of the file, and a recording of a stream begins late.

const LEAST_S = 0.25; // less may be a video that has begun to play

/** In seconds, when a video's first data has loaded ("loadeddata") and before it is moved. */
export function clockStart({ currentTime, duration }) {
  return currentTime > LEAST_S && currentTime < duration ? currentTime : 0; // the length may be unknown to the browser
}
