/** Tests of the turn log's lines: `node --test`. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { TurnLog } from './turnlog.mjs';

function says(role, textContent, metrics = {}) {
  return { type: 'message', role, textContent, metrics, interrupted: false };
}

function lines(...items) {
  const written = [];
  const log = new TurnLog({ write: (event, fields) => written.push({ event, ...fields }) });
  for (const item of items) log.add(item);
  log.end();
  return written;
}

test('a turn has the figures of the user and of the reply', () => {
  const [line, ...more] = lines(
    says('user', 'yes', { transcriptionDelay: 0.7, stoppedSpeakingAt: 100.5 }),
    says('assistant', 'Sure.', { e2eLatency: 1.25, startedSpeakingAt: 101.75 }),
  );
  assert.deepEqual(more, []);
  assert.equal(line.event, 'turn');
  assert.equal(line.turn, 0);
  assert.equal(line.transcription_delay, 0.7);
  assert.equal(line.user_stopped_speaking_at, 100.5);
  assert.equal(line.agent_started_speaking_at, 101.75);
  assert.equal(line.e2e_latency, 1.25);
  assert.equal(line.reply_text, 'Sure.');
});

test('a figure that is not reported is null', () => {
  const [line] = lines(says('user', 'yes'), says('assistant', 'Sure.'));
  assert.equal(line.llm_node_ttft, null);
  assert.equal(line.end_of_turn_delay, null);
});

test('every user turn has one line, answered or not', () => {
  const turns = lines(
    says('assistant', 'Hello.'),
    says('user', 'yes'),
    { type: 'agent_handoff' },
    says('user', 'hello?'),
    says('assistant', 'Sure.'),
    says('user', 'bye'),
  );
  const short = turns.map((line) => [line.turn, line.user_text, line.reply_text]);
  assert.deepEqual(short, [
    [0, 'yes', null],
    [1, 'hello?', 'Sure.'],
    [2, 'bye', null],
  ]);
});
