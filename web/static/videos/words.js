// The texts that the videos page's scripts show, and numbers formatted for people.

export const STATES = {
  queued: ["wait", "Waiting for a worker"],
  running: ["wait", "Processing"],
  paused: ["", "Paused"],
  done: ["good", "Done"],
  failed: ["bad", "Failed"],
  cancelled: ["", "Cancelled"],
};

export const REASONS = {
  poison: "The server gave up on this video: workers crashed or were lost too often while processing it.",
  disk: "The server's disk is full.",
  unreadable_media: "This file cannot be read as a video.",
  no_video_stream: "There is no video in this file.",
  too_large: "This video exceeds one of the server's limits.",
  bad_background: "The background cannot be read.",
  weights: "The server does not have the weights of this engine.",
  fetch: "The video could not be fetched from its address.",
};

export const LOOK = {
  common: "Settings for all new videos", single: "Settings for one video",
  applies: "They apply to the videos that you start from now on, except those with settings of their own.",
  shared: "Common settings: ", own: "Own settings: ", background: "Background",
  different: "Different settings for this video", change: "Change", useCommon: "Use the common settings",
  lines: (height) => `${height} lines`, matte: "with matte",
  metadata: { keep: "with locations", drop: "without metadata" },
};

/** What results keep of the file's metadata, the default first. */
export const METADATA = { "no-location": "Keep all but locations", keep: "Keep all", drop: "Remove" };

export const PLAYER = {
  compare: (percent) => `${percent} percent before`,
  play: "Play", pause: "Pause", mute: "Mute", unmute: "Unmute",
  cannotPlay: "Your browser cannot play this format. Download it instead.",
  cannotCompare: "There is no before and after, because your browser cannot play the original file.",
  gone: "There is no before and after, because the original file is no longer on the server.",
};

export const PICKING = {
  open: (count) => (count ? `Subjects: ${count}` : "Pick subjects"), again: "Pick subjects",
  againTip: "Pick subjects and run again",
  title: (name) => `Subjects of ${name || "the video"}`,
  done: "Done", runAgain: "Run again",
  time: (at, end) => `${at} / ${end}`,
  marks: (n, time) => `${n === 1 ? "1 mark" : `${n} marks`} at ${time}`,
  previewed: "What the marks of this frame choose; the rest is tinted.",
};

export const WORDS = {
  uploading: (percent, left) => `Uploading, ${percent} %${left ? ` · ${left} left` : ""}`,
  unreachable: "The server cannot be reached. The upload resumes when it is back.",
  checking: "Checking the file…",
  ready: "Ready.",
  queued: "Processing starts when the upload is complete.",
  interrupted: (percent) => `Interrupted at ${percent} %. Choose the same file again to resume the upload.`,
  elsewhere: "Another tab is uploading this file.",
  denied: "Sign in to continue the upload.",
  twice: (names) => (names.length === 1 ? `“${names[0]}” is already in the list.` : `${names.length} of these files are already in the list.`),
  starting: "Starting…",
  storeDown: "The server's database cannot be reached. Updates resume when it is back.",
  lost: "The connection to the server was lost. Reconnecting…",
  incomplete: "A preview needs the complete upload. Try again when it is ready.",
  previewing: "Processing the frame…",
  preview: (time) => `Preview of the frame at ${time}.`,
  noPreview: (why) => `The preview failed: ${why}.`,
  noPlayer: "Your browser cannot play this file, but the server may still be able to process it.",
  failed: (sentence, detail) => (sentence && detail ? sentence.replace(/\.$/, ` (${detail}).`) : sentence || detail),
  part: (start, end) => `${clock(start)} to ${clock(end)}`,
  whole: "the whole video",
  long: (seconds) => `${clock(seconds)} long`,
  bestStream: "The best video stream", stream: (number) => `Video stream ${number}`,
};

/** 83.4 → "1:23"; with tenths below a minute. */
export function clock(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const whole = Math.floor(seconds + 1e-6);
  const pad = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const rest = hours ? `${hours}:${pad(Math.floor(whole / 60) % 60)}` : String(Math.floor(whole / 60));
  return `${rest}:${pad(whole % 60)}${seconds < 60 ? `.${Math.floor((seconds - whole) * 10 + 1e-6)}` : ""}`;
}

/** A rounded duration: 95 → "2 min". */
export function duration(seconds) {
  if (!Number.isFinite(seconds) || seconds <= 0) return "";
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** 1500000 → "1.5 MB". */
export function size(bytes) {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  const step = bytes < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** step;
  return `${step && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[step]}`;
}

/** The place of a waiting job: ["2 videos are ahead", "starts in about 3 min"]; nothing that is unknown. */
export function place({ ahead, starts_in_s: startsInS }) {
  const parts = [];
  if (ahead === 0) parts.push("Next in line");
  else if (ahead) parts.push(ahead === 1 ? "1 video is ahead" : `${ahead} videos are ahead`);
  if (ahead !== null && startsInS) parts.push(`starts in about ${duration(startsInS)}`);
  return parts;
}

/** An error message as a sentence: with a capital and a full stop. */
export const sentence = (message) => `${message[0].toUpperCase()}${message.slice(1)}${/[.!?…]$/.test(message) ? "" : "."}`;
