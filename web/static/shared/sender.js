// What a live connection sends: a camera and a microphone, which can be exchanged on the same connection.
// Knows nothing about servers or pages.

const ENCODINGS = [{ maxBitrate: 4_000_000, maxFramerate: 30 }];

export class Sender {
  /** track: the camera's, or null to send nothing. sound: the microphone's, or null. */
  constructor(track = null, sound = null) {
    this.track = track;
    this.sound = sound;
    this.unplug();
  }

  /** Send another camera's track from now on, on the same connection. */
  setCamera(track) {
    this.track = track;
    return this.cameraLine?.sender.replaceTrack(track).catch(() => {}); // the next connection sends it
  }

  /** Send this microphone's track from now on, on the same connection; null: no sound. */
  setSound(track) {
    this.sound = track;
    return this.soundLine?.sender.replaceTrack(track).catch(() => {});
  }

  /** Add both to a new connection. Returns the camera's transceiver. */
  plugInto(connection, direction) {
    const streams = [new MediaStream([this.track])]; // one stream: players keep picture and sound in sync
    this.cameraLine = connection.addTransceiver(this.track, { direction, streams, sendEncodings: ENCODINGS });
    this.soundLine = connection.addTransceiver(this.sound ?? "audio", { direction, streams });
    return this.cameraLine;
  }

  /** The connection has been closed. */
  unplug() { this.cameraLine = this.soundLine = null; }
}
