// What the page of videos says, and numbers as people read them.

export const STATES = {
  queued: ["wait", "Waiting for a worker"],
  running: ["wait", "Working"],
  paused: ["", "Paused"],
  done: ["good", "Done"],
  failed: ["bad", "Failed"],
  cancelled: ["", "Cancelled"],
};

export const REASONS = {
  poison: "This video crashed the program that worked on it, three times.",
  disk: "The server's disk is full.",
  unreadable_media: "This file cannot be read as a video.",
  no_video_stream: "There is no video in this file.",
  too_large: "This video is over one of the server's limits.",
  bad_background: "The background cannot be read.",
  weights: "The server lacks the weights of this engine.",
  fetch: "The address gave no video.",
};

export const WORDS = {
  sending: (percent, left) => `Sending, ${percent} %${left ? ` · ${left} left` : ""}`,
  unreachable: "The server cannot be reached. It goes on as soon as it can…",
  checking: "Looking at it…",
  ready: "Ready.",
  armed: "Starts as soon as it is sent.",
  again: (percent) => `Cut off at ${percent} %. Choose the same file again, and it goes on from there.`,
  recordsAway: "The server's records are out of reach. News come when they are back.",
  lost: "The connection to the server is lost. Trying again…",
  previewing: "A frame is being made…",
  noPlayer: "Your browser cannot show this file here. Trim it by the numbers; it will be worked on all the same.",
  part: (start, end) => `${clock(start)} to ${clock(end)}`,
};

/** 83.4 → "1:23"; below a minute with tenths. */
export function clock(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const whole = Math.floor(seconds + 1e-6);
  const pad = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const rest = hours ? `${hours}:${pad(Math.floor(whole / 60) % 60)}` : String(Math.floor(whole / 60));
  return `${rest}:${pad(whole % 60)}${seconds < 60 ? `.${Math.floor((seconds - whole) * 10 + 1e-6)}` : ""}`;
}

/** 95 → "2 min". */
export function lasting(seconds) {
  if (!Number.isFinite(seconds) || seconds <= 0) return "";
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function size(bytes) {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  const step = bytes < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** step;
  return `${step && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[step]}`;
}
