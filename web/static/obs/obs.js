// The page for OBS's Browser source: one stream with true transparency, through WHEP. The link's token is in the URL's
// fragment. Viewers never see more than the subject: the state is in the body's data-state, errors are in the console.

import { request } from "../shared/api.js";
import { find, pause } from "../shared/dom.js";
import { Live } from "../shared/live.js";
import { joinOn } from "./joined.js";

const RETRY_MS = 30_000; // after an answer that is usually final, such as that a link has expired

const name = location.pathname.split("/").pop();
const [query, fragment] = [location.search, location.hash].map((part) => new URLSearchParams(part.slice(1)));
const token = fragment.get("token") || undefined;
const muted = [query, fragment].some((part) => part.get("muted") === "1");

async function place(sdp, old) {
  if (old) await leave(old).catch(() => {});
  const response = await request("POST", `/whep/${name}?alpha=stacked`, { body: sdp, type: "application/sdp", token });
  return { id: response.headers.get("Location"), sdp: await response.text() };
}

const leave = (path) => request("DELETE", path, { token, keepalive: true });
const iceServers = async () => (await (await request("GET", "/api/ice-servers", { token })).json()).iceServers;

/** Without a video, nothing is shown: the last picture would stand still in the scene. */
function stateChanged(state, extra = "") {
  if (state !== "live") {
    shown = null;
    joined.clear();
  }
  if (document.body.dataset.state !== state) console.info(`mattebox: ${state} ${extra}`.trimEnd());
  document.body.dataset.state = state;
}

function show(video) {
  shown = video;
  const draw = () => {
    if (shown !== video) return;
    joined.draw(video);
    video.requestVideoFrameCallback(draw);
  };
  draw();
}

let shown = null; // the element whose pictures are drawn
const joined = joinOn(find("picture"));
const live = new Live({ stage: find("stage"), place, leave, onState: stateChanged, onShow: show, iceServers, fit: false });
live.videos.forEach((video) => { video.muted = muted; });
addEventListener("pagehide", () => { if (live.id) leave(live.id).catch(() => {}); });

for (;;) { // for days: the server may be restarted, and the stream may end and start again
  await live.run();
  await pause(RETRY_MS);
}
