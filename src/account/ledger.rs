//! Matches the claims of an agent to the turns of its call.
//!
//! In: claims in order of arrival, turns as they end. Out: the account of each turn, once it is
//! complete. Invariants: claims and turns may be interleaved in any order; each turn's account is
//! settled exactly once, after the next turn has ended or the call is over.

use super::clocks::{AgentClocks, CLOCKS};
use super::path::{Step, Told};
use super::times::{TurnTimes, Window, abs_diff};
use super::turn::{Placed, ToolAccount, TurnAccount};
use super::usage::{CallUsage, ModelUsage};
use super::{AgentTime, Claim, ClaimKind, Reply, SessionState, ToolEvent, UserTurn};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Maximum number of claims of each kind that wait for their turn; a turn has only a few.
const WAITING: usize = 256;
/// Maximum number of transcripts that wait for their turn.
const TEXTS: usize = 64;
/// Maximum number of tools and states of a turn.
const OF_TURN: usize = 64;
/// Maximum length of a turn's text in bytes.
const TEXT: usize = 8 * 1024;
/// If the agent's end of speech and ours are at most this far apart, they belong to the same
/// speech. The limit is this large because an overloaded agent detects the end many seconds late.
const SAME_SPEECH: Duration = Duration::from_secs(30);

/// The agents' claims about the turns of one call.
#[derive(Debug, Clone)]
pub(crate) struct CallAccount {
    clocks: AgentClocks,
    user_turns: VecDeque<Said<UserTurn>>,
    replies: VecDeque<Said<Reply>>,
    transcripts: VecDeque<(Instant, Arc<str>)>,
    /// Transcripts of replies, used if the agent does not describe its replies.
    reply_texts: VecDeque<(Instant, Arc<str>)>,
    tools: VecDeque<Said<ToolEvent>>,
    states: VecDeque<Said<(SessionState, AgentTime)>>,
    /// When the agent detected that the caller had stopped.
    stops: VecDeque<Said<AgentTime>>,
    usage: CallUsage,
    /// Turns that have ended but are not settled, in order.
    turns: VecDeque<TurnTimes>,
    /// Number of settled turns: all turns with a lower index are settled.
    settled: usize,
    /// Whether the agent has described a turn or a reply.
    tells: bool,
    /// Whether the agent has sent a transcript of any turn.
    transcribes: bool,
    /// Whether the agent has described a reply including its text.
    describes: bool,
}

/// A claim's content, its arrival, and the index of the clock that its instants are on.
#[derive(Debug, Clone)]
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
    /// An account without claims. `epoch`: any instant near the call.
    pub(crate) fn new(epoch: Instant) -> Self {
        Self {
            clocks: AgentClocks::new(epoch),
            user_turns: VecDeque::new(),
            replies: VecDeque::new(),
            transcripts: VecDeque::new(),
            reply_texts: VecDeque::new(),
            tools: VecDeque::new(),
            states: VecDeque::new(),
            stops: VecDeque::new(),
            usage: CallUsage::default(),
            turns: VecDeque::new(),
            settled: 0,
            tells: false,
            transcribes: false,
            describes: false,
        }
    }

    /// Records a claim.
    pub(crate) fn claim(&mut self, claim: &Claim) {
        match &claim.kind {
            ClaimKind::Transcript(text) => {
                self.transcribes = true;
                return keep(&mut self.transcripts, TEXTS, (claim.arrival, text.clone()));
            }
            ClaimKind::ReplyTranscript(text) => {
                return keep(&mut self.reply_texts, TEXTS, (claim.arrival, text.clone()));
            }
            ClaimKind::Usage(models) => self.usage.claim(&claim.agent, models, CLOCKS),
            _ => {}
        }
        let Some(clock) = self.clocks.heard(claim) else {
            return;
        };
        self.tells |= matches!(claim.kind, ClaimKind::UserTurn(_) | ClaimKind::Reply(_));
        match &claim.kind {
            ClaimKind::UserTurn(what) => {
                self.transcribes |= what.text.is_some();
                keep(
                    &mut self.user_turns,
                    WAITING,
                    Said::new(claim, clock, what.clone()),
                );
            }
            ClaimKind::Reply(what) => {
                self.describes |= what.text.is_some();
                keep(
                    &mut self.replies,
                    WAITING,
                    Said::new(claim, clock, what.clone()),
                );
            }
            ClaimKind::Tools(events) => {
                for event in events {
                    keep(
                        &mut self.tools,
                        WAITING,
                        Said::new(claim, clock, event.clone()),
                    );
                }
            }
            ClaimKind::State(state) => {
                if let Some(sent) = claim.sent {
                    keep(
                        &mut self.states,
                        WAITING,
                        Said::new(claim, clock, (*state, sent)),
                    );
                }
            }
            ClaimKind::CallerStopped => {
                if let Some(sent) = claim.sent {
                    keep(&mut self.stops, WAITING, Said::new(claim, clock, sent));
                }
            }
            ClaimKind::Transcript(_)
            | ClaimKind::ReplyTranscript(_)
            | ClaimKind::Usage(_)
            | ClaimKind::Other => {}
        }
    }

    /// Usage by all agents of the call so far.
    pub(crate) fn usage(&self) -> Vec<ModelUsage> {
        self.usage.total()
    }

    /// The clocks of the agents of the call.
    pub(crate) fn into_clocks(self) -> AgentClocks {
        self.clocks
    }

    /// Records a turn that has ended or was amended; returns false if the turn is already settled.
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

    /// Whether the turn has been settled.
    pub(crate) fn is_settled(&self, turn: usize) -> bool {
        turn < self.settled
    }

    /// Whether the description of any reply is still missing. Agents send it when the reply has
    /// ended.
    pub(crate) fn awaits_reply(&self) -> bool {
        (0..self.turns.len()).any(|place| self.awaits(place))
    }

    /// Whether the description of the reply to this turn is still missing.
    fn awaits(&self, place: usize) -> bool {
        let turn = &self.turns[place];
        let next = self.turns.get(place + 1);
        self.tells && turn.onset.is_some() && self.reply_to(turn, next).is_none()
    }

    /// Settles the turns that are complete, or all turns if the call is over, and returns their
    /// accounts. A turn is complete once the next turn has ended and its own reply, if any, has
    /// been described, or once two more turns have ended.
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
        let judged = self.reply_to(turn, next);
        // Another agent in the room may describe the same speech.
        let clock = judged.map(|(_, said)| said.clock);
        let heard = self.heard(turn, next, clock);
        let user = heard.map(|heard| heard.what.clone()).unwrap_or_default();
        let reply = judged.map(|(_, said)| said.what.clone());
        let reply = reply.unwrap_or_default();
        let worked = judged.map(|judged| self.with_model(judged, turn, next));
        let worked = worked.unwrap_or_default();
        let tools = self.tools_of(turn, next);
        let judged_reply = judged.map(|(_, said)| said);
        let stopped = stopped(heard, judged_reply);
        let over = self
            .noticed(turn, judged_reply)
            .filter(|_| stopped.is_none());
        let zero = stopped.or_else(|| over.map(|said| (said.clock, said.what)));
        let told = told(zero, &user, judged_reply, &tools);
        TurnAccount {
            stopped_speaking: stopped.and_then(|(clock, at)| self.clocks.place(clock, at)),
            turn_over: over.and_then(|said| self.placed(said, said.what)),
            started_speaking: judged
                .and_then(|(_, said)| self.placed(said, reply.started_speaking?)),
            transcription_delay: user.transcription_delay,
            end_of_turn_delay: user.end_of_turn_delay,
            on_user_turn_completed_delay: user.on_user_turn_completed_delay,
            llm_node_ttft: worked.llm_node_ttft,
            llm_node_ttfs: worked.llm_node_ttfs,
            tts_node_ttfb: worked.tts_node_ttfb,
            e2e_latency: reply.e2e_latency,
            asked: judged
                .filter(|_| reply.llm_node_ttft.is_some())
                .filter(|_| !told.as_ref().is_some_and(Told::is_preemptive))
                .and_then(|(_, said)| self.placed(said, reply.asked?)),
            path: told.as_ref().map(lengths).unwrap_or_default(),
            transcribed: self.transcripts_of(turn, next).next().map(|(at, _)| *at),
            heard_text: self.heard_text(turn, next, clock),
            reply_text: self.reply_text(turn, next),
            tools: self.placed_tools(&tools),
            states: self.states_of(turn, next, clock),
        }
    }

    /// The final transcripts that arrived between the turn's end of speech and the next turn's.
    fn transcripts_of(
        &self,
        turn: &TurnTimes,
        next: Option<&TurnTimes>,
    ) -> impl Iterator<Item = &(Instant, Arc<str>)> {
        let window = Window {
            from: turn.speech_end,
            to: next.map(|next| next.speech_end),
        };
        let all = self.transcripts.iter();
        all.filter(move |(at, _)| window.contains(*at))
    }

    /// The agent's text of the caller's turn, from its descriptions or else from its transcripts.
    /// The agent may split an utterance that contains a pause into several turns.
    fn heard_text(
        &self,
        turn: &TurnTimes,
        next: Option<&TurnTimes>,
        clock: Option<usize>,
    ) -> Option<Arc<str>> {
        let window = Window::of_turn(turn, next);
        let own = |said: &&Said<UserTurn>| clock.is_none_or(|clock| clock == said.clock);
        let described = self.user_turns.iter().filter(own);
        let described = described.filter(|said| window.contains(self.heard_at(said)));
        let described = joined(described.filter_map(|said| said.what.text.as_deref()));
        // A transcript can arrive after a pause, while the caller is still speaking.
        let texts = self
            .transcripts
            .iter()
            .filter(|(at, _)| window.contains(*at));
        let text = described.or_else(|| joined(texts.map(|(_, text)| &**text)));
        // The transcript of the last turn may arrive after the call, so its absence means nothing.
        let is_over = next.is_some() || clock.is_some();
        text.or_else(|| (self.transcribes && is_over).then(|| "".into()))
    }

    /// The text of the agent's replies in the turn.
    fn reply_text(&self, turn: &TurnTimes, next: Option<&TurnTimes>) -> Option<Arc<str>> {
        if self.describes {
            let replies = self.replies_in(turn, next);
            return joined(replies.filter_map(|(_, said)| said.what.text.as_deref()));
        }
        let window = Window::of_turn(turn, next);
        let texts = self
            .reply_texts
            .iter()
            .filter(|(at, _)| window.contains(*at));
        joined(texts.map(|(_, text)| &**text))
    }

    /// The text of the replies to the latest turn, as far as it is known, and whether the agent has
    /// described the reply that the turn was judged by.
    pub(crate) fn reply_so_far(&self, turn: &TurnTimes) -> Option<(Arc<str>, bool)> {
        let described = self.replies_in(turn, None);
        let described = joined(described.filter_map(|(_, said)| said.what.text.as_deref()));
        let judged = self.reply_to(turn, None);
        let complete = judged.is_some_and(|(_, said)| said.what.text.is_some());
        let window = Window::of_turn(turn, None);
        let texts = self
            .reply_texts
            .iter()
            .filter(|(at, _)| window.contains(*at));
        let text = described.or_else(|| joined(texts.map(|(_, text)| &**text)))?;
        Some((text, complete))
    }

    /// The tool calls that began in the turn, each once, in the order in which they began.
    fn tools_of(&self, turn: &TurnTimes, next: Option<&TurnTimes>) -> Vec<Said<ToolEvent>> {
        let mut calls: Vec<Said<ToolEvent>> = Vec::new();
        for said in &self.tools {
            let same = |call: &&mut Said<ToolEvent>| {
                call.clock == said.clock && call.what.id == said.what.id
            };
            match calls.iter_mut().find(same) {
                Some(call) => {
                    let (known, new) = (&mut call.what, &said.what);
                    known.name = known.name.take().or_else(|| new.name.clone());
                    known.began = earlier(known.began, new.began);
                    known.ended = earlier(known.ended, new.ended);
                    known.failed |= new.failed;
                }
                None => calls.push(said.clone()),
            }
        }
        let window = Window::of_turn(turn, next);
        calls.retain(|call| {
            let began = call.what.began.and_then(|at| self.placed(call, at));
            began.is_some_and(|at| window.contains(at.likely()))
        });
        calls.sort_by_key(|call| call.what.began);
        calls.truncate(OF_TURN);
        calls
    }

    fn placed_tools(&self, tools: &[Said<ToolEvent>]) -> Vec<ToolAccount> {
        let placed = tools.iter().filter_map(|call| {
            Some(ToolAccount {
                name: call.what.name.clone()?,
                began: self.placed(call, call.what.began?)?,
                ended: call.what.ended.and_then(|at| self.placed(call, at)),
                failed: call.what.failed,
            })
        });
        placed.collect()
    }

    /// The states that began in the turn.
    fn states_of(
        &self,
        turn: &TurnTimes,
        next: Option<&TurnTimes>,
        clock: Option<usize>,
    ) -> Vec<(SessionState, Placed)> {
        let window = Window::of_turn(turn, next);
        let own = |said: &&Said<_>| clock.is_none_or(|clock| clock == said.clock);
        let placed = self.states.iter().filter(own).filter_map(|said| {
            let (state, at) = said.what;
            Some((state, self.placed(said, at)?))
        });
        let inside = placed.filter(|(_, at)| window.contains(at.likely()));
        inside.take(OF_TURN).collect()
    }

    /// The reply that the language model produced: the judged one or, if that is a filler (which
    /// no model produces), the answer that follows it.
    fn with_model(
        &self,
        (began, judged): (Instant, &Said<Reply>),
        turn: &TurnTimes,
        next: Option<&TurnTimes>,
    ) -> Reply {
        if judged.what.llm_node_ttft.is_some() {
            return judged.what.clone();
        }
        let later = self.replies_in(turn, next).filter(|(at, _)| *at > began);
        let answers = later.filter(|(_, said)| said.what.llm_node_ttft.is_some());
        let first = answers.min_by_key(|(at, _)| *at);
        first.map_or(judged, |(_, said)| said).what.clone()
    }

    /// Instant of a caller's turn: its end of speech as the agent places it, or else its start of
    /// speech, or else the arrival of its description.
    fn heard_at(&self, said: &Said<UserTurn>) -> Instant {
        let at = said.what.stopped_speaking.or(said.what.started_speaking);
        let at = at.and_then(|at| self.placed(said, at));
        at.map_or(said.arrival, Placed::likely)
    }

    /// The agent's description of the caller's turn: of the descriptions whose end of speech lies
    /// within the turn, the one whose end of speech is nearest to ours.
    fn heard(
        &self,
        turn: &TurnTimes,
        next: Option<&TurnTimes>,
        clock: Option<usize>,
    ) -> Option<&Said<UserTurn>> {
        let mut window = Window::of_turn(turn, next);
        if turn.turn > 0 {
            window.from += MARGIN;
        }
        window.to = window.to.map(|to| to + MARGIN);
        let apart = |said: &Said<UserTurn>| {
            let at = self.heard_at(said);
            let own = clock.is_none_or(|clock| clock == said.clock);
            let inside = own && window.contains(at);
            let apart = abs_diff(at, turn.speech_end);
            (inside && apart <= SAME_SPEECH).then_some(apart)
        };
        let near = self.user_turns.iter();
        let near = near.filter_map(|said| Some((apart(said)?, said)));
        near.min_by_key(|(apart, _)| *apart).map(|(_, said)| said)
    }

    /// The replies that began in the turn, each with the instant at which it began.
    fn replies_in(
        &self,
        turn: &TurnTimes,
        next: Option<&TurnTimes>,
    ) -> impl Iterator<Item = (Instant, &Said<Reply>)> {
        let window = Window::of_turn(turn, next);
        let began = self.replies.iter().filter_map(|said| {
            let at = match said.what.started_speaking {
                Some(at) => self.placed(said, at)?.likely(),
                None => said.arrival,
            };
            // A reply is described after it has begun: if its start lies after the arrival of the
            // description, the clock is wrong.
            (at <= said.arrival + MARGIN).then_some((at, said))
        });
        began.filter(move |(at, _)| window.contains(*at))
    }

    /// The reply that the turn was judged by: the one that began nearest to the onset.
    fn reply_to(
        &self,
        turn: &TurnTimes,
        next: Option<&TurnTimes>,
    ) -> Option<(Instant, &Said<Reply>)> {
        let onset = turn.onset?;
        let replies = self.replies_in(turn, next);
        replies.min_by_key(|(at, _)| abs_diff(*at, onset))
    }

    /// The agent's last detection, before the reply, that the caller had stopped.
    fn noticed(&self, turn: &TurnTimes, reply: Option<&Said<Reply>>) -> Option<&Said<AgentTime>> {
        let reply = reply?;
        let began = reply.what.started_speaking?;
        let stops = self.stops.iter().filter(|stop| stop.clock == reply.clock);
        let last = stops
            .filter(|stop| stop.what <= began)
            .max_by_key(|stop| stop.what)?;
        let at = self.placed(last, last.what)?.likely();
        (at >= turn.media_start).then_some(last)
    }

    fn placed<T>(&self, said: &Said<T>, at: AgentTime) -> Option<Placed> {
        self.clocks.place(said.clock, at)
    }

    /// Drops the claims that arrived before the oldest unsettled turn began, if there is such a
    /// turn.
    fn forget(&mut self, before: Option<Instant>) {
        let Some(before) = before else { return };
        // A reply is described when it ends, so a description that arrived before this turn began
        // belongs to an earlier turn.
        self.user_turns.retain(|said| said.arrival >= before);
        self.replies.retain(|said| said.arrival >= before);
        self.transcripts.retain(|(at, _)| *at >= before);
        self.reply_texts.retain(|(at, _)| *at >= before);
        self.tools.retain(|said| said.arrival >= before);
        self.states.retain(|said| said.arrival >= before);
        self.stops.retain(|said| said.arrival >= before);
    }
}

/// Tolerance at the boundary of two turns for the error with which an agent's instants are placed.
const MARGIN: Duration = Duration::from_millis(50);

/// The end of the caller's speech as the agent places it, with the index of the agent's clock.
/// Derived from the start of the reply and its latency if the agent does not report it.
fn stopped(
    heard: Option<&Said<UserTurn>>,
    reply: Option<&Said<Reply>>,
) -> Option<(usize, AgentTime)> {
    if let Some(heard) = heard
        && let Some(at) = heard.what.stopped_speaking
    {
        return Some((heard.clock, at));
    }
    let reply = reply?;
    let (began, latency) = (reply.what.started_speaking?, reply.what.e2e_latency?);
    let latency = i64::try_from(latency.as_nanos()).ok()?;
    Some((reply.clock, AgentTime(began.0.saturating_sub(latency))))
}

/// The agent's figures of a turn, relative to `zero`: the end of the caller's speech as the agent
/// places it, or else the instant at which the agent detected it. `None` if one agent described
/// the turn and another replied.
fn told(
    zero: Option<(usize, AgentTime)>,
    user: &UserTurn,
    judged: Option<&Said<Reply>>,
    tools: &[Said<ToolEvent>],
) -> Option<Told> {
    let own = |((clock, _), judged): &((usize, AgentTime), &Said<Reply>)| *clock == judged.clock;
    let ((_, stopped), judged) = zero.zip(judged).filter(own)?;
    let reply = &judged.what;
    let since = |at: AgentTime| at.0.saturating_sub(stopped.0);
    let told_length = reply
        .e2e_latency
        .and_then(|d| i64::try_from(d.as_nanos()).ok());
    let started = told_length.or_else(|| reply.started_speaking.map(since))?;
    let own = |tool: &&Said<ToolEvent>| tool.clock == judged.clock;
    let spans = tools.iter().filter(own).filter_map(|tool| {
        let (began, ended) = (since(tool.what.began?), since(tool.what.ended?));
        (began >= 0 && ended <= started).then_some((began, ended))
    });
    Some(Told {
        started,
        transcription: user.transcription_delay,
        end_of_turn: user.end_of_turn_delay,
        hook: user.on_user_turn_completed_delay,
        asked: reply.asked.map(since),
        first_token: reply.llm_node_ttft,
        // Synthesis begins with the first sentence; older agents report only the first token.
        llm: reply.llm_node_ttfs.or(reply.llm_node_ttft),
        tts: reply.tts_node_ttfb,
        tools: spans.collect(),
    })
}

/// The agent's part of the critical path.
fn lengths(told: &Told) -> Vec<(Step, Duration)> {
    let length = |ns: i64| Duration::from_nanos(ns.unsigned_abs());
    let path = told.path().into_iter();
    path.map(|(step, ns)| (step, length(ns))).collect()
}

/// The texts joined by spaces and truncated at [`TEXT`]; `None` if there are none.
fn joined<'a>(texts: impl Iterator<Item = &'a str>) -> Option<Arc<str>> {
    let mut all: Option<String> = None;
    for text in texts {
        let all = all.get_or_insert_default();
        if !all.is_empty() {
            all.push(' ');
        }
        let room = TEXT.saturating_sub(all.len());
        let cut = (0..=room.min(text.len())).rfind(|at| text.is_char_boundary(*at));
        all.push_str(&text[..cut.unwrap_or(0)]);
    }
    all.map(|text| text.trim().into())
}

/// The earlier of two instants, or the only one that is known.
fn earlier(a: Option<AgentTime>, b: Option<AgentTime>) -> Option<AgentTime> {
    [a, b].into_iter().flatten().min()
}

fn keep<T>(queue: &mut VecDeque<T>, most: usize, new: T) {
    if queue.len() == most {
        queue.pop_front();
    }
    queue.push_back(new);
}

#[cfg(test)]
mod tests;
