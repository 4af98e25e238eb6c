//! Sans-IO state machines of a call: when to speak, what was heard, what came of it.
//!
//! Pure: no clock, no socket; instants come in as arguments.

mod types;

pub use types::{
    Anchor, CallResult, CallScript, Expect, Failure, Flag, GreetingPolicy, Outcome, TurnResult,
    TurnScript,
};
