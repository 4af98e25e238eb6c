//! The checks of `loadgen doctor`, and the line that each of them yields.
//!
//! In: nothing. Out: these types. Invariant: every check has one name, in files and on the screen.

use strum::{EnumIter, IntoStaticStr};

/// What is checked, in the order in which it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Check {
    /// The host's name resolves.
    Name,
    /// Something accepts connections at the port.
    Port,
    /// The connection is protected as the URL says, and the certificate is trusted.
    Tls,
    /// The server's clock agrees with this machine's.
    Clock,
    /// The server accepts a token that is signed with the key and the secret.
    Token,
    /// A caller joins a room.
    Join,
    /// The caller may publish its microphone, subscribe, and send data.
    Permissions,
    /// Media flows, and over which of the server's addresses.
    Candidates,
    /// Round-trip time to the server.
    RoundTrip,
    /// An agent takes the call, and after how long.
    Agent,
    /// The caller hears the agent.
    Audio,
    /// The agent tells its state.
    States,
    /// The agent describes its session.
    Session,
    /// An agent takes a second call, and after how long.
    Again,
    /// Processor time for the planned calls.
    Processor,
    /// Memory for the planned calls.
    Memory,
    /// File descriptors for the planned calls.
    Descriptors,
    /// UDP ports for the planned calls.
    Ports,
    /// Room in the kernel for packets that wait.
    Buffers,
    /// How exactly this machine wakes a thread.
    Timers,
    /// What `loadgen calibrate` has found.
    Calibration,
    /// Bits per second of the planned calls.
    Bandwidth,
}

impl Check {
    /// The name, in files and on the screen.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}

/// The result of a check in a word, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Word {
    Ok,
    /// Good to know; nothing has to be done.
    Note,
    /// Not checked, because an earlier check failed.
    Skipped,
    /// A run is possible, but its figures may suffer.
    Warn,
    /// A run would fail.
    Fail,
}

impl Word {
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub check: Check,
    pub word: Word,
    /// What was found, on one line.
    pub text: String,
    /// What to try next.
    pub hint: Option<String>,
}

impl Line {
    pub(super) fn ok(check: Check, text: impl Into<String>) -> Self {
        Self {
            check,
            word: Word::Ok,
            text: text.into(),
            hint: None,
        }
    }

    pub(super) fn note(check: Check, text: impl Into<String>) -> Self {
        Self {
            word: Word::Note,
            ..Self::ok(check, text)
        }
    }

    pub(super) fn warn(check: Check, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            word: Word::Warn,
            hint: Some(hint.into()),
            ..Self::ok(check, text)
        }
    }

    pub(super) fn fail(check: Check, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            word: Word::Fail,
            ..Self::warn(check, text, hint)
        }
    }

    /// A check that was left out because `because` failed.
    pub(super) fn skipped(check: Check, because: Check) -> Self {
        Self {
            word: Word::Skipped,
            ..Self::ok(
                check,
                format!("not checked, because of `{}`", because.name()),
            )
        }
    }
}

/// The results of the checks of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    /// What was checked: a server, a variant's call, this machine.
    pub of: String,
    pub lines: Vec<Line>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::IntoEnumIterator as _;

    #[test]
    fn names_are_distinct_and_a_failure_is_the_worst_word() {
        let names: std::collections::BTreeSet<_> = Check::iter().map(Check::name).collect();
        assert_eq!(names.len(), Check::iter().count());
        assert_eq!(Check::RoundTrip.name(), "round_trip");
        let worst = [Word::Note, Word::Fail, Word::Ok, Word::Warn, Word::Skipped];
        assert_eq!(worst.into_iter().max(), Some(Word::Fail));
    }
}
