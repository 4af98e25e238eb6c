//! The result of a gate in words, shared by every report for people.
//!
//! In: a judged gate. Out: an answer of at most two words, and a sentence. Invariants: text from
//! the record is cleaned; records of earlier releases get words too.

use super::text::clean;
use crate::record::{GateAnswer, GateResult};

/// Maximum length of a sentence, in characters; longer ones are truncated.
const LONGEST: usize = 400;

/// The answer of a gate. Failures are in capitals, to stand out without colour.
pub fn answer(answer: GateAnswer) -> &'static str {
    match answer {
        GateAnswer::Pass => "pass",
        GateAnswer::WeakPass => "weak pass",
        GateAnswer::WeakFail => "weak FAIL",
        GateAnswer::Fail => "FAIL",
        GateAnswer::Undecided => "undecided",
    }
}

/// The figure, its interval and the conclusion: `470.9 ms [462.9, 481.9], 300 turns: clear of
/// the bound`.
pub fn gate(gate: &GateResult) -> String {
    match (gate.words.as_str(), &gate.reason) {
        ("", Some(reason)) => clean(reason, LONGEST),
        ("", None) => gate.figure(),
        (words, _) => clean(words, LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{GateOn, GateVerdict};

    #[test]
    fn gates_of_earlier_releases_have_words() {
        let old = |verdict, reason: Option<&str>| GateResult {
            metric: "ttfa".into(),
            variant: None,
            expression: "p(95)<1s".into(),
            on: GateOn::All,
            observed: reason.is_none().then_some(912.34),
            observed_infinite: false,
            interval: None,
            n: 0,
            effective_n: 0.0,
            verdict,
            answer: None,
            reason: reason.map(str::to_owned),
            words: String::new(),
        };
        for (verdict, reason, word, words) in [
            (GateVerdict::Passed, None, "pass", "912.3 ms"),
            (GateVerdict::Failed, None, "FAIL", "912.3 ms"),
            (
                GateVerdict::Undecided,
                Some("nothing was measured"),
                "undecided",
                "nothing was measured",
            ),
        ] {
            let result = old(verdict, reason);
            assert_eq!(answer(result.answer()), word);
            assert_eq!(gate(&result), words);
            let json = serde_json::to_value(&result).expect("JSON");
            assert_eq!(
                serde_json::from_value::<GateResult>(json).expect("reads"),
                result
            );
        }
        let short = r#"{"metric":"ttfa","expression":"p(95)<1s","observed":1.5,
            "observed_infinite":false,"verdict":"passed","reason":null}"#;
        let read: GateResult = serde_json::from_str(short).expect("a file of version 1");
        assert_eq!((read.answer(), read.n), (GateAnswer::Pass, 0));
    }
}
