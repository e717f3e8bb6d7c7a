// Every English text that scripts show. Texts that need no script are in the HTML; the server describes the options.

/** As the server's detail of a session that could not be connected. */
const UDP_ADVICE = "check the network and that firewalls let UDP through to the server (MATTEBOX_UDP_PORTS, MATTEBOX_PUBLIC_ADDRESS), or set up a TURN server (MATTEBOX_ICE_SERVERS)";

/** tone: good, wait, bad or "". line: the status line. title, text: on the card; a state without them has no card. */
export const STATES = {
  idle: {
    tone: "", line: "Ready.", icon: "camera", action: "Open camera",
    title: "Change your background",
    text: "Your server puts you in front of another background. Nobody else sees the original video, and it is not stored.",
    fine: "Your browser will ask for permission first. The microphone stays off until you switch it on.",
  },
  asking: {
    tone: "wait", line: "Waiting for your permission…", icon: "camera",
    title: "Allow this page to use your camera",
    text: "Your browser is asking for permission near the address bar. Choose “Allow”.",
  },
  refused: {
    tone: "bad", line: "Camera access was denied.", icon: "camera-off", action: "Try again",
    title: "Camera access was denied",
    text: "This page is not allowed to use your camera yet.",
  },
  noCamera: {
    tone: "bad", line: "No camera was found.", icon: "camera-off", action: "Try again",
    title: "No camera was found",
    text: "Connect a camera or switch it on, then try again. If yours has a privacy shutter or an on/off key, check that too.",
  },
  busyCamera: {
    tone: "bad", line: "The camera is in use by another program.", icon: "camera-off", action: "Try again",
    title: "Another program is using the camera",
    text: "Close that call or recording, then try again. On most systems, only one program can use a camera at a time.",
  },
  cameraLost: {
    tone: "bad", line: "The camera was disconnected.", icon: "camera-off", action: "Open camera again",
    title: "The camera was disconnected",
    text: "It was unplugged or taken over by another program. Open it again when it is available.",
  },
  cameraSilent: { tone: "wait", line: "The camera is not sending video at the moment…" },
  insecure: {
    tone: "bad", line: "This page is not secure, so the browser blocks the camera.", icon: "lock", action: "Try again",
    title: "Browsers allow the camera on secure pages only",
    text: "Open this page on the server itself at http://localhost, or start the server with https:",
    code: "mattebox serve --tls auto",
    fine: "The server then creates its own certificate, and your browser asks you once whether to trust it.",
  },
  connecting: {
    tone: "wait", line: "Connecting…", icon: "link",
    title: "Connecting…",
    text: "Your camera is being connected to the server. This takes a second or so.",
  },
  reconnecting: {
    tone: "wait", line: "The video stopped. Reconnecting…", icon: "link",
    title: "Reconnecting…",
    text: "The video stopped. You don't need to do anything: the last frame stays until the video is back.",
  },
  blocked: {
    tone: "bad", line: "No video connection to the server. Trying again…", icon: "cloud-off",
    title: "No video connection to the server",
    text: "The server answers, but video does not get through. A firewall, a VPN or this network may block UDP: try another network.",
    fine: `For the person who runs the server: ${UDP_ADVICE}.`,
  },
  draining: {
    tone: "wait", line: "The server is being restarted. Moving to another one…", icon: "link",
    title: "Moving to another server…",
    text: "This one is being restarted. Your settings are kept.",
  },
  full: {
    tone: "wait", line: "The server is full. Trying again", icon: "queue",
    title: "The server is full",
    text: "All places for live video are taken, or no worker is running yet. You will be connected as soon as one is free.",
    fine: "For the person who runs the server: to add places, start another worker or raise MATTEBOX_LIVE_SESSIONS.",
  },
  unreachable: {
    tone: "wait", line: "The server cannot be reached. Trying again", icon: "cloud-off",
    title: "The server cannot be reached",
    text: "It may be starting, or your network may be down. This page keeps trying.",
  },
  signedOut: {
    tone: "wait", line: "You are signed out.", icon: "lock", action: "Sign in",
    title: "You are signed out",
    text: "Sign in with the token that you got from the person who runs this server.",
  },
  ended: {
    tone: "", line: "The stream has ended. Checking again", icon: "ended",
    title: "The stream has ended",
    text: "If it starts again under this name, the video continues here automatically.",
  },
  notLive: {
    tone: "wait", line: "Nobody is live under this name. Trying again", icon: "queue",
    title: "Nobody is live here yet",
    text: "The video starts automatically as soon as somebody publishes under this name.",
  },
  unsupported: {
    tone: "bad", line: "The server did not accept this connection", icon: "cloud-off", action: "Try again",
    title: "The server did not accept this connection",
    text: "This browser and the server could not agree on how to send the video.",
  },
  denied: {
    tone: "bad", line: "You do not have access.", icon: "lock",
    title: "You do not have access",
    text: "The link may have expired. Ask for a new one, or sign in on the start page.",
  },
  live: { tone: "good", line: "Live" },
};

/** How to allow the camera, by browser. */
export const ALLOW = {
  chromium: "Click the camera or sliders icon left of the address, set Camera to “Allow”, then try again.",
  firefox: "Click the crossed-out camera icon left of the address, remove the block with ×, then try again.",
  safari: "Choose Safari > Settings for This Website > Camera > Allow, then try again.",
  android: "Tap the lock or sliders icon left of the address, choose Permissions > Camera > Allow, then try again.",
  ios: "Open Settings > Apps > Safari (or your browser) > Camera > Allow, then try again.",
};
export const SYSTEM_TOO = "If it is allowed there, check that your operating system lets this browser use the camera.";

export const LABELS = {
  engine: "Engine", chooser: "Subject finder", view: "View", temporal: "Temporal smoothing", temporal_strength: "Smoothing strength",
  foreground: "Subject's colours", roi: "Follow the subject", key: "Screen colour",
  refine: "Refine edges", threshold: "Threshold", contrast: "Hardness", specks: "Remove specks",
  holes: "Fill holes", expand: "Expand or shrink", feather: "Feather", light_wrap: "Light wrap", spill: "Remove spill",
};
export const VALUES = {
  engine: { auto: "Automatic" }, // the engines' own labels come from the server
  chooser: { auto: "Automatic" },
  view: { composite: "Result", matte: "Matte", overlay: "Overlay", "side-by-side": "Side by side",
    stacked: "Stacked: colour above matte" },
  temporal: { auto: "Automatic", off: "Off", live: "No delay", "live+1": "One frame late, calmer",
    offline: "Both directions, for files" },
  refine: { auto: "Automatic", on: "On", off: "Off", vitmatte: "Fine hair, for files" },
  foreground: { auto: "Automatic", estimate: "Estimate", keep: "Keep" },
};
export const GROUPS = [
  ["Engine", ["engine", "chooser", "roi", "key"]],
  ["Smoothing", ["temporal", "temporal_strength"]],
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
  on: "On", off: "Off", measured: "Measured at the start", pick: "Choose a colour",
};

/** What each preset is for. title: that of the server's own choice. The other presets have their engines' titles. */
export const PRESETS = {
  fast: () => "Keeps up on any computer.",
  balanced: (title) => (title ? `Suits this server best. Now: ${title}.` : "Suits this server best."),
  best: () => "Finest hair and edges.",
};
export const PRESET_TITLES = { automatic: "Automatic", unknown: "…" };
export const COSTS = {
  slower: (title) => `${title} (slower here)`,
  unmeasured: (engine) => (engine ? `${engine}; measured when you use it` : "measured when you use it"),
  measured: (c) => `${c.engine} on ${c.device}: ${c.fps} of ${c.of} fps, ${c.ms} ms`,
};
export const CUSTOM = "You are using custom settings.";

export const TILE = {
  hide: "Hide the camera preview", show: "Show the camera preview",
  move: "Drag it, or press an arrow key, to move it to another corner.",
};

export const PICK = {
  start: "Pick on the video", stop: "Done",
  title: (name) => name.replace(/^subject-(?=\d+$)/, "Subject "),
  subjects: "Subjects", sign: "What a click means", inside: "This", outside: "Not this",
  add: "New subject", undo: "Undo", redo: "Redo",
  count: (n) => (n === 1 ? "1 mark" : n ? `${n} marks` : "no marks yet"),
  kept: "Kept", removed: "Removed", keep: (title) => `Keep ${title}`,
  keepTip: (keep) => (keep ? "Remove it from the result instead" : "Keep it in the result instead"),
  delete: (title) => `Delete ${title}`,
  rename: (title) => `Rename ${title}`, renamed: (before, title) => `${before} is called ${title} now.`,
  taken: (title) => `There is already a subject called ${title}.`,
  noName: "A name has 1 to 32 letters, digits, - and _.",
  marksOf: (title) => `Marks of ${title}`,
  mark: ({ kind, inside, at }) => `${kind === "box" ? "Box" : inside ? "Point" : "Not this"}${at ? ` · ${at.toFixed(1)} s` : ""}`,
  markAt: ({ kind, inside, place: [x, y], at }) => `${kind === "box" ? "box" : inside ? "point" : "not this"} at `
    + `${Math.round(100 * x)} percent from the left, ${Math.round(100 * y)} percent from the top${at ? `, ${at.toFixed(1)} seconds` : ""}`,
  deleteMark: (number, text) => `Delete mark ${number}: ${text}`,
  markDeleted: (number, title) => `Mark ${number} of ${title} was deleted.`,
  hint: (boxes) => `Click a subject to keep it${boxes ? ", or drag a box around it" : ""}. With Alt: not this.`,
  touchHint: (boxes) => `Tap a subject to keep it${boxes ? ", or draw a box around it" : ""}.`,
  keys: "Arrow keys move the crosshair, with Shift farther. Enter: this. Alt and Enter: not this. B: a corner of a box. "
    + "Ctrl and Z: undo. Escape: done.",
  crosshair: (x, y) => `${x} percent from the left, ${y} percent from the top`,
  added: (inside, title) => (inside ? `A point was added to ${title}.` : `Not this: a point was added to ${title}.`),
  cutOut: (title) => `${title} is removed from the result.`,
  boxed: (title) => `A box was added to ${title}.`,
  boxBegun: "First corner of a box. Move the crosshair and press B again.", boxDropped: "No box.",
  toggled: (title, keep) => (keep ? `${title} is kept.` : `${title} is removed from the result.`),
  deleted: (title) => `${title} was deleted.`, begun: (title) => `${title}: click what belongs to it.`,
  undone: "Undone.", redone: "Redone.",
  suggest: "Suggest subjects", hideSuggestions: "Hide suggestions", suggestions: "Suggestions",
  searching: "Looking for subjects…",
  suggested: (n) => (n ? `${n === 1 ? "1 suggestion" : `${n} suggestions`}. Click one to keep it.` : "Nothing was found that could be a subject."),
  notSuggested: (why) => `No suggestions: ${why}.`,
  suggestion: (number, subject, percent) => `Keep suggestion ${number}${subject.startsWith("class:") ? `, ${subject.slice(6)}` : ""}: ${percent} percent of the picture`,
  picked: (title) => `${title} is kept.`,
};

export const BACKGROUNDS = {
  shift: "⇧", hint: "Press 1 to 9, or drop or paste a file. ⇧1 to ⇧9 choose your own.",
  about: {
    transparent: "Viewers see this checkerboard. For OBS, use Share.", // three lines beside the button: longer texts cover tiles
    none: "Only you see your room. Viewers never do: on air, they see a strong blur instead.",
  },
  blur: "Blur", none: "Your room",
  remove: (title) => `Delete ${title}`,
  keyed: (title, number) => `${title}, key ${number}`,
  adding: (name) => `Adding ${name}…`,
  notAdded: (why) => `Not added: ${why}.`,
  notChanged: (why) => `Not changed: ${why}.`,
  strangeFile: "the file is neither a picture nor a video",
};

export const TOOLS = {
  saved: (name) => `Saved ${name}.`,
  noRecorder: "This browser cannot record video.",
  noPictureInPicture: "Picture-in-picture is unavailable in this browser.",
  record: "Record", stopRecording: "Stop recording",
  compare: (percent) => `${percent} percent camera`,
};

export const MICROPHONE = {
  on: "on", off: "off", asking: "…",
  refused: "The microphone stays off: your browser or operating system does not allow this page to use it. "
    + "Allow it with the icon left of the address, then switch it on again.",
  none: "The microphone stays off: none was found. Connect one, then switch it on again.",
  busy: "The microphone stays off: another program is using it. Close that program, then switch it on again.",
  lost: (name) => `The microphone was disconnected and is off now${name && ` (${name})`}.`,
  moved: (from, to) => `${from || "The microphone"} was disconnected. ${to || "Another one"} is used instead.`,
  silent: (name) => `No sound comes from ${name || "your microphone"}. Check whether it has a mute switch.`,
};
export const DEVICES = {
  title: "Devices", camera: "Camera", microphone: "Microphone", size: "Size", rate: "Frames per second",
  pixels: (size) => size.replace("x", "×"),
  fps: (rate) => `${rate}`,
  level: "Microphone level", monitor: "Play the returned sound here", headphones: "Use headphones, or you will hear an echo.",
  numbered: { camera: (n) => `Camera ${n}`, microphone: (n) => `Microphone ${n}` },
  none: { camera: "No camera was found", microphone: "No microphone was found" },
  unnamed: "Default device",
  away: (name, other) => `${name} is not connected. ${other || "Another camera"} is used instead.`,
  moved: (from, to) => `${from || "The camera"} was disconnected. ${to || "Another camera"} is used instead.`,
  notOpened: {
    refused: "The camera was not changed: your browser does not allow this page to use it.",
    noCamera: "The camera was not changed: the new one cannot be opened.",
    busyCamera: "The camera was not changed: another program is using the new one.",
  },
};

export const CAUSES = {
  late: "late: replaced by a newer frame", decode: "decoding: broken or too many at once",
  engine: "no matte: only the background was shown", encoder: "the encoder was busy", viewer: "a slow viewer",
};

export const METERS = {
  in: (n) => `${n} fps in`, out: (n) => `${n} out`, glass: (n) => `${n} ms`,
  dropped: (n, cause) => (cause ? `${n} dropped (${cause})` : `${n} dropped`),
  engine: (engine, device) => (device ? `${engine} on ${device}` : engine), load: (percent) => `load ${percent} %`,
  onlyYou: "Only you see this view", fps: (n) => `${n} fps`, size: (w, h) => `${w}×${h}`,
  measured: "measured", estimated: "estimated",
};
export const CHARTS = {
  fps: "Frames per second, in and out", fpsShort: "FPS in, out", glass: "Delay (ms)", dropped: "Dropped per second", load: "Server load (%)",
  none: "–",
  facts: { delay: "Delay from camera to screen", size: "Size", bitrate: "Bit rate", server: "Delay in the server",
    capacity: "Server capacity", network: "Network round trip", causes: "Dropped frames",
    nothing: "none so far" },
};
export const WARNINGS = {
  capacity: (matted, received) => `The server is too busy: it processes ${matted} of ${received} frames per second.`,
  lighter: (title) => ` Choose “${title}” under Quality.`,
  fewer: " It helps to run fewer videos on this server at the same time.",
  camera: (fps) => `Your camera sends only ${fps} frames per second. More light often helps.`,
  uplink: "Your network is too slow for the full video, so it is sent at a smaller size.",
  processor: "This computer is too busy to send the full video.",
  delay: (ms) => `The video is delayed by ${ms} ms.`,
  server: (text) => text.replace(/\bsubject-(?=\d+\b)/g, "Subject ").replace(/^(the|what) /, (word) => word[0].toUpperCase() + word.slice(1)),
  loading: (engine, old) => (old ? `Loading ${engine}. Until it is ready, ${old} stays in use.` : `Loading ${engine}.`),
  warming: "The engine is starting. Until it is ready, only the background is shown.",
};

export const SECRET = { show: "Show", hide: "Hide", copied: "Copied.", notCopied: "Press Ctrl+C to copy." };
export const SHARE = {
  green: "Your background is green now.",
  hidden: "While you are on air, your room stays hidden: viewers get the finished picture only.",
  start: "Go on air", stop: "Stop streaming", starting: "Going on air…",
  onAir: (name) => `On air as “${name}”.`, off: "Nobody can see you.",
  noCamera: "Open the camera first to go on air, or publish from OBS with the address below.",
  failed: (why) => `Could not go on air: ${why}.`,
};
export const SOUND = { on: "Turn sound on", off: "Turn sound off" };
