//! A call that shows how far a caller gets: into the room, to an agent, to a reply.
//!
//! In: a planned call. Out: what was reached and after how long. Invariants: the call is made by
//! the same code as the calls of a run; it says one utterance at most, and never takes longer than
//! its timeouts.

use crate::call::{CallEvent, CallScript, Course, Expect, Failure, Phase, TurnResult};
use crate::plan::PlannedCall;
use crate::run::caller::{CallerEnd, EndEvent};
use crate::run::clock::now;
use crate::run::line::{fail, pass_on};
use crate::run::shared::Shared;
use crate::run::sounds::EncodedUtterance;
use crate::targets::{CallLine, Event, Link};
use crate::vocab::Outcome;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How far a call is to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// Into the room.
    Room,
    /// Until an agent is in the room.
    Agent,
    /// Until the agent's reply to one utterance.
    Reply,
}

/// How far a call got.
#[derive(Debug, Clone, Default)]
pub(super) struct Attempt {
    /// From the start of the call until media flowed.
    pub joined: Option<Duration>,
    /// From then until an agent was in the room.
    pub agent: Option<Duration>,
    /// What became of the utterance; `None` if none was said.
    pub reply: Option<Reply>,
    /// The agent told its state.
    pub states: bool,
    /// The agent described its session.
    pub session: bool,
    pub link: Link,
    /// The server's TCP candidates, and how long it took to connect to each.
    pub over_tcp: Vec<(SocketAddr, Option<Duration>)>,
    pub failure: Option<Failure>,
}

/// What the caller heard after its utterance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// The agent, after this time from the end of speech.
    After(Option<Duration>),
    /// The agent, while the caller still spoke.
    Early,
    /// Nothing until this timeout.
    Missed(Duration),
}

/// Longest wait for a reply: a run may wait longer, but an agent that is that slow is of no use.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a reply that has begun is listened to, so that its onset is certain.
const LISTEN: Duration = Duration::from_secs(2);
/// How long a call stays in a room that it has joined only for that.
const STAY: Duration = Duration::from_millis(700);
/// Time limit for connecting to a TCP candidate.
const TCP: Duration = Duration::from_secs(3);

/// Makes a call. `name`: the suffix of its room.
pub(super) async fn attempt(
    shared: &Shared,
    planned: &PlannedCall,
    name: &str,
    goal: Goal,
) -> Attempt {
    let (script, says) = script(shared, planned);
    let (speaks, agent_timeout) = (!says.is_empty(), script.agent_timeout);
    let limit = script.turns.first().map_or(PATIENCE, |turn| turn.timeout);
    let (caller, events) = match shared.saying(script, now(), says) {
        Ok(made) => made,
        Err(failure) => {
            return Attempt {
                failure: Some(failure),
                ..Attempt::default()
            };
        }
    };
    let target = shared.target(planned);
    let room = target.room(name);
    let dial = shared.dial(None, &room, planned.variant, None);
    let begun = now();
    let mut line = target.connect(dial, caller);
    let goal = match goal {
        Goal::Reply if !speaks => Goal::Agent,
        goal => goal,
    };
    let mut following = Following {
        goal,
        agent_timeout,
        begun,
        joined: None,
        over: None,
        found: Attempt::default(),
    };
    let failed = following.follow(shared, &mut line, events).await;
    let mut found = following.found;
    let (failure, turns) = result(&line).await;
    let waited = agent_timeout;
    let absent = goal == Goal::Agent && found.joined.is_some() && found.agent.is_none();
    let absent = absent.then_some(Failure::AgentAbsent { waited });
    if let Some(failure) = failure.filter(|_| failed).or(absent) {
        found.failure = Some(line.connection.explain(failure, agent_timeout).await);
    }
    if goal == Goal::Reply && found.failure.is_none() {
        found.reply = turns.first().map(|turn| reply(turn, limit));
    }
    found.link = line.connection.link().await;
    line.connection.ignore_all();
    line.connection.hang_up().await;
    target.forget(room);
    found.over_tcp = over_tcp(&found.link).await;
    found
}

/// Ends the caller's part of the call: why it failed, and its turns.
async fn result(line: &CallLine<CallerEnd>) -> (Option<Failure>, Vec<TurnResult>) {
    let result = line.handle.with(|caller, at| caller.finish(at.now)).await;
    match result.flatten() {
        Some(result) => (result.failure, result.turns),
        None => (None, Vec::new()),
    }
}

/// The call's first utterance, as a call of its own; no turn if the caller only sends texts.
fn script(shared: &Shared, planned: &PlannedCall) -> (CallScript, Vec<EncodedUtterance>) {
    let mut script = shared.script(planned);
    script.course = Course::default();
    let spoken = |expected: bool| {
        let mut turns = planned.turns.iter().enumerate();
        let found = turns.find(|(_, turn)| {
            turn.utterance().is_some() && (!expected || turn.expect == Expect::Respond)
        });
        found.map(|(index, turn)| (index, turn.utterance()))
    };
    let Some((index, Some(utterance))) = spoken(true).or_else(|| spoken(false)) else {
        script.turns.clear();
        return (script, Vec::new());
    };
    let first = script.turns.first().map(|turn| (turn.anchor, turn.delay));
    let mut turn = script.turns.swap_remove(index);
    // It is the only turn, so it starts when the first one would.
    if let Some((anchor, delay)) = first {
        (turn.anchor, turn.delay) = (anchor, delay);
    }
    turn.expect = Expect::Respond;
    turn.timeout = turn.timeout.min(PATIENCE);
    script.turns = vec![turn];
    let said = shared.sounds.of(planned).said[utterance].clone();
    (script, vec![said])
}

fn reply(turn: &TurnResult, limit: Duration) -> Reply {
    match turn.outcome {
        Outcome::Early => Reply::Early,
        _ if turn.onset.is_some() => Reply::After(turn.ttfa.or(turn.ttfa_wire)),
        _ => Reply::Missed(limit),
    }
}

/// A call that is being followed.
struct Following {
    goal: Goal,
    agent_timeout: Duration,
    begun: Instant,
    joined: Option<Instant>,
    /// When the goal is reached for certain.
    over: Option<Instant>,
    found: Attempt,
}

impl Following {
    /// Follows the call until its goal is reached or it fails; returns whether it failed.
    async fn follow(
        &mut self,
        shared: &Shared,
        line: &mut CallLine<CallerEnd>,
        mut events: mpsc::Receiver<EndEvent>,
    ) -> bool {
        loop {
            let over = self.over;
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Some(EndEvent::Call(event)) => match *event {
                        // A call that fails ends its turn first.
                        CallEvent::TurnEnded(turn) => return turn.outcome == Outcome::Failed,
                        CallEvent::Phase(Phase::Failed) => return true,
                        CallEvent::Phase(Phase::Listening) => {
                            self.over.get_or_insert_with(|| now() + LISTEN);
                        }
                        // A call without a turn is done at once.
                        CallEvent::Phase(Phase::Done) if self.goal == Goal::Agent => {
                            self.over = Some(now() + self.agent_timeout);
                        }
                        CallEvent::Phase(Phase::Done) => return false,
                        CallEvent::Phase(_) | CallEvent::TurnAmended(_) => {}
                    },
                    // Any sound shows that audio arrives.
                    Some(EndEvent::Sound(stream, _)) => {
                        let judged = line.handle.with(move |caller, at| {
                            caller.judged(at.now, stream, Some(true))
                        });
                        // A caller that no longer exists needs no judgement.
                        let _ = judged.await;
                    }
                    Some(EndEvent::Key(key)) => line.connection.send_key(key),
                    Some(EndEvent::Onset(..) | EndEvent::Text(_)) => {}
                    None => return false,
                },
                event = line.connection.event() => {
                    self.note(event.as_ref());
                    pass_on(&*line.handle, &mut *line.connection, event).await;
                    if self.goal == Goal::Agent && self.found.agent.is_some() {
                        return false;
                    }
                }
                () = crate::run::clock::until(over) => return false,
                () = shared.stop.cancelled() => {
                    fail(&*line.handle, Failure::Stopped).await;
                    return true;
                }
            }
        }
    }

    /// Notes what an event shows.
    fn note(&mut self, event: Option<&Event>) {
        match event {
            Some(Event::Joined) => {
                self.joined = Some(now());
                self.found.joined = Some(now() - self.begun);
                if self.goal == Goal::Room {
                    self.over = Some(now() + STAY);
                }
            }
            Some(Event::AgentPresent { .. }) if self.found.agent.is_none() => {
                let since = self.joined.unwrap_or(self.begun);
                self.found.agent = Some(now() - since);
            }
            Some(Event::AgentState(_)) => self.found.states = true,
            Some(Event::Claim(_)) => self.found.session = true,
            _ => {}
        }
    }
}

/// Connects to each TCP candidate of the server, one after the other.
async fn over_tcp(link: &Link) -> Vec<(SocketAddr, Option<Duration>)> {
    let mut tried = Vec::new();
    for candidate in link.candidates.iter().filter(|c| c.over_tcp) {
        let begun = now();
        let connected = timeout(TCP, TcpStream::connect(candidate.address)).await;
        let took = matches!(connected, Ok(Ok(_))).then(|| now() - begun);
        tried.push((candidate.address, took));
    }
    tried
}
