//! Terms that several modules share, each defined once, with its name in files.
//!
//! In: nothing. Out: types whose names in scenarios, records and reports are derived from the
//! code, and the received packet. Invariants: pure; depends on no other module of the crate.

/// Defines `ALL` and `name()` for enums that are listed and shown.
macro_rules! named {
    ($($word:ty),*) => {$(
        impl $word {
            /// All variants, in the order of their definition.
            pub const ALL: &[Self] = Self::VARIANTS;

            /// The variant's name in files.
            pub fn name(self) -> &'static str {
                self.into()
            }
        }
    )*};
}

mod address;
mod call;
mod delay;
pub mod duration;
pub mod host;
mod loss;
mod metric;
mod nearest;
pub mod number;
mod packet;
mod terminal;
mod turn;

pub use address::{Address, AddressError};
pub use call::{AgentState, Channel, Decode, GreetingPolicy, OnAgentLeft};
pub use delay::{AgentDelay, DelayError};
pub use loss::Loss;
pub use metric::{Metric, MetricKind, MetricRow, SampleUnit, Visibility};
pub use nearest::nearest;
pub use packet::Packet;
pub use terminal::{acts, plain};
pub use turn::{Anchor, Confidence, Expect, Flag, Outcome};
