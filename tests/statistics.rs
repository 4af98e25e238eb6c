//! Checks the claims of the statistics against simulations whose true values are known.
//!
//! In: seeds. Out: how often intervals contain the true value, how often equal runs are reported as
//! different, how often a true difference is found. Invariant: the same seeds give the same counts.
//!
//! The default is a small size; the figures in docs/comparing.md come from the full size:
//! `LOADGEN_FULL=1 cargo test --release --test statistics -- --nocapture`

#[path = "statistics/coverage.rs"]
mod coverage;
#[path = "statistics/network.rs"]
mod network;
#[path = "statistics/pairs.rs"]
mod pairs;
#[path = "statistics/stall.rs"]
mod stall;
#[path = "statistics/worlds.rs"]
mod worlds;

/// Selects `full` if `LOADGEN_FULL` is 1, otherwise `small`.
fn size(small: u64, full: u64) -> u64 {
    if std::env::var("LOADGEN_FULL").is_ok_and(|full| full == "1") {
        full
    } else {
        small
    }
}

/// A share in percent.
fn percent(hits: usize, of: usize) -> f64 {
    100.0 * hits as f64 / of as f64
}
