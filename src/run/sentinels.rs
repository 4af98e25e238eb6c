//! Sentinel calls: calls of a run to its own reference agent, which has a known latency.
//!
//! In: the calls that start. Out: one sentinel call for each group of a hundred calls, which
//! repeats the calibration chirp until its group is over; its turns are reported separately.
//! Invariants: a sentinel call that fails, or an agent that does not start, causes a notice and
//! never fails the run; sentinel calls share the media threads with the calls that they represent.

use super::call_report::CallReport;
use super::caller::{CallerEnd, EndEvent};
use super::clock::now;
use super::event::RunEvent;
use super::line::pass_on;
use super::shared::{SentinelSetup, Shared};
use super::sounds::EncodedUtterance;
use crate::audio::SPURT_GAP;
use crate::call::{
    Anchor, CallEvent, CallScript, Course, Expect, Failure, GreetingPolicy, OnAgentLeft, Phase,
    TurnResult, TurnScript,
};
use crate::targets::{CallLine, OwnAgent};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Number of calls that one sentinel call represents.
const CALLS: u64 = 100;
/// Number of turns of one sentinel call, about a quarter of an hour. After that, a new sentinel
/// call starts.
const TURNS: u64 = 400;
/// Pause before the first turn, in which the ear measures the noise floor.
const FIRST_PAUSE: Duration = Duration::from_millis(800);
/// Pause between a reply's end and the next turn, and the steps by which the pause varies.
const PAUSE: Duration = Duration::from_millis(400);
const PAUSE_STEP: Duration = Duration::from_millis(37);
const PAUSE_STEPS: u64 = 7;
/// Timeout for a reply, and for the agent to appear.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Time that a sentinel call gets to complete a turn, if it has none when its group is over.
const LAST_TURN: Duration = Duration::from_secs(3);

/// Starts the sentinel calls' agent; if the agent does not start, the run has no sentinel calls.
pub(super) async fn prepare(
    shared: &Shared,
    own: &OwnAgent,
    tell: &mut (dyn FnMut(RunEvent) + Send),
) {
    let no = |detail: &dyn std::fmt::Display| {
        RunEvent::Notice(format!(
            "no sentinel calls, so the generator's error is not monitored: {detail}"
        ))
    };
    let chirp = match EncodedUtterance::chirp(shared.sounds.codec) {
        Ok(chirp) => chirp,
        Err(e) => return tell(no(&e)),
    };
    match shared.own_agent(own).await {
        Ok(agent) => {
            // This is the only place that sets the value.
            let _ = shared.sentinels.set(SentinelSetup { agent, chirp });
        }
        Err(Failure::Stopped) => {}
        Err(f) => tell(no(&f)),
    }
}

/// Cancels its token when the last call of its group of a hundred is over.
pub(super) struct Hundred(CancellationToken);

impl Drop for Hundred {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The sentinel calls of one phase of the plan.
pub(super) struct SentinelWatch {
    wanted: bool,
    running: JoinSet<()>,
    hundred: Option<Arc<Hundred>>,
}

impl SentinelWatch {
    /// `wanted`: whether the phase is measured.
    pub(super) fn new(wanted: bool) -> Self {
        Self {
            wanted,
            running: JoinSet::new(),
            hundred: None,
        }
    }

    /// Call `number` of the phase starts. Drop the returned guard when that call is over.
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

    /// Waits for the sentinel calls to end, once all other calls are over.
    pub(super) async fn finish(mut self) {
        self.hundred = None;
        while self.running.join_next().await.is_some() {}
    }
}

/// Runs sentinel `number` until its group is over, as several calls if the group outlasts one.
async fn watch(shared: Arc<Shared>, number: u64, over: CancellationToken) {
    let Some(sentinels) = shared.sentinels.get() else {
        return;
    };
    for again in 0.. {
        let room = sentinels.agent.room(&match again {
            0 => format!("s{number:05}"),
            n => format!("s{number:05}-{n}"),
        });
        let id = number * 1_000 + again;
        let failure = call(&shared, sentinels, id, &room, &over).await;
        sentinels.agent.forget(room);
        let failed = failure.is_some();
        let report = CallReport::SentinelEnded(failure);
        let _ = shared.reports.send(report).await;
        if failed || over.is_cancelled() || shared.stop.is_cancelled() {
            return;
        }
    }
}

fn script(chirp: &EncodedUtterance) -> CallScript {
    let turn = |n: u64| TurnScript {
        anchor: match n {
            0 => Anchor::CallStart,
            _ => Anchor::PreviousTurn,
        },
        delay: match n {
            0 => FIRST_PAUSE,
            // The pause varies, so that turns start at all phases of the agent's packet clock.
            n => PAUSE + PAUSE_STEP * (n % PAUSE_STEPS) as u32,
        },
        silence: SPURT_GAP,
        expect: Expect::Respond,
        timeout: TIMEOUT,
        frames: chirp.frames.len(),
        speech_start: chirp.speech_start,
        speech_end: chirp.speech_end,
        segments: None,
        filler: None,
        awkward: TIMEOUT,
    };
    CallScript {
        greeting: GreetingPolicy::None,
        agent_timeout: TIMEOUT,
        on_agent_left: OnAgentLeft::Fail,
        course: Course::default(),
        turns: (0..TURNS).map(turn).collect(),
    }
}

/// Makes one call of a sentinel; returns the call's failure, if it failed.
async fn call(
    shared: &Shared,
    sentinels: &SentinelSetup,
    id: u64,
    room: &str,
    over: &CancellationToken,
) -> Option<Failure> {
    let script = script(&sentinels.chirp);
    let says = vec![sentinels.chirp.clone(); script.turns.len()];
    let (caller, mut events) = match shared.saying(script, now(), says) {
        Ok(made) => made,
        Err(failure) => return Some(failure),
    };
    let dial = shared.dial(Some(id), room, 0, None);
    let mut line = sentinels.agent.connect(dial, caller);
    let failed = talk(shared, room, over, &mut line, &mut events).await;
    line.connection.ignore_all();
    let result = line.handle.with(|caller, at| caller.finish(at.now)).await;
    line.connection.hang_up().await;
    let failure = result.flatten().and_then(|r| r.failure);
    failure.filter(|_| failed)
}

/// Drives the call until its group is over; returns whether the call failed.
async fn talk(
    shared: &Shared,
    room: &str,
    over: &CancellationToken,
    line: &mut CallLine<CallerEnd>,
    events: &mut mpsc::Receiver<EndEvent>,
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
                // No opinion is needed: the agent's answer is known. A sentinel sends no texts.
                Some(EndEvent::Onset(..) | EndEvent::Sound(..) | EndEvent::Text(_) | EndEvent::Key(_)) => {}
                Some(EndEvent::Call(event)) => match *event {
                    CallEvent::Phase(Phase::Failed) => return true,
                    CallEvent::Phase(Phase::Done) => return false,
                    // The first figures of a turn are compared with the agent's own.
                    CallEvent::Phase(_) | CallEvent::TurnAmended(_) => {}
                    CallEvent::TurnEnded(turn) => {
                        turns += 1;
                        tell(shared, room, turn).await;
                    }
                },
                None => return false,
            },
            event = line.connection.event() => {
                // Messages about tracks of our own agent are of no use to the user.
                pass_on(&*line.handle, &mut *line.connection, event).await;
            }
            () = over.cancelled(), if turns > 0 => return false,
            () = &mut enough => return false,
            () = shared.stop.cancelled() => return false,
        }
    }
}

async fn tell(shared: &Shared, room: &str, turn: TurnResult) {
    let report = CallReport::Sentinel(Box::new((room.to_owned(), turn)));
    // The collector outlives every call.
    let _ = shared.reports.send(report).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::Codec;

    #[test]
    fn a_group_of_a_hundred_calls_ends_with_its_last_call() {
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
    fn sentinel_turns_start_at_different_phases_of_a_packet() {
        let script = script(&EncodedUtterance::chirp(Codec::Opus).expect("a chirp"));
        assert_eq!(script.turns.len() as u64, TURNS);
        let phases: std::collections::BTreeSet<_> = script
            .turns
            .iter()
            .map(|t| t.delay.as_millis() % 20)
            .collect();
        assert!(phases.len() >= 7, "{phases:?}");
    }
}
