// The studio: the camera goes out, its matted picture comes back, and everything around that.

import { get, Refusal, request } from "../shared/api.js";
import { find, pause } from "../shared/dom.js";
import { Live } from "../shared/live.js";
import { askToSignIn, prepareLogin, showUser } from "../shared/login.js";
import { Measure } from "../shared/measure.js";
import { say } from "../shared/stagewords.js";
import { SHARE, WARNINGS } from "../shared/words.js";
import { acceptFiles, Backgrounds } from "./backgrounds.js";
import { NoCamera, openCamera, showTile } from "./camera.js";
import { Choices } from "./choices.js";
import { Compare } from "./compare.js";
import { Drawer } from "./drawer.js";
import { listenToKeys } from "./keys.js";
import { Presets } from "./presets.js";
import { Publisher, showsRoom } from "./publisher.js";
import { Recording } from "./recording.js";
import { Share } from "./share.js";
import { Tools } from "./tools.js";
import { Truth } from "./truth.js";
import { Views } from "./views.js";

const stage = find("stage");
let live = null;
let camera = null;
let publisher = null; // while on air: then the picture is looked at as its viewers see it

const choices = new Choices(patch);
const backgrounds = new Backgrounds(choices);
const presets = new Presets(choices);
const drawer = new Drawer(choices);
const views = new Views(choices);
const compare = new Compare();
const truth = new Truth();
const measure = new Measure();
const note = (words) => backgrounds.note(words);
const tools = new Tools({ live: () => live, note });
const recording = new Recording({ live: () => live, note });
const share = new Share({ start: goOnAir, stop: () => offAir() });

const session = (id) => `/api/sessions/${id}`;
const leave = (id) => request("DELETE", session(id), { keepalive: true });
const iceServers = async () => (await get("/api/ice-servers")).iceServers;

/** The session that the choices are for. */
const subject = () => (publisher ?? live)?.id;

/** False while nothing is connected: the next offer carries it. */
async function patch(part) {
  if (stage.dataset.state !== "live" || !subject()) return false;
  if (publisher) {
    await publisher.change(part);
    if (showsRoom(part)) note(SHARE.hidden);
  } else await request("PATCH", session(live.id), { json: { options: part } });
  return true;
}

async function place(sdp, old) {
  const { options } = choices;
  const json = { sdp, type: "offer", options, ...(old && { replaces: old }) };
  const answer = await (await request("POST", "/api/sessions", { json })).json();
  choices.sent(options);
  return answer;
}

async function placeView(sdp, old) {
  if (old) await leave(old).catch(() => {});
  const response = await request("POST", `/whep/${publisher.name}`, { body: sdp, type: "application/sdp" });
  return { id: response.headers.get("Location").split("/").pop(), sdp: await response.text() };
}

function tell(state, extra) {
  say(publisher && state === "notLive" ? "connecting" : state, extra);
  tools.enable(state === "live");
  if (state === "live") choices.catchUp();
  if (extra && state === "denied") askToSignIn();
}

async function open() {
  if (camera || find("open").disabled) return;
  find("open").disabled = true;
  try {
    camera = await openCamera(() => say("asking"));
  } catch (error) {
    if (!(error instanceof NoCamera)) throw error;
    say(error.state);
    return;
  } finally {
    find("open").disabled = false;
  }
  camera.getVideoTracks()[0].addEventListener("ended", () => close("cameraLost"));
  await run();
}

async function run() {
  const way = publisher ? { place: placeView } : { place, track: camera.getVideoTracks()[0] };
  const mine = new Live({ stage, ...way, leave, onState: tell, onShow: shown, why, iceServers, heldMs });
  live = mine;
  globalThis.mattebox = { live }; // for whoever looks into a problem from the console
  find("stop").hidden = false;
  if (!find("tile").querySelector("video").srcObject) showTile(find("tile"), camera);
  share.show(publisher?.name ?? null, true);
  follow();
  watchSession(mine);
  await mine.run();
  if (live === mine) await close(null); // the server refused for good, and said why
}

/** The server mattes one picture only: the camera's own session gives way to the published one. */
async function goOnAir(name) {
  const { options } = choices;
  const next = new Publisher({ name, track: camera.getVideoTracks()[0], options: () => choices.options, iceServers });
  await pauseLive();
  try {
    await next.start();
    if (!camera) { await next.stop(); return; } // it was stopped or lost meanwhile
    publisher = next;
    choices.sent(options);
  } catch (error) {
    await next.stop();
    throw error;
  } finally {
    if (camera) run();
  }
}

async function offAir() {
  const ending = publisher;
  publisher = null;
  await Promise.all([pauseLive(), ending?.stop()]);
  if (camera) run();
}

/** Give the connection up for another; the camera stays open. */
async function pauseLive() {
  const ending = live;
  live = null;
  if (ending) tell("connecting");
  measure.clear();
  await ending?.stop();
}

/** Steadying in both directions holds the first second of pictures back. */
const heldMs = () => (choices.value("temporal") === "offline" ? 1800 : 0);

function shown(video) {
  tools.follow(video);
  recording.follow(video);
}

function follow() {
  compare.follow(camera, !["side-by-side", "stacked"].includes(choices.value("view")));
}

/** Meters once a second, and the news that the server gave the session up. */
async function watchSession(mine) {
  while (live === mine) {
    const id = subject();
    const record = id ? await get(session(id)).catch((error) => (error.status === 404 ? { state: "lost" } : null)) : null;
    if (live !== mine) return;
    if (record && subject() === id && ["ended", "failed", "lost"].includes(record.state)) {
      mine.lost(record.reason === "drained" ? "draining" : "reconnecting");
      publisher?.lost();
    }
    const sample = measure.sample(record?.meters ?? null, await mine.stats());
    truth.show(sample, notice(record));
    presets.measure(sample);
    await pause(1000);
  }
}

async function why() {
  const { reason } = await get(session(subject()));
  return reason === "drained" ? "draining" : "reconnecting";
}

/** What the server says itself, or that another engine is on its way. */
function notice(record) {
  const meters = record?.meters;
  if (!meters || stage.dataset.state !== "live") return "";
  const wanted = choices.value("engine");
  if (meters.notice || !wanted || wanted === "auto" || meters.engine === wanted) return meters.notice ?? "";
  return WARNINGS.loading(wanted, meters.matte_fps > 0 ? meters.engine : "");
}

/** state: what is said afterwards; null leaves what was said. */
async function close(state = "idle") {
  const ending = publisher;
  publisher = null;
  recording.stop();
  compare.follow(null);
  showTile(find("tile"), null);
  camera?.getTracks().forEach((track) => track.stop());
  camera = null;
  find("stop").hidden = true;
  truth.clear();
  choices.sent({});
  share.show(null, false);
  await Promise.all([pauseLive(), ending?.stop()]);
  stage.dataset.state = "idle";
  tools.enable(false);
  if (state) say(state);
}

async function begin() {
  try {
    showUser(await get("/api/login"));
    const menu = await get("/api/options");
    choices.learn(menu);
    drawer.build();
    presets.learn(menu);
    await backgrounds.load();
    if (!camera) say(window.isSecureContext ? "idle" : "insecure");
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) { say("signedOut"); askToSignIn(); return; }
    say("unreachable");
    await pause(2000);
    await begin();
  }
}

function act() {
  if (find("card").dataset.state === "signedOut") askToSignIn();
  else open();
}

find("open").addEventListener("click", act);
find("stop").addEventListener("click", () => close());
find("tile-hide").addEventListener("click", () => { find("tile").hidden = true; });
choices.addEventListener("change", follow);
choices.addEventListener("refused", ({ detail }) => backgrounds.refused(detail));
addEventListener("pagehide", () => {
  if (live?.id) leave(live.id).catch(() => {});
  publisher?.stop();
});
acceptFiles((files) => backgrounds.add(files));
listenToKeys({ background: (number) => backgrounds.press(number) });
prepareLogin({ entered: begin, leaving: () => close(null) });
tools.enable(false);
follow();
views.mark();
begin();
