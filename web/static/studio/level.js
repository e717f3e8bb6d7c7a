// Measures how loud a sound track is, ten times a second.

const INTERVAL_MS = 100;
const QUIETEST_DB = -60; // level 0; full scale is level 1

export class Level {
  /** heard(level): called with the peak level, 0 to 1; null while it cannot be measured. */
  constructor(heard) { Object.assign(this, { heard, source: null }); }

  /** track: measured from now on; null: none. */
  follow(track) {
    this.source?.disconnect();
    clearInterval(this.timer);
    this.source = null;
    this.heard(0);
    if (!track) { this.context?.suspend(); return; }
    this.context ??= new AudioContext();
    this.context.resume();
    this.source = this.context.createMediaStreamSource(new MediaStream([track]));
    const analyser = new AnalyserNode(this.context, { fftSize: 4096 }); // 85 ms at 48 kHz
    this.source.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.timer = setInterval(() => {
      if (this.context.state !== "running") { this.heard(null); return; } // in Firefox without a loudspeaker it never runs
      analyser.getFloatTimeDomainData(samples);
      this.heard(level(samples));
    }, INTERVAL_MS);
  }
}

/** The level of samples from -1 to 1: 0 at -60 dB and below, 1 at full scale. */
export function level(samples) {
  const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  return peak ? Math.min(1, Math.max(0, 1 - (20 * Math.log10(peak)) / QUIETEST_DB)) : 0;
}
