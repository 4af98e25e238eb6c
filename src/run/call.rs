//! One call, from its planned start to the deletion of its room.
//!
//! In: a planned call. Out: reports while it is in progress, its result at the end.
//! Invariant: whatever happens, exactly one `Ended` is reported, with one result for every turn.

use super::call_report::{Begun, CallDone, Report, TurnDone};
use super::caller::{CallerEnd, EndEvent};
use super::clock::now;
use super::line::{fail, pass_on};
use super::opinions::Excerpt;
use super::shared::Shared;
use crate::call::{
    CallEvent, CallResult, CallScript, Failure, Phase, SecondOpinion, StreamId, TurnResult,
};
use crate::plan::PlannedCall;
use crate::targets::{CallerHandle, Connection, Event, Line};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinSet;

/// Result for a call that lost its own, or never got as far as having one.
fn never_began(script: CallScript, start: Instant, failure: Failure) -> CallResult {
    let mut call = crate::call::Call::new(script, start);
    call.handle(start, crate::call::Input::Failed(failure));
    call.finish(start)
}

/// Result for a call that was cut off, by the stop or by a defect, before it reported its own.
pub(super) fn cut_off(shared: &Shared, call: &PlannedCall, start: Instant) -> CallResult {
    let failure = if shared.stop.is_cancelled() {
        Failure::Stopped
    } else {
        let detail = "a defect ended the call".into();
        Failure::Generator { detail }
    };
    never_began(shared.script(call), start, failure)
}

/// Makes the call; returns once its connection is closed.
pub(super) async fn make(shared: Arc<Shared>, call: PlannedCall, planned_start: Instant) {
    let started = now();
    let target = shared.target(&call);
    let room = target.room(&call.room);
    // The collector outlives every call.
    let begun = Begun {
        room: room.clone(),
        planned_start,
        started,
        plan: call.clone(),
    };
    let _ = shared.reports.send(Report::Started(Box::new(begun))).await;
    let (mut result, mut connection) = match dialled(&shared, &call, &room, planned_start).await {
        Ok(dialled) => talk(&shared, &call, &room, dialled, planned_start).await,
        Err(failure) => (
            never_began(shared.script(&call), planned_start, failure),
            None,
        ),
    };
    let ended = now();
    result.failure = match (result.failure.take(), &mut connection) {
        (Some(failure), Some(connection)) => {
            Some(explained(&shared, failure, &mut **connection).await)
        }
        (failure, _) => failure,
    };
    let done = CallDone {
        index: call.index as usize,
        room: room.clone(),
        planned_start,
        started,
        ended,
        result,
        plan: call.clone(),
    };
    let _ = shared.reports.send(Report::Ended(Box::new(done))).await;
    if let Some(connection) = connection {
        connection.hang_up().await;
    }
    target.forget(room);
}

/// Refines a call's failure with what its target knows; unchanged if the run is stopped meanwhile.
async fn explained(shared: &Shared, failure: Failure, connection: &mut dyn Connection) -> Failure {
    let timeout = shared.scenario.call.agent_timeout;
    let why = connection.explain(failure.clone(), timeout);
    tokio::select! {
        why = why => why,
        () = shared.stop.cancelled() => failure,
    }
}

/// A call whose connection has begun.
struct Dialled {
    line: Line<CallerEnd>,
    events: mpsc::Receiver<EndEvent>,
    /// Held until the call has joined: a call lasts longer than its join.
    joining: Option<OwnedSemaphorePermit>,
}

/// Waits until the call may join, and starts to connect it. The wait counts towards its join time.
async fn dialled(
    shared: &Shared,
    call: &PlannedCall,
    room: &str,
    planned_start: Instant,
) -> Result<Dialled, Failure> {
    let joining = tokio::select! {
        biased;
        () = shared.stop.cancelled() => return Err(Failure::Stopped),
        // The semaphore is never closed.
        place = shared.joins.clone().acquire_owned() => place.ok(),
    };
    let (mut caller, events) = shared.caller(call, planned_start)?;
    caller.decodes(shared.scenario.call.decode, shared.levels.clone());
    let desk = shared.evidence.as_ref().filter(|_| !call.warmup);
    let codec = shared.sounds.codec;
    caller.keep(desk.map(|desk| desk.capture(call.index as usize, codec)));
    let dial = shared.dial(Some(call.index), room, call.variant);
    Ok(Dialled {
        line: shared.target(call).connect(dial, caller),
        events,
        joining,
    })
}

/// Follows the call until its script has ended.
async fn talk(
    shared: &Arc<Shared>,
    call: &PlannedCall,
    room: &str,
    dialled: Dialled,
    planned_start: Instant,
) -> (CallResult, Option<Box<dyn Connection>>) {
    let Dialled {
        line: Line {
            handle,
            mut connection,
        },
        mut events,
        mut joining,
    } = dialled;
    let mut opinions = OpinionsOf::default();
    // Dropped with the call, which aborts its tasks.
    let mut sounds = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            event = events.recv() => match event {
                Some(EndEvent::Onset(at, excerpt)) => {
                    opinions.asked = Some((at, shared.opinions.ask(excerpt)));
                }
                Some(EndEvent::Sound(stream, excerpt)) => {
                    let (shared, handle) = (shared.clone(), handle.clone());
                    sounds.spawn(async move { judge_sound(&shared, &*handle, stream, excerpt).await });
                }
                Some(EndEvent::Call(event)) => {
                    if tell(shared, call, room, *event, &mut opinions).await {
                        break;
                    }
                    if let Some(stream) = opinions.voice.take() {
                        // If the caller is gone, nothing needs to be known about its streams.
                        let told = handle.with(move |p, at| p.judged(at.now, stream, Some(true)));
                        let _ = told.await;
                    }
                }
                None => break,
            },
            event = connection.event() => {
                // Joined or closed: another join may start.
                if matches!(event, Some(Event::Joined | Event::Closed(_)) | None) {
                    joining = None;
                }
                let notice = pass_on(&*handle, &mut *connection, event).await;
                if let Some(text) = notice.filter(|_| !shared.several.swap(true, Relaxed)) {
                    let _ = shared.reports.send(Report::Notice(text)).await;
                }
            }
            () = shared.stop.cancelled() => {
                fail(&*handle, Failure::Stopped).await;
                break;
            }
        }
    }
    drop(joining);
    connection.ignore_all();
    let result = handle
        .with(|caller, at| caller.finish(at.now))
        .await
        .flatten();
    let gone = || {
        let detail = "the media engine stopped".into();
        let failure = Failure::Generator { detail };
        never_began(shared.script(call), planned_start, failure)
    };
    (result.unwrap_or_else(gone), Some(connection))
}

/// Asks whether a stream carries a voice and passes the answer to the call. The user is told of
/// the first track of a run that carries none.
async fn judge_sound(
    shared: &Shared,
    handle: &dyn CallerHandle<CallerEnd>,
    stream: StreamId,
    excerpt: Excerpt,
) {
    let is_voice = shared.opinions.insist(excerpt).await;
    let told = handle.with(move |caller, at| caller.judged(at.now, stream, is_voice));
    let Some(Some(track)) = told.await else {
        return;
    };
    if !shared.no_voice.swap(true, Relaxed) {
        let text = format!(
            "what comes on the agent's track `{}` is no voice: it is not waited for",
            track.escape_debug()
        );
        let _ = shared.reports.send(Report::Notice(text)).await;
    }
}

/// Reports an event of the call's state machine; returns whether it was the end of the call.
async fn tell(
    shared: &Shared,
    call: &PlannedCall,
    room: &str,
    event: CallEvent,
    opinions: &mut OpinionsOf,
) -> bool {
    let index = call.index as usize;
    let amended = matches!(event, CallEvent::TurnAmended(_));
    match event {
        CallEvent::Phase(phase) => {
            let _ = shared.reports.send(Report::Phase(index, phase)).await;
            matches!(phase, Phase::Done | Phase::Failed)
        }
        CallEvent::TurnEnded(turn) | CallEvent::TurnAmended(turn) => {
            let turn = opinions.judge(turn).await;
            let done = Box::new(TurnDone {
                call: index,
                room: room.to_owned(),
                turn,
                plan: call.clone(),
            });
            let report = match amended {
                true => Report::Amended(done),
                false => Report::Turn(done),
            };
            let _ = shared.reports.send(report).await;
            false
        }
    }
}

/// Second opinions on the onsets of a call.
#[derive(Default)]
struct OpinionsOf {
    /// An onset whose second opinion is pending.
    asked: Option<(Instant, oneshot::Receiver<SecondOpinion>)>,
    /// A stream newly confirmed as a voice, still to be passed to the endpoint.
    voice: Option<StreamId>,
    /// The stream last confirmed as a voice.
    known: Option<StreamId>,
    /// The last onset judged: an amended turn keeps the opinion on its onset.
    judged: Option<(Instant, SecondOpinion)>,
}

impl OpinionsOf {
    /// Adds the second opinion on a turn's onset, waiting for it if one was asked for.
    async fn judge(&mut self, mut turn: TurnResult) -> TurnResult {
        let Some(onset) = turn.onset.map(|onset| onset.at.wire()) else {
            return turn;
        };
        if turn.second.is_some_and(|second| !second.as_declared) {
            return turn; // The call itself found it to be no voice.
        }
        if let Some((_, answer)) = self.asked.take_if(|(at, _)| *at == onset) {
            self.judged = answer.await.ok().map(|second| (onset, second));
        }
        if let Some((_, second)) = self.judged.filter(|(at, _)| *at == onset) {
            turn.second_opinion(second);
            if second.as_declared && turn.stream != self.known {
                (self.voice, self.known) = (turn.stream, turn.stream);
            }
        }
        turn
    }
}
