/** Tests of the frame log in virtual time: `node --test`. */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { FrameLog, SpeechLog } from './framelog.mjs';

const RATE = 1_000; // a window is one sample

/** Stretches of [level, milliseconds]. */
const clip = (...stretches) =>
  Int16Array.from(stretches.flatMap(([level, ms]) => Array(ms).fill(level)));

/** The lines that `act` makes a log write. */
function lines(act) {
  const folder = mkdtempSync(join(tmpdir(), 'framelog-'));
  try {
    const path = join(folder, 'log');
    const log = new FrameLog(path, { room: 'r' });
    log.write('ready');
    act(new SpeechLog(log));
    const written = readFileSync(path, 'utf8').trimEnd().split('\n');
    return written.slice(1).map((line) => JSON.parse(line));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('talk spurts and holes are logged', () => {
  const [begins, ended] = lines((speech) => {
    speech.begin({ turn: 1 });
    speech.push(clip([0, 20], [9_000, 30]), RATE, 5);
    speech.push(clip([9_000, 10], [0, 201], [9_000, 10]), RATE, 5.1);
    speech.end({ interrupted: false });
  });
  const { event, first_sound_at: first, room } = begins;
  assert.deepEqual([event, first, room], ['speech_begins', 5.02, 'r']);
  assert.deepEqual(ended.spurts, [[5.02, 5.11], [5.311, 5.321]]);
  assert.deepEqual(ended.holes, [[5.05, 5.1]]);
  assert.deepEqual([ended.turn, ended.interrupted], [1, false]);
});

test('discarded audio does not count as heard', () => {
  const [, ended] = lines((speech) => {
    speech.begin({ turn: 0 });
    speech.push(clip([9_000, 400]), RATE, 5);
    speech.clear(5.15);
    assert.ok(Math.abs(speech.audibleUntil() - 5.15) < 1e-6);
    speech.push(clip([0, 50]), RATE, 6);
    speech.end();
  });
  assert.equal(ended.last_audible_at, 5.15);
});

test('audio that was never audible is not speech', () => {
  const written = lines((speech) => {
    speech.push(clip([9_000, 10]), RATE, 5); // no segment is in progress
    speech.begin({ turn: 0 });
    speech.push(clip([100, 100]), RATE, 6);
    speech.end();
  });
  assert.deepEqual(written, []);
});
