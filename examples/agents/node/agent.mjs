/**
 * A stock @livekit/agents worker that needs no cloud.
 *
 * In: LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET, the settings of README.md. Out: an
 * agent in every room it is dispatched to, its frame log and its turn log.
 * Invariant: the session is @livekit/agents' own; only the recogniser, language model and voice
 * are ours, and its audio source is only observed.
 */

import { ServerOptions, cli, defineAgent, voice } from '@livekit/agents';
import * as silero from '@livekit/agents-plugin-silero';
import { AudioSource, RoomEvent } from '@livekit/rtc-node';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

import { FrameLog, SpeechLog } from './framelog.mjs';
import { EspeakTTS, ScriptedLLM, ScriptedSTT, synthesize } from './speech.mjs';
import { TurnLog } from './turnlog.mjs';

const VOICE = process.env.NODE_AGENT_VOICE || 'en-us';
const AEC_WARMUP_MS = process.env.NODE_AGENT_AEC_WARMUP_MS || '3000';
const Events = voice.AgentSessionEventTypes;

/** Logs one session: its states, the caller's turns and the agent's audio. */
class Watch {
  constructor(log) {
    this.log = log;
    this.speech = new SpeechLog(log);
    /** The caller's current turn, from 0; null before the first. */
    this.turn = null;
    this.pausedAt = undefined;
  }

  /** Reports every frame and every discarded queue of this process's audio source. */
  listen() {
    const watch = this;
    const { captureFrame, clearQueue } = AudioSource.prototype;
    AudioSource.prototype.captureFrame = function (frame) {
      if (!watch.speech.open) watch.speech.begin({ turn: watch.turn });
      // Stamped before the call, which resolves some time after the source took the frame.
      watch.speech.push(frame.data, frame.sampleRate * frame.channels);
      return captureFrame.call(this, frame);
    };
    AudioSource.prototype.clearQueue = function () {
      clearQueue.call(this);
      watch.speech.clear();
      watch.cleared();
    };
  }

  /** Listens to the session until it closes. */
  attach(session) {
    session.on(Events.UserStateChanged, (event) => {
      if (event.newState === 'speaking') this.turn = this.turn === null ? 0 : this.turn + 1;
      this.log.write('user_state', { state: event.newState, turn: this.turn });
    });
    session.on(Events.AgentStateChanged, (event) => {
      this.log.write('state', { state: event.newState, turn: this.turn });
    });
    session.on(Events.Close, () => this.log.write('left'));
  }

  /** Listens to the audio output that the session has created. */
  attachOutput(output) {
    output.on('playbackFinished', ({ interrupted }) => this.speech.end({ interrupted }));
  }

  /** The source's queue is cleared when the session pauses or is interrupted. */
  cleared() {
    const until = this.speech.audibleUntil();
    if (until === undefined || until === this.pausedAt) return;
    this.pausedAt = until;
    this.log.write('paused', { turn: this.turn, last_audible_at: until });
  }
}

export default defineAgent({
  prewarm: async (process) => {
    process.userData.vad = await silero.VAD.load();
  },
  entry: async (ctx) => {
    await ctx.connect();
    const labels = { room: ctx.room.name, identity: ctx.room.localParticipant.identity };
    const watch = new Watch(new FrameLog(process.env.NODE_AGENT_FRAMES_FILE, labels));
    watch.listen();
    ctx.room.on(RoomEvent.LocalTrackPublished, ({ sid }) => {
      watch.log.write('published', { track: sid });
    });
    const session = new voice.AgentSession({
      vad: ctx.proc.userData.vad,
      stt: new ScriptedSTT(),
      llm: new ScriptedLLM(),
      tts: new EspeakTTS(VOICE),
      aecWarmupDuration: Number(AEC_WARMUP_MS),
      turnHandling: { turnDetection: 'vad', interruption: { mode: 'vad' } },
    });
    watch.attach(session);
    const turns = new TurnLog(new FrameLog(process.env.NODE_AGENT_METRICS_FILE, labels));
    session.on(Events.ConversationItemAdded, ({ item }) => turns.add(item));
    session.on(Events.Close, () => turns.end());
    const agent = new voice.Agent({ instructions: 'Your answers are scripted.' });
    await session.start({ agent, room: ctx.room });
    watch.attachOutput(session.output.audio);
  },
});

/** Ends the process with a message if the settings cannot be used. */
async function checkSettings() {
  if (!/^\d{1,5}$/.test(AEC_WARMUP_MS)) {
    fail('NODE_AGENT_AEC_WARMUP_MS must be a whole number from 0 to 99999', 'milliseconds');
  }
  try {
    await synthesize('hello', VOICE);
  } catch (error) {
    fail(error.message, 'NODE_AGENT_VOICE is a voice such as en-us; see espeak-ng --voices');
  }
}

function fail(message, hint) {
  console.error(`error: ${message}\nhint: ${hint}`);
  process.exit(2);
}

/** A port that is free now: the library takes 0 to mean its default, 8081. */
function freePort() {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await checkSettings();
  const options = {
    agent: fileURLToPath(import.meta.url),
    numIdleProcesses: 1,
    // The default of 10 s is too short on a busy machine, and the call would get no agent.
    initializeProcessTimeout: 60_000,
    // The health endpoint must not be reachable from other machines.
    host: '127.0.0.1',
    port: await freePort(),
    // Always report an idle worker: a load test keeps the machine busy on purpose, and the
    // server gives no job to a worker whose load is 0.7 or more.
    loadFunc: async () => 0,
  };
  cli.runApp(new ServerOptions(options));
}
