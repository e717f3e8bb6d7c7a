// The quiet line under the picture.

export class MeterLine {
  constructor(element) {
    this.element = element;
    this.last = null;
  }

  /** meters: the server's, or null; stats: of the connection. */
  show(meters, stats) {
    const parts = [];
    const fps = this.#fps(stats.in);
    if (meters) {
      parts.push(`${meters.fps_in.toFixed(0)} fps in`, `${(fps ?? meters.fps_out).toFixed(0)} out`);
      parts.push(`${meters.latency_ms.toFixed(0)} ms in the server`);
      const dropped = Object.values(meters.dropped).reduce((sum, count) => sum + count, 0);
      parts.push(`${dropped} dropped`, [meters.engine, meters.device].filter(Boolean).join(" on "));
    } else if (fps !== null) {
      parts.push(`${fps.toFixed(0)} fps`);
    }
    if (stats.in?.frameWidth) parts.push(`${stats.in.frameWidth}×${stats.in.frameHeight}`);
    this.element.replaceChildren(...parts.filter(Boolean).map((text) => {
      return Object.assign(document.createElement("span"), { textContent: text });
    }));
  }

  clear() {
    this.last = null;
    this.element.replaceChildren();
  }

  #fps(report) {
    const last = this.last;
    this.last = report && { id: report.id + report.ssrc, at: report.timestamp, frames: report.framesDecoded };
    if (!report || !last || last.id !== this.last.id || report.timestamp <= last.at) return null;
    return Math.max(0, (1000 * (report.framesDecoded - last.frames)) / (report.timestamp - last.at));
  }
}
