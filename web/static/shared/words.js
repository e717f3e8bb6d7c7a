// Every English text that a script shows. What the page says before any script runs stands in its HTML, and what the
// options mean is the server's to say.

/** tone: good, wait, bad or "". line: beside the dot. title, text: on the card; a state without them has no card. */
export const STATES = {
  idle: {
    tone: "", line: "Ready.", icon: "camera", action: "Open camera",
    title: "Be somewhere else",
    text: "Your camera goes to your server, which cuts you out and sends you back in front of another background. "
      + "The plain picture is shown to nobody and kept nowhere.",
    fine: "Your browser will ask you first. No sound is taken.",
  },
  asking: {
    tone: "wait", line: "Waiting for your permission…", icon: "camera",
    title: "May this page use your camera?",
    text: "Your browser is asking you, near its address bar. Choose “Allow”.",
  },
  refused: {
    tone: "bad", line: "The camera was refused.", icon: "camera-off", action: "Try again",
    title: "The camera was refused",
    text: "This page may not use your camera yet.",
  },
  noCamera: {
    tone: "bad", line: "No camera was found.", icon: "camera-off", action: "Look again",
    title: "No camera was found",
    text: "Plug one in, or switch it on, then look again. A camera that has a shutter or a key for it may be off.",
  },
  busyCamera: {
    tone: "bad", line: "The camera is in use by another program.", icon: "camera-off", action: "Try again",
    title: "Another program has the camera",
    text: "Close that call or recording, then try again. Most systems lend a camera to one program at a time.",
  },
  cameraLost: {
    tone: "bad", line: "The camera went away.", icon: "camera-off", action: "Open it again",
    title: "The camera went away",
    text: "It was unplugged, or taken by another program. Open it again when it is back.",
  },
  cameraSilent: { tone: "wait", line: "The camera sends no pictures at the moment…" },
  insecure: {
    tone: "bad", line: "This address is not secure, so the browser gives it no camera.", icon: "lock", action: "Try again",
    title: "Browsers give a camera to secure pages only",
    text: "Open this page on the server itself, at http://localhost, or have the server answer by https:",
    code: "mattebox serve --tls auto",
    fine: "It then makes its own certificate, and the browser asks you once whether to trust it.",
  },
  connecting: {
    tone: "wait", line: "Connecting…", icon: "link",
    title: "Connecting…",
    text: "The camera is on its way to the server. This takes a second or so.",
  },
  reconnecting: {
    tone: "wait", line: "The picture stopped. Connecting again…", icon: "link",
    title: "Connecting again…",
    text: "The picture stopped. You need do nothing: the last frame stays until the next one is here.",
  },
  draining: {
    tone: "wait", line: "The server is being restarted. Moving to another…", icon: "link",
    title: "Moving to another server…",
    text: "Yours is being restarted. Your choices come along.",
  },
  full: {
    tone: "wait", line: "The server is full. Trying again", icon: "queue",
    title: "The server is full",
    text: "Every place for a live picture is taken, or no worker runs yet. You are let in as soon as one is free.",
  },
  unreachable: {
    tone: "wait", line: "The server cannot be reached. Trying again", icon: "cloud-off",
    title: "The server cannot be reached",
    text: "It may be starting, or your network may be away. This page goes on trying.",
  },
  signedOut: {
    tone: "wait", line: "You are signed out.", icon: "lock", action: "Sign in",
    title: "You are signed out",
    text: "Sign in with the token that whoever runs this server gave you.",
  },
  notLive: {
    tone: "wait", line: "Nobody is live under this name. Looking again", icon: "queue",
    title: "Nobody is live here yet",
    text: "The picture appears by itself as soon as somebody publishes under this name.",
  },
  unsupported: {
    tone: "bad", line: "The server cannot use this connection", icon: "cloud-off", action: "Try again",
    title: "The server cannot use this connection",
    text: "This browser and the server found no common way to send video.",
  },
  denied: {
    tone: "bad", line: "You may not see this.", icon: "lock",
    title: "You may not see this",
    text: "The link may have expired. Ask for a new one, or sign in on the first page.",
  },
  live: { tone: "good", line: "Live" },
};

/** How to allow the camera, by browser. */
export const ALLOW = {
  chromium: "Click the camera or the sliders left of the address, set Camera to “Allow”, then try again.",
  firefox: "Click the crossed-out camera left of the address, remove the block with ×, then try again.",
  safari: "Choose Safari, Settings for This Website, Camera, Allow. Then try again.",
  android: "Tap the lock or the sliders left of the address, then Permissions, Camera, Allow. Then try again.",
  ios: "Open Settings, Apps, Safari (or your browser), Camera, Allow. Then try again.",
};
export const SYSTEM_TOO = "If it is allowed there, look whether the system itself lets this browser use the camera.";

export const LABELS = {
  engine: "Engine", view: "View", temporal: "Steadying", temporal_strength: "Strength of steadying",
  foreground: "Subject's colours", roi: "Follow the subject", key: "Screen colour",
  refine: "Fit edges to the picture", threshold: "Threshold", contrast: "Hardness", specks: "Remove specks",
  holes: "Fill holes", expand: "Expand or shrink", feather: "Feather", light_wrap: "Light wrap", spill: "Remove spill",
};
export const VALUES = {
  engine: { auto: "Automatic" }, // the engines' own labels come from the server
  view: { composite: "Result", matte: "Matte", overlay: "Overlay", "side-by-side": "Side by side",
    stacked: "Stacked: colour above matte" },
  temporal: { auto: "Automatic", off: "Off", live: "No delay", "live+1": "One frame late, calmer",
    offline: "Both directions, for files" },
  refine: { auto: "Automatic", on: "On", off: "Off" },
  foreground: { auto: "Automatic", estimate: "Estimate", keep: "Keep" },
};
export const GROUPS = [
  ["Engine", ["engine", "roi", "key"]],
  ["Steadying", ["temporal", "temporal_strength"]],
  ["Edges", ["refine", "threshold", "contrast", "expand", "feather"]],
  ["Clean up", ["specks", "holes"]],
  ["Colours", ["foreground", "light_wrap", "spill"]],
  ["Picture", ["view"]],
];
export const UNITS = { expand: "px", feather: "px" };
export const SHARES = ["threshold", "contrast", "temporal_strength", "light_wrap", "spill", "specks", "holes"];

export const CONTROLS = {
  byDefault: (value) => `Default: ${value}.`,
  mark: "default",
  reset: (label) => `Reset ${label} to its default`,
  on: "On", off: "Off", measured: "Measured at the start", pick: "Pick",
};

export const PRESETS = {
  fast: { title: "Fast", text: "Least work, no added delay." },
  balanced: { title: "Balanced", text: "What suits this server best." },
  best: { title: "Best", text: "Finest hair and edges." },
};
export const COSTS = {
  unmeasured: { fast: "light anywhere", balanced: "not measured yet", best: "heavy without GPU" },
  measured: (c) => `${c.fps} fps, ${c.ms} ms here`,
  tooltip: (c) => `Measured on this server by this page: ${c.engine} on ${c.device}`,
};
export const CUSTOM = "Your own mix of controls is in use.";

export const BACKGROUNDS = {
  blur: "Blur", none: "Your room",
  remove: (title) => `Delete ${title}`,
  keyed: (title, number) => `${title}, key ${number}`,
  adding: (name) => `Adding ${name}…`,
  notAdded: (why) => `Not added: ${why}.`,
  notChanged: (why) => `Not changed: ${why}.`,
  strangeFile: "that is neither a picture nor a video",
};

export const TOOLS = {
  saved: (name) => `Saved ${name}.`,
  noRecorder: "This browser cannot record.",
  noPictureInPicture: "This browser has no picture-in-picture.",
  record: "Record", stopRecording: "Stop recording",
  compare: (percent) => `${percent} percent camera`,
};

export const CAUSES = {
  late: "late: a newer frame was there", decode: "decoding: broken or too many at once",
  engine: "no matte: only the background was shown", encoder: "the encoder was busy", viewer: "a slow viewer",
};

export const METERS = {
  in: (n) => `${n} fps in`, out: (n) => `${n} out`, glass: (n) => `${n} ms`,
  dropped: (n, cause) => (cause ? `${n} dropped (${cause})` : `${n} dropped`),
  engine: (engine, device) => (device ? `${engine} on ${device}` : engine), load: (percent) => `load ${percent} %`,
  fps: (n) => `${n} fps`, size: (w, h) => `${w}×${h}`,
  measured: "measured", estimated: "estimated",
};
export const CHARTS = {
  fps: "Frames in, out", glass: "Delay, ms", dropped: "Dropped a second", load: "Server load, %",
  none: "–",
  facts: { delay: "Camera to screen", size: "Size", bitrate: "Bit rate", server: "In the server",
    capacity: "Capacity of the server", network: "Network", causes: "Dropped because",
    nothing: "nothing so far" },
};
export const WARNINGS = {
  capacity: (got, of) => `The server is at capacity: ${got} of ${of} frames a second.`,
  camera: (fps) => `Your camera gives ${fps} frames a second. More light often helps.`,
  uplink: "Your network carries less than the camera gives: the picture is sent smaller.",
  processor: "This computer is too busy to send the camera in full.",
  delay: (ms) => `The picture is ${ms} ms late.`,
  loading: (engine, old) => (old ? `Loading ${engine}. Until it is ready, ${old} goes on.` : `Loading ${engine}.`),
  warming: "The engine is getting ready. Until then only the background is shown.",
};

export const SHARE = {
  copied: "Copied.", notCopied: "Press Ctrl+C to copy.",
  hidden: "While you are on air this shows no room: viewers get the finished picture only.",
  start: "Go on air", stop: "End the broadcast", starting: "Going on air…",
  onAir: (name) => `On air as “${name}”.`, off: "Nobody can see you.",
  noCamera: "Open the camera first, then go on air with it; or publish from OBS with the address below.",
  failed: (why) => `Not on air: ${why}.`,
};
export const SOUND = { on: "Sound on", off: "Sound off" };
