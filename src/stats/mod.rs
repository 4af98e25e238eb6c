//! Statistics of latencies and proportions. Pure: samples in, figures out; uses no other module of
//! the crate.
//!
//! Invariant: a reply that never came is a sample like any other, larger than every finite one
//! ([`Sample::Infinite`]), so that code which leaves it out has to do so explicitly.

mod beta;
pub(crate) mod capacity;
pub mod compare;
mod distribution;
mod gate;
mod interval;
mod live;
mod proportion;

pub use distribution::{Distribution, Sample};
pub use gate::{Aggregate, Decider, Gate, Inequality};
pub use interval::{Interval, StatsError};

pub(crate) use distribution::rank;
pub(crate) use gate::{Answer, Basis, Judgement, Population};
pub(crate) use interval::samples_needed;
pub(crate) use live::LiveQuantiles;
pub(crate) use proportion::Proportion;
