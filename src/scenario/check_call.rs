//! Checks `call`: names, anchors, pauses.
//!
//! In: values that passed the schema. Out: the checked parts, and problems in the [`Checker`].

use super::check_sound::said;
use super::checker::{Checker, Zero};
use super::file::{CallFile, StartFile, TurnFile};
use super::places::join;
use super::problem::Code;
use super::types::{CallConfig, Leaving, TurnConfig, UtteranceConfig};
use crate::vocab::{Anchor, Expect, GreetingPolicy};
use std::ops::RangeInclusive;
use std::time::Duration;

const AGENT_TIMEOUT: Duration = Duration::from_secs(30);
const TURN_TIMEOUT: Duration = Duration::from_secs(10);
/// Valid silences: shorter ones are pauses in speech, longer ones a mistake.
const SILENCES: RangeInclusive<Duration> = Duration::from_millis(200)..=Duration::from_secs(60);

impl Checker<'_> {
    pub(super) fn call(
        &mut self,
        file: &CallFile,
        known: &[UtteranceConfig],
    ) -> Option<CallConfig> {
        let said = said(known);
        let utterances: Vec<&str> = known.iter().map(|u| u.name.as_str()).collect();
        let greeting = file.greeting.unwrap_or(GreetingPolicy::Ignore);
        let agent_timeout = self.duration(
            file.agent_timeout.as_ref(),
            "/call/agent_timeout",
            AGENT_TIMEOUT,
            Zero::Refused,
        );
        let written = self.need(file.turns.as_ref(), "/call/turns")?;
        let turns = self.turns(written, greeting, &utterances);
        let hang_up = file.hang_up.as_ref().and_then(|hang_up| {
            let at = "/call/hang_up/after";
            let after = self.need(hang_up.after.as_ref(), at)?;
            Some(self.duration(Some(after), at, Duration::ZERO, Zero::Refused))
        });
        Some(CallConfig {
            greeting,
            agent_timeout,
            agent_track: file.agent_track.clone(),
            agent_identity: file.agent_identity.clone(),
            agent_account: file.agent_account.unwrap_or_default(),
            on_agent_left: file.on_agent_left.unwrap_or_default(),
            reply_tone: file.reply_tone,
            decode: file.decode.unwrap_or_default(),
            filler: self.filler(file.filler.as_ref()),
            awkward_silence: self.awkward_silence(file),
            hang_up,
            sounds: self.sounds(file.sound.as_ref(), file.sounds.as_ref(), &said),
            background: self.background(file.background.as_ref(), "/call/background"),
            turns,
        })
    }

    pub(super) fn turn(
        &mut self,
        file: &TurnFile,
        pointer: &str,
        index: usize,
        greeting: GreetingPolicy,
        utterances: &[&str],
    ) -> Option<TurnConfig> {
        let start = file.start.as_ref();
        let anchor = self.anchor(start, pointer, index, greeting);
        let at_start = join(pointer, "start");
        let silence = self.silence(start, &at_start, anchor);
        let delay = self.delay(
            start.and_then(|s| s.delay.as_ref()),
            &join(&at_start, "delay"),
        );
        let expect = self.expectation(file, pointer);
        self.interruption(start, pointer, (expect, anchor), index);
        let at_timeout = join(pointer, "timeout");
        let timeout = self.duration(
            file.timeout.as_ref(),
            &at_timeout,
            TURN_TIMEOUT,
            Zero::Refused,
        );
        let reply = self.reply_words(file, pointer, expect);
        let hang_up = file.hang_up.as_ref();
        let hang_up = hang_up.map(|start| self.leaving(start, &join(pointer, "hang_up")));
        let (say, pick) = self.saying(file, pointer, expect, utterances)?;
        Some(TurnConfig {
            name: file.name.clone(),
            say,
            pick,
            anchor,
            silence,
            delay,
            expect,
            timeout,
            reply,
            next: Vec::new(),
            hang_up,
            pass: None,
        })
    }

    /// Checks that a turn that asks the agent to stop finds it speaking.
    fn interruption(
        &mut self,
        start: Option<&StartFile>,
        pointer: &str,
        (expect, anchor): (Expect, Anchor),
        index: usize,
    ) {
        if !expect.asks_for_stop() {
            return;
        }
        let delayed = start.is_some_and(|start| start.delay.is_some());
        let silent = match anchor {
            Anchor::Greeting
            | Anchor::AgentSpeechEnd
            | Anchor::AgentTurnEnd
            | Anchor::PreviousTurn => format!("after `{}` it is silent", anchor.name()),
            Anchor::CallStart if index == 0 && !delayed => {
                "when the call starts it has not begun".to_owned()
            }
            Anchor::CallStart | Anchor::AgentSpeechStart => return,
        };
        let message = format!(
            "`expect: {}` needs an agent that is speaking, but {silent}",
            expect.name()
        );
        let hint = "start while it is speaking: `start: {after: agent_speech_start, delay: 1s}`";
        self.problem(&join(pointer, "expect"), Code::Contradiction, message, hint);
    }

    /// When the caller hangs up after a turn.
    fn leaving(&mut self, file: &StartFile, pointer: &str) -> Leaving {
        let anchor = file.after.unwrap_or(Anchor::PreviousTurn);
        if matches!(anchor, Anchor::CallStart | Anchor::Greeting) {
            let message = format!("`{}` comes before this turn", anchor.name());
            let hint = "hang up `after: agent_speech_start`, or set `call.hang_up` to a time after the start of the call";
            let at = join(pointer, "after");
            self.problem(&at, Code::Contradiction, message, hint);
        }
        Leaving {
            anchor,
            silence: self.silence(Some(file), pointer, anchor),
            delay: self.delay(file.delay.as_ref(), &join(pointer, "delay")),
        }
    }

    fn anchor(
        &mut self,
        start: Option<&StartFile>,
        pointer: &str,
        index: usize,
        greeting: GreetingPolicy,
    ) -> Anchor {
        let at_after = format!("{pointer}/start/after");
        let default = match index {
            0 if greeting == GreetingPolicy::None => Anchor::CallStart,
            0 => Anchor::Greeting,
            _ => Anchor::PreviousTurn,
        };
        let anchor = start.and_then(|start| start.after).unwrap_or(default);
        let contradiction = match anchor {
            Anchor::Greeting if greeting == GreetingPolicy::None => Some((
                "`after: greeting`, but `call.greeting` is `none`",
                "set `call.greeting` to `expect` or `ignore`, or start after `call_start`",
            )),
            Anchor::PreviousTurn if index == 0 => Some((
                "the first turn has no previous turn to start after",
                "start it after `call_start` or `greeting`, or leave `start` out",
            )),
            _ => None,
        };
        if let Some((message, hint)) = contradiction {
            self.problem(&at_after, Code::Contradiction, message, hint);
        }
        anchor
    }

    fn silence(&mut self, start: Option<&StartFile>, pointer: &str, anchor: Anchor) -> Duration {
        let Some(text) = start.and_then(|start| start.silence.as_ref()) else {
            return TurnConfig::SILENCE;
        };
        let at = join(pointer, "silence");
        if !matches!(anchor, Anchor::AgentSpeechEnd | Anchor::AgentTurnEnd) {
            let message = format!("`silence` has no meaning after `{}`", anchor.name());
            let hint = "leave it out, or start `after: agent_speech_end`";
            self.problem(&at, Code::Contradiction, message, hint);
        }
        let default = TurnConfig::SILENCE;
        let hint = "shorter pauses are part of speech; 700ms, the default, is longer than most";
        let silence = self.duration_within(Some(text), &at, default, &SILENCES, hint);
        silence.unwrap_or(default)
    }
}
