// The viewer's page: plays one stream through WHEP. The link's token is in the URL's fragment; with &clean the page shows
// only the video and plays its sound, for use as a browser source in OBS.

import { request } from "../shared/api.js";
import { find, make, write } from "../shared/dom.js";
import { Live } from "../shared/live.js";
import { Measure } from "../shared/measure.js";
import { showState } from "../shared/status.js";
import { Taps } from "../shared/taps.js";
import { METERS, SOUND } from "../shared/words.js";

const name = decodeURIComponent(location.pathname.split("/").pop());
const fragment = new URLSearchParams(location.hash.slice(1));
const token = fragment.get("token") || undefined;
const clean = fragment.has("clean");
document.body.classList.toggle("clean", clean);
write(find("name"), name);
document.title = `${name}: Mattebox`;

let wasLive = false;
let misses = 0; // consecutive offers that were refused because nobody is live

async function place(sdp, old) {
  if (old) await leave(old).catch(() => {});
  const offer = request("POST", `/whep/${name}`, { body: sdp, type: "application/sdp", token });
  const response = await offer.catch((error) => { misses += error.status === 404; throw error; });
  misses = 0;
  return { id: response.headers.get("Location"), sdp: await response.text() };
}

const leave = (path) => request("DELETE", path, { token, keepalive: true });
const iceServers = async () => (await (await request("GET", "/api/ice-servers", { token })).json()).iceServers;

/** A stream that is away for one offer is interrupted, as when its worker is replaced; after that it has ended. */
function stateChanged(state, extra) {
  wasLive ||= state === "live";
  if (state !== "notLive" || !wasLive) { showState(state, extra); return; }
  if (misses > 1) live.forget();
  showState(misses > 1 ? "ended" : "reconnecting", extra);
}

const live = new Live({ stage: find("stage"), place, leave, onState: stateChanged, iceServers });
const measure = new Measure();

function setSound(on) {
  live.videos.forEach((video) => { video.muted = !on; });
  find("sound").setAttribute("aria-pressed", String(on));
  write(find("sound"), on ? SOUND.off : SOUND.on);
}

async function showMeters() {
  const { fpsOut, width, height } = measure.sample(null, await live.stats());
  const parts = [fpsOut !== null && METERS.fps(Math.round(fpsOut)), width && METERS.size(width, height)].filter(Boolean);
  find("meters").replaceChildren(...parts.map((text) => make("span", {}, text)));
}

find("sound").addEventListener("click", () => setSound(find("sound").getAttribute("aria-pressed") !== "true"));
addEventListener("pagehide", () => { if (live.id) leave(live.id).catch(() => {}); });
new Taps().listen();
setSound(clean);
setInterval(showMeters, 1000);
live.run();
