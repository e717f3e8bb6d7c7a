// The viewer's page: WHEP of one stream. A link's right stands behind the # of the address.

import { request } from "./api.js";
import { Live } from "./live.js";
import { MeterLine } from "./meters.js";
import { say } from "./words.js";

const name = decodeURIComponent(location.pathname.split("/").pop());
const token = new URLSearchParams(location.hash.slice(1)).get("token") || undefined;
const stage = document.getElementById("stage");
const meters = new MeterLine(document.getElementById("meters"));
document.getElementById("name").textContent = name;
document.title = `${name}: Mattebox`;

async function place(sdp, old) {
  if (old) await leave(old).catch(() => {});
  const response = await request("POST", `/whep/${name}`, { body: sdp, type: "application/sdp", token });
  return { id: response.headers.get("Location"), sdp: await response.text() };
}

const leave = (path) => request("DELETE", path, { token, keepalive: true });

const iceServers = async () => (await (await request("GET", "/api/ice-servers", { token })).json()).iceServers;

const live = new Live({ stage, place, leave, onState: say, iceServers });
const sound = document.getElementById("sound");
sound.addEventListener("click", () => {
  const on = sound.getAttribute("aria-pressed") !== "true";
  sound.setAttribute("aria-pressed", String(on));
  sound.textContent = on ? "Sound off" : "Sound on";
  live.videos.forEach((video) => { video.muted = !on; });
});
addEventListener("pagehide", () => { if (live.id) leave(live.id).catch(() => {}); });
setInterval(async () => meters.show(null, await live.stats()), 1000);
live.run();
