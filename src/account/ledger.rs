//! Matches the claims of an agent to the turns of its call.
//!
//! In: claims in order of arrival, turns as they end. Out: the account of each turn, once it is
//! complete. Invariants: claims and turns may come in any order; each turn's account is settled
//! once, when the next turn has ended or the call is over.

use super::clock::ClockOffset;
use super::turn::{Placed, TurnAccount};
use super::{AgentTime, Claim, ClaimKind, Reply, UserTurn};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Maximum number of claims of each kind that wait for their turn; a turn takes a handful.
const WAITING: usize = 256;
/// An agent's own end of speech and ours differ by less than this if they mean the same speech: an
/// overloaded agent notices it many seconds late.
const SAME_SPEECH: Duration = Duration::from_secs(30);

/// The instants of a turn to which claims are matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TurnTimes {
    /// Index of the turn in its call.
    pub turn: usize,
    /// When the caller began to play its utterance.
    pub media_start: Instant,
    /// When the caller stopped speaking.
    pub speech_end: Instant,
    /// When the reply became audible on the wire, if it did.
    pub onset: Option<Instant>,
}

/// What the agent of a call says about its turns.
#[derive(Debug, Clone)]
pub(crate) struct CallAccount {
    clock: ClockOffset,
    user_turns: VecDeque<(Instant, UserTurn)>,
    replies: VecDeque<(Instant, Reply)>,
    transcripts: VecDeque<Instant>,
    /// Turns that have ended and are not settled.
    turns: VecDeque<TurnTimes>,
    /// Whether the agent has described a reply so far.
    tells: bool,
}

impl CallAccount {
    /// An agent that has said nothing. `epoch`: any instant near the call.
    pub(crate) fn new(epoch: Instant) -> Self {
        Self {
            clock: ClockOffset::new(epoch),
            user_turns: VecDeque::new(),
            replies: VecDeque::new(),
            transcripts: VecDeque::new(),
            turns: VecDeque::new(),
            tells: false,
        }
    }

    /// Takes a claim.
    pub(crate) fn claim(&mut self, claim: &Claim) {
        if let Some(sent) = claim.sent {
            self.clock.arrived(sent, claim.arrival);
            if let Some(requested) = claim.requested {
                self.clock.answered(sent, requested);
            }
        }
        let at = claim.arrival;
        match claim.kind {
            ClaimKind::UserTurn(turn) => keep(&mut self.user_turns, (at, turn)),
            ClaimKind::Reply(reply) => {
                self.tells = true;
                keep(&mut self.replies, (at, reply));
            }
            ClaimKind::Transcript => keep(&mut self.transcripts, at),
            ClaimKind::Other => {}
        }
    }

    /// Takes a turn that has ended, or was amended before it was settled.
    pub(crate) fn turn(&mut self, times: TurnTimes) {
        match self.turns.iter_mut().find(|t| t.turn == times.turn) {
            Some(known) => *known = times,
            None => self.turns.push_back(times),
        }
    }

    /// Whether the agent describes its replies, and has yet to describe that of the last turn.
    pub(crate) fn awaits_reply(&self) -> bool {
        let last = self.turns.back();
        let open = last.filter(|turn| turn.onset.is_some());
        self.tells && open.is_some_and(|turn| self.reply_to(turn, None).is_none())
    }

    /// The accounts of the turns that are complete: all but the last, or all if the call is over.
    pub(crate) fn settle(&mut self, over: bool) -> Vec<(usize, TurnAccount)> {
        let mut settled = Vec::new();
        while self.turns.len() > usize::from(!over) {
            let Some(turn) = self.turns.pop_front() else {
                break;
            };
            let next = self.turns.front().copied();
            let account = self.of(&turn, next.as_ref());
            if !account.is_empty() {
                settled.push((turn.turn, account));
            }
            self.forget(next.map(|next| next.media_start));
        }
        settled
    }

    fn of(&self, turn: &TurnTimes, next: Option<&TurnTimes>) -> TurnAccount {
        let heard = self.heard(turn, next).unwrap_or_default();
        let reply = self.reply_to(turn, next).unwrap_or_default();
        let until = next.map(|next| next.speech_end);
        let later = |first: Option<Duration>, of: fn(&Reply) -> Option<Duration>| {
            // A filler has neither model nor synthesis; the answer behind it has.
            first.or_else(|| self.replies_in(turn, next).find_map(|(_, reply)| of(reply)))
        };
        let covers = |at: &&Instant| **at >= turn.speech_end && until.is_none_or(|u| **at < u);
        TurnAccount {
            stopped_speaking: heard.stopped_speaking.and_then(|at| self.placed(at)),
            started_speaking: reply.started_speaking.and_then(|at| self.placed(at)),
            transcription_delay: heard.transcription_delay,
            end_of_turn_delay: heard.end_of_turn_delay,
            on_user_turn_completed_delay: heard.on_user_turn_completed_delay,
            llm_node_ttft: later(reply.llm_node_ttft, |r| r.llm_node_ttft),
            llm_node_ttfs: later(reply.llm_node_ttfs, |r| r.llm_node_ttfs),
            tts_node_ttfb: later(reply.tts_node_ttfb, |r| r.tts_node_ttfb),
            e2e_latency: reply.e2e_latency,
            transcribed: self.transcripts.iter().find(covers).copied(),
        }
    }

    /// The agent's description of the caller's turn: of those whose end of speech lies within the
    /// turn, the one nearest to ours.
    fn heard(&self, turn: &TurnTimes, next: Option<&TurnTimes>) -> Option<UserTurn> {
        let apart = |(arrival, heard): &&(Instant, UserTurn)| {
            let at = heard.stopped_speaking.and_then(|at| self.placed(at));
            let at = at.map_or(*arrival, Placed::likely);
            let inside =
                at >= turn.media_start && next.is_none_or(|next| at < next.media_start + MARGIN);
            let apart = abs_diff(at, turn.speech_end);
            (inside && apart <= SAME_SPEECH).then_some(apart)
        };
        let near = self
            .user_turns
            .iter()
            .filter_map(|h| Some((apart(&h)?, h.1)));
        near.min_by_key(|(apart, _)| *apart).map(|(_, heard)| heard)
    }

    /// The replies that began after the turn and before the next one, with when they began.
    fn replies_in(
        &self,
        turn: &TurnTimes,
        next: Option<&TurnTimes>,
    ) -> impl Iterator<Item = (Instant, &Reply)> {
        let (from, to) = (turn.media_start, next.map(|next| next.media_start));
        let began = self.replies.iter().filter_map(|(arrival, reply)| {
            let at = match reply.started_speaking {
                Some(at) => self.placed(at)?.likely(),
                None => *arrival,
            };
            Some((at, reply))
        });
        began.filter(move |(at, _)| *at >= from && to.is_none_or(|to| *at < to))
    }

    /// The reply that the turn was judged by: the one that began nearest to the onset.
    fn reply_to(&self, turn: &TurnTimes, next: Option<&TurnTimes>) -> Option<Reply> {
        let onset = turn.onset?;
        let replies = self.replies_in(turn, next);
        let nearest = replies.min_by_key(|(at, _)| abs_diff(*at, onset));
        nearest.map(|(_, reply)| *reply)
    }

    fn placed(&self, at: AgentTime) -> Option<Placed> {
        let (earliest, latest) = self.clock.place(at)?;
        Some(Placed { earliest, latest })
    }

    /// Drops the claims that came before the oldest turn that is not settled. `None`: there is none.
    fn forget(&mut self, before: Option<Instant>) {
        let Some(before) = before else { return };
        // A description of a reply comes at its end, so one that arrived earlier is of an old turn.
        self.user_turns.retain(|(at, _)| *at >= before);
        self.replies.retain(|(at, _)| *at >= before);
        self.transcripts.retain(|at| *at >= before);
    }
}

/// By how much an agent's clock may misplace an instant near the boundary of two turns.
const MARGIN: Duration = Duration::from_millis(50);

fn abs_diff(a: Instant, b: Instant) -> Duration {
    a.max(b).duration_since(a.min(b))
}

fn keep<T>(queue: &mut VecDeque<T>, new: T) {
    if queue.len() == WAITING {
        queue.pop_front();
    }
    queue.push_back(new);
}

#[cfg(test)]
mod tests;
