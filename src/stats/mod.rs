//! Statistics of latencies and shares. Pure: samples in, figures out; uses no other module of the
//! crate.
//!
//! Invariant: a reply that never came is a sample like any other, larger than every finite one
//! ([`Sample::Infinite`]), so that code which leaves it out has to do so explicitly.

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
    Aggregate, Answer, Basis, Decider, GATE_LEVEL, Gate, Inequality, Judgement, Population,
};
pub use interval::{Interval, StatsError, samples_needed};
pub use live::LiveQuantiles;
pub use proportion::{Proportion, ShareInterval, Worth};
