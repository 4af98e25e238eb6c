//! One turn from its first packet to its outcome.
//!
//! In: send slots, send stamps, what was heard. Out: frames to send and a [`TurnResult`].
//! Holds: one outcome; an onset before the end of speech is never a latency; onsets and
//! stops are judged by their own instants, not by when we came to know of them.

use super::playout::Held;
use super::spurts::{Spurt, Spurts};
use super::{Expect, Flag, Outcome, TurnResult, TurnScript, later};
use crate::audio::{Confidence, FRAME_TIME, Onset, SPURT_GAP};
use std::time::{Duration, Instant};

/// A last speech packet later than this is flagged (DESIGN section 2).
const LATE_SEND: Duration = Duration::from_millis(2);
/// The codec's look-ahead, and what it smears a hard end: so much later the last speech sample
/// comes out of a decoder, and the packet that carries it decides when it is heard.
const CODEC_TAIL: Duration = Duration::from_micros(6_500 + 2_000);
/// Packets that arrived by the deadline may still be in the socket, and the ear needs some
/// 60 ms of audio to notice a spurt.
const GRACE: Duration = Duration::from_millis(250);
/// An announced onset follows within 500 ms of audio; three times that is not coming.
const ONSET_WAIT: Duration = Duration::from_millis(1500);
/// A reply is listened to for so long.
pub(super) const SPURT_BOUND: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
enum State {
    /// Nothing to judge by yet. `grace` runs from when we were told that the deadline is past.
    Open { grace: Option<Instant> },
    /// Judged by its onset; the reply is still being listened to.
    Reply { until: Instant },
    /// Judged, and over since `at`.
    Over { at: Instant },
}

#[derive(Debug, Clone)]
pub(super) struct Turn {
    script: TurnScript,
    pub(super) media_start: Instant,
    pub(super) speech_end: Instant,
    /// End of speech + timeout.
    pub(super) deadline: Instant,
    /// Frames whose slots have passed.
    said: usize,
    state: State,
    /// The next turn has begun to speak over this one's reply.
    superseded: bool,
    /// Failed until judged otherwise.
    result: TurnResult,
}

impl Turn {
    /// A turn whose frame 0 goes into the slot due at `due`.
    pub(super) fn start(index: usize, script: TurnScript, planned: Instant, due: Instant) -> Self {
        let media_start = due.checked_sub(FRAME_TIME).unwrap_or(due);
        let speech_end = later(media_start, script.speech_end);
        Self {
            media_start,
            speech_end,
            deadline: later(speech_end, script.timeout),
            said: 0,
            state: State::Open { grace: None },
            superseded: false,
            result: TurnResult {
                planned: Some(planned),
                media_start: Some(media_start),
                speech_end: Some(speech_end),
                ..unstarted(index, script.expect)
            },
            script,
        }
    }

    pub(super) fn flag(&mut self, flag: Flag) {
        self.result.flags.push(flag);
    }

    /// The frame for the slot due at `due`, while there is one. A skipped slot skips its
    /// frame, so that frame k always leaves at media start + (k+1)·20 ms.
    pub(super) fn frame(&mut self, due: Instant) -> Option<usize> {
        let half = FRAME_TIME / 2;
        let since = (due + half).saturating_duration_since(self.media_start);
        let slot = usize::try_from(since.as_nanos() / FRAME_TIME.as_nanos()).unwrap_or(usize::MAX);
        let frame = slot.saturating_sub(1).max(self.said);
        self.said = frame.saturating_add(1).min(self.script.frames);
        (frame < self.script.frames).then_some(frame)
    }

    /// Takes the send stamp of the slot due at `due`.
    pub(super) fn sent(&mut self, due: Instant, actual: Instant) {
        let [first, last] = [Duration::ZERO, CODEC_TAIL].map(|tail| {
            later(
                self.media_start,
                self.slot_of(self.script.speech_end.saturating_add(tail)),
            )
        });
        let half = FRAME_TIME / 2;
        if due + half <= first || last + half <= due {
            return;
        }
        let lateness = actual.saturating_duration_since(due);
        let lateness = lateness.max(self.result.send_lateness.unwrap_or_default());
        self.result.send_lateness = Some(lateness);
        if lateness > LATE_SEND {
            self.flag(Flag::LateSend);
        }
    }

    /// From media start to the slot of the packet that holds what was captured by then.
    fn slot_of(&self, captured: Duration) -> Duration {
        let speech = captured.as_nanos();
        let slots = usize::try_from(speech.div_ceil(FRAME_TIME.as_nanos())).unwrap_or(usize::MAX);
        let slots = slots.clamp(1, self.script.frames.max(1));
        FRAME_TIME * u32::try_from(slots).unwrap_or(u32::MAX)
    }

    pub(super) fn is_said(&self) -> bool {
        self.said >= self.script.frames
    }

    /// The reply is under way and its onset known.
    pub(super) fn is_listening(&self) -> bool {
        matches!(self.state, State::Reply { .. })
    }

    /// When the turn was over: judged, and its utterance said.
    pub(super) fn over(&self) -> Option<Instant> {
        let frames = u32::try_from(self.script.frames).unwrap_or(u32::MAX);
        match self.state {
            State::Over { at } if self.is_said() => {
                Some(at.max(later(self.media_start, FRAME_TIME * frames)))
            }
            _ => None,
        }
    }

    /// The next turn speaks: this one no longer waits for its reply's end, only for a judgement.
    pub(super) fn supersede(&mut self, at: Instant) {
        self.superseded = true;
        self.leave_reply(at);
    }

    /// Stops listening to a reply whose end has not been heard.
    pub(super) fn leave_reply(&mut self, at: Instant) {
        if self.is_listening() {
            self.flag(Flag::ReplyUnfinished);
            self.state = State::Over { at };
        }
    }

    /// Takes an onset in; returns whether it belongs to this turn.
    pub(super) fn onset(&mut self, onset: Onset, held: Option<Held>) -> bool {
        let at = onset.at.wire();
        // Of a spurt that was under way when this utterance began.
        if !matches!(self.state, State::Open { .. }) || at < self.media_start {
            return false;
        }
        let early = at < self.speech_end;
        let in_time = at <= self.deadline;
        match self.script.expect {
            Expect::Respond | Expect::Stop if early => self.reply(Outcome::Early, onset, held),
            Expect::Respond if in_time => self.reply(Outcome::Replied, onset, held),
            Expect::Ignore if in_time => {
                self.take(&onset, held);
                self.close(Outcome::Missed, at);
            }
            Expect::Respond => self.miss(),
            Expect::Ignore => self.close(Outcome::Replied, self.deadline),
            Expect::Stop => return false,
        }
        in_time
    }

    /// The reply begins. An early turn that goes on listening stays early.
    fn reply(&mut self, outcome: Outcome, onset: Onset, held: Option<Held>) {
        let at = onset.at.wire();
        if self.result.outcome != Outcome::Early {
            self.take(&onset, held);
            if outcome == Outcome::Early {
                self.result.early_by = Some(self.speech_end.saturating_duration_since(at));
            } else {
                let wire = at.saturating_duration_since(self.speech_end);
                let playout = held.map(|h| h.hold);
                self.result.ttfa_wire = Some(wire);
                self.result.playout_delay = playout;
                self.result.ttfa = playout.map(|p| wire + p);
            }
            self.result.outcome = outcome;
        }
        let until = later(at, SPURT_BOUND);
        self.state = State::Reply { until };
        if self.superseded {
            self.leave_reply(at);
        }
    }

    fn take(&mut self, onset: &Onset, held: Option<Held>) {
        self.result.onset = Some(*onset);
        if onset.confidence == Confidence::Low {
            self.flag(Flag::LowConfidence);
        }
        if onset.earlier_by_loss.is_some() {
            self.flag(Flag::TouchedByLoss);
        }
        self.stamp(held);
    }

    fn stamp(&mut self, held: Option<Held>) {
        if held.is_some_and(|h| !h.kernel_stamp) {
            self.flag(Flag::UserSpaceStamp);
        }
    }

    /// Takes the end of `spurt` in.
    pub(super) fn ended(&mut self, spurt: &Spurt, last: Instant, held: Option<Held>) {
        match self.state {
            State::Reply { .. } => self.reply_ended(last),
            State::Open { .. } => self.stopped(spurt, last, held),
            State::Over { .. } => {}
        }
    }

    fn reply_ended(&mut self, last: Instant) {
        self.result.reply_end.get_or_insert(last);
        let answers = self.script.expect == Expect::Respond;
        let early = self.result.outcome == Outcome::Early;
        self.state = if answers && early && last < self.speech_end {
            // Said while the caller spoke: the answer itself is still to come.
            State::Open { grace: None }
        } else {
            let at = later(last, SPURT_GAP);
            State::Over { at }
        };
    }

    /// The agent fell silent with no reply of this turn under way.
    fn stopped(&mut self, spurt: &Spurt, last: Instant, held: Option<Held>) {
        let interrupted = later(self.media_start, self.script.speech_start);
        if self.script.expect == Expect::Respond
            || last < interrupted
            || spurt.began() > interrupted
        {
            return;
        }
        let in_time = last <= self.deadline;
        match (self.script.expect, in_time) {
            (Expect::Stop, true) => {
                self.result.stop = Some(last.saturating_duration_since(interrupted));
                self.stamp(held);
                self.close(Outcome::Replied, later(last, SPURT_GAP));
            }
            (Expect::Ignore, true) => self.close(Outcome::Missed, later(last, SPURT_GAP)),
            (Expect::Ignore, false) => self.close(Outcome::Replied, self.deadline),
            _ => self.miss(),
        }
    }

    fn miss(&mut self) {
        self.close(Outcome::Missed, self.deadline);
    }

    fn close(&mut self, outcome: Outcome, at: Instant) {
        if self.result.outcome != Outcome::Early {
            self.result.outcome = outcome;
        }
        self.state = State::Over { at };
    }

    /// When [`Turn::timeout`] is wanted.
    pub(super) fn poll_timeout(&self, spurts: &Spurts) -> Option<Instant> {
        match self.state {
            State::Open { grace: None } => Some(self.deadline),
            State::Open { grace: Some(grace) } => {
                let onset = spurts.pending_since().map(|since| later(since, ONSET_WAIT));
                Some(onset.map_or(grace, |o| o.max(grace)))
            }
            State::Reply { until } => Some(until),
            State::Over { .. } => None,
        }
    }

    /// Judges what no longer can be waited for.
    pub(super) fn timeout(&mut self, now: Instant, spurts: &Spurts) {
        if self.poll_timeout(spurts).is_none_or(|at| now < at) {
            return;
        }
        match self.state {
            State::Open { grace: None } => {
                // An end is known only once its gap has passed.
                let hears_ends = self.script.expect != Expect::Respond;
                let gap = if hears_ends && spurts.current.is_some() {
                    SPURT_GAP
                } else {
                    Duration::ZERO
                };
                let grace = Some(later(now, gap + GRACE));
                self.state = State::Open { grace };
            }
            State::Open { grace: Some(_) } if self.script.expect == Expect::Ignore => {
                self.close(Outcome::Replied, self.deadline);
            }
            State::Open { grace: Some(_) } => self.miss(),
            State::Reply { until } => self.leave_reply(until),
            State::Over { .. } => {}
        }
    }

    /// What came of the turn; as failed when the call failed before it was over.
    pub(super) fn finish(self) -> TurnResult {
        let over = self.over().is_some();
        let mut result = self.result;
        if !over {
            result = TurnResult {
                outcome: Outcome::Failed,
                ttfa_wire: None,
                playout_delay: None,
                ttfa: None,
                stop: None,
                early_by: None,
                ..result
            };
        }
        result.flags.sort_unstable();
        result.flags.dedup();
        result
    }
}

/// The result of a turn that never began.
pub(super) fn unstarted(turn: usize, expect: Expect) -> TurnResult {
    TurnResult {
        turn,
        expect,
        outcome: Outcome::Failed,
        planned: None,
        media_start: None,
        speech_end: None,
        send_lateness: None,
        onset: None,
        ttfa_wire: None,
        playout_delay: None,
        ttfa: None,
        stop: None,
        early_by: None,
        reply_end: None,
        second: None,
        flags: Vec::new(),
    }
}
