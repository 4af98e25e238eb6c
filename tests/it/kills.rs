//! Runs that are killed (SIGKILL) at random instants: every turn that had ended is in the report
//! that `loadgen report` makes from the folder.
//!
//! `LOADGEN_KILLS=200 cargo test --test it kills -- --nocapture` kills that many runs, several at
//! once, because they mostly wait. The number of ended turns comes from the run's metrics, which do
//! not depend on its journal.

use crate::live::address;
use crate::live::prometheus::get;
use crate::support::{Loadgen, in_repo, poll};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Number of kills without `LOADGEN_KILLS`.
const KILLS: usize = 6;
/// Concurrent runs.
const AT_ONCE: usize = 6;
/// A run is killed within this time after its first turn has ended, in ms.
const WITHIN: u64 = 6_000;
/// Pause between scrapes of a run's metrics.
const SCRAPE: Duration = Duration::from_millis(50);

/// Four concurrent calls of short turns, for longer than the time until any kill.
const SHORT: &str = "\
version: 1
name: killed
target: {kind: embedded, agent: {delay: 100ms, reply_length: 200ms}}
utterances:
  yes: {file: FIXTURES/yes.wav}
call:
  greeting: none
  turns:
    - {say: yes, start: {after: call_start, delay: 50ms}, timeout: 4s}
    - {say: yes, start: {after: agent_speech_end, delay: 50ms}, timeout: 4s}
    - {say: yes, start: {after: agent_speech_end, delay: 50ms}, timeout: 4s}
load: {duration: 2m, concurrency: 4}
sentinels: off
";

/// Number of turns that have ended, from the metrics.
fn ended(address: &str) -> usize {
    let (status, text) = get(address, "/metrics");
    assert_eq!(status, 200);
    let turns = text
        .lines()
        .filter(|l| l.starts_with("loadgen_turns_total{"));
    let counts = turns.filter_map(|l| l.rsplit_once(' ')?.1.parse::<f64>().ok());
    counts.sum::<f64>() as usize
}

/// The turns of a killed run, as counted by its metrics and by its report.
struct Killed {
    /// Turns that had ended at the last scrape, and a second before the kill.
    ended: usize,
    ended_before: usize,
    reported: usize,
}

/// Starts a run and kills it; `after` counts from the end of its first turn.
fn killed(after: Duration) -> Killed {
    let flags = ["--out", "run", "--metrics-listen", "127.0.0.1:0"];
    let run = Loadgen::new(["run", "short.yaml"].iter().chain(&flags));
    let fixtures = in_repo("fixtures").display().to_string();
    let text = SHORT.replace("FIXTURES", &fixtures);
    std::fs::write(run.dir().join("short.yaml"), text).expect("writable");
    let mut run = run.spawn();
    let address = address(&mut run);
    let first = || Some(ended(&address)).filter(|turns| *turns > 0);
    let first = poll(Duration::from_secs(60), first).expect("a turn ends");
    let begun = Instant::now();
    // For each scrape, an instant by which it was answered, and the number of turns it showed.
    let mut scrapes = vec![(begun, first)];
    while begun.elapsed() + SCRAPE < after {
        let turns = ended(&address);
        scrapes.push((Instant::now(), turns));
        std::thread::sleep(SCRAPE);
    }
    std::thread::sleep(after.saturating_sub(begun.elapsed()));
    let at = Instant::now();
    run.send_signal(libc::SIGKILL);
    let run = run.finish();
    assert_eq!(
        run.finished.signal,
        Some(libc::SIGKILL),
        "{:?}",
        run.finished
    );
    let second = Duration::from_secs(1);
    let mut before = scrapes.iter().filter(|(told, _)| *told + second <= at);
    let folder = run.dir().join("run");
    let report = Loadgen::new(["report", "--quiet"]).arg(&folder).run();
    report.assert_code(110);
    let mut csv = csv::Reader::from_path(folder.join("turns.csv")).expect("turns.csv");
    Killed {
        ended: scrapes.last().map_or(0, |(_, ended)| *ended),
        ended_before: before.next_back().map_or(0, |(_, ended)| *ended),
        reported: csv.records().count(),
    }
}

#[test]
fn a_kill_at_any_instant_loses_no_turn() {
    let kills = std::env::var("LOADGEN_KILLS").ok();
    let kills = kills.and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Relaxed);
            if number >= kills {
                return done;
            }
            let mut random = ChaCha8Rng::seed_from_u64(number as u64);
            let after = Duration::from_millis(random.next_u64() % WITHIN);
            done.push((number, after, killed(after)));
        }
    };
    let done: Vec<_> = std::thread::scope(|scope| {
        let workers = [(); AT_ONCE].map(|()| scope.spawn(work));
        let done = workers.map(|worker| worker.join().expect("no run fails"));
        done.into_iter().flatten().collect()
    });
    let mut lost = Vec::new();
    for (number, after, run) in &done {
        if run.reported < run.ended_before {
            lost.push(format!(
                "kill {number}, after {after:?}: {} turns had ended 1 s earlier, {} are reported",
                run.ended_before, run.reported
            ));
        } else if run.reported < run.ended {
            // A kill, unlike a power cut, loses nothing that the kernel has received.
            lost.push(format!(
                "kill {number}, after {after:?}: {} turns had ended, {} are reported",
                run.ended, run.reported
            ));
        }
    }
    let sum = |of: fn(&Killed) -> usize| done.iter().map(|(.., run)| of(run)).sum::<usize>();
    println!(
        "{} kills: {} turns had ended 1 s earlier, {} at the last scrape; {} are reported",
        done.len(),
        sum(|run| run.ended_before),
        sum(|run| run.ended),
        sum(|run| run.reported)
    );
    assert!(lost.is_empty(), "{}", lost.join("\n"));
    assert!(
        sum(|run| run.ended) >= kills,
        "too few turns to conclude anything"
    );
}
