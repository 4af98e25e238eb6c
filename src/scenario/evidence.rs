//! `evidence` as written and as checked.
//!
//! In: the mapping in a file, and the choice on the command line. Out: which turns' and calls'
//! audio is kept. Invariant: a file that selects nothing yields no [`EvidenceSelection`].

use schemars::JsonSchema;
use serde::Deserialize;

/// Default number of turns of each kind, and of calls if they are requested without a number.
const USUAL: u32 = 10;

/// Which turns' and calls' audio to keep, so that it can be listened to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EvidenceFile {
    /// Number of replied turns to keep, longest time to first audio first. Default: 10.
    #[schemars(range(max = 100))]
    pub(super) slowest: Option<u32>,
    /// Number of missed, early and failed turns to keep, earliest calls first. Default: 10.
    #[schemars(range(max = 100))]
    pub(super) failed: Option<u32>,
    /// Also keep all remaining turns, as long as there is space. Default: false.
    pub(super) all: Option<bool>,
    /// Number of whole calls to keep, those with the most missed, early and failed turns first, then
    /// those with the longest time to first audio. Default: 0.
    #[schemars(range(max = 100))]
    pub(super) calls: Option<u32>,
}

/// Which turns' and calls' audio is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct EvidenceSelection {
    /// Number of replied turns to keep, longest time to first audio first.
    pub slowest: u32,
    /// Number of missed, early and failed turns to keep.
    pub failed: u32,
    /// Also keep all remaining turns.
    pub all: bool,
    /// Number of whole calls to keep, the worst first.
    pub calls: u32,
}

impl EvidenceSelection {
    /// Whether the audio of single turns is kept.
    pub(crate) fn keeps_turns(&self) -> bool {
        self.slowest > 0 || self.failed > 0 || self.all
    }
}

impl Default for EvidenceSelection {
    fn default() -> Self {
        Self {
            slowest: USUAL,
            failed: USUAL,
            all: false,
            calls: 0,
        }
    }
}

/// The choice made with `--evidence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum EvidenceChoice {
    /// The turns that the file selects, or else the default numbers of turns.
    Some,
    /// Every turn.
    All,
    /// The turns that the file selects, and whole calls: as many as the file says, or else the
    /// default number of turns.
    Calls,
    /// Nothing, whatever the file selects.
    Off,
}

impl EvidenceChoice {
    /// The turns to keep, given the file's selection.
    pub(crate) fn apply(self, file: Option<EvidenceSelection>) -> Option<EvidenceSelection> {
        let file = file.unwrap_or_default();
        match self {
            Self::Some => Some(file),
            Self::All => Some(EvidenceSelection { all: true, ..file }),
            Self::Calls if file.calls > 0 => Some(file),
            Self::Calls => Some(EvidenceSelection {
                calls: USUAL,
                ..file
            }),
            Self::Off => None,
        }
    }
}

pub(super) fn evidence(file: Option<&EvidenceFile>) -> Option<EvidenceSelection> {
    let file = file?;
    let asked = EvidenceSelection {
        slowest: file.slowest.unwrap_or(USUAL),
        failed: file.failed.unwrap_or(USUAL),
        all: file.all.unwrap_or(false),
        calls: file.calls.unwrap_or(0),
    };
    (asked.keeps_turns() || asked.calls > 0).then_some(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_settings_have_defaults() {
        let asked = |json: &str| {
            let file: Option<EvidenceFile> = serde_json::from_str(json).expect("JSON");
            evidence(file.as_ref()).map(|e| (e.slowest, e.failed, e.all, e.calls))
        };
        for (json, expected) in [
            ("null", None),
            ("{}", Some((10, 10, false, 0))),
            (r#"{"slowest": 3}"#, Some((3, 10, false, 0))),
            (r#"{"failed": 0, "all": true}"#, Some((10, 0, true, 0))),
            (r#"{"slowest": 0, "failed": 0}"#, None),
            (r#"{"calls": 4}"#, Some((10, 10, false, 4))),
            (
                r#"{"slowest": 0, "failed": 0, "calls": 1}"#,
                Some((0, 0, false, 1)),
            ),
        ] {
            assert_eq!(asked(json), expected, "{json}");
        }
    }

    #[test]
    fn evidence_flags_override_the_scenario() {
        let file = EvidenceSelection {
            slowest: 2,
            failed: 3,
            all: false,
            calls: 0,
        };
        let all = EvidenceSelection { all: true, ..file };
        let calls = |calls| EvidenceSelection { calls, ..file };
        for (choice, of_file, expected) in [
            (EvidenceChoice::Some, Some(file), Some(file)),
            (
                EvidenceChoice::Some,
                None,
                Some(EvidenceSelection::default()),
            ),
            (EvidenceChoice::All, Some(file), Some(all)),
            (EvidenceChoice::Off, Some(all), None),
            (EvidenceChoice::Calls, Some(file), Some(calls(10))),
            (EvidenceChoice::Calls, Some(calls(2)), Some(calls(2))),
            (EvidenceChoice::Some, Some(calls(2)), Some(calls(2))),
        ] {
            assert_eq!(choice.apply(of_file), expected, "{choice:?}");
        }
    }
}
