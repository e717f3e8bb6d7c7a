// One sample a second out of what the server tells and what the connection counts.

const LATE_MS = 400;

export class Measure {
  constructor() { this.clear(); }

  clear() {
    this.last = null;
    this.lastDropped = null;
  }

  /**
   * meters: the server's, or null. stats: of the connection: { in, out, pair }.
   * Gives back numbers, null where nobody knows: fpsIn, fpsOut, glassMs (with told: by the server, else estimated),
   * networkMs, dropped (all), dropRate (a second), load (0-1), sentFps, limit ("bandwidth", "cpu" or "").
   */
  sample(meters, stats) {
    const now = counters(stats);
    const then = this.last;
    this.last = now;
    const seconds = then && now.id === then.id ? (now.at - then.at) / 1000 : 0;
    const per = (count) => (seconds > 0 && now[count] !== null ? Math.max(0, (now[count] - then[count]) / seconds) : null);
    const each = (time, count) => {
      const counted = seconds > 0 ? now[count] - then[count] : 0;
      return counted > 0 ? (1000 * (now[time] - then[time])) / counted : 0;
    };
    const networkMs = stats.pair?.currentRoundTripTime === undefined ? null : 1000 * stats.pair.currentRoundTripTime;
    const clientMs = each("encodeS", "encoded") + each("processS", "decoded");
    const dropped = meters ? Object.values(meters.dropped ?? {}).reduce((sum, count) => sum + count, 0) : null;
    return {
      meters, networkMs, dropped,
      fpsIn: meters?.fps_in ?? null,
      fpsOut: per("decoded") ?? meters?.fps_out ?? null,
      sentFps: per("encoded"),
      glassMs: this.#glass(meters, networkMs, clientMs),
      told: Boolean(meters?.glass_ms),
      dropRate: this.#drops(dropped),
      load: meters?.load ?? null,
      limit: stats.out?.qualityLimitationReason?.replace("none", "") ?? "",
      width: stats.in?.frameWidth ?? 0, height: stats.in?.frameHeight ?? 0,
    };
  }

  /** Camera to screen. Estimated, it leaves out what the camera and the screen take themselves: a frame or two. */
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

function counters({ in: got, out: sent }) {
  return {
    id: `${got?.id}${got?.ssrc}`, at: got?.timestamp ?? 0,
    decoded: got?.framesDecoded ?? null, processS: got?.totalProcessingDelay ?? 0,
    encoded: sent?.framesEncoded ?? null, encodeS: sent?.totalEncodeTime ?? 0,
  };
}

/** What its user should know, most important first, as [name of a warning, its numbers …]. */
export function warnings({ meters, sentFps, limit, glassMs }) {
  if (!meters) return [];
  const found = [];
  const wanted = Math.round(meters.fps_in);
  const got = Math.round(meters.matte_fps);
  if (got === 0 && wanted > 0) found.push(["warming"]);
  else if (wanted >= 5 && got < 0.8 * wanted) found.push(["capacity", got, wanted]);
  if (limit === "bandwidth") found.push(["uplink"]);
  if (limit === "cpu") found.push(["processor"]);
  if (sentFps !== null && sentFps > 0.5 && sentFps < 15 && !limit) found.push(["camera", Math.round(sentFps)]);
  if (glassMs !== null && glassMs > LATE_MS) found.push(["delay", Math.round(glassMs)]);
  return found;
}
