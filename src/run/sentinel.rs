//! Sentinels: calls of a run to a reference agent of its own, whose truth is known.
//!
//! In: the calls that begin. Out: one sentinel for each hundred of them, which says the
//! calibration chirp again and again until its hundred is over; its turns, reported apart.
//! Holds: a sentinel that fails, or an agent that does not start, is a notice and never the
//! run's failure; sentinels share the media threads with the calls that they stand for.

use super::caller::{CallerEnd, EndEvent};
use super::collect::Report;
use super::door::{Asked, MEDIA_TIMEOUT};
use super::event::RunEvent;
use super::one::{self, Shared};
use super::sounds::Said;
use crate::audio::SPURT_GAP;
use crate::call::{
    Anchor, CallEvent, CallScript, Expect, Failure, GreetingPolicy, OnAgentLeft, Phase, TurnResult,
    TurnScript,
};
use crate::net::{PeerEvents, PeerHandle};
use crate::record::TurnRecord;
use crate::target::embedded::Embedded;
use crate::target::livekit::Dispatch;
use crate::target::{Connection, OwnAgent, OwnWorker};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Calls that one sentinel stands for.
const CALLS: u64 = 100;
/// Turns of a sentinel's call, about a quarter of an hour; then it calls again.
const TURNS: u64 = 400;
/// Pause before the first: the ear gets to know the floor.
const FIRST_PAUSE: Duration = Duration::from_millis(800);
/// Pause between a reply's end and the next turn, and by how much it varies.
const PAUSE: Duration = Duration::from_millis(400);
const PAUSE_STEP: Duration = Duration::from_millis(37);
const PAUSE_STEPS: u64 = 7;
/// How long a reply may take, and the agent.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A sentinel without a turn when its hundred is over gets this long to have one.
const LAST_TURN: Duration = Duration::from_secs(3);

/// What the sentinels of a run came to.
#[derive(Debug, Clone, Default)]
pub struct SentinelTurns {
    /// Sentinel calls that are over.
    pub calls: usize,
    /// Of these, calls that failed.
    pub failed: usize,
    /// Their turns.
    pub turns: Vec<TurnRecord>,
}

/// Where an agent of our own is called.
pub(super) enum OwnDoor {
    /// On a pipe.
    Embedded(Arc<Embedded>),
    /// At the run's server, by this name.
    Worker(Box<OwnWorker>, String),
}

impl OwnDoor {
    /// Ends the agent; what it knows is on the disk then.
    pub(super) async fn stop(&self) {
        match self {
            Self::Embedded(agent) => agent.stop().await,
            Self::Worker(worker, _) => worker.stop().await,
        }
    }
}

/// What the sentinels of a run share.
pub(super) struct Sentinels {
    pub door: OwnDoor,
    chirp: Said,
}

/// Starts the sentinels' agent; where it does not start there are none.
pub(super) async fn prepare(
    shared: &Shared,
    own: &OwnAgent,
    tell: &mut (dyn FnMut(RunEvent) + Send),
) {
    let no = |detail: &dyn std::fmt::Display| {
        RunEvent::Notice(format!(
            "no sentinels, so nothing watches the generator's error: {detail}"
        ))
    };
    let chirp = match Said::chirp() {
        Ok(chirp) => chirp,
        Err(e) => return tell(no(&e)),
    };
    match super::start_own(shared, own).await {
        Ok(door) => {
            // The only place that sets it.
            let _ = shared.sentinels.set(Sentinels { door, chirp });
        }
        Err(Failure::Stopped) => {}
        Err(f) => tell(no(&f)),
    }
}

/// Cancels when the last call of its hundred is over.
pub(super) struct Hundred(CancellationToken);

impl Drop for Hundred {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The sentinels of a phase of the plan.
pub(super) struct Watch {
    wanted: bool,
    running: JoinSet<()>,
    hundred: Option<Arc<Hundred>>,
}

impl Watch {
    /// `wanted`: the phase is measured.
    pub(super) fn new(wanted: bool) -> Self {
        Self {
            wanted,
            running: JoinSet::new(),
            hundred: None,
        }
    }

    /// Call `number` of the phase begins; what is returned is dropped when it is over.
    pub(super) fn begins(&mut self, shared: &Arc<Shared>, number: u64) -> Option<Arc<Hundred>> {
        if !self.wanted || shared.sentinels.get().is_none() {
            return None;
        }
        if number.is_multiple_of(CALLS) {
            let over = CancellationToken::new();
            let watching = watch(shared.clone(), number / CALLS, over.clone());
            self.running.spawn(watching);
            self.hundred = Some(Arc::new(Hundred(over)));
        }
        self.hundred.clone()
    }

    /// All calls are over: waits for the sentinels.
    pub(super) async fn finish(mut self) {
        self.hundred = None;
        while self.running.join_next().await.is_some() {}
    }
}

/// Sentinel `number`, until its hundred is over: one call, or more where that takes long.
async fn watch(shared: Arc<Shared>, number: u64, over: CancellationToken) {
    let Some(sentinels) = shared.sentinels.get() else {
        return;
    };
    for again in 0.. {
        let room = shared.doors.first().room(&match again {
            0 => format!("s{number:05}"),
            n => format!("s{number:05}-{n}"),
        });
        let id = number * 1_000 + again;
        let failure = call(&shared, sentinels, id, &room, &over).await;
        shared.doors.first().forget(room);
        let failed = failure.is_some();
        let report = Report::SentinelEnded(failure);
        let _ = shared.reports.send(report).await;
        if failed || over.is_cancelled() || shared.stop.is_cancelled() {
            return;
        }
    }
}

fn script(chirp: &Said) -> CallScript {
    let turn = |n: u64| TurnScript {
        anchor: match n {
            0 => Anchor::CallStart,
            _ => Anchor::PreviousTurn,
        },
        delay: match n {
            0 => FIRST_PAUSE,
            // At all phases of the agent's packets.
            n => PAUSE + PAUSE_STEP * (n % PAUSE_STEPS) as u32,
        },
        silence: SPURT_GAP,
        expect: Expect::Respond,
        timeout: TIMEOUT,
        frames: chirp.frames.len(),
        speech_start: chirp.speech_start,
        speech_end: chirp.speech_end,
    };
    CallScript {
        greeting: GreetingPolicy::None,
        agent_timeout: TIMEOUT,
        on_agent_left: OnAgentLeft::Fail,
        turns: (0..TURNS).map(turn).collect(),
    }
}

/// One call of a sentinel; why it failed, if it did.
async fn call(
    shared: &Shared,
    sentinels: &Sentinels,
    id: u64,
    room: &str,
    over: &CancellationToken,
) -> Option<Failure> {
    let script = script(&sentinels.chirp);
    let says = vec![sentinels.chirp.clone(); script.turns.len()];
    let silence = shared.sounds.silence.clone();
    let (end, events) = match CallerEnd::new(script, Instant::now(), says, silence) {
        Ok(made) => made,
        Err(e) => {
            let detail = e.to_string();
            return Some(Failure::Generator { detail });
        }
    };
    let (peer, media) = shared.engine.add(end, shared.doors.first().remote());
    let peer = Arc::new(peer);
    let connected = tokio::select! {
        connected = connect(shared, sentinels, id, room, &peer, media) => connected,
        () = shared.stop.cancelled() => return None,
    };
    let mut connection = match connected {
        Ok(c) => Some(c),
        Err(f) => return Some(f),
    };
    let failed = talk(shared, room, over, &peer, &mut connection, events).await;
    let result = peer.with(|p, now| {
        p.ignore_all();
        p.endpoint.finish(now)
    });
    let result = result.await;
    if let Some(connection) = connection {
        connection.hang_up().await;
    }
    let failure = result.ok().flatten().and_then(|r| r.failure);
    failure.filter(|_| failed)
}

async fn connect(
    shared: &Shared,
    sentinels: &Sentinels,
    id: u64,
    room: &str,
    peer: &Arc<PeerHandle<CallerEnd>>,
    media: PeerEvents,
) -> Result<Connection, Failure> {
    match &sentinels.door {
        OwnDoor::Embedded(agent) => {
            Connection::embedded(agent.clone(), (id, room), peer, media, MEDIA_TIMEOUT).await
        }
        OwnDoor::Worker(_, name) => {
            let asked = Asked {
                dispatch: Some(Dispatch {
                    agent_name: name.clone(),
                    metadata: String::new(),
                }),
                ..Asked::default()
            };
            let door = shared.doors.first();
            door.connect(Some(id), room, &asked, peer, media).await
        }
    }
}

/// Follows the call until its hundred is over; whether it failed.
async fn talk(
    shared: &Shared,
    room: &str,
    over: &CancellationToken,
    peer: &PeerHandle<CallerEnd>,
    connection: &mut Option<Connection>,
    mut events: mpsc::Receiver<EndEvent>,
) -> bool {
    let enough = async {
        over.cancelled().await;
        tokio::time::sleep(LAST_TURN).await;
    };
    tokio::pin!(enough);
    let mut turns = 0;
    loop {
        tokio::select! {
            biased;
            event = events.recv() => match event {
                // What its agent answers with is known.
                Some(EndEvent::Onset(..) | EndEvent::Sound(..)) => {}
                Some(EndEvent::Call(event)) => match *event {
                    CallEvent::Phase(Phase::Failed) => return true,
                    CallEvent::Phase(Phase::Done) => return false,
                    // A sentinel's figures are compared with its agent's own as they stood at once.
                    CallEvent::Phase(_) | CallEvent::TurnAmended(_) => {}
                    CallEvent::TurnEnded(turn) => {
                        turns += 1;
                        tell(shared, room, turn).await;
                    }
                },
                None => return false,
            },
            event = one::next(connection) => one::follow(peer, event).await,
            () = over.cancelled(), if turns > 0 => return false,
            () = &mut enough => return false,
            () = shared.stop.cancelled() => return false,
        }
    }
}

async fn tell(shared: &Shared, room: &str, turn: TurnResult) {
    let report = Report::Sentinel(Box::new((room.to_owned(), turn)));
    // The collector outlives every call.
    let _ = shared.reports.send(report).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_is_over_with_its_last_call() {
        let over = CancellationToken::new();
        let of_dispatcher = Arc::new(Hundred(over.clone()));
        let (first, last) = (of_dispatcher.clone(), of_dispatcher.clone());
        drop(first);
        drop(of_dispatcher);
        assert!(!over.is_cancelled());
        drop(last);
        assert!(over.is_cancelled());
    }

    #[test]
    fn turns_are_spread_over_a_packets_length() {
        let script = script(&Said::chirp().expect("a chirp"));
        assert_eq!(script.turns.len() as u64, TURNS);
        let phases: std::collections::BTreeSet<_> = script
            .turns
            .iter()
            .map(|t| t.delay.as_millis() % 20)
            .collect();
        assert!(phases.len() >= 7, "{phases:?}");
    }
}
