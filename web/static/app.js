// The first page: camera out, matted picture back.

import { get, request, Refusal } from "./api.js";
import { Choices } from "./choices.js";
import { Live } from "./live.js";
import { MeterLine } from "./meters.js";
import { say } from "./words.js";

const CAMERA = { video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } }, audio: false };
const find = (id) => document.getElementById(id);
const stage = find("stage");
const meters = new MeterLine(find("meters"));
const choices = new Choices(find("choices"), patch);
let live = null;
let camera = null;

const session = (id) => `/api/sessions/${id}`;

let sent = {}; // what the server knows of the choices

async function patch(part) {
  if (stage.dataset.state !== "live") return; // the next offer carries it, or `catchUp`
  const old = sent;
  sent = { ...sent, ...part };
  try {
    await request("PATCH", session(live.id), { json: { options: part } });
  } catch (error) {
    sent = old;
    throw error;
  }
}

/** What was chosen while the connection was being made. */
function catchUp() {
  const missed = Object.entries(choices.options).filter(([name, value]) => sent[name] !== value);
  if (missed.length) patch(Object.fromEntries(missed)).catch((error) => choices.note(`Not changed: ${error.message}.`));
}

function tell(state, extra) {
  say(state, extra);
  if (state === "live" && live?.id) catchUp();
}

async function openCamera() {
  if (camera) return;
  if (!navigator.mediaDevices?.getUserMedia) { say("insecure"); return; }
  say("asking");
  find("open").disabled = true;
  try {
    camera = await navigator.mediaDevices.getUserMedia(CAMERA);
  } catch (error) {
    const states = { NotAllowedError: "refused", SecurityError: "refused", NotReadableError: "busyCamera" };
    say(states[error.name] || "noCamera");
    return;
  } finally {
    find("open").disabled = false;
  }
  const [track] = camera.getVideoTracks();
  track.contentHint = "motion";
  track.addEventListener("ended", async () => { await close(); say("cameraLost"); });
  find("stop").hidden = false;
  live = new Live({ stage, track, place, leave, onState: tell, iceServers });
  globalThis.mattebox = { live }; // for whoever looks into a problem from the console
  const mine = live;
  watchSession(mine);
  await mine.run();
  if (live === mine) await close(false); // the server refused for good, and said why
}

async function place(sdp, old) {
  sent = { ...choices.options };
  const json = { sdp, type: "offer", options: sent, ...(old && { replaces: old }) };
  return (await request("POST", "/api/sessions", { json })).json();
}

const leave = (id) => request("DELETE", session(id), { keepalive: true });
const iceServers = async () => (await get("/api/ice-servers")).iceServers;

/** Meters once a second, and the news that the server gave the session up. */
async function watchSession(mine) {
  while (live === mine) {
    const id = mine.id;
    const record = id ? await get(session(id)).catch((error) => (error.status === 404 ? { state: "lost" } : null)) : null;
    if (live !== mine) return;
    if (record && mine.id === id && ["ended", "failed", "lost"].includes(record.state)) {
      mine.lost(record.reason === "drained" ? "draining" : "reconnecting");
    }
    meters.show(record?.meters ?? null, await mine.stats());
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

async function close(speak = true) {
  const ending = live;
  live = null;
  camera?.getTracks().forEach((track) => track.stop());
  camera = null;
  find("stop").hidden = true;
  meters.clear();
  await ending?.stop();
  stage.dataset.state = "idle";
  if (speak) say("idle");
}

async function signIn() {
  const dialog = find("login");
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await request("POST", "/api/login", { json: { token: find("token").value } });
      find("token").value = "";
      dialog.close();
      await begin();
    } catch (error) {
      dialog.querySelector(".note").textContent = `${error.message}.`;
    }
  });
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  find("sign-out").addEventListener("click", async () => {
    await close();
    await request("DELETE", "/api/login");
    location.reload();
  });
}

async function begin() {
  try {
    const me = await get("/api/login");
    find("user").hidden = !me.tokens;
    find("user").querySelector("span").textContent = me.user;
    await choices.load();
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) find("login").showModal();
    else say("unreachable", `(${error.message}).`);
  }
}

find("open").addEventListener("click", openCamera);
find("stop").addEventListener("click", () => close());
addEventListener("pagehide", () => { if (live?.id) leave(live.id).catch(() => {}); });
if (!window.isSecureContext) say("insecure");
signIn();
begin();
