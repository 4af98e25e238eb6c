//! What the figures mean, in one place; every report prints them.
//!
//! In: nothing. Out: names and sentences. Holds: each says from which instant to which.

/// One term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// As it stands in files and on the screen.
    pub name: &'static str,
    /// What it means.
    pub text: &'static str,
}

/// The terms, in the order in which a reader meets them.
pub const DEFINITIONS: &[Definition] = &[
    Definition {
        name: "ttfa",
        text: "time to first audio, mouth to ear: from the end of the caller's speech until the first audible sample of the agent's reply leaves the caller's loudspeaker; ttfa_wire + playout delay, exactly",
    },
    Definition {
        name: "ttfa_wire",
        text: "from the end of the caller's speech until the arrival of the packet that holds the onset, plus the onset's offset in its decoded audio",
    },
    Definition {
        name: "end of speech",
        text: "when the last speech sample of the utterance was captured, as by a microphone: not the end of the file, not the moment a packet was queued",
    },
    Definition {
        name: "onset",
        text: "the first audible sample of the reply, found backwards from where the detector became sure",
    },
    Definition {
        name: "playout delay",
        text: "what the adaptive jitter buffer of a WebRTC receiver would have held the onset packet back, by a model of NetEQ's delay manager; its version is in the record",
    },
    Definition {
        name: "join",
        text: "from the start of the call until signalling has joined and media flows",
    },
    Definition {
        name: "agent_present",
        text: "from the start of the call until an agent participant is in the room",
    },
    Definition {
        name: "agent_audible",
        text: "from the start of the call until the agent's audio track is subscribed",
    },
    Definition {
        name: "greeting",
        text: "from media flowing and an agent being present until the onset of its first words, before anybody has spoken to it",
    },
    Definition {
        name: "stop",
        text: "from the onset of the caller's interruption until the agent's last audible sample",
    },
    Definition {
        name: "missed",
        text: "nothing audible before the turn's timeout; counts as +∞ in all_turns and in every latency gate, as a failed turn does",
    },
    Definition {
        name: "early",
        text: "the agent was audible before the end of speech; not a latency and in no quantile",
    },
    Definition {
        name: "failed",
        text: "the call failed before the turn could end",
    },
    Definition {
        name: "cut off",
        text: "under way when the run was stopped, ended by a gate, or killed: neither failed nor in any rate or quantile",
    },
    Definition {
        name: "not run",
        text: "never begun, because the run was stopped, ended by a gate, or killed: in no rate and no quantile either",
    },
    Definition {
        name: "quantile",
        text: "the smallest sample with at least that share of all samples at or below it; [a, b] is its distribution-free 95 % interval, by what the turns of a call are worth",
    },
];
