//! Scenarios: YAML with variables.
//!
//! In: a scenario's text. Properties: the text is valid or has problems. Each problem has a
//! position in the text and contains no control characters. A valid scenario can be planned and
//! overridden, and remains valid; so does its stored form, which lacks the secret.

use super::planted::planted;
use crate::plan::{Plan, json_line, summary};
use crate::scenario::{
    FileProblem, LoadedSound, MAX_BYTES, Overrides, Problem, Scenario, SoundFile, TargetConfig,
    Unset, check, parse_threshold_line, redacted,
};
use crate::vocab::{Address, Go};
use std::path::Path;
use std::time::Duration;

/// Value of the secret in the scenario's environment.
const SECRET: &str = "hunter2-hunter2-hunter2";
/// Number of calls that are taken from a plan.
const CALLS: usize = 64;

fn environment(name: &str) -> Option<String> {
    let value = match name {
        "LIVEKIT_URL" => "wss://example.livekit.cloud",
        "LIVEKIT_API_SECRET" | "SECRET" => SECRET,
        "EMPTY" => "",
        "N" => "5",
        "HOSTILE" => "a: {b\n- ${N} \u{1b}[2J",
        _ => return None,
    };
    Some(value.to_owned())
}

fn load(sound: &SoundFile<'_>) -> Result<Option<LoadedSound>, FileProblem> {
    if sound
        .path
        .extension()
        .is_some_and(|extension| extension == "wav")
    {
        return Ok(sound.speech_end.map(|end| LoadedSound {
            length: end + Duration::from_secs(1),
            doubts: Vec::new(),
        }));
    }
    Err(FileProblem {
        message: "there is no such file".to_owned(),
        hint: "use an existing one".into(),
    })
}

pub(super) fn run(bytes: &[u8]) {
    let path = Path::new("folder/name.yaml");
    let read = |bytes: &[u8], unset| check(bytes, path, &environment, unset, &load);
    let strict = read(bytes, Unset::Problem);
    let lenient = read(bytes, Unset::Absent);
    for problems in [&strict, &lenient]
        .into_iter()
        .filter_map(|r| r.as_ref().err())
    {
        are_presentable(bytes, problems);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        assert!(strict.is_err() && lenient.is_err());
        return;
    };
    if let Ok(scenario) = &strict {
        assert!(scenario.unset.is_empty(), "{:?}", scenario.unset);
        assert_eq!(lenient.as_ref(), Ok(scenario), "without unset variables");
        if let Some(kept) = redacted(text, &[SECRET]) {
            assert!(!kept.contains(SECRET));
            if kept.len() <= MAX_BYTES {
                let again = read(kept.as_bytes(), Unset::Problem);
                assert!(again.is_ok(), "{again:?} of\n{kept}");
            }
        }
    }
    if let Ok(scenario) = lenient {
        is_valid(&scenario);
        overridden(&scenario);
        let lossy = scenario.is_impaired();
        planted([scenario.variants.len() > 1, lossy, scenario.warmup > 0]);
    }
}

fn are_presentable(bytes: &[u8], problems: &[Problem]) {
    assert!(!problems.is_empty());
    assert!(problems.is_sorted());
    // In YAML, a lone carriage return is a line break too.
    let breaks = bytes.iter().filter(|b| matches!(b, b'\n' | b'\r'));
    let lines = breaks.count() + 1;
    for problem in problems {
        let shown = problem.display("name.yaml").to_string();
        assert!(!shown.contains("worth reporting"), "{shown}");
        let control = |c: char| c.is_control() && c != '\n';
        assert!(!shown.contains(control), "{shown:?}");
        assert!((1..=lines).contains(&problem.place.line), "{shown}");
    }
}

/// Checks what every checked scenario guarantees to its users.
fn is_valid(scenario: &Scenario) {
    assert!(!scenario.variants.is_empty() && !scenario.call.turns.is_empty());
    let turns = &scenario.call.turns;
    assert!(turns.len() <= 1000);
    for (at, turn) in turns.iter().enumerate() {
        assert!(!turn.timeout.is_zero());
        for next in &turn.next {
            if let Go::Turn(to) = next.branch.go {
                assert!(to > at && to < turns.len(), "a branch backwards");
            }
        }
    }
    if let TargetConfig::Livekit(livekit) = &scenario.target
        && let Some(url) = &livekit.url
    {
        assert!(Address::parse(url).is_ok(), "{url}");
    }
    for threshold in &scenario.thresholds {
        let line = format!("{}: {threshold}", threshold.subject());
        assert!(parse_threshold_line(&line).is_ok(), "{line}");
    }
    let plan = Plan::new(scenario);
    let mut last = None;
    for (number, call) in plan.calls().take(CALLS).enumerate() {
        assert_eq!(call.index, number as u64);
        assert!(call.variant < scenario.variants.len());
        assert_eq!(plan.call(call.index).as_ref(), Some(&call), "drawn twice");
        assert!(!json_line(scenario, &call).contains('\n'));
        last = Some(call.index);
    }
    assert!(last.is_none() || plan.call_minutes() >= 0.0);
    assert!(!summary(scenario, &plan).is_empty());
}

/// Applies command-line flags, one group at a time.
fn overridden(scenario: &Scenario) {
    let flags = [
        Overrides {
            rooms: Some(3),
            ..Overrides::default()
        },
        Overrides {
            concurrency: Some(2),
            timeout: Some(Duration::from_secs(3)),
            ..Overrides::default()
        },
        Overrides {
            duration: Some(Duration::from_secs(90)),
            ..Overrides::default()
        },
        Overrides {
            url: Some("ws://127.0.0.1".to_owned()),
            agent_name: Some("agent".to_owned()),
            attributes: [("key".to_owned(), "value".to_owned())].into(),
            ..Overrides::default()
        },
        Overrides {
            thresholds: vec![parse_threshold_line("ttfa: p(95)<1s").expect("an example")],
            ..Overrides::default()
        },
    ];
    for flags in flags {
        match flags.apply(scenario) {
            Ok(changed) => is_valid(&changed),
            Err(error) => assert!(!error.hint().is_empty(), "{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most mutations of an invalid scenario are invalid too, so their plans would not be tested.
    #[test]
    fn all_scenarios_of_the_corpus_but_one_are_valid() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/scenario");
        for entry in std::fs::read_dir(corpus).expect("a readable folder") {
            let path = entry.expect("a readable folder").path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let bytes = std::fs::read(&path).expect("a readable file");
            let read = check(&bytes, &path, &environment, Unset::Absent, &load);
            let meant = !path.ends_with("wrong.yaml");
            assert_eq!(read.is_ok(), meant, "{}: {read:#?}", path.display());
        }
    }
}
