//! The conditions of a run that must be equal for its figures to be compared.
//!
//! In: descriptions of the scenario as it was run, including changes by flags. Out: [`Conditions`],
//! and the differences between two of them. Invariant: settings that may differ between compared
//! runs (target, variant, thresholds, seed) are not part of them; the version of the measurement
//! definitions is checked before them, so it is not among the differences.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The utterances, the call script, the load and the network of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Conditions {
    /// The run's `measurement_version` under its original name.
    pub definitions: u32,
    /// Name and version of the jitter-buffer model.
    pub playout_model: String,
    /// By utterance name: fingerprint of the audio, its length and its end of speech.
    pub utterances: BTreeMap<String, String>,
    /// The call script in words: greeting, waits, turns.
    pub call: Vec<String>,
    /// Number of calls, and when they start.
    pub load: String,
    /// The network impairment that was applied to packets.
    pub network: String,
}

impl Conditions {
    /// One line for each difference from `other`; empty if the figures may be compared.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let mut differ = |what: &str, a: &str, b: &str| {
            if a != b {
                found.push(format!("{what}: {a} → {b}"));
            }
        };
        differ("playout model", &self.playout_model, &other.playout_model);
        let none = "none".to_owned();
        let names = self.utterances.keys().chain(other.utterances.keys());
        let names: std::collections::BTreeSet<&String> = names.collect();
        for name in names {
            let of = |c: &Self| c.utterances.get(name).unwrap_or(&none).clone();
            differ(&format!("utterance {name}"), &of(self), &of(other));
        }
        for line in 0..self.call.len().max(other.call.len()) {
            let of = |c: &Self| c.call.get(line).unwrap_or(&none).clone();
            differ("call script", &of(self), &of(other));
        }
        differ("load", &self.load, &other.load);
        differ("network", &self.network, &other.network);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions() -> Conditions {
        Conditions {
            definitions: crate::record::MEASUREMENT_VERSION,
            playout_model: "neteq-dm-1".into(),
            utterances: [("order".to_owned(), "0f, 2.9s".to_owned())].into(),
            call: vec![
                "greeting expect".into(),
                "order +500ms after greeting".into(),
            ],
            load: "100 calls, 10 at once".into(),
            network: "untouched".into(),
        }
    }

    #[test]
    fn each_differing_condition_is_listed() {
        type Change = fn(&mut Conditions);
        let cases: &[(&str, Change, &[&str])] = &[
            ("nothing", |_| (), &[]),
            (
                "model",
                |c| c.playout_model = "x".into(),
                &["playout model: neteq-dm-1 → x"],
            ),
            (
                "a different sound, and an additional one",
                |c| {
                    c.utterances = [
                        ("order".into(), "1e, 2.9s".into()),
                        ("thanks".into(), "2d, 1s".into()),
                    ]
                    .into()
                },
                &[
                    "utterance order: 0f, 2.9s → 1e, 2.9s",
                    "utterance thanks: none → 2d, 1s",
                ],
            ),
            (
                "one turn fewer",
                |c| c.call.truncate(1),
                &["call script: order +500ms after greeting → none"],
            ),
            (
                "load",
                |c| c.load = "9 calls".into(),
                &["load: 100 calls, 10 at once → 9 calls"],
            ),
            (
                "network",
                |c| c.network = "loss 5%".into(),
                &["network: untouched → loss 5%"],
            ),
        ];
        for (name, change, expected) in cases {
            let mut other = conditions();
            change(&mut other);
            assert_eq!(conditions().differences(&other), *expected, "{name}");
        }
    }
}
