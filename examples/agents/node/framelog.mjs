/**
 * A log of when the agent's audio was really audible, as JSON lines with Unix timestamps.
 *
 * In: the PCM that the session hands to its audio source, with times. Out: one JSON object a
 * line, each with `event`, `at` (Unix seconds), `room` and `identity`, as the Python agents
 * write it (`common/framelog.py`).
 * Invariants: a line is one write to a file opened for appending; audio that was discarded
 * before it was due is never reported as heard.
 */

import { appendFileSync } from 'node:fs';

/** A sample louder than this is sound: -50 dBFS. */
const SOUND = 32_768 * 10 ** (-50 / 20);
/** Sound within 20 dB of the segment's active level is audible, as loadgen judges it. */
const AUDIBLE_SHARE = 10 ** (-20 / 10);
/** Sound is located to this precision. */
const WINDOW_S = 0.001;
/** A silence this long separates two talk spurts. */
const SPURT_GAP_S = 0.2;
/** If a source's next frame comes later than this, the speech has a hole. */
const HOLE_S = 0.002;
/** Ten minutes of sound; later windows replace the last one, so that the end stays correct. */
const MAX_WINDOWS = 600_000;
const MAX_HOLES = 50;

/** Unix seconds, finer than `Date.now()`. */
export const unixNow = () => (performance.timeOrigin + performance.now()) / 1000;

/** Rounds to a microsecond, also inside lists. */
function rounded(value) {
  if (Array.isArray(value)) return value.map(rounded);
  return typeof value === 'number' ? Math.round(value * 1e6) / 1e6 : value;
}

/** Writes events to a file; without a path, it does nothing. */
export class FrameLog {
  /** @param {string | undefined} path @param {Record<string, unknown>} labels */
  constructor(path, labels) {
    this.path = path;
    this.labels = labels;
  }

  /** Writes one line. `at` is the current time unless it is among the fields. */
  write(event, fields = {}) {
    if (!this.path) return;
    const record = { event, at: unixNow(), ...this.labels, ...fields };
    const entries = Object.entries(record).map(([name, value]) => [name, rounded(value)]);
    try {
      appendFileSync(this.path, `${JSON.stringify(Object.fromEntries(entries))}\n`);
    } catch (error) {
      // The call continues: a full disk must not affect the measurement.
      console.error(`error: cannot write to ${this.path}: ${error.message}`);
    }
  }
}

/** Logs every segment of the agent's speech. */
export class SpeechLog {
  /** @param {FrameLog} log */
  constructor(log) {
    this.log = log;
    this.nextDue = 0;
    this.segment = undefined;
  }

  get open() {
    return this.segment !== undefined;
  }

  /** Begins a segment and ends the one in progress; `fields` go into its lines. */
  begin(fields) {
    this.end();
    this.segment = { fields, starts: [], powers: [], holes: [], announced: false };
  }

  /** Records mono audio that has been handed to the source. */
  push(pcm, rate, now = unixNow()) {
    const dryFrom = this.nextDue;
    const due = Math.max(now, dryFrom);
    this.nextDue = due + pcm.length / rate;
    const segment = this.segment;
    if (!segment) return;
    if (segment.announced && due - dryFrom > HOLE_S && segment.holes.length < MAX_HOLES) {
      segment.holes.push([dryFrom, due]);
    }
    addWindows(segment, due, pcm, rate);
    if (!segment.announced && segment.starts.length > 0) {
      segment.announced = true;
      this.log.write('speech_begins', { ...segment.fields, first_sound_at: segment.starts[0] });
    }
  }

  /** Records that the source's queue has been emptied: audio not due yet never leaves. */
  clear(now = unixNow()) {
    this.nextDue = Math.min(this.nextDue, now);
    if (!this.segment) return;
    const { starts, powers } = this.segment;
    while (starts.length > 0 && starts[starts.length - 1] >= now - WINDOW_S / 2) {
      starts.pop();
      powers.pop();
    }
  }

  /** The last audible sample handed over so far in the segment in progress. */
  audibleUntil() {
    return this.segment ? spurts(this.segment).at(-1)?.[1] : undefined;
  }

  /** Ends the segment. Nothing is written for a silent segment. */
  end(fields = {}) {
    const segment = this.segment;
    this.segment = undefined;
    if (!segment) return;
    const found = spurts(segment);
    if (found.length === 0) return;
    this.log.write('speech', {
      ...segment.fields,
      first_sound_at: segment.starts[0],
      first_audible_at: found[0][0],
      last_audible_at: found[found.length - 1][1],
      spurts: found,
      holes: segment.holes,
      ...fields,
    });
  }
}

/** Adds the windows of `pcm` that have sound in them. */
function addWindows(segment, due, pcm, rate) {
  const size = Math.max(1, Math.round(rate * WINDOW_S));
  for (let start = 0; start < pcm.length; start += size) {
    const window = pcm.subarray(start, start + size);
    let loud = false;
    let power = 0;
    for (const sample of window) {
      loud ||= Math.abs(sample) > SOUND;
      power += sample * sample;
    }
    if (!loud) continue;
    if (segment.starts.length >= MAX_WINDOWS) {
      segment.starts.pop();
      segment.powers.pop();
    }
    segment.starts.push(due + start / rate);
    segment.powers.push(power / window.length);
  }
}

/** Start and end of every talk spurt: audible stretches with pauses under 200 ms. */
function spurts({ starts, powers }) {
  const found = [];
  const threshold = (AUDIBLE_SHARE * powers.reduce((sum, power) => sum + power, 0)) / powers.length;
  starts.forEach((start, index) => {
    if (powers[index] < threshold) return;
    const last = found.at(-1);
    if (last && start - last[1] < SPURT_GAP_S) last[1] = start + WINDOW_S;
    else found.push([start, start + WINDOW_S]);
  });
  return found;
}
