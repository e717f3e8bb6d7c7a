// The viewer's page: WHEP of one stream. A link's right stands behind the # of the address; with &clean there is nothing
// but the picture and its sound, as a browser source of OBS wants it.

import { request } from "../shared/api.js";
import { find, make, write } from "../shared/dom.js";
import { Live } from "../shared/live.js";
import { Measure } from "../shared/measure.js";
import { say } from "../shared/stagewords.js";
import { METERS, SOUND } from "../shared/words.js";

const name = decodeURIComponent(location.pathname.split("/").pop());
const right = new URLSearchParams(location.hash.slice(1));
const token = right.get("token") || undefined;
const clean = right.has("clean");
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

const live = new Live({ stage: find("stage"), place, leave, onState: say, iceServers });
const measure = new Measure();

function hear(wanted) {
  live.videos.forEach((video) => { video.muted = !wanted; });
  find("sound").setAttribute("aria-pressed", String(wanted));
  write(find("sound"), wanted ? SOUND.off : SOUND.on);
}

async function tell() {
  const { fpsOut, width, height } = measure.sample(null, await live.stats());
  const parts = [fpsOut !== null && METERS.fps(Math.round(fpsOut)), width && METERS.size(width, height)].filter(Boolean);
  find("meters").replaceChildren(...parts.map((text) => make("span", {}, text)));
}

find("sound").addEventListener("click", () => hear(find("sound").getAttribute("aria-pressed") !== "true"));
addEventListener("pagehide", () => { if (live.id) leave(live.id).catch(() => {}); });
hear(clean);
setInterval(tell, 1000);
live.run();
