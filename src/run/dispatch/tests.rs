//! Plans that run to completion or are stopped early: every planned call is accounted for.

use super::super::call_report::CallReport;
use super::super::mixes::Sounds;
use super::super::opinions::Opinions;
use super::super::sounds::EncodedUtterance;
use super::super::targets::{OpenTargets, Targets};
use super::*;
use crate::audio::Codec;
use crate::audio::echo::Spoken;
use crate::run::Pulses;
use crate::scenario::{LoadedSound, Scenario, SoundFile};
use crate::targets::Media;
use crate::targets::livekit::{Credentials, Livekit};
use crate::vocab::Address;
use std::collections::BTreeSet;
use std::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

struct Outcome {
    started: Vec<u64>,
    ended: Vec<(u64, String, usize)>,
    never: Vec<u64>,
    at_once: usize,
    took: Duration,
}

/// A scenario with two turns.
pub(in crate::run) fn test_scenario(load: &str) -> Scenario {
    let text = format!(
        "version: 1\nname: test\ntarget: {{kind: livekit, url: 'ws://localhost:7880'}}\n\
         utterances: {{a: {{file: a.wav}}}}\ncall:\n  turns:\n    - {{say: a, start: {{after: call_start}}}}\n    \
         - {{say: a}}\nload: {load}\n"
    );
    let length = |_: &SoundFile<'_>| {
        let length = Duration::from_secs(1);
        Ok(Some(LoadedSound {
            length,
            doubts: Vec::new(),
        }))
    };
    let path = std::path::Path::new("test.yaml");
    let unset = crate::scenario::Unset::Problem;
    crate::scenario::check(text.as_bytes(), path, &|_| None, unset, &length).expect("a scenario")
}

/// A server on a local port.
async fn at_port(port: u16, media: &Media<super::super::caller::CallerEnd>) -> OpenTargets {
    let server = Livekit {
        address: Address::parse(&format!("ws://127.0.0.1:{port}")).expect("an address"),
        credentials: Credentials::new("key", "s".repeat(32)),
        room_prefix: "loadgen".into(),
        asks: Vec::new(),
    };
    let (targets, mut quiet) = (Targets::from(server), |_| {});
    let opened = OpenTargets::open(&targets, "0123abcd", media, &mut quiet);
    opened.await.unwrap_or_else(|e| panic!("{e}"))
}

/// Dispatches a plan to the local port `port` and stops it after `stop`.
async fn dispatched(load: &str, port: u16, stop: Option<Duration>) -> Outcome {
    dispatched_with(load, port, stop, 100).await
}

async fn dispatched_with(load: &str, port: u16, stop: Option<Duration>, joins: usize) -> Outcome {
    crate::targets::livekit::install_crypto();
    let scenario = test_scenario(load);
    let plan = Plan::new(&scenario);
    let (reports, mut inbox) = mpsc::channel(100_000);
    let said = EncodedUtterance {
        frames: Arc::from(vec![Arc::from([0xf8, 0xff, 0xfe]); 50]),
        spoken: Spoken::new(&[]),
        speech_start: Duration::ZERO,
        speech_end: Duration::from_millis(900),
        segments: [(Duration::ZERO, Duration::from_millis(900))].into(),
        background: 0,
        presses: Arc::default(),
    };
    let token = CancellationToken::new();
    let media = Media::new(1);
    let shared = Arc::new(Shared {
        sounds: Sounds::plain(
            vec![said; scenario.utterances.len()],
            Arc::from([0xf8, 0xff, 0xfe]),
            Codec::Opus,
        ),
        opinions: Opinions::start(None, Pulses::default()).expect("a thread"),
        evidence: None,
        impairments: std::sync::OnceLock::new(),
        targets: at_port(port, &media).await,
        media,
        measured: std::sync::OnceLock::new(),
        sentinels: std::sync::OnceLock::new(),
        scenario,
        reports,
        stop: token.clone(),
        joins: Arc::new(Semaphore::new(joins)),
        levels: Arc::default(),
        several: false.into(),
        no_voice: false.into(),
    });
    if let Some(after) = stop {
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            token.cancel();
        });
    }
    let begin = Instant::now();
    let all = dispatch(shared, plan, begin);
    tokio::time::timeout(PATIENCE, all)
        .await
        .expect("the run ends in time");
    let took = begin.elapsed();
    let mut out = Outcome {
        started: Vec::new(),
        ended: Vec::new(),
        never: Vec::new(),
        at_once: 0,
        took,
    };
    while let Ok(report) = inbox.try_recv() {
        match report {
            CallReport::Started(begun) => out.started.push(begun.plan.index),
            CallReport::Ended(done) => {
                let failure = done
                    .result
                    .failure
                    .as_ref()
                    .expect("the server never answers");
                let cause = failure.cause().to_owned();
                out.ended
                    .push((done.plan.index, cause, done.result.turns.len()));
            }
            CallReport::LeftOut(call) => {
                assert!(!call.stopped || stop.is_some(), "the run was not stopped");
                out.never.push(call.plan.index);
            }
            CallReport::Phase(..)
            | CallReport::Turn(_)
            | CallReport::Amended(_)
            | CallReport::Notice(_) => {}
            CallReport::Sentinel(_) | CallReport::SentinelEnded(_) => {
                panic!("the scenario has no sentinel calls")
            }
            CallReport::Observed(_) => panic!("the scenario observes nothing"),
        }
        out.at_once = out.at_once.max(out.started.len() - out.ended.len());
    }
    out
}

fn set(indices: impl IntoIterator<Item = u64>) -> BTreeSet<u64> {
    indices.into_iter().collect()
}

#[tokio::test]
async fn every_planned_call_of_a_stopped_run_has_a_result_or_was_dropped() {
    // The backlog accepts connections, but no server answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = silent.local_addr().expect("address").port();
    for (load, planned, starts) in [
        ("{calls: 7, concurrency: 3}", 7, 3),
        ("{calls: 4, concurrency: 4}", 4, 4),
        ("{calls: 5, ramp: 1h}", 5, 1),
        ("{calls: 5, concurrency: 2}\nwarmup: {calls: 3}", 8, 2),
    ] {
        let out = dispatched(load, port, Some(Duration::from_millis(300))).await;
        assert_eq!(out.started.len(), starts, "{load}");
        let ended = set(out.ended.iter().map(|e| e.0));
        assert_eq!(ended, set(out.started.iter().copied()), "{load}");
        assert_eq!(out.ended.len(), ended.len(), "each ends once");
        for (index, cause, turns) in &out.ended {
            assert_eq!((cause.as_str(), *turns), ("stopped", 2), "call {index}");
        }
        assert!(ended.is_disjoint(&set(out.never.iter().copied())));
        assert_eq!(ended.len() + out.never.len(), planned, "{load}");
        assert!(out.took < Duration::from_secs(5), "{load}: {:?}", out.took);
    }
}

#[tokio::test]
async fn failed_calls_free_their_slot_and_concurrency_is_never_exceeded() {
    let port = {
        let gone = TcpListener::bind("127.0.0.1:0").expect("bind");
        gone.local_addr().expect("address").port()
    };
    let out = dispatched("{calls: 9, concurrency: 2}\nwarmup: {calls: 2}", port, None).await;
    assert_eq!(out.started, (0..11).collect::<Vec<u64>>());
    assert_eq!(set(out.ended.iter().map(|e| e.0)), set(0..11));
    for (index, cause, _) in &out.ended {
        assert_eq!(cause, "unreachable", "call {index}");
    }
    assert!(out.never.is_empty());
    assert!(out.at_once <= 2, "{} at once", out.at_once);
}

#[tokio::test]
async fn no_call_starts_after_the_loads_duration() {
    // No server answers: the first calls last until the stop, so no slot becomes free for the
    // others.
    let silent = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = silent.local_addr().expect("address").port();
    let stop = Some(Duration::from_millis(1_500));
    let load = "{duration: 500ms, concurrency: 2, ramp: 500ms}";
    let out = dispatched(load, port, stop).await;
    assert_eq!(out.started, [0, 1]);
    assert!(
        out.never.is_empty(),
        "a load with a duration leaves no call unstarted"
    );
    assert_eq!(out.ended.len(), 2);
}

/// A port whose backlog accepts connections although no server answers, so that calls to this port
/// last until the stop.
fn silent() -> (TcpListener, u16) {
    let silent = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = silent.local_addr().expect("address").port();
    (silent, port)
}

#[tokio::test]
async fn arrivals_over_max_concurrent_are_dropped_at_their_planned_instants() {
    let (_silent, port) = silent();
    let stop = Some(Duration::from_millis(1_200));
    let load = "{calls: 8, arrival: {rate: 10, max_concurrent: 3}}";
    let out = dispatched(load, port, stop).await;
    assert_eq!(out.started, [0, 1, 2]);
    assert_eq!(out.never, (3..8).collect::<Vec<u64>>());
    // The last arrival is due after 700 ms; the calls in progress last until the stop.
    assert!(out.took >= Duration::from_millis(700), "{:?}", out.took);
}

#[tokio::test]
async fn stages_add_calls_when_the_target_rises_and_replace_none_when_it_falls() {
    let (_silent, port) = silent();
    let stop = Some(Duration::from_millis(1_500));
    let load = "{stages: [{duration: 0s, target: 2}, {duration: 600ms, target: 4}, \
                {duration: 100ms, target: 0}]}";
    let out = dispatched(load, port, stop).await;
    assert_eq!(out.started, [0, 1, 2, 3]);
    assert!(out.never.is_empty());
    let gone = {
        let gone = TcpListener::bind("127.0.0.1:0").expect("bind");
        gone.local_addr().expect("address").port()
    };
    // Calls that end at once are replaced, two at a time, until the stages are over.
    let load = "{stages: [{duration: 0s, target: 2}, {duration: 400ms, target: 2}]}";
    let out = dispatched(load, gone, None).await;
    assert!(out.started.len() > 4, "{} calls", out.started.len());
    assert!(out.at_once <= 2, "{} at once", out.at_once);
    assert_eq!(out.ended.len(), out.started.len());
}

#[tokio::test]
async fn pending_joins_do_not_delay_other_starts() {
    // No server answers, so the only permitted join lasts until the stop.
    let silent = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = silent.local_addr().expect("address").port();
    let stop = Some(Duration::from_millis(1_500));
    let out = dispatched_with("{calls: 8, ramp: 400ms}", port, stop, 1).await;
    assert_eq!(
        set(out.started.iter().copied()),
        set(0..8),
        "all calls started at their planned instants"
    );
    assert_eq!(out.ended.len(), 8);
}
