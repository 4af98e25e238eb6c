//! The error of the ear, measured on signals whose truth is known by construction
//! (docs/accuracy.md: checks 1, 4, 5, 6 and 8).
//!
//! In: nothing; `LOADGEN_FULL=1` measures at full size. Out: tables on stderr (`--nocapture`),
//! a failure if a figure exceeds its limit. Invariants: no label comes from a detector; time is
//! virtual, so nothing depends on the machine's load.

#[path = "accuracy/broken.rs"]
pub mod broken;
#[path = "accuracy/chirps.rs"]
pub mod chirps;
#[path = "accuracy/listen.rs"]
pub mod listen;
#[path = "accuracy/markers.rs"]
pub mod markers;
#[path = "accuracy/noises.rs"]
pub mod noises;
#[path = "accuracy/onsets.rs"]
pub mod onsets;
#[path = "accuracy/quiet.rs"]
pub mod quiet;
#[path = "accuracy/resumed.rs"]
pub mod resumed;
#[path = "accuracy/signals.rs"]
pub mod signals;
#[path = "accuracy/tails.rs"]
pub mod tails;
#[path = "accuracy/yields.rs"]
pub mod yields;

use std::sync::Mutex;

/// Whether to measure at full size.
pub fn full() -> bool {
    std::env::var_os("LOADGEN_FULL").is_some_and(|v| v == "1")
}

/// Selects the size for a small or a full run.
pub fn size<T>(small: T, at_full: T) -> T {
    if full() { at_full } else { small }
}

/// Runs independent work on two threads (four at full size); results keep the order of the work.
pub fn in_parallel<T: Sync, R: Send>(work: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = size(2, 4);
    let results = Mutex::new(Vec::with_capacity(work.len()));
    std::thread::scope(|scope| {
        for first in 0..threads {
            let (results, each) = (&results, &each);
            scope.spawn(move || {
                for (k, item) in work.iter().enumerate().skip(first).step_by(threads) {
                    let result = each(item);
                    results.lock().expect("no panic").push((k, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no panic");
    results.sort_by_key(|(k, _)| *k);
    results.into_iter().map(|(_, result)| result).collect()
}

/// The quantile of the values at `share` (nearest rank).
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
}

/// The share of values whose magnitude is at most `bound`; 0 if there are no values.
pub fn within(values: &[f64], bound: f64) -> f64 {
    let count = values.iter().filter(|v| v.abs() <= bound).count();
    count as f64 / values.len().max(1) as f64
}
