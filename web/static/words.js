// Every state of the page, in words and with a tone: good, wait or bad.

const WORDS = {
  idle: ["", "Ready."],
  asking: ["wait", "Waiting for your permission to use the camera…"],
  refused: ["bad", "The camera was refused. Allow it for this page in your browser, then open it again."],
  noCamera: ["bad", "No camera was found. Plug one in, then open it again."],
  busyCamera: ["bad", "The camera is in use by another program. Close that one, then open it again."],
  cameraLost: ["bad", "The camera was unplugged or taken away. Open it again when it is back."],
  cameraSilent: ["wait", "The camera sends no pictures at the moment…"],
  insecure: ["bad", "Browsers give a camera to secure pages only. Open this page on localhost or by https."],
  connecting: ["wait", "Connecting…"],
  reconnecting: ["wait", "The picture stopped. Connecting again…"],
  draining: ["wait", "The server is being restarted. Moving to another…"],
  full: ["wait", "The server is full. Trying again"],
  unreachable: ["wait", "The server cannot be reached. Trying again"],
  notLive: ["wait", "Nobody is live under this name. Looking again"],
  unsupported: ["bad", "The server cannot use this connection"],
  denied: ["bad", "You may not see this. Ask for a new link, or sign in on the first page."],
  live: ["good", "Live."],
};

export function say(state, extra = "") {
  const [tone, words] = WORDS[state];
  const status = document.getElementById("status");
  status.dataset.tone = tone;
  status.dataset.state = state;
  const text = extra ? `${words.replace(/[.…]$/, "")} ${extra}` : words;
  const place = status.querySelector(".words");
  if (place.textContent !== text) place.textContent = text;
}
