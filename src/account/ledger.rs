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
/// Maximum number of agents of a call whose clocks are followed.
const CLOCKS: usize = 8;
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
    epoch: Instant,
    /// By the identity of the agent.
    clocks: Vec<(Box<str>, ClockOffset)>,
    user_turns: VecDeque<Said<UserTurn>>,
    replies: VecDeque<Said<Reply>>,
    transcripts: VecDeque<Instant>,
    /// Turns that have ended and are not settled, in their order.
    turns: VecDeque<TurnTimes>,
    /// Turns before this one are settled.
    settled: usize,
    /// Whether the agent describes what is said.
    tells: bool,
}

/// What an agent said, when it arrived, and which of the clocks its instants are on.
#[derive(Debug, Clone, Copy)]
struct Said<T> {
    arrival: Instant,
    clock: usize,
    what: T,
}

impl<T> Said<T> {
    fn new(claim: &Claim, clock: usize, what: T) -> Self {
        Self {
            arrival: claim.arrival,
            clock,
            what,
        }
    }
}

impl CallAccount {
    /// An agent that has said nothing. `epoch`: any instant near the call.
    pub(crate) fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            clocks: Vec::new(),
            user_turns: VecDeque::new(),
            replies: VecDeque::new(),
            transcripts: VecDeque::new(),
            turns: VecDeque::new(),
            settled: 0,
            tells: false,
        }
    }

    /// Takes a claim.
    pub(crate) fn claim(&mut self, claim: &Claim) {
        if claim.kind == ClaimKind::Transcript {
            return keep(&mut self.transcripts, claim.arrival);
        }
        let Some(clock) = self.clock_of(&claim.agent) else {
            return;
        };
        if let Some(sent) = claim.sent {
            let offset = &mut self.clocks[clock].1;
            offset.arrived(sent, claim.arrival);
            if let Some(requested) = claim.requested {
                offset.answered(sent, requested);
            }
        }
        self.tells |= claim.kind != ClaimKind::Other;
        match claim.kind {
            ClaimKind::UserTurn(what) => {
                keep(&mut self.user_turns, Said::new(claim, clock, what));
            }
            ClaimKind::Reply(what) => keep(&mut self.replies, Said::new(claim, clock, what)),
            ClaimKind::Transcript | ClaimKind::Other => {}
        }
    }

    /// The place of an agent's clock; `None` if there are too many agents.
    fn clock_of(&mut self, agent: &str) -> Option<usize> {
        let known = self.clocks.iter().position(|(of, _)| **of == *agent);
        if known.is_none() && self.clocks.len() < CLOCKS {
            let offset = ClockOffset::new(self.epoch);
            self.clocks.push((agent.into(), offset));
            return Some(self.clocks.len() - 1);
        }
        known
    }

    /// Takes a turn that has ended, or was amended; false if it was settled before.
    pub(crate) fn turn(&mut self, times: TurnTimes) -> bool {
        if self.is_settled(times.turn) {
            return false;
        }
        let place = self.turns.partition_point(|t| t.turn < times.turn);
        match self.turns.get_mut(place).filter(|t| t.turn == times.turn) {
            Some(known) => *known = times,
            None => self.turns.insert(place, times),
        }
        true
    }

    /// Whether the turn was settled.
    pub(crate) fn is_settled(&self, turn: usize) -> bool {
        turn < self.settled
    }

    /// Whether the agent has yet to describe a reply, which it does when the reply has ended.
    pub(crate) fn awaits_reply(&self) -> bool {
        (0..self.turns.len()).any(|place| self.awaits(place))
    }

    /// Whether the reply to this turn has yet to be described.
    fn awaits(&self, place: usize) -> bool {
        let turn = &self.turns[place];
        let next = self.turns.get(place + 1);
        self.tells && turn.onset.is_some() && self.reply_to(turn, next).is_none()
    }

    /// The accounts of the turns that are complete, or all if the call is over. The last turn is
    /// not complete before the next one has ended, nor is a turn whose reply has yet to be
    /// described, unless two more have ended.
    pub(crate) fn settle(&mut self, over: bool) -> Vec<(usize, TurnAccount)> {
        let mut settled = Vec::new();
        while over || self.turns.len() > 2 || (self.turns.len() == 2 && !self.awaits(0)) {
            let Some(turn) = self.turns.pop_front() else {
                break;
            };
            self.settled = turn.turn + 1;
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
        let heard = self.heard(turn, next);
        let judged = self.reply_to(turn, next);
        let until = next.map(|next| next.speech_end);
        let covers = |at: &&Instant| **at >= turn.speech_end && until.is_none_or(|u| **at < u);
        let user = heard.map(|heard| heard.what).unwrap_or_default();
        let reply = judged.map(|(_, said)| said.what).unwrap_or_default();
        let worked = judged.map(|judged| self.with_model(judged, turn, next));
        let worked = worked.unwrap_or_default();
        TurnAccount {
            stopped_speaking: heard.and_then(|said| self.placed(said, user.stopped_speaking?)),
            started_speaking: judged
                .and_then(|(_, said)| self.placed(said, reply.started_speaking?)),
            transcription_delay: user.transcription_delay,
            end_of_turn_delay: user.end_of_turn_delay,
            on_user_turn_completed_delay: user.on_user_turn_completed_delay,
            llm_node_ttft: worked.llm_node_ttft,
            llm_node_ttfs: worked.llm_node_ttfs,
            tts_node_ttfb: worked.tts_node_ttfb,
            e2e_latency: reply.e2e_latency,
            unexplained: unexplained(&user, &reply),
            transcribed: self.transcripts.iter().find(covers).copied(),
        }
    }

    /// The reply that the language model worked for: the judged one, or the answer behind it if
    /// that is a filler, which has no model.
    fn with_model(
        &self,
        (began, judged): (Instant, Said<Reply>),
        turn: &TurnTimes,
        next: Option<&TurnTimes>,
    ) -> Reply {
        if judged.what.llm_node_ttft.is_some() {
            return judged.what;
        }
        let later = self.replies_in(turn, next).filter(|(at, _)| *at > began);
        let answers = later.filter(|(_, said)| said.what.llm_node_ttft.is_some());
        let first = answers.min_by_key(|(at, _)| *at);
        first.map_or(judged.what, |(_, said)| said.what)
    }

    /// The agent's description of the caller's turn: of those whose end of speech lies within the
    /// turn, the one nearest to ours.
    fn heard(&self, turn: &TurnTimes, next: Option<&TurnTimes>) -> Option<Said<UserTurn>> {
        let apart = |said: &Said<UserTurn>| {
            let at = said.what.stopped_speaking;
            let at = at.and_then(|at| self.placed(*said, at));
            let at = at.map_or(said.arrival, Placed::likely);
            let inside =
                at >= turn.media_start && next.is_none_or(|next| at < next.media_start + MARGIN);
            let apart = abs_diff(at, turn.speech_end);
            (inside && apart <= SAME_SPEECH).then_some(apart)
        };
        let near = self.user_turns.iter();
        let near = near.filter_map(|said| Some((apart(said)?, *said)));
        near.min_by_key(|(apart, _)| *apart).map(|(_, said)| said)
    }

    /// The replies that began after the turn and before the next one, with when they began.
    fn replies_in(
        &self,
        turn: &TurnTimes,
        next: Option<&TurnTimes>,
    ) -> impl Iterator<Item = (Instant, Said<Reply>)> {
        let (from, to) = (turn.media_start, next.map(|next| next.media_start));
        let began = self.replies.iter().filter_map(|said| {
            let at = match said.what.started_speaking {
                Some(at) => self.placed(*said, at)?.likely(),
                None => said.arrival,
            };
            // Nobody describes a reply that has not begun: such a clock is not to be believed.
            (at <= said.arrival + MARGIN).then_some((at, *said))
        });
        began.filter(move |(at, _)| *at >= from && to.is_none_or(|to| *at < to))
    }

    /// The reply that the turn was judged by: the one that began nearest to the onset.
    fn reply_to(
        &self,
        turn: &TurnTimes,
        next: Option<&TurnTimes>,
    ) -> Option<(Instant, Said<Reply>)> {
        let onset = turn.onset?;
        let replies = self.replies_in(turn, next);
        replies.min_by_key(|(at, _)| abs_diff(*at, onset))
    }

    fn placed<T>(&self, said: Said<T>, at: AgentTime) -> Option<Placed> {
        let (earliest, latest) = self.clocks.get(said.clock)?.1.place(at)?;
        Some(Placed { earliest, latest })
    }

    /// Drops the claims that came before the oldest turn that is not settled. `None`: there is none.
    fn forget(&mut self, before: Option<Instant>) {
        let Some(before) = before else { return };
        // A description of a reply comes at its end, so one that arrived earlier is of an old turn.
        self.user_turns.retain(|said| said.arrival >= before);
        self.replies.retain(|said| said.arrival >= before);
        self.transcripts.retain(|at| *at >= before);
    }
}

/// By how much an agent's clock may misplace an instant near the boundary of two turns.
const MARGIN: Duration = Duration::from_millis(50);

/// What is left of the agent's latency if its parts followed each other. `None` if it does not tell
/// them all.
fn unexplained(user: &UserTurn, reply: &Reply) -> Option<Duration> {
    // The synthesis begins with the first sentence; older agents tell the first token alone.
    let model = reply.llm_node_ttfs.or(reply.llm_node_ttft)?;
    let hook = user.on_user_turn_completed_delay.unwrap_or_default();
    let parts = user.end_of_turn_delay? + hook + model + reply.tts_node_ttfb?;
    Some(reply.e2e_latency?.saturating_sub(parts))
}

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
