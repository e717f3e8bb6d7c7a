// The studio: sends the camera to the server, shows the matted video, and connects the page's parts.

import { get, Refusal, request } from "../shared/api.js";
import { find, pause } from "../shared/dom.js";
import { Live } from "../shared/live.js";
import { askToSignIn, prepareLogin, showUser } from "../shared/login.js";
import { Measure } from "../shared/measure.js";
import { showState } from "../shared/status.js";
import { Taps } from "../shared/taps.js";
import { SHARE, WARNINGS } from "../shared/words.js";
import { acceptFiles, Backgrounds } from "./backgrounds.js";
import { Camera, NoCamera, showTile } from "./camera.js";
import { Choices } from "./choices.js";
import { Compare } from "./compare.js";
import { Controls } from "./controls.js";
import { Devices } from "./devices.js";
import { listenToKeys } from "./shortcuts.js";
import { Measurements } from "./measurements.js";
import { Microphone } from "./microphone.js";
import { Pick } from "./pick.js";
import { Presets } from "./presets.js";
import { showsRoom } from "./privacy.js";
import { Publisher } from "./publisher.js";
import { Recording } from "./recording.js";
import { followShape } from "./shape.js";
import { Share } from "./share.js";
import { Tile } from "./tile.js";
import { Tools } from "./tools.js";
import { Views } from "./views.js";

const stage = find("stage");
let live = null;
let camera = null;
let publisher = null; // while on air; then the studio shows the video as its viewers see it

const choices = new Choices(patch);
const backgrounds = new Backgrounds(choices);
const presets = new Presets(choices);
const controls = new Controls(choices);
const views = new Views(choices);
const compare = new Compare();
const measurements = new Measurements({ title: (engine) => choices.title(engine), remedy: () => presets.remedy() });
const measure = new Measure();
const note = (text) => backgrounds.note(text);
const tools = new Tools({ live: () => live, note });
const pick = new Pick({ choices, tools, live: () => live, own: () => camera, camera: () => (publisher ? camera : null) });
const recording = new Recording({ live: () => live, note });
const devices = new Devices();
const microphone = new Microphone({ devices, changed: (track) => sending().forEach((each) => each.setSound(track)), note });
const source = new Camera({ devices, asking: () => showState("asking"), lost: () => close("cameraLost"), note,
  replaced: (track) => sending().forEach((each) => each.setCamera(track)) });
const share = new Share({ choices, start: goOnAir, stop: () => offAir(), useGreen: () => backgrounds.useGreen() });

const session = (id) => `/api/sessions/${id}`;
const leave = (id) => request("DELETE", session(id), { keepalive: true });
const iceServers = async () => (await get("/api/ice-servers")).iceServers;

/** The connections that send the camera and the microphone. */
const sending = () => [publisher ?? live].filter(Boolean);

/** The id of the session whose options the choices change. */
const chosenFor = () => (publisher ?? live)?.id;

/** Send changed options. Returns false while nothing is connected: the next offer will carry them. */
async function patch(part) {
  if (stage.dataset.state !== "live" || !chosenFor()) return false;
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

function stateChanged(state, extra) {
  showState(publisher && state === "notLive" ? "connecting" : state, extra);
  for (const part of [tools, pick]) part.enable(state === "live");
  if (state === "live") choices.catchUp();
  if (extra && state === "denied") askToSignIn();
}

async function open() {
  if (camera || find("open").disabled) return;
  find("open").disabled = true;
  try {
    camera = await source.open();
  } catch (error) {
    if (!(error instanceof NoCamera)) throw error;
    showState(error.state);
    return;
  } finally {
    find("open").disabled = false;
  }
  microphone.enable(true);
  await run();
}

async function run() {
  const kind = publisher ? { place: placeView } : { place, track: camera.getVideoTracks()[0], sound: microphone.track };
  const mine = new Live({ stage, ...kind, leave, onState: stateChanged, onShow: videoShown, reason, iceServers, delayMs, fit: false });
  live = mine;
  globalThis.mattebox = { live }; // for debugging in the console
  find("stop").disabled = false;
  if (!find("tile").querySelector("video").srcObject) showTile(find("tile"), camera);
  share.show(publisher?.name ?? null, true);
  follow();
  watchSession(mine);
  await mine.run();
  if (live === mine) await close(null); // the server refused permanently; the reason is already shown
}

/** Publish the camera. It replaces the camera's own session, so that the server mattes only one video. */
async function goOnAir(name) {
  const { options } = choices;
  const tracks = { track: camera.getVideoTracks()[0], sound: microphone.track };
  const next = new Publisher({ name, ...tracks, options: () => choices.options, iceServers });
  await pauseLive();
  try {
    await next.start();
    if (!camera) { await next.stop(); return; } // it was stopped or lost meanwhile
    publisher = next;
    next.setCamera(camera.getVideoTracks()[0]); // both may have changed meanwhile
    next.setSound(microphone.track);
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

/** Close the connection before opening another; the camera stays open. */
async function pauseLive() {
  const ending = live;
  live = null;
  if (ending) stateChanged("connecting");
  measure.clear();
  await ending?.stop();
}

/** Temporal smoothing in both directions delays the first frames by more than a second. */
const delayMs = () => (choices.value("temporal") === "offline" ? 1800 : 0);

function videoShown(video) {
  tools.follow(video);
  recording.follow(video);
  pick.shown();
}

function follow() {
  compare.follow(camera, !["side-by-side", "stacked"].includes(choices.value("view")));
}

/** Once a second, show the meters and check whether the server has ended the session. */
async function watchSession(mine) {
  while (live === mine) {
    const id = chosenFor();
    const record = id ? await get(session(id)).catch((error) => (error.status === 404 ? { state: "lost" } : null)) : null;
    if (live !== mine) return;
    if (record && chosenFor() === id && ["ended", "failed", "lost"].includes(record.state)) {
      mine.lost(record.reason === "drained" ? "draining" : "reconnecting");
      publisher?.lost();
    }
    const sample = measure.sample(record?.meters ?? null, await mine.stats());
    measurements.show(sample, notice(record), !publisher && showsRoom({ view: choices.value("view") }));
    presets.measure(sample);
    await pause(1000);
  }
}

/** The name of the state that explains why the session ended. */
async function reason() {
  const record = await get(session(chosenFor()));
  return record.reason === "drained" ? "draining" : "reconnecting";
}

/** The server's own notice, or that another engine is being loaded, or "". */
function notice(record) {
  const meters = record?.meters;
  if (!meters || stage.dataset.state !== "live") return "";
  const chosen = choices.value("engine");
  if (meters.notice || !chosen || chosen === "auto" || meters.engine === chosen) return WARNINGS.server(meters.notice ?? "");
  return WARNINGS.loading(choices.title(chosen), meters.matte_fps > 0 ? choices.title(meters.engine) : "");
}

/** Close the camera and all connections. state: the state to show afterwards; null leaves the state as it is. */
async function close(state = "idle") {
  const ending = publisher;
  publisher = null;
  recording.stop();
  compare.follow(null);
  showTile(find("tile"), null);
  microphone.enable(false);
  source.close();
  pick.pick(false);
  camera = null;
  find("stop").disabled = true;
  measurements.clear();
  choices.sent({});
  share.show(null, false);
  await Promise.all([pauseLive(), ending?.stop()]);
  stage.dataset.state = "idle";
  for (const part of [tools, pick]) part.enable(false);
  if (state) showState(state);
}

async function begin() {
  try {
    showUser(await get("/api/login"));
    const menu = await get("/api/options");
    choices.learn(menu);
    controls.build();
    presets.learn(menu);
    await backgrounds.load();
    if (!camera) showState(window.isSecureContext ? "idle" : "insecure");
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) { showState("signedOut"); askToSignIn(); return; }
    showState("unreachable");
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
devices.addEventListener("monitor", () => stage.querySelectorAll("video").forEach((v) => { v.muted = !devices.monitor.checked; }));
choices.addEventListener("change", follow);
choices.addEventListener("refused", ({ detail }) => backgrounds.refused(detail));
addEventListener("pagehide", () => {
  if (live?.id) leave(live.id).catch(() => {});
  publisher?.stop();
});
acceptFiles((files) => backgrounds.add(files));
listenToKeys({ background: (number, own) => backgrounds.press(number, own) });
prepareLogin({ entered: begin, leaving: () => close(null) });
new Taps().listen();
new Tile();
followShape(find("tile").querySelector("video"));
tools.enable(false);
microphone.enable(false);
follow();
views.mark();
begin();
