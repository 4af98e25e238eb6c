//! Made-up runs for the tests of records and reports.
//!
//! In: the number of calls of each kind. Out: call results as the state machine would return them,
//! and records of them. Invariants: the only clock is one base instant; the same input gives the
//! same records.

use super::{
    CallContext, CallRecord, Ending, EvidenceFolder, EvidenceReason, EvidenceTurn, Generator, Ms,
    RunFacts, TickLateness, TurnContext, TurnRecord,
};
/// Also used by the tests of reports.
pub(crate) use crate::call::{CallResult, Failure, Flag, Floor, Outcome, TurnResult};
use crate::call::{Confidence, Expect, HeardAt, Onset, Segment};
use std::time::{Duration, Instant};

pub(crate) const MODEL: &str = "neteq-dm-1";

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A turn with three seconds of speech and no reply; the first one starts two seconds after
/// `base`.
pub(crate) fn turn(base: Instant, index: usize, outcome: Outcome) -> TurnResult {
    let start = base + ms(2_000 + 10_000 * index as u64);
    let spoken = !matches!(outcome, Outcome::Failed | Outcome::NotRun);
    TurnResult {
        planned: spoken.then_some(start),
        media_start: spoken.then_some(start + Duration::from_micros(40)),
        speech_end: spoken.then_some(start + ms(3_000) + Duration::from_micros(40)),
        send_lateness: spoken.then_some(Duration::from_micros(120)),
        ..TurnResult::unstarted(index, Expect::Respond, outcome)
    }
}

/// The index entry of a turn whose audio was kept.
pub(crate) fn kept(call: usize, turn: usize) -> EvidenceTurn {
    EvidenceTurn {
        file: EvidenceFolder::name(call, turn),
        call,
        turn,
        why: EvidenceReason::All,
        sample_rate: 48_000,
        start_ms: Ms::default(),
        length_ms: Ms::from_micros(1_000_000),
        speech_end_ms: Ms::from_micros(500_000),
        onset_ms: None,
        onset_wire_ms: None,
        cut: false,
    }
}

pub(crate) fn recorded(call: usize, result: &TurnResult, failure: Option<&Failure>) -> TurnRecord {
    let context = TurnContext {
        call,
        room: "r",
        utterance: "u",
        kind: crate::vocab::UtteranceKind::Speech,
        variant: "v",
        block: None,
        warmup: false,
        playout_model: MODEL,
        failure,
    };
    TurnRecord::new(&context, result, base())
}

/// A turn as [`turn`] makes it, with a reply after `wire` on the wire and a playout delay of
/// `playout`.
pub(crate) fn replied(
    base: Instant,
    index: usize,
    wire: Duration,
    playout: Duration,
) -> TurnResult {
    let silent = turn(base, index, Outcome::Replied);
    let arrival = silent.speech_end.unwrap() + wire;
    TurnResult {
        onset: Some(Onset {
            at: HeardAt {
                arrival,
                offset: Duration::ZERO,
            },
            confidence: Confidence::High,
            earlier_by_loss: None,
            later_by_loss: None,
            after: None,
            snr_db: 41.26,
            segment: Segment::default(),
        }),
        ttfa_wire: Some(wire),
        playout_delay: Some(playout),
        ttfa: Some(wire + playout),
        reply_end: Some(arrival + ms(1_500)),
        ..silent
    }
}

/// A made-up run whose calls have three turns each.
#[derive(Default)]
pub(crate) struct Run {
    pub(crate) calls: Vec<CallRecord>,
    pub(crate) turns: Vec<TurnRecord>,
    pub(crate) warmup: bool,
    /// Variant and block of the next calls; if absent, variant `baseline` without a block.
    pub(crate) variant: Option<(&'static str, u64)>,
}

impl Run {
    /// Adds a call with the result that `make` returns for its planned start; it starts 0.3 ms
    /// late.
    pub(crate) fn call(&mut self, make: impl FnOnce(Instant) -> CallResult) -> &mut Self {
        let run_start = base();
        let call = self.calls.len();
        let start = run_start + ms(100 * call as u64);
        let result = make(start);
        let variant = self.variant.map_or("baseline", |(name, _)| name);
        let block = self.variant.map(|(_, block)| block);
        let room = format!("loadgen-1f2e-{call}");
        let context = CallContext {
            call,
            room: &room,
            variant,
            block,
            warmup: self.warmup,
            planned_start: start,
            started: Some(start + Duration::from_micros(300)),
            ended: Some(start + ms(30_000)),
        };
        self.calls
            .push(CallRecord::new(&context, &result, run_start));
        let context = TurnContext {
            call,
            room: &room,
            utterance: "order",
            kind: crate::vocab::UtteranceKind::Speech,
            variant,
            block,
            warmup: self.warmup,
            playout_model: MODEL,
            failure: result.failure.as_ref(),
        };
        self.turns.extend(
            result
                .turns
                .iter()
                .map(|t| TurnRecord::new(&context, t, run_start)),
        );
        self
    }

    /// Adds ten blocks with one call to each of three variants: `quick`, `slow` (300 ms later) and
    /// `deaf` (misses every other call).
    pub(crate) fn compared(&mut self) -> &mut Self {
        for block in 0..10 {
            for (name, later) in [("slow", 300), ("quick", 0), ("deaf", 0)] {
                self.variant = Some((name, block));
                if name == "deaf" && block % 2 == 0 {
                    self.bad(Outcome::Missed, None);
                    continue;
                }
                self.call(|base| CallResult {
                    join: Some(ms(120)),
                    agent_present: Some(ms(300)),
                    agent_audible: Some(ms(300)),
                    greeting: None,
                    failure: None,
                    echoes: 0,
                    floor: Floor::default(),
                    dead_air: None,
                    turns: (0..3)
                        .map(|i| {
                            let wire = 400 + later + (block * 37 + i as u64 * 29) % 60;
                            replied(base, i, ms(wire), ms(40))
                        })
                        .collect(),
                });
            }
        }
        self.variant = None;
        self
    }

    /// Adds `n` calls whose turns are answered after 400 to 700 ms.
    pub(crate) fn good(&mut self, n: usize) -> &mut Self {
        for _ in 0..n {
            let k = self.calls.len() as u64;
            self.call(|base| CallResult {
                join: Some(ms(120 + k % 7)),
                agent_present: Some(ms(300 + 3 * (k % 11))),
                agent_audible: Some(ms(300 + 3 * (k % 11))),
                greeting: Some(ms(500 + k % 13)),
                failure: None,
                echoes: 0,
                floor: Floor::default(),
                dead_air: None,
                turns: (0..3)
                    .map(|i| replied(base, i, ms(400 + (k * 37 + i as u64 * 101) % 260), ms(40)))
                    .collect(),
            });
        }
        self
    }

    /// Adds a call of three turns that all end as `outcome`, with a cause if they failed.
    pub(crate) fn bad(&mut self, outcome: Outcome, failure: Option<Failure>) -> &mut Self {
        let met = outcome != Outcome::Failed;
        self.call(|base| CallResult {
            join: met.then_some(ms(130)),
            agent_present: met.then_some(ms(310)),
            agent_audible: met.then_some(ms(310)),
            greeting: None,
            failure,
            echoes: 0,
            floor: Floor::default(),
            dead_air: None,
            turns: (0..3)
                .map(|i| TurnResult {
                    early_by: (outcome == Outcome::Early).then_some(ms(250)),
                    flags: if met && i > 0 {
                        vec![Flag::AfterMissed]
                    } else {
                        vec![]
                    },
                    ..turn(base, i, outcome)
                })
                .collect(),
        })
    }

    /// Adds a call that was cut off in the second of its three turns, 1.2 s after the caller's end
    /// of speech, when the run was stopped.
    pub(crate) fn stopped(&mut self) -> &mut Self {
        self.call(|base| CallResult {
            join: Some(ms(130)),
            agent_present: Some(ms(290)),
            agent_audible: Some(ms(310)),
            greeting: None,
            failure: Some(Failure::Stopped),
            echoes: 0,
            floor: Floor::default(),
            dead_air: None,
            turns: vec![
                replied(base, 0, ms(430), ms(40)),
                TurnResult {
                    waited: Some(ms(1_200)),
                    ..turn(base, 1, Outcome::CutOff)
                },
                turn(base, 2, Outcome::NotRun),
            ],
        })
    }
}

/// The instant that every record is relative to.
pub(crate) fn base() -> Instant {
    use std::sync::OnceLock;
    static BASE: OnceLock<Instant> = OnceLock::new();
    *BASE.get_or_init(Instant::now)
}

pub(crate) fn facts<'a>(planned_calls: usize, ending: Ending) -> RunFacts<'a> {
    RunFacts {
        name: "quickstart",
        seed: 7,
        target: "livekit ws://127.0.0.1:7880",
        started_at: "2026-01-31T12:00:00Z",
        zero_at: Some("2026-01-31T12:00:02.350014Z"),
        measurement_version: super::MEASUREMENT_VERSION,
        duration: Duration::from_micros(28_412_345),
        loadgen_version: "0.1.0",
        planned_calls,
        planned_turns: 3 * planned_calls,
        ending,
        invalid: vec![],
        generator: Generator {
            tick_lateness_ms: TickLateness {
                p50: Ms::from_micros(61),
                p99: Ms::from_micros(840),
                max: Ms::from_micros(2_104),
            },
            cpu_cores: 0.418,
            cpu_limit_cores: None,
            throttled: None,
            rss_bytes: 55_574_528,
            packets_out_per_s: 2_500.4,
            packets_in_per_s: 2_481.9,
            receive_wait_ms: TickLateness {
                p50: Ms::from_micros(480),
                p99: Ms::from_micros(1_120),
                max: Ms::from_micros(3_300),
            },
            signalling_lateness_ms: TickLateness {
                p50: Ms::from_micros(530),
                p99: Ms::from_micros(1_210),
                max: Ms::from_micros(4_050),
            },
            own_drops: 0,
            packets_heard: 148_914,
            packets_ignored: 212,
            packets_unheard: 0,
            packets_unauthenticated: 0,
            packets_repeated: 0,
            packets_behind: 0,
            packets_lost_upstream: 0,
            events_lost: 0,
            media_threads: 1,
            media_thread_cores: 0.31,
            media_threads_cores: vec![0.31],
            run_queue_wait: Some(0.004),
            steal: None,
        },
        steady: vec![],
        network: None,
        sentinels: None,
    }
}
