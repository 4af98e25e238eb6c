//! Terms that several modules share, each defined once, with its name in files.
//!
//! In: nothing. Out: types whose names in scenarios, records and reports are derived from the
//! code. Invariants: pure; depends on no other module of the crate.

mod call;
mod delay;
pub mod duration;
mod loss;
mod metric;
mod turn;

pub use call::{AgentState, Decode, GreetingPolicy, OnAgentLeft};
pub use delay::{AgentDelay, DelayError};
pub use loss::Loss;
pub use metric::{About, Kind, Metric, Row, Shown};
pub use turn::{Anchor, Confidence, Expect, Flag, Outcome};
