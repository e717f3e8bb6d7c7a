// The viewer's page: plays one stream through WHEP. The link's token is in the URL's fragment; with &clean the page shows
// only the video and plays its sound, for use as a browser source in OBS.

import { request } from "../shared/api.js";
import { find, make, write } from "../shared/dom.js";
import { Live } from "../shared/live.js";
import { Measure } from "../shared/measure.js";
import { showState } from "../shared/status.js";
import { METERS, SOUND } from "../shared/words.js";

const name = decodeURIComponent(location.pathname.split("/").pop());
const fragment = new URLSearchParams(location.hash.slice(1));
const token = fragment.get("token") || undefined;
const clean = fragment.has("clean");
document.body.classList.toggle("clean", clean);
write(find("name"), name);
document.title = `${name}: Mattebox`;

async function place(sdp, old) {
  if (old) await leave(old).catch(() => {});
  const response = await request("POST", `/whep/${name}`, { body: sdp, type: "application/sdp", token });
  return { id: response.headers.get("Location"), sdp: await response.text() };
}

const leave = (path) => request("DELETE", path, { token, keepalive: true });
const iceServers = async () => (await (await request("GET", "/api/ice-servers", { token })).json()).iceServers;

const live = new Live({ stage: find("stage"), place, leave, onState: showState, iceServers });
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
setSound(clean);
setInterval(showMeters, 1000);
live.run();
