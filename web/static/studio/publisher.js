// Publishes the camera under a name through WHIP, and reconnects by itself when the connection is lost.
// The server mattes it: viewers never see the room, whatever the studio itself shows.

import { Refusal, request } from "../shared/api.js";
import { pause } from "../shared/dom.js";
import { gathered, preferH264 } from "../shared/live.js";
import { Sender } from "../shared/sender.js";
import { specs } from "../shared/subjects.js";
import { backgroundShowsRoom, LEAST_BLUR, ROOM_BACKGROUND, ROOM_VIEWS } from "./privacy.js";

const CONNECT_MS = 8000;
const RETRY_MS = 1500;
const SAFE_BACKGROUND = "blur:1"; // instead of the room

export class Publisher extends Sender {
  /** track: the camera's. sound: the microphone's, or null. options(): the chosen options. iceServers(): in the format
   * of RTCPeerConnection. */
  constructor({ name, track, sound, options, iceServers }) {
    super(track, sound);
    Object.assign(this, { name, options, iceServers, id: null, running: true });
  }

  /** Connect for the first time, and then stay connected until `stop`. Throws Refusal or Error. */
  async start() {
    await this.#connect();
    this.#stayConnected();
  }

  /** The server has ended the session: reconnect. */
  lost() { this.sessionLost = true; }

  /** Change some of the options. */
  async change(part) {
    await request("PATCH", `/api/sessions/${this.id}`, { json: { options: withoutRoom(part) } });
  }

  async stop() {
    this.running = false;
    this.connection?.close();
    if (this.id) await request("DELETE", `/whip/${this.name}/${this.id}`, { keepalive: true }).catch(() => {});
  }

  async #connect() {
    this.connection?.close();
    const connection = new RTCPeerConnection({ iceServers: await this.iceServers(), bundlePolicy: "max-bundle" });
    this.connection = connection;
    preferH264(this.plugInto(connection, "sendonly"));
    await connection.setLocalDescription();
    await gathered(connection);
    const { edges, subjects, ...flat } = withoutRoom(this.options());
    const query = new URLSearchParams(Object.entries(flat).filter(([, value]) => value !== null));
    for (const spec of specs(subjects ?? [])) query.append("subjects", spec);
    const body = connection.localDescription.sdp;
    const response = await request("POST", `/whip/${this.name}?${query}`, { body, type: "application/sdp" });
    this.id = response.headers.get("Location").split("/").pop();
    this.sessionLost = false;
    await connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
    await connected(connection);
    if (Object.keys(edges ?? {}).length) await this.change({ edges });
  }

  async #stayConnected() {
    while (this.running) {
      await pause(300);
      if (!this.sessionLost && this.connection.connectionState !== "failed") continue;
      try {
        await this.#connect();
      } catch (error) {
        await pause(error instanceof Refusal && error.retryS ? 1000 * error.retryS : RETRY_MS);
      }
    }
    this.connection?.close();
  }
}

/** A copy of the options in which those that show the room are replaced. */
function withoutRoom(options) {
  const safe = { ...options };
  if (ROOM_VIEWS.includes(options.view)) safe.view = "composite";
  if (options.background === ROOM_BACKGROUND) safe.background = SAFE_BACKGROUND;
  else if (backgroundShowsRoom(options.background)) safe.background = `blur:${LEAST_BLUR}`;
  return safe;
}

async function connected(connection) {
  const deadline = performance.now() + CONNECT_MS;
  while (connection.connectionState !== "connected") {
    if (performance.now() > deadline || connection.connectionState === "failed") throw new Error("the connection failed");
    await pause(30);
  }
}
