//! Matches an agent's reports about itself to turns and places them on the caller's clock.
//!
//! In: the agent's claims with their arrivals, the call's turns as they end. Out: the account of
//! each turn. Invariants: a claim belongs to at most one turn; figures that the agent does not
//! report are absent, never zero; memory is bounded, whatever the agent sends.

mod claim;
mod clock;
mod clocks;
mod ledger;
mod path;
mod spans;
mod times;
mod turn;
mod usage;
mod words;

pub(crate) use claim::{AgentTime, Claim, ClaimKind, Reply, SessionState, ToolEvent, UserTurn};
pub(crate) use clocks::{AgentClocks, TracedAgent};
pub(crate) use ledger::CallAccount;
pub(crate) use path::Step;
pub(crate) use spans::{AgentSpan, PlacedSpan, SpansOfCall, TracedSpans, TurnSpans};
pub(crate) use times::TurnTimes;
pub(crate) use turn::{Placed, ToolAccount, TurnAccount};
pub(crate) use usage::{ModelKind, ModelUsage, Used, sum};
pub(crate) use words::WordErrors;
