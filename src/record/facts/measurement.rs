//! Versions of the measurement definitions, and what changed from one to the next.
//!
//! Out: the version of this release, and the changes between any two. Invariant: figures of
//! different versions are never compared, since a difference could come from the definitions. To
//! change a definition, add an entry to [`MEASUREMENTS`], which raises the version.

/// A version of the definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measurement {
    /// The version's number, from 1.
    pub version: u32,
    /// What the version changed, in one sentence.
    pub change: &'static str,
}

/// Every version, in ascending order. `docs/formats.md` shows this table.
pub(crate) const MEASUREMENTS: &[Measurement] = &[
    Measurement {
        version: 1,
        change: "the definitions of the first releases; files without a version have this one",
    },
    Measurement {
        version: 2,
        change: "a silence of 200 ms that contains or follows the caller's end of speech separates a reply from what the agent was saying (before: 700 ms), which affects `stop` and `ttfa` of interruptions, and which replies count as missed; `agent_join` is split into `agent_present` and `agent_audible`; `call_start` is when media flows and an agent participant is present",
    },
    Measurement {
        version: 3,
        change: "`stop` is measured to the caller's ear, as `ttfa` is: with the playout delay of the agent's last audible sample, which `stop_wire` leaves out",
    },
];

/// The version that this release uses.
pub const MEASUREMENT_VERSION: u32 = MEASUREMENTS[MEASUREMENTS.len() - 1].version;

/// The version of files that do not specify one.
pub(in crate::record) fn first() -> u32 {
    1
}

/// The changes between two versions, oldest first; `None` if the versions are equal. A version
/// that this release does not know is reported as such.
pub(crate) fn changes_between(one: u32, other: u32) -> Option<Vec<String>> {
    let (older, newer) = (one.min(other), one.max(other));
    if older == newer {
        return None;
    }
    let passed = MEASUREMENTS
        .iter()
        .filter(|m| older < m.version && m.version <= newer);
    let mut changes: Vec<String> = passed
        .map(|m| format!("version {}: {}", m.version, m.change))
        .collect();
    if newer > MEASUREMENT_VERSION {
        changes.push(format!(
            "version {newer}: from a later release, unknown to this one"
        ));
    }
    Some(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_consecutive_and_each_lists_its_change() {
        for (measurement, version) in MEASUREMENTS.iter().zip(1..) {
            assert_eq!(measurement.version, version);
            assert!(!measurement.change.is_empty());
        }
    }

    #[test]
    fn changes_between_measurement_versions_are_listed() {
        let starts = |one, other| {
            let changes = changes_between(one, other)?;
            let heads = changes.iter().filter_map(|c| c.split_once(": "));
            Some(heads.map(|(head, _)| head.to_owned()).collect::<Vec<_>>())
        };
        let versions = |numbers: &[u32]| {
            let named = numbers.iter().map(|n| format!("version {n}"));
            Some(named.collect::<Vec<_>>())
        };
        let last = MEASUREMENT_VERSION;
        assert_eq!(starts(1, 1), None);
        assert_eq!(starts(last, last), None);
        assert_eq!(starts(1, 2), versions(&[2]));
        assert_eq!(starts(2, 1), versions(&[2]));
        assert_eq!(starts(last, last + 7), versions(&[last + 7]));
        assert_eq!(starts(1, last + 1).map(|c| c.len()), Some(last as usize));
    }
}
