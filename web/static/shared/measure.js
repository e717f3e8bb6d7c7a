// Samples, taken once a second, from the server's meters and the connection's statistics.

export const LATE_MS = 400; // a longer delay disturbs a conversation

export class Measure {
  constructor() { this.clear(); }

  clear() {
    this.last = null;
    this.lastDropped = null;
  }

  /**
   * meters: the server's, or null. stats: the connection's, { in, out, pair }.
   * Returns numbers, or null where they are unknown: fpsIn, fpsOut, glassMs (glassMeasured: by the server, else
   * estimated), networkMs (round trip), dropped (in total), dropRate (per second), load (0-1), sentFps, and limit
   * ("bandwidth", "cpu" or "").
   */
  sample(meters, stats) {
    const now = counters(stats);
    const before = this.last;
    this.last = now;
    const seconds = before && now.id === before.id ? (now.at - before.at) / 1000 : 0;
    const rate = (count) => (seconds > 0 && now[count] !== null ? Math.max(0, (now[count] - before[count]) / seconds) : null);
    const msPerFrame = (time, count) => {
      const frames = seconds > 0 ? now[count] - before[count] : 0;
      return frames > 0 ? (1000 * (now[time] - before[time])) / frames : 0;
    };
    const networkMs = stats.pair?.currentRoundTripTime === undefined ? null : 1000 * stats.pair.currentRoundTripTime;
    const clientMs = msPerFrame("encodeS", "encoded") + msPerFrame("processS", "decoded");
    const dropped = meters ? Object.values(meters.dropped ?? {}).reduce((sum, count) => sum + count, 0) : null;
    return {
      meters, networkMs, dropped,
      fpsIn: meters?.fps_in ?? null,
      fpsOut: rate("decoded") ?? meters?.fps_out ?? null,
      sentFps: rate("encoded"),
      glassMs: this.#glass(meters, networkMs, clientMs),
      glassMeasured: Boolean(meters?.glass_ms),
      dropRate: this.#drops(dropped),
      load: meters?.load ?? null,
      limit: stats.out?.qualityLimitationReason?.replace("none", "") ?? "",
      width: stats.in?.frameWidth ?? 0, height: stats.in?.frameHeight ?? 0,
    };
  }

  /** Delay from camera to screen. The estimate leaves out the camera's and the screen's own delay, a frame or two. */
  #glass(meters, networkMs, clientMs) {
    if (meters?.glass_ms) return meters.glass_ms;
    return meters && networkMs !== null ? networkMs + meters.latency_ms + clientMs : null;
  }

  #drops(dropped) {
    const before = this.lastDropped;
    this.lastDropped = dropped;
    return dropped === null || before === null || dropped < before ? null : dropped - before;
  }
}

function counters({ in: received, out: sent }) {
  return {
    id: `${received?.id}${received?.ssrc}`, at: received?.timestamp ?? 0,
    decoded: received?.framesDecoded ?? null, processS: received?.totalProcessingDelay ?? 0,
    encoded: sent?.framesEncoded ?? null, encodeS: sent?.totalEncodeTime ?? 0,
  };
}

/** Warnings about a sample, the most important first, each as [its name in WARNINGS, its numbers …]. */
export function warnings({ meters, sentFps, limit, glassMs }) {
  if (!meters) return [];
  const found = [];
  const received = Math.round(meters.fps_in);
  const matted = Math.round(meters.matte_fps);
  if (matted === 0 && received > 0) found.push(["warming"]);
  else if (received >= 5 && matted < 0.8 * received) found.push(["capacity", matted, received]);
  if (limit === "bandwidth") found.push(["uplink"]);
  if (limit === "cpu") found.push(["processor"]);
  if (sentFps !== null && sentFps > 0.5 && sentFps < 15 && !limit) found.push(["camera", Math.round(sentFps)]);
  if (glassMs !== null && glassMs > LATE_MS) found.push(["delay", Math.round(glassMs)]);
  return found;
}
