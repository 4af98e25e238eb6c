/**
 * Speech recognition, language model and voice that need no cloud.
 *
 * In: nothing. Out: the three plugins that an `AgentSession` takes.
 * Invariant: nothing is downloaded and nothing leaves the machine.
 */

import { APIConnectionError, AudioByteStream, llm, shortuuid, stt, tts } from '@livekit/agents';
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

const STT_DELAY_MS = 150;
const LLM_TTFT_MS = 300;
const TOKENS_PER_S = 50;
/** The rate of espeak-ng's built-in voices. */
const ESPEAK_RATE = 22_050;
const WAV_HEADER = 44;
const MAX_CLIP_BYTES = 60 * ESPEAK_RATE * 2;
const HEARD = 'This is what the caller said.';
/** Each reply begins abruptly: a soft first sound has no definite onset. */
const REPLIES = [
  'Certainly. Your order left our warehouse this morning.',
  'Good news. It should arrive tomorrow before noon.',
  'You are welcome. Is there anything else I can do for you?',
];

/** Returns the same transcript for every utterance. */
export class ScriptedSTT extends stt.STT {
  label = 'scripted.STT';

  constructor() {
    super({ streaming: false, interimResults: false });
  }

  async _recognize() {
    await sleep(STT_DELAY_MS);
    const heard = { language: 'en', text: HEARD, startTime: 0, endTime: 0, confidence: 1 };
    return { type: stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives: [heard] };
  }

  stream() {
    throw new Error('the scripted recogniser does not stream; the session adapts it with its VAD');
  }
}

/** Streams the scripted replies in order, one per turn. */
export class ScriptedLLM extends llm.LLM {
  label() {
    return 'scripted.LLM';
  }

  chat({ chatCtx, toolCtx, connOptions = {} }) {
    const options = { maxRetry: 0, retryIntervalMs: 0, timeoutMs: 10_000, ...connOptions };
    return new ScriptedStream(this, { chatCtx, toolCtx, connOptions: options });
  }
}

class ScriptedStream extends llm.LLMStream {
  label = 'scripted.LLMStream';

  async run() {
    // Counted by user turns, so that a discarded generation does not shift the script.
    const asked = this.chatCtx.items.filter((item) => item.role === 'user').length;
    const words = REPLIES[Math.max(asked - 1, 0) % REPLIES.length].split(' ');
    const id = shortuuid();
    // Due times count from the start: late wake-ups must not add up.
    const started = performance.now();
    for (const [index, word] of words.entries()) {
      const due = started + LLM_TTFT_MS + (index * 1000) / TOKENS_PER_S;
      await sleep(Math.max(0, due - performance.now()));
      if (this.abortController.signal.aborted) return;
      const content = index === 0 ? word : ` ${word}`;
      this.queue.put({ id, delta: { role: 'assistant', content } });
    }
  }
}

/** espeak-ng, one process per sentence. */
export class EspeakTTS extends tts.TTS {
  label = 'espeak.TTS';

  constructor(voice) {
    super(ESPEAK_RATE, 1, { streaming: false });
    this.voice = voice;
  }

  synthesize(text, connOptions, abortSignal) {
    return new EspeakStream(text, this, connOptions, abortSignal);
  }

  stream() {
    throw new Error('espeak-ng does not stream; the session adapts it sentence by sentence');
  }
}

class EspeakStream extends tts.ChunkedStream {
  label = 'espeak.ChunkedStream';

  constructor(text, espeak, connOptions, abortSignal) {
    super(text, espeak, connOptions, abortSignal);
    this.voice = espeak.voice;
  }

  async run() {
    const pcm = await synthesize(this.inputText, this.voice, this.abortSignal);
    const bytes = new AudioByteStream(ESPEAK_RATE, 1);
    const frames = [...bytes.write(pcm), ...bytes.flush()];
    const requestId = shortuuid();
    frames.forEach((frame, index) => {
      const final = index === frames.length - 1;
      this.queue.put({ requestId, segmentId: requestId, frame, final });
    });
    if (!this.queue.closed) this.queue.close();
  }
}

/** Speaks `text` with espeak-ng. Resolves to 16-bit PCM. */
export function synthesize(text, voice, signal) {
  // The text goes through standard input: it can never be taken for an option.
  const options = ['-v', voice, '-b', '1', '--stdin', '--stdout'];
  const espeak = spawn('espeak-ng', options, { signal });
  return new Promise((resolve, reject) => {
    const chunks = [];
    let message = '';
    espeak.stdout.on('data', (chunk) => chunks.push(chunk));
    espeak.stderr.on('data', (chunk) => {
      message = (message + chunk).slice(0, 500);
    });
    espeak.on('error', (error) => reject(new APIConnectionError({ message: error.message })));
    espeak.on('close', (status) => {
      const pcm = Buffer.concat(chunks).subarray(WAV_HEADER, WAV_HEADER + MAX_CLIP_BYTES);
      if (status === 0 && pcm.length > 0) resolve(new Uint8Array(pcm).buffer);
      else reject(new APIConnectionError({ message: `espeak-ng: no audio: ${message.trim()}` }));
    });
    espeak.stdin.on('error', () => {}); // espeak-ng has ended; `close` reports why
    espeak.stdin.end(text);
  });
}
