//! State shared by all calls of a run.
//!
//! In: the scenario, its sounds, its targets. Out: scripts and endpoints of calls. Invariant:
//! apart from counters and flags, nothing here changes once the first call has started.

use super::call_report::CallReport;
use super::caller::{CallerEnd, EndEvent};
use super::clock::now;
use super::evidence::Desk;
use super::impairments::ImpairmentLog;
use super::mixes::Sounds;
use super::opinions::Opinions;
use super::sounds::EncodedUtterance;
use super::targets::OpenTargets;
use crate::call::{CallScript, Course, Failure, Leave, TurnCourse, TurnScript};
use crate::net::Impairment;
use crate::plan::{PlannedCall, PlannedTurn};
use crate::scenario::Scenario;
use crate::targets::{Dial, Media, OpenTarget, Opened, OwnAgent};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// State shared by all calls of a run.
pub(super) struct Shared {
    pub scenario: Scenario,
    pub sounds: Sounds,
    pub opinions: Opinions,
    /// Keeps the audio of turns, if the run keeps evidence.
    pub evidence: Option<Desk>,
    pub targets: OpenTargets,
    pub media: Media<CallerEnd>,
    /// Start of the measured calls: the start of the run, or the end of the warm-up calls.
    pub measured: OnceLock<Instant>,
    /// Set before the first call, if the run has sentinel calls.
    pub sentinels: OnceLock<SentinelSetup>,
    pub reports: mpsc::Sender<CallReport>,
    /// Writes what the simulated networks do, if the scenario keeps a log. Set before the first
    /// call.
    pub impairments: OnceLock<ImpairmentLog>,
    pub stop: CancellationToken,
    /// Limits the number of joins in progress.
    pub joins: Arc<Semaphore>,
    /// Set once an agent's packet with an audio level arrives (only with `decode: level`).
    pub levels: Arc<AtomicBool>,
    /// The user has been notified that several tracks may carry the agent's voice.
    pub several: AtomicBool,
    /// The user has been notified that a track carries no voice.
    pub no_voice: AtomicBool,
}

/// State shared by the sentinel calls of a run.
pub(super) struct SentinelSetup {
    /// Our own reference agent.
    pub agent: Opened<CallerEnd>,
    pub chirp: EncodedUtterance,
}

impl Shared {
    /// The target that a call connects to.
    pub(super) fn target(&self, call: &PlannedCall) -> &dyn OpenTarget<CallerEnd> {
        &**self.targets.of_variant(call.variant)
    }

    /// Starts one of our own reference agents, unless the run is stopped meanwhile.
    pub(super) async fn own_agent(&self, own: &OwnAgent) -> Result<Opened<CallerEnd>, Failure> {
        tokio::select! {
            started = self.targets.first().own_agent(own) => started,
            () = self.stop.cancelled() => Err(Failure::Stopped),
        }
    }

    /// What the caller says in a turn: nothing, if it sends a text.
    fn said(&self, call: &PlannedCall, turn: &PlannedTurn) -> &EncodedUtterance {
        match turn.utterance() {
            Some(index) => &self.sounds.of(call).said[index],
            None => &self.sounds.nothing,
        }
    }

    pub(super) fn script(&self, call: &PlannedCall) -> CallScript {
        let written = &self.scenario.call.turns;
        let turns = call.turns.iter().zip(written).map(|(t, written)| {
            let said = self.said(call, t);
            TurnScript {
                anchor: t.anchor,
                silence: written.silence,
                delay: t.delay,
                expect: t.expect,
                timeout: t.timeout,
                frames: said.frames.len(),
                speech_start: said.speech_start,
                speech_end: said.speech_end,
                segments: Some(said.segments.clone()),
                filler: self.scenario.call.filler,
                awkward: self.scenario.call.awkward_silence,
            }
        });
        let course = call
            .turns
            .iter()
            .zip(written)
            .map(|(t, written)| TurnCourse {
                left_out: t.is_left_out(),
                next: written.next.iter().map(|next| next.branch).collect(),
                leave: t.hang_up.as_ref().map(|leaving| Leave {
                    anchor: leaving.anchor,
                    silence: leaving.silence,
                    delay: leaving.delay,
                }),
            });
        CallScript {
            greeting: self.scenario.call.greeting,
            agent_timeout: self.scenario.call.agent_timeout,
            on_agent_left: self.scenario.call.on_agent_left,
            course: Course {
                hang_up: self.scenario.call.hang_up,
                turns: course.collect(),
            },
            turns: turns.collect(),
        }
    }

    /// The caller of a planned call, and the receiver of the caller's events.
    pub(super) fn caller(
        &self,
        call: &PlannedCall,
        start: Instant,
    ) -> Result<(CallerEnd, mpsc::Receiver<EndEvent>), Failure> {
        let says = call.turns.iter();
        let says = says.map(|turn| self.said(call, turn).clone());
        self.saying(self.script(call), start, says.collect())
    }

    /// A caller with this script and the utterance of each turn.
    pub(super) fn saying(
        &self,
        script: CallScript,
        start: Instant,
        says: Vec<EncodedUtterance>,
    ) -> Result<(CallerEnd, mpsc::Receiver<EndEvent>), Failure> {
        let silence = self.sounds.silence.clone();
        let made = CallerEnd::new(script, start, says, (silence, self.sounds.codec));
        made.map_err(|e| Failure::Generator {
            detail: e.to_string(),
        })
    }

    /// The parameters for dialling a call: `number` is `None` for a preflight call.
    /// `network`: the simulated network, if there is one.
    pub(super) fn dial<'a>(
        &self,
        number: Option<u64>,
        room: &'a str,
        variant: usize,
        network: Option<&'a Impairment>,
    ) -> Dial<'a> {
        Dial {
            number,
            room,
            variant,
            network,
        }
    }

    /// The simulated network of a planned call, if it has one.
    pub(super) fn network(&self, call: &PlannedCall, room: &str) -> Option<Impairment> {
        let network = self.scenario.network(call.variant, call.network)?;
        let log = self.impairments.get().and_then(|log| log.sink(room));
        let new = Impairment::new(network, self.scenario.seed, call.index, now());
        Some(new.logged(log))
    }
}
