//! Conformance suite: the same cases, run against every target.
//!
//! In: a target with our own agent, whose behaviour the case sets. Out: the records of its calls,
//! which differ between targets only in their instants. A new target adds a [`Subject`] here.

mod subjects;

use crate::support::in_repo;
use loadgen::record::{CallRecord, Ms, Outcome, TurnRecord};
use std::path::Path;
use std::time::Duration;
use subjects::{Embedded, InThisProcess, Livekit, Subject};

/// Maximum error of a latency on a busy machine, in ms; 25 is enough on an idle one.
const BOUND: f64 = 150.0;

/// The behaviour of the agent and its callers, and the mishap, if any.
#[derive(Debug, Clone)]
struct Case {
    /// Time from the end of the caller's speech to the reply.
    delay: Duration,
    /// Duration of each reply.
    reply: Duration,
    /// The turns, as in a scenario; `say: it` plays `sound`.
    turns: &'static str,
    sound: Sound,
    /// The mishap that happens once the first turn has ended.
    mishap: Option<Mishap>,
}

/// Something that goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mishap {
    /// The agent leaves the call.
    AgentLeaves,
    /// The target disappears.
    TargetGone,
}

/// The caller's utterance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sound {
    /// One word.
    Yes,
    /// The same word twice, with a pause of 1.6 s.
    YesAndYes,
}

/// The records of a run.
struct Records {
    turns: Vec<TurnRecord>,
    calls: Vec<CallRecord>,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(400),
            reply: Duration::from_millis(800),
            turns: "",
            sound: Sound::Yes,
            mishap: None,
        }
    }
}

impl Sound {
    /// Writes the sound into `folder`.
    fn write(self, folder: &Path) {
        let yes = std::fs::read(in_repo("fixtures/yes.wav")).expect("a fixture");
        let path = folder.join("it.wav");
        if self == Self::Yes {
            return std::fs::write(path, yes).expect("a writable folder");
        }
        let mut reader = hound::WavReader::new(yes.as_slice()).expect("a WAV file");
        let spec = reader.spec();
        let samples = reader.samples::<i16>().map(|sample| sample.expect("PCM"));
        let word: Vec<i16> = samples.collect();
        let pause = vec![0; spec.sample_rate as usize * 16 / 10];
        let mut writer = hound::WavWriter::create(path, spec).expect("a writable folder");
        for sample in [&word, &pause, &word].into_iter().flatten() {
            writer.write_sample(*sample).expect("a writable file");
        }
        writer.finalize().expect("a writable file");
    }
}

impl Case {
    /// The scenario's text, with the sound in `folder`; `target` is the value of its `target` key.
    fn scenario(&self, target: &str, folder: &Path) -> String {
        self.sound.write(folder);
        format!(
            "version: 1\nname: conformance\ntarget: {target}\n\
             utterances: {{it: {{file: {}}}}}\n\
             call:\n  greeting: none\n  agent_timeout: 20s\n  turns:\n{}\
             load: {{calls: 2}}\n",
            folder.join("it.wav").display(),
            self.turns,
        )
    }
}

/// Checks that both calls have the expected outcomes; returns their turns in pairs.
fn outcomes(records: &Records, expected: &[Outcome]) -> Vec<[TurnRecord; 2]> {
    let of = |call| {
        let turns = records.turns.iter().filter(move |t| t.call == call);
        turns.cloned().collect::<Vec<_>>()
    };
    let calls: [Vec<TurnRecord>; 2] = [of(0), of(1)];
    for turns in &calls {
        let outcomes: Vec<Outcome> = turns.iter().map(|turn| turn.outcome).collect();
        assert_eq!(outcomes, expected, "{turns:#?}");
    }
    let [first, second] = calls;
    first.into_iter().zip(second).map(|(a, b)| [a, b]).collect()
}

/// Checks that the `ttfa_wire` of each turn is within [`BOUND`] of `expected` ms.
#[track_caller]
fn is_about(turns: &[TurnRecord; 2], expected: f64) {
    for turn in turns {
        let wire = turn.ttfa_wire_ms.map(Ms::as_f64);
        let near = wire.is_some_and(|ms| (ms - expected).abs() < BOUND);
        assert!(near, "{wire:?} instead of {expected}: {turn:#?}");
    }
}

fn replies(subject: &dyn Subject) {
    let records = subject.run(&Case {
        turns: "    - {say: it, start: {after: call_start, delay: 500ms}, timeout: 5s}\n    \
                - {say: it, start: {after: agent_speech_end, delay: 200ms}, timeout: 5s}\n",
        ..Case::default()
    });
    for turns in outcomes(&records, &[Outcome::Replied, Outcome::Replied]) {
        is_about(&turns, 400.0);
    }
    assert!(records.calls.iter().all(|call| call.failure.is_none()));
}

fn yields_to_an_interruption(subject: &dyn Subject) {
    let records = subject.run(&Case {
        reply: Duration::from_secs(6),
        turns: "    - {say: it, start: {after: call_start, delay: 500ms}, timeout: 5s}\n    \
                - {say: it, start: {after: agent_speech_start, delay: 1s}, expect: stop_and_respond, timeout: 5s}\n",
        ..Case::default()
    });
    let turns = outcomes(&records, &[Outcome::Replied, Outcome::Replied]);
    is_about(&turns[1], 400.0);
    for turn in &turns[1] {
        let stop = turn.stop_ms.expect("the agent stopped").as_f64();
        // The agent detects the caller's speech from the first loud frames on.
        assert!((0.0..600.0).contains(&stop), "{turn:#?}");
    }
}

fn speaks_too_early(subject: &dyn Subject) {
    let records = subject.run(&Case {
        sound: Sound::YesAndYes,
        turns: "    - {say: it, start: {after: call_start, delay: 500ms}, timeout: 5s}\n",
        ..Case::default()
    });
    let turns = outcomes(&records, &[Outcome::Early]);
    for turn in &turns[0] {
        assert!(turn.ttfa_ms.is_none(), "{turn:#?}");
    }
}

fn answers_too_late(subject: &dyn Subject) {
    let records = subject.run(&Case {
        delay: Duration::from_millis(2_500),
        turns: "    - {say: it, start: {after: call_start, delay: 500ms}, timeout: 1500ms}\n    \
                - {say: it, start: {after: previous_turn, delay: 3s}, timeout: 5s}\n",
        ..Case::default()
    });
    let turns = outcomes(&records, &[Outcome::Missed, Outcome::Replied]);
    for turn in &turns[0] {
        let late = turn.late_reply_ms.expect("a late reply").as_f64();
        assert!((late - 2_500.0).abs() < BOUND + 200.0, "{turn:#?}");
    }
    is_about(&turns[1], 2_500.0);
}

fn never_answers(subject: &dyn Subject) {
    let records = subject.run(&Case {
        delay: Duration::from_secs(50),
        turns: "    - {say: it, start: {after: call_start, delay: 500ms}, timeout: 1s}\n    \
                - {say: it, start: {after: previous_turn, delay: 100ms}, timeout: 1s}\n",
        ..Case::default()
    });
    outcomes(&records, &[Outcome::Missed, Outcome::Missed]);
    assert!(records.calls.iter().all(|call| call.failure.is_none()));
}

/// Checks that the second turn of both calls fails with this cause.
fn fails(subject: &dyn Subject, mishap: Mishap, cause: &str) {
    let records = subject.run(&Case {
        turns: "    - {say: it, start: {after: call_start, delay: 500ms}, timeout: 3s}\n    \
                - {say: it, start: {after: previous_turn, delay: 60s}, timeout: 3s}\n",
        mishap: Some(mishap),
        ..Case::default()
    });
    outcomes(&records, &[Outcome::Replied, Outcome::Failed]);
    for call in &records.calls {
        let failure = call.failure.as_ref().expect("a failure");
        assert_eq!(failure.cause, cause, "{failure:?}");
        assert!(!failure.hint.is_empty() && !failure.message.is_empty());
    }
}

fn loses_its_agent_mid_call(subject: &dyn Subject) {
    fails(subject, Mishap::AgentLeaves, "agent_left");
}

fn disappears_mid_call(subject: &dyn Subject) {
    fails(subject, Mishap::TargetGone, "dropped");
}

/// The suite for one target.
macro_rules! conforms {
    ($name:ident, $subject:expr, [$($case:ident),* $(,)?]) => {
        mod $name {
            use super::*;
            $(
                #[test]
                fn $case() {
                    super::$case(&$subject);
                }
            )*
        }
    };
}

conforms!(
    in_process,
    InThisProcess,
    [
        replies,
        yields_to_an_interruption,
        speaks_too_early,
        answers_too_late,
        never_answers,
        loses_its_agent_mid_call,
        disappears_mid_call,
    ]
);
conforms!(
    livekit,
    Livekit,
    [
        replies,
        yields_to_an_interruption,
        speaks_too_early,
        answers_too_late,
        never_answers,
        loses_its_agent_mid_call,
        disappears_mid_call,
    ]
);
// The embedded agent is the peer of the connection, so it cannot leave the call on its own.
conforms!(
    embedded,
    Embedded,
    [
        replies,
        yields_to_an_interruption,
        speaks_too_early,
        answers_too_late,
        never_answers,
        disappears_mid_call,
    ]
);
