//! Measures how much faster than real time an in-process run is.
//!
//! In: nothing. Out: for several concurrencies, virtual time, real time and their ratio (median of
//! five runs). The CPU time is spent on the callers and the agent, so the ratio falls as
//! concurrency rises.

#[path = "../tests/support/in_process.rs"]
pub mod in_process;

use loadgen::record::Outcome;
use loadgen::targets::in_process::InProcess;
use std::time::{Duration, Instant};

/// Number of runs at each concurrency.
const RUNS: usize = 5;

fn text(concurrency: u32) -> String {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    format!(
        "version: 1\nname: virtual\ntarget: {{kind: embedded}}\n\
         utterances: {{order: {{file: {fixtures}/order-status.wav}}}}\n\
         call:\n  greeting: none\n  turns:\n    \
         - {{say: order, start: {{after: call_start, delay: 500ms}}}}\n    \
         - {{say: order, start: {{after: agent_speech_end, delay: 300ms}}}}\n    \
         - {{say: order, start: {{after: agent_speech_end, delay: 300ms}}}}\n\
         load: {{calls: 100, concurrency: {concurrency}}}\n"
    )
}

fn main() {
    println!("100 calls of three turns, {RUNS} runs each, medians");
    println!("concurrency  virtual s  call seconds  real s  virtual/real  call seconds/real");
    for concurrency in [1, 2, 5, 10, 100] {
        let scenario = in_process::scenario(&text(concurrency));
        let mut took: Vec<(Duration, Duration, f64)> = (0..RUNS)
            .map(|_| {
                let began = Instant::now();
                let finished = in_process::carried_out(&scenario, InProcess::default());
                let took = began.elapsed();
                let replied = finished.turns.iter();
                let replied = replied.filter(|turn| turn.outcome == Outcome::Replied);
                assert_eq!(replied.count(), 300, "every turn gets a reply");
                let lasted = finished
                    .calls
                    .iter()
                    .filter_map(|call| Some(call.ended_ms?.as_f64() - call.started_ms?.as_f64()));
                (took, finished.duration, lasted.sum::<f64>() / 1e3)
            })
            .collect();
        took.sort_by_key(|(took, ..)| *took);
        let (real, virtual_time, calls) = took[RUNS / 2];
        let (real, virtual_time) = (real.as_secs_f64(), virtual_time.as_secs_f64());
        println!(
            "{concurrency:11}  {virtual_time:9.1}  {calls:12.1}  {real:6.3}  {:12.0}  {:17.0}",
            virtual_time / real,
            calls / real,
        );
    }
}
