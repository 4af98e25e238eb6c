//! The clocks of a call's agents, by the identity of the agent.
//!
//! In: messages of agents with their arrivals. Out: instants of an agent, placed on the caller's
//! clock. Invariants: the number of agents is bounded; an instant that cannot belong to the call is
//! not placed.

use super::clock::ClockOffset;
use super::times::abs_diff;
use super::turn::Placed;
use super::{AgentTime, Claim};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Maximum number of agents of a call whose clocks are followed.
pub(super) const CLOCKS: usize = 8;
/// An instant further than this from the epoch cannot belong to the call.
const LONGEST_CALL: Duration = Duration::from_secs(7 * 24 * 3_600);

/// The identity of an agent in its room, according to a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TracedAgent {
    pub identity: Arc<str>,
    /// Whether the trace contains the identity itself, not only the id of a job, from which most
    /// identities are derived.
    pub is_certain: bool,
}

/// The clocks of the agents of a call.
#[derive(Debug, Clone)]
pub(crate) struct AgentClocks {
    epoch: Instant,
    /// By the identity of the agent.
    clocks: Vec<(Box<str>, ClockOffset)>,
}

impl AgentClocks {
    /// Creates an empty set of clocks. `epoch`: any instant near the call.
    pub(crate) fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            clocks: Vec::new(),
        }
    }

    /// Updates the clock of the claim's agent. Returns the index of that clock, or `None` if there
    /// are too many agents.
    pub(crate) fn heard(&mut self, claim: &Claim) -> Option<usize> {
        let clock = self.clock_of(&claim.agent)?;
        if let Some(sent) = claim.sent {
            let offset = &mut self.clocks[clock].1;
            offset.arrived(sent, claim.arrival);
            if let Some(requested) = claim.requested {
                offset.answered(sent, requested);
            }
        }
        Some(clock)
    }

    fn clock_of(&mut self, agent: &str) -> Option<usize> {
        let known = self.clocks.iter().position(|(of, _)| **of == *agent);
        if known.is_none() && self.clocks.len() < CLOCKS {
            let offset = ClockOffset::new(self.epoch);
            self.clocks.push((agent.into(), offset));
            return Some(self.clocks.len() - 1);
        }
        known
    }

    /// Index of this agent's clock. If the agent is unknown or its identity is only guessed, and
    /// there is exactly one clock, that clock.
    pub(super) fn of(&self, agent: Option<&TracedAgent>) -> Option<usize> {
        let known = |agent: &TracedAgent| {
            let mut clocks = self.clocks.iter();
            clocks.position(|(of, _)| **of == *agent.identity)
        };
        let may_be_any = agent.is_none_or(|agent| !agent.is_certain);
        let only = (may_be_any && self.clocks.len() == 1).then_some(0);
        agent.and_then(known).or(only)
    }

    /// Places an instant on the caller's clock; `None` if it cannot belong to the call.
    pub(super) fn place(&self, clock: usize, at: AgentTime) -> Option<Placed> {
        let (earliest, latest) = self.clocks.get(clock)?.1.place(at)?;
        let is_of_this_call = |at: Instant| abs_diff(at, self.epoch) <= LONGEST_CALL;
        let plausible = is_of_this_call(latest) && earliest.is_none_or(is_of_this_call);
        plausible.then_some(Placed { earliest, latest })
    }
}
