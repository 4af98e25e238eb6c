/**
 * One JSON line for each conversation turn, with the agent's own figures under the names that they
 * have in the Python agent's log.
 *
 * In: the session's items. Out: lines of a `FrameLog`, with `event` `turn`, `turn` (from 0), delays
 * in seconds, instants in Unix seconds.
 * Invariant: every user turn gets exactly one line, even if it was never answered; a figure that
 * the library does not report is null.
 */

/** The figures of the user's turn and of the reply: name in the log, then name in the library. */
const USER_FIGURES = {
  user_started_speaking_at: 'startedSpeakingAt',
  user_stopped_speaking_at: 'stoppedSpeakingAt',
  transcription_delay: 'transcriptionDelay',
  end_of_turn_delay: 'endOfTurnDelay',
  on_user_turn_completed_delay: 'onUserTurnCompletedDelay',
};
const REPLY_FIGURES = {
  agent_started_speaking_at: 'startedSpeakingAt',
  agent_stopped_speaking_at: 'stoppedSpeakingAt',
  llm_node_ttft: 'llmNodeTtft',
  tts_node_ttfb: 'ttsNodeTtfb',
  e2e_latency: 'e2eLatency',
};

function figures(names, item) {
  const entries = Object.entries(names);
  return Object.fromEntries(entries.map(([name, key]) => [name, item?.metrics?.[key] ?? null]));
}

/** Pairs each turn of the user with the agent's reply. */
export class TurnLog {
  /** @param {import('./framelog.mjs').FrameLog} log */
  constructor(log) {
    this.log = log;
    this.turn = 0;
    this.user = null;
  }

  /** Handles a new item of the conversation. */
  add(item) {
    if (item.type !== 'message') return;
    if (item.role === 'user') {
      this.end();
      this.user = item;
    } else if (item.role === 'assistant' && this.user) {
      this.#write(item);
    }
  }

  /** Writes the turn that was never answered, if there is one. */
  end() {
    if (this.user) this.#write(null);
  }

  #write(reply) {
    this.log.write('turn', {
      turn: this.turn,
      ...figures(USER_FIGURES, this.user),
      ...figures(REPLY_FIGURES, reply),
      interrupted: reply?.interrupted ?? null,
      user_text: this.user.textContent ?? null,
      reply_text: reply?.textContent ?? null,
    });
    this.turn += 1;
    this.user = null;
  }
}
