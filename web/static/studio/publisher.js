// Publishes the camera under a name, by WHIP, and does so again by itself when the connection is lost.
// The server mattes it: what viewers get never shows the room, whatever the studio's owner looks at.

import { Refusal, request } from "../shared/api.js";
import { pause } from "../shared/dom.js";
import { gathered, preferH264 } from "../shared/live.js";

const CONNECT_MS = 8000;
const AGAIN_MS = 1500;
const SAFE = "blur:1"; // in place of the room
const ROOM_VIEWS = ["overlay", "side-by-side"];

export class Publisher {
  /** track: the camera's. options(): what is chosen. iceServers(): as RTCPeerConnection takes them. */
  constructor({ name, track, options, iceServers }) {
    Object.assign(this, { name, track, options, iceServers, id: null, running: true });
  }

  /** The first connection; raises Refusal or Error. Afterwards it looks after itself. */
  async start() {
    await this.#connect();
    this.#stay();
  }

  /** Someone learnt that the server gave the session up. */
  lost() { this.gone = true; }

  async change(part) {
    await request("PATCH", `/api/sessions/${this.id}`, { json: { options: harmless(part) } });
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
    const sendEncodings = [{ maxBitrate: 4_000_000, maxFramerate: 30 }];
    preferH264(connection.addTransceiver(this.track, { direction: "sendonly", sendEncodings }));
    await connection.setLocalDescription();
    await gathered(connection);
    const { edges, ...flat } = harmless(this.options());
    const query = new URLSearchParams(Object.entries(flat).filter(([, value]) => value !== null));
    const body = connection.localDescription.sdp;
    const response = await request("POST", `/whip/${this.name}?${query}`, { body, type: "application/sdp" });
    this.id = response.headers.get("Location").split("/").pop();
    this.gone = false;
    await connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
    await connected(connection);
    if (Object.keys(edges ?? {}).length) await this.change({ edges });
  }

  async #stay() {
    while (this.running) {
      await pause(300);
      if (!this.gone && this.connection.connectionState !== "failed") continue;
      try {
        await this.#connect();
      } catch (error) {
        await pause(error instanceof Refusal && error.retryS ? 1000 * error.retryS : AGAIN_MS);
      }
    }
    this.connection?.close();
  }
}

/** What viewers are not to have. */
export const showsRoom = ({ view, background }) => background === "none" || ROOM_VIEWS.includes(view);

/** Options as viewers may have them. */
function harmless(options) {
  const shown = { ...options };
  if (ROOM_VIEWS.includes(options.view)) shown.view = "composite";
  if (options.background === "none") shown.background = SAFE;
  return shown;
}

async function connected(connection) {
  const ends = performance.now() + CONNECT_MS;
  while (connection.connectionState !== "connected") {
    if (performance.now() > ends || connection.connectionState === "failed") throw new Error("no connection came about");
    await pause(30);
  }
}
