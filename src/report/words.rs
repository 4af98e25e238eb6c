//! The results of a run and of its gates in words, shared by every report for people.
//!
//! In: a summary, or a judged gate. Out: a sentence or two; for a gate, an answer of at most two
//! words, and a sentence. Invariants: text from the record is cleaned; records of earlier releases
//! are put into words too.

use super::Style;
use super::text::{clean, plural};
use crate::record::{GateAnswer, GateResult, GateVerdict, Status, Summary};

/// Maximum length of a sentence, in characters; longer ones are truncated.
const LONGEST: usize = 400;

/// The answer of a gate. Failures are in capitals, to stand out without colour.
pub(crate) fn answer(answer: GateAnswer) -> &'static str {
    match answer {
        GateAnswer::Pass => "pass",
        GateAnswer::WeakPass => "weak pass",
        GateAnswer::WeakFail => "weak FAIL",
        GateAnswer::Fail => "FAIL",
        GateAnswer::Undecided => "undecided",
    }
}

/// `text` in the colour of the gate's verdict.
pub(super) fn dressed(gate: &GateResult, text: &str, style: Style) -> String {
    match gate.verdict {
        GateVerdict::Passed => style.good(text),
        GateVerdict::Failed => style.bad(text),
        GateVerdict::Undecided => style.doubtful(text),
    }
}

/// The figure, its interval and the conclusion: `470.9 ms [462.9, 481.9], 300 turns: clear of
/// the bound`.
pub(crate) fn gate(gate: &GateResult) -> String {
    match (gate.words.as_str(), &gate.reason) {
        ("", Some(reason)) => clean(reason, LONGEST),
        ("", None) => gate.figure(),
        (words, _) => clean(words, LONGEST),
    }
}

/// Explains the verdict in a sentence or two.
pub(super) fn verdict(summary: &Summary) -> String {
    let gates = &summary.verdict.gates;
    let failed = count(gates, GateVerdict::Failed);
    let undecided = count(gates, GateVerdict::Undecided);
    let believed = "the generator was on time";
    match summary.verdict.status {
        Status::Unasked => format!("There are no gates to judge. The run is valid: {believed}."),
        Status::Passed => {
            let hold = if gates.len() == 1 {
                "The gate holds"
            } else {
                "Every gate holds"
            };
            format!("{hold}, and the run is valid: {believed}.")
        }
        Status::Failed if summary.verdict.ended_by.is_some() => {
            "A gate ended the run early.".to_owned()
        }
        Status::Failed => {
            let valid = match summary.verdict.against_the_run() {
                None => format!("The run is valid: {believed}."),
                Some(_) => "The run generated less load than planned.".to_owned(),
            };
            format!(
                "{failed} of {} {} not hold. {valid}",
                plural(gates.len(), "gate"),
                if failed == 1 { "does" } else { "do" }
            )
        }
        Status::Invalid if undecided > 0 && summary.verdict.against_the_run().is_none() => format!(
            "{undecided} of {} could not be judged.",
            plural(gates.len(), "gate")
        ),
        Status::Invalid => "These figures are not reliable, for the reasons below.".to_owned(),
        Status::Stopped => {
            "Stopped early: the figures cover only what had happened by then.".to_owned()
        }
        Status::Error => "The run could not be carried out.".to_owned(),
    }
}

fn count(gates: &[GateResult], verdict: GateVerdict) -> usize {
    gates.iter().filter(|g| g.verdict == verdict).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures::{Run, facts};
    use crate::record::{Ending, GateOn, Threshold};
    use crate::stats::{Aggregate, Gate, Inequality};

    #[test]
    fn gates_recorded_by_earlier_releases_have_words() {
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
            let json = serde_json::to_value(&result).expect("a gate serializes");
            assert_eq!(
                serde_json::from_value::<GateResult>(json).expect("the gate is read back"),
                result
            );
        }
        let short = r#"{"metric":"ttfa","expression":"p(95)<1s","observed":1.5,
            "observed_infinite":false,"verdict":"passed","reason":null}"#;
        let read: GateResult = serde_json::from_str(short).expect("a file of version 1");
        assert_eq!((read.answer(), read.n), (GateAnswer::Pass, 0));
    }

    #[test]
    fn the_verdict_sentence_matches_the_outcome() {
        let gate = |bound: f64| {
            let gate = Gate {
                aggregate: Aggregate::Quantile(0.95),
                comparison: Inequality::Lt,
                bound,
            };
            Threshold::new("ttfa", &format!("p(95)<{bound}ms"), gate)
        };
        let (holds, fails) = (gate(9_000.0), gate(100.0));
        let greeting = Threshold {
            metric: "greeting".into(),
            ..gate(100.0)
        };
        let aborted = || Ending::Aborted("ttfa p(95)<9000ms".into());
        let finished = || Ending::Finished;
        for (ending, late, planned, gates, says) in [
            (finished(), false, 60, vec![&holds], "The gate holds, and"),
            (
                finished(),
                false,
                60,
                vec![&fails],
                "1 of 1 gate does not hold. The run is valid",
            ),
            (
                finished(),
                false,
                70,
                vec![&fails],
                "1 of 1 gate does not hold. The run generated less load",
            ),
            (
                aborted(),
                false,
                70,
                vec![&holds],
                "A gate ended the run early.",
            ),
            (
                finished(),
                false,
                60,
                vec![&greeting],
                "1 of 1 gate could not be judged.",
            ),
            (
                finished(),
                true,
                60,
                vec![&greeting],
                "These figures are not reliable",
            ),
        ] {
            let mut run = Run::default();
            run.good(60);
            run.calls.iter_mut().for_each(|c| c.greeting_ms = None);
            let mut facts = facts(planned, ending.clone());
            if late {
                facts.invalid = vec!["ticks were late".into()];
            }
            let gates: Vec<Threshold> = gates.into_iter().cloned().collect();
            let summary = Summary::build(&facts, &run.calls, &run.turns, &gates);
            let found = verdict(&summary);
            assert!(found.starts_with(says), "{ending:?}: {found}");
        }
    }
}
