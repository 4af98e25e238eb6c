//! One call, from its planned start to the deletion of its room.
//!
//! In: a planned call. Out: reports while it is in progress, its result at the end.
//! Invariant: whatever happens, exactly one `Ended` is reported, with one result for every turn.

use super::absent;
use super::caller::{CallerEnd, EndEvent};
use super::collect::{Begun, CallDone, Report, TurnDone};
use super::door::{Asked, OpenDoor};
use super::doors::OpenDoors;
use super::evidence::Desk;
use super::opinions::{Excerpt, Opinions};
use super::sentinel::Sentinels;
use super::sounds::Sounds;
use crate::audio::AudioError;
use crate::call::{
    CallEvent, CallResult, CallScript, Failure, Phase, SecondOpinion, StreamId, TurnResult,
    TurnScript,
};
use crate::net::{Engine, Impairment, PeerEvents, PeerHandle};
use crate::plan::PlannedCall;
use crate::scenario::Scenario;
use crate::target::livekit::{AgentChoice, Dispatch};
use crate::target::{AgentStream, Connection, DoorEvent};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Maximum length of a track name in the record, in characters.
const NAME: usize = 200;

/// State that all calls of a run share.
pub(super) struct Shared {
    pub engine: Engine<CallerEnd>,
    pub scenario: Scenario,
    pub sounds: Sounds,
    pub opinions: Opinions,
    /// Keeps the audio of turns, if evidence was asked for.
    pub evidence: Option<Desk>,
    pub doors: OpenDoors,
    /// Start of the measured calls: the start of the run, or the end of the warm-up calls.
    pub measured: OnceLock<Instant>,
    /// Set before the first call, if the run has sentinel calls.
    pub sentinels: OnceLock<Sentinels>,
    pub reports: mpsc::Sender<Report>,
    pub stop: CancellationToken,
    /// Limits the number of joins in progress.
    pub joins: Arc<Semaphore>,
    /// Set once an agent's packet with an audio level arrives (only with `decode: level`).
    pub levels: Arc<AtomicBool>,
    /// The user has been told that several tracks may be the agent's voice.
    pub several: AtomicBool,
    /// The user has been told that a track carries no voice.
    pub no_voice: AtomicBool,
}

impl Shared {
    /// The target that a call connects to.
    pub(super) fn door(&self, call: &PlannedCall) -> &OpenDoor {
        self.doors.of(call.variant)
    }

    /// The agent and the room settings that a variant asks for.
    pub(super) fn asked(&self, variant: usize) -> Asked {
        let variant = &self.scenario.variants[variant];
        Asked {
            dispatch: variant.agent_name.as_ref().map(|name| Dispatch {
                agent_name: name.clone(),
                metadata: variant.metadata.clone().unwrap_or_default(),
            }),
            attributes: variant.attributes.clone(),
            room_metadata: variant.room_metadata.clone().unwrap_or_default(),
            choice: AgentChoice {
                track: self.scenario.call.agent_track.clone(),
                identity: self.scenario.call.agent_identity.clone(),
            },
        }
    }

    pub(super) fn script(&self, call: &PlannedCall) -> CallScript {
        let written = &self.scenario.call.turns;
        let turns = call.turns.iter().zip(written).map(|(t, written)| {
            let said = &self.sounds.said[t.utterance];
            TurnScript {
                anchor: t.anchor,
                silence: written.silence,
                delay: t.delay,
                expect: t.expect,
                timeout: t.timeout,
                frames: said.frames.len(),
                speech_start: said.speech_start,
                speech_end: said.speech_end,
            }
        });
        CallScript {
            greeting: self.scenario.call.greeting,
            agent_timeout: self.scenario.call.agent_timeout,
            on_agent_left: self.scenario.call.on_agent_left,
            turns: turns.collect(),
        }
    }
}

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
    let index = call.index as usize;
    let started = Instant::now();
    let room = shared.door(&call).room(&call.room);
    // The collector outlives every call.
    let begun = Begun {
        room: room.clone(),
        planned_start,
        started,
        plan: call.clone(),
    };
    let _ = shared.reports.send(Report::Started(Box::new(begun))).await;
    let script = shared.script(&call);
    let (result, connection) = match seated(&shared, &call, script.clone(), planned_start) {
        Ok(seat) => talk(&shared, &call, &room, seat).await,
        Err(e) => {
            let detail = e.to_string();
            let failure = Failure::Generator { detail };
            (
                Some(never_began(script.clone(), planned_start, failure)),
                None,
            )
        }
    };
    let gone = || {
        let detail = "the media engine stopped".into();
        never_began(script, planned_start, Failure::Generator { detail })
    };
    let ended = Instant::now();
    let mut result = result.unwrap_or_else(gone);
    result.failure = match result.failure.take() {
        Some(failure) => {
            let heard = result.agent_audible.is_some();
            Some(explained(&shared, &call, &room, (failure, heard), connection.as_ref()).await)
        }
        none => none,
    };
    let done = CallDone {
        index,
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
    shared.door(&call).forget(room);
}

/// Refines a call's failure with what the server knows; unchanged if the run is stopped meanwhile.
async fn explained(
    shared: &Shared,
    call: &PlannedCall,
    room: &str,
    (failure, heard): (Failure, bool),
    connection: Option<&Connection>,
) -> Failure {
    let asked = shared.asked(call.variant);
    let asking = (shared.door(call), room, &asked);
    let timeout = shared.scenario.call.agent_timeout;
    let why = absent::explain(failure.clone(), heard, asking, timeout, connection);
    tokio::select! {
        why = why => why,
        () = shared.stop.cancelled() => failure,
    }
}

/// A caller's endpoint on its media thread, with the endpoint's event channels.
struct Seat {
    peer: Arc<PeerHandle<CallerEnd>>,
    media: PeerEvents,
    events: mpsc::Receiver<EndEvent>,
}

/// Adds a call's endpoint to a media thread.
fn seated(
    shared: &Shared,
    call: &PlannedCall,
    script: CallScript,
    start: Instant,
) -> Result<Seat, AudioError> {
    let says = call
        .turns
        .iter()
        .map(|t| shared.sounds.said[t.utterance].clone());
    let silence = shared.sounds.silence.clone();
    let (end, events) = CallerEnd::new(script, start, says.collect(), silence)?;
    let mut end = end.decoding(shared.scenario.call.decode, shared.levels.clone());
    let desk = shared.evidence.as_ref().filter(|_| !call.warmup);
    end.keep(desk.map(|desk| desk.capture(call.index as usize)));
    let (peer, media) = shared.engine.add(end, shared.door(call).remote());
    Ok(Seat {
        peer: Arc::new(peer),
        media,
        events,
    })
}

/// Connects the call. Returns the join permit as well, to be held until the call has joined. On
/// failure, both are `None` and the call has already been told.
async fn connect(
    shared: &Shared,
    call: &PlannedCall,
    room: &str,
    peer: &Arc<PeerHandle<CallerEnd>>,
    media: PeerEvents,
) -> (Option<Connection>, Option<OwnedSemaphorePermit>) {
    let asked = shared.asked(call.variant);
    let connecting = async {
        // The semaphore is never closed. The wait for a permit counts towards the join time.
        let place = shared.joins.clone().acquire_owned().await.ok();
        let door = shared.door(call);
        let connected = door
            .connect(Some(call.index), room, &asked, peer, media)
            .await;
        connected.map(|connection| (connection, place))
    };
    let failure = tokio::select! {
        connected = Box::pin(connecting) => match connected {
            // `talk` releases the permit after the join: a call lasts longer than its join.
            Ok((connection, place)) => return (Some(connection), place),
            Err(failure) => failure,
        },
        () = shared.stop.cancelled() => Failure::Stopped,
    };
    fail(peer, failure).await;
    (None, None)
}

/// Connects and follows the call until its script has ended.
async fn talk(
    shared: &Arc<Shared>,
    call: &PlannedCall,
    room: &str,
    seat: Seat,
) -> (Option<CallResult>, Option<Connection>) {
    let Seat {
        peer,
        media,
        mut events,
    } = seat;
    if let Some(loss) = shared.scenario.network {
        let impairment = Impairment::new(loss, shared.scenario.seed, call.index);
        // As in `fail`.
        let _ = peer.with(move |p, _| p.impair(impairment)).await;
    }
    let (mut connection, mut joining) = connect(shared, call, room, &peer, media).await;
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
                    let (shared, peer) = (shared.clone(), peer.clone());
                    sounds.spawn(async move { judge_sound(&shared, &peer, stream, excerpt).await });
                }
                Some(EndEvent::Call(event)) => {
                    if tell(shared, call, room, *event, &mut opinions).await {
                        break;
                    }
                    if let Some(stream) = opinions.voice.take() {
                        let told = peer.with(move |p, now| p.endpoint.judged(now, stream, Some(true)));
                        let _ = told.await; // As in `fail`.
                    }
                }
                None => break,
            },
            event = next(&mut connection) => {
                // Joined or closed: another join may start.
                if matches!(event, Some(DoorEvent::Joined | DoorEvent::Closed(_)) | None) {
                    joining = None;
                }
                follow(&peer, event).await;
                let notice = connection.as_mut().and_then(Connection::take_notice);
                if let Some(text) = notice.filter(|_| !shared.several.swap(true, Relaxed)) {
                    let _ = shared.reports.send(Report::Notice(text)).await;
                }
            }
            () = shared.stop.cancelled() => {
                fail(&peer, Failure::Stopped).await;
                break;
            }
        }
    }
    drop(joining);
    let result = peer.with(|p, now| {
        p.ignore_all();
        p.endpoint.finish(now)
    });
    (result.await.ok().flatten(), connection)
}

/// Asks whether a stream carries a voice and passes the answer to the call. The user is told of
/// the first track of a run that carries none.
async fn judge_sound(
    shared: &Shared,
    peer: &PeerHandle<CallerEnd>,
    stream: StreamId,
    excerpt: Excerpt,
) {
    let is_voice = shared.opinions.insist(excerpt).await;
    let told = peer.with(move |p, now| p.endpoint.judged(now, stream, is_voice));
    // As in `fail`.
    let Ok(Some(track)) = told.await else { return };
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

pub(super) async fn next(connection: &mut Option<Connection>) -> Option<DoorEvent> {
    match connection {
        Some(c) => c.event().await,
        None => std::future::pending().await,
    }
}

pub(super) async fn fail(peer: &PeerHandle<CallerEnd>, failure: Failure) {
    // If the engine is gone, there is no call left to fail.
    let _ = peer.with(|p, now| p.endpoint.failed(now, failure)).await;
}

pub(super) async fn follow(peer: &PeerHandle<CallerEnd>, event: Option<DoorEvent>) {
    let closed = Failure::Dropped {
        detail: "the session ended".into(),
    };
    let told = match event.unwrap_or(DoorEvent::Closed(closed)) {
        DoorEvent::Joined => {
            peer.with(|p, now| {
                let slot = p.slot_from(now);
                p.endpoint.joined(now, slot);
            })
            .await
        }
        DoorEvent::AgentTrack {
            track,
            transport,
            mid,
        } => {
            peer.with(move |p, now| {
                let number = p.endpoint.agent_track(now, &track.sid, name(&track));
                p.listen_to(transport, &mid, number);
            })
            .await
        }
        DoorEvent::AgentTrackGone { sid } => {
            peer.with(move |p, now| {
                if let Some(number) = p.endpoint.agent_track_gone(now, &sid) {
                    p.stop_listening(number);
                }
            })
            .await
        }
        DoorEvent::AgentTrackMuted { sid } => {
            peer.with(move |p, now| p.endpoint.agent_track_muted(now, &sid))
                .await
        }
        DoorEvent::AgentPresent { .. } => peer.with(|p, now| p.endpoint.agent_present(now)).await,
        DoorEvent::AgentState(state) => {
            peer.with(move |p, now| p.endpoint.agent_state(now, state))
                .await
        }
        DoorEvent::AgentLeft => peer.with(|p, now| p.endpoint.agent_left(now)).await,
        DoorEvent::Closed(f) => return fail(peer, f).await,
    };
    // As in `fail`.
    let _ = told;
}

/// The track's name in the record: `identity/name`, at most [`NAME`] characters.
fn name(track: &AgentStream) -> Arc<str> {
    let name = format!("{}/{}", track.identity, track.name);
    name.chars().take(NAME).collect::<String>().into()
}
