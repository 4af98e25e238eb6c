//! Reads the behaviour of `loadgen agent --behaviour`: the mapping that scenarios have at
//! `target.agent.behaviour`, as a text of its own.
//!
//! In: text, a function that reads sound files. Out: the behaviour, or all problems with their
//! places in the text. Invariant: the text is checked as part of a scenario, so that both accept
//! the same settings with the same messages.

use super::behaviour_file::BehaviourFile;
use super::checker::{Checker, LoadUtterance};
use super::problem::{Code, Problem};
use super::variables::VariableLookup;
use super::yaml::{self, Document};
use super::{decode, report_unset, validate};
use crate::vocab::Behaviour;
use serde_json::{Value, json};
use std::path::Path;

/// Where a scenario has the behaviour.
const AT: &str = "/target/agent/behaviour";
/// The same place as problems show it.
const SHOWN: &str = "target.agent.behaviour";

/// Checks a behaviour. Paths of sound files are relative to `folder`.
///
/// # Errors
/// Every problem, sorted by place; never an empty list.
pub(crate) fn check_behaviour(
    text: &[u8],
    folder: &Path,
    env: VariableLookup<'_>,
    load: LoadUtterance<'_>,
) -> Result<Behaviour, Vec<Problem>> {
    let text = decode(text).map_err(|problem| vec![problem])?;
    let (document, mut problems) = yaml::read(text, env);
    let Some(Document { value, places }) = document else {
        return Err(problems);
    };
    let scenario = json!({"target": {"kind": "embedded", "agent": {"behaviour": value}}});
    let mut document = Document {
        value: scenario,
        places: places.below(AT),
    };
    // The rest of the scenario is missing.
    let about = |problem: &Problem| problem.path.starts_with(SHOWN);
    problems.extend(validate::validate(&mut document).into_iter().filter(about));
    let Document { mut value, places } = document;
    let mut checker = Checker {
        places: &places,
        load,
        env,
        folder,
        problems,
        doubts: Vec::new(),
        embedded: true,
    };
    let value = value.pointer_mut(AT).map_or(Value::Null, Value::take);
    let behaviour = match value {
        // What is not a mapping has been reported and removed.
        Value::Null => None,
        value => match serde_json::from_value::<BehaviourFile>(value) {
            Ok(file) => Some(checker.behaviour(&file, AT, &Behaviour::default())),
            Err(error) => {
                let hint = "the schema accepted it: this is a bug worth reporting";
                checker.problem(AT, Code::BadValue, error.to_string(), hint);
                None
            }
        },
    };
    report_unset(&mut checker);
    let mut problems = checker.problems;
    for problem in &mut problems {
        let path = problem.path.strip_prefix(SHOWN).unwrap_or(&problem.path);
        problem.path = path.trim_start_matches('.').to_owned();
    }
    problems.sort();
    problems.dedup();
    match behaviour {
        Some(behaviour) if problems.is_empty() => Ok(behaviour),
        _ if problems.is_empty() => Err(vec![Problem::of_file(
            Code::WrongType,
            "the behaviour is not a mapping",
            "write `stop: {after: 300ms}`, for example",
        )]),
        _ => Err(problems),
    }
}
