//! Statistics of latencies. Pure: samples in, figures out; uses nothing else of the crate.
//!
//! Holds: a reply that never came is a sample like any other, larger than every finite one
//! ([`Sample::Infinite`]), so that leaving it out is a decision somebody has to write down.

mod beta;
pub mod capacity;
pub mod compare;
mod distribution;
mod gate;
mod interval;
mod live;
mod proportion;

pub use distribution::{Distribution, Sample};
pub use gate::{
    Aggregate, Answer, Basis, Comparison, Decider, GATE_LEVEL, Gate, Judgement, Population,
};
pub use interval::{Interval, StatsError, samples_needed};
pub use live::Live;
pub use proportion::{Proportion, ShareInterval, Worth};
