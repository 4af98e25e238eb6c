//! The kinds of reasons for a verdict, so that reports can add advice.
//!
//! In: a reason, as it is stored in files. Out: its kind. Invariant: reasons are distinguished by a
//! phrase that stays the same from release to release; the tests of the code that writes a reason
//! check its phrase.

/// What a reason is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReasonKind {
    /// The scenario has no thresholds.
    Unasked,
    /// The generator was late, or did not keep up.
    Generator,
    /// A part of the generator hung.
    Hung,
    /// Calls failed on this machine.
    Machine,
    /// The operating system did not send packets.
    Refused,
    /// Packets that belong to no known track arrived.
    Unheard,
    /// Packets arrived that are forged, repeated or late.
    Useless,
    /// Calls could not start.
    Dropped,
}

const PHRASES: [(&str, ReasonKind); 11] = [
    ("the scenario has no thresholds", ReasonKind::Unasked),
    ("`health.tick_lateness`", ReasonKind::Generator),
    ("`health.signalling_lateness`", ReasonKind::Generator),
    ("`health.own_drops`", ReasonKind::Generator),
    ("events of connections were lost", ReasonKind::Generator),
    ("did not move for a minute", ReasonKind::Hung),
    ("failed here, not at the agent", ReasonKind::Machine),
    ("system refused to send", ReasonKind::Refused),
    ("belong to no known track", ReasonKind::Unheard),
    ("received packets were of no use", ReasonKind::Useless),
    ("planned calls never started", ReasonKind::Dropped),
];

impl ReasonKind {
    /// The kind of a reason; `None` if reports have nothing to add to it.
    pub(crate) fn of(reason: &str) -> Option<Self> {
        let mut phrases = PHRASES.iter();
        let found = phrases.find(|(phrase, _)| reason.contains(phrase));
        found.map(|(_, kind)| *kind)
    }
}
