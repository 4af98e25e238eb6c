//! The attribute in which an agent publishes its state to the room.
//!
//! In: the attribute's value, or a state. Out: the state, or the value. Invariant: an unknown value
//! yields no state.

use crate::call::AgentState;

/// Name of the participant attribute.
pub(in crate::targets) const ATTRIBUTE: &str = "lk.agent.state";

const NAMES: [(AgentState, &str); 5] = [
    (AgentState::Initializing, "initializing"),
    (AgentState::Idle, "idle"),
    (AgentState::Listening, "listening"),
    (AgentState::Thinking, "thinking"),
    (AgentState::Speaking, "speaking"),
];

/// The attribute's value for a state.
pub(in crate::targets) fn value(state: AgentState) -> &'static str {
    let found = NAMES.iter().find(|(of, _)| *of == state);
    found.map_or("", |(_, name)| name)
}

/// The state that a value represents; `None` if the value is unknown.
pub(super) fn parse(value: &str) -> Option<AgentState> {
    let found = NAMES.iter().find(|(_, name)| *name == value);
    found.map(|(state, _)| *state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agent_states_round_trip_and_unknown_values_are_ignored() {
        for (state, name) in NAMES {
            assert_eq!((parse(name), value(state)), (Some(state), name));
        }
        for other in ["", "Speaking", "away"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
