//! What an agent says about itself, placed on the caller's clock and matched to turns.
//!
//! In: the agent's claims with their arrivals, the call's turns as they end. Out: the account of
//! each turn. Invariants: a claim belongs to at most one turn; what the agent does not say is
//! absent, never zero; memory is bounded, whatever the agent sends.

mod claim;
mod clock;
mod ledger;
mod turn;

pub(crate) use claim::{AgentTime, Claim, ClaimKind, Reply, UserTurn};
pub(crate) use ledger::{CallAccount, TurnTimes};
pub(crate) use turn::{Placed, TurnAccount};
