//! Terms that several modules share, each defined once, with its name in files.
//!
//! In: nothing. Out: types whose names in scenarios, records and reports are derived from the
//! code; the received packet. Invariants: pure; depends on no other module of the crate.

/// Defines `ALL` and `name()` for enums that are listed and shown.
macro_rules! named {
    ($vis:vis for $($word:ty),*) => {$(
        impl $word {
            /// All variants, in the order of their definition.
            #[allow(dead_code, reason = "only tests list the variants of some types")]
            $vis const ALL: &[Self] = Self::VARIANTS;

            /// The variant's name in files.
            $vis fn name(self) -> &'static str {
                self.into()
            }
        }
    )*};
}

mod address;
mod behaviour;
mod call;
mod condition;
mod connection;
mod course;
mod delay;
pub(crate) mod duration;
pub(crate) mod fields;
mod filler;
pub(crate) mod host;
mod kind;
mod loss;
mod metric;
mod nearest;
mod network;
pub(crate) mod number;
pub(crate) mod observed;
mod packet;
mod pattern;
mod prices;
pub(crate) mod sound;
mod terminal;
mod truncated;
mod turn;

pub use behaviour::Behaviour;
pub use call::{AgentState, GreetingPolicy, OnAgentLeft};
pub use condition::{DefectSum, ReplyCondition, Resumed, StereoDefect};
pub use connection::{
    CandidateKind, CandidatePair, ConnectionFigures, Downstream, Spread, Upstream,
};
pub use course::{Branch, Go, When};
pub use delay::{AgentDelay, DelayError};
pub use filler::Filler;
pub use kind::UtteranceKind;
pub use loss::Loss;
pub use metric::{Metric, MetricRow};
pub use network::{
    Bandwidth, Distribution, Jitter, LinkConfig, LossModel, NetworkConfig, Outage, Reorder,
};
pub use packet::Packet;
#[cfg(test)]
pub(crate) use prices::ModelPrices;
pub use prices::Prices;
pub use turn::{Anchor, Confidence, Expect, Flag, Outcome};

pub(crate) use address::Address;
#[cfg(any(test, fuzzing))]
pub(crate) use address::AddressError;
pub(crate) use behaviour::{
    Between, Early, Fault, FaultKind, FillerSound, HangUp, Resume, SpokenFiller, Stop,
};
pub(crate) use call::{AccountUse, Channel, Decode, Transcripts};
pub(crate) use connection::{
    ConnectionMeasured, ConnectionPoint, ConnectionQuality, QualityRatings,
};
pub(crate) use metric::{MetricKind, SampleUnit, Visibility};
pub(crate) use nearest::nearest;
pub(crate) use pattern::Pattern;
pub(crate) use sound::{Band, Decibels, DialledAs, Microphone, NoiseKind};
pub(crate) use terminal::{acts, plain};
pub(crate) use truncated::truncated;
