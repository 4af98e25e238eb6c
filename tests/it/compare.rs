//! Baselines and comparisons with the built binary: a real run, and modified copies of it.
//!
//! Invariants: runs made under different conditions are compared only on request; the exit code
//! distinguishes a regression, an invalid run and bad usage.

use crate::support::{Loadgen, Run, in_repo};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Ten concurrent calls of one turn.
const SCENARIO: &str = "\
version: 1
name: small
target: {kind: embedded, agent: {delay: 400ms, reply_length: 300ms}}
utterances:
  yes: {file: FIXTURES/yes.wav}
call:
  greeting: none
  turns: [{say: yes, start: {after: call_start, delay: 100ms}, timeout: 4s}]
load: {calls: 10, concurrency: 10}
health: {tick_lateness: 500ms, own_drops: 100000, signalling_lateness: 10s}
";

/// Writes the scenario with this agent delay.
fn scenario(dir: &Path, delay: &str) {
    let fixtures = in_repo("fixtures").display().to_string();
    let text = SCENARIO
        .replace("FIXTURES", &fixtures)
        .replace("400ms", delay);
    fs::write(dir.join("small.yaml"), text).expect("writable");
}

fn loadgen(dir: &Path, args: &[&str]) -> Run {
    let run = Loadgen::new(args.iter().copied());
    let run = run.env("XDG_STATE_HOME", dir.join("state"));
    for folder in ["one", "two"] {
        if dir.join(folder).is_dir() {
            std::os::unix::fs::symlink(dir.join(folder), run.dir().join(folder)).expect("a link");
        }
    }
    if dir.join("small.yaml").is_file() {
        fs::copy(dir.join("small.yaml"), run.dir().join("small.yaml")).expect("a copy");
    }
    run.run()
}

/// Copies a run folder and modifies its turns and its summary.
fn copy(from: &Path, to: &Path, turn: impl Fn(&mut Value), summary: impl Fn(&mut Value)) {
    fs::create_dir(to).expect("new");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_owned();
        let text = fs::read_to_string(&path).expect("text");
        let text = match name.to_str() {
            Some("turns.jsonl") => {
                let line = |line: &str| {
                    let mut value: Value = serde_json::from_str(line).expect("JSON");
                    turn(&mut value);
                    format!("{value}\n")
                };
                text.lines().map(line).collect()
            }
            Some("summary.json") => {
                let mut value: Value = serde_json::from_str(&text).expect("JSON");
                summary(&mut value);
                value.to_string()
            }
            _ => text,
        };
        fs::write(to.join(name), text).expect("writable");
    }
}

fn slower(turn: &mut Value) {
    for name in ["ttfa_ms", "ttfa_wire_ms"] {
        if let Some(ms) = turn[name].as_f64() {
            turn[name] = Value::from(ms + 300.0);
        }
    }
}

/// The verdict for `metric` in the first pair.
fn change(json: &str, metric: &str) -> String {
    let value: Value = serde_json::from_str(json).expect("JSON");
    let metrics = value["pairs"][0]["metrics"].as_array().expect("metrics");
    let found = metrics.iter().find(|m| m["metric"] == metric);
    found.expect("compared")["change"]
        .as_str()
        .expect("a word")
        .to_owned()
}

#[test]
fn later_runs_are_compared_with_a_saved_baseline() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    scenario(dir, "400ms");
    let one = dir.join("one");
    let out = one.display().to_string();
    let args = [
        "run",
        "small.yaml",
        "--out",
        &out,
        "--save-baseline",
        "main",
    ];
    let saved = loadgen(dir, &args);
    saved.assert_code(0);
    assert!(dir.join("state/loadgen/baselines/main.json").is_file());

    // The same agent, slower: the target's settings may differ, and the regression is found.
    scenario(dir, "900ms");
    let two = dir.join("two");
    let out = two.display().to_string();
    let args = [
        "run",
        "small.yaml",
        "--out",
        &out,
        "--baseline",
        "main",
        "--save-baseline",
        "main",
        "--fail-on-regression",
        "--metric",
        "ttfa",
    ];
    let kept = dir.join("state/loadgen/baselines/main.json");
    let before = fs::read(&kept).expect("saved");
    let found = loadgen(dir, &args);
    found.assert_code(99);
    let said = &found.finished.stderr;
    assert!(
        said.contains("not saved as a baseline: a metric regressed"),
        "{said}"
    );
    assert!(fs::read(&kept).expect("saved") == before, "unchanged");
    assert!(
        found.finished.stdout.contains("regressed"),
        "{}",
        found.finished.stdout
    );
    let json = fs::read_to_string(two.join("comparison.json")).expect("written");
    assert_eq!(change(&json, "ttfa"), "regressed");

    // A run with a different call script is not comparable; this is detected before the first call.
    let text = fs::read_to_string(dir.join("small.yaml")).expect("text");
    fs::write(
        dir.join("small.yaml"),
        text.replace("delay: 100ms", "delay: 150ms"),
    )
    .expect("writable");
    let out = dir.join("three").display().to_string();
    let refused = loadgen(
        dir,
        &["run", "small.yaml", "--out", &out, "--baseline", "main"],
    );
    refused.assert_code(2);
    assert!(
        refused.finished.stderr.contains("call script"),
        "{}",
        refused.finished.stderr
    );
    assert!(!dir.join("three").exists());

    // A baseline of another measurement version is not comparable either.
    scenario(dir, "900ms");
    let old = dir.join("old.json");
    let text = fs::read_to_string(&kept).expect("text");
    let other = text.replacen("\"measurement_version\":3", "\"measurement_version\":2", 1);
    assert_ne!(text, other);
    fs::write(&old, other).expect("writable");
    let old = old.display().to_string();
    let args = [
        "run",
        "small.yaml",
        "--out",
        &out,
        "--baseline",
        &old,
        "--force",
    ];
    let refused = loadgen(dir, &args);
    refused.assert_code(2);
    let said = &refused.finished.stderr;
    assert!(said.contains("`this run` with version 3"), "{said}");
    assert!(!dir.join("three").exists());

    let aimless = loadgen(dir, &["run", "small.yaml", "--fail-on-regression"]);
    aimless.assert_code(2);

    compares(dir);
}

/// Checks the results of `loadgen compare` for the baseline against `one` and modified copies.
fn compares(dir: &Path) {
    let same = loadgen(
        dir,
        &["compare", "main", "one", "--json", "--fail-on-regression"],
    );
    same.assert_code(0);
    assert_eq!(
        change(&same.finished.stdout, "missed"),
        "inconclusive",
        "ten turns are too few"
    );
    let again = loadgen(
        dir,
        &["compare", "main", "one", "--json", "--fail-on-regression"],
    );
    assert_eq!(
        same.finished.stdout, again.finished.stdout,
        "the seed makes the comparison deterministic"
    );

    type Change = fn(&mut Value);
    type Case<'a> = (&'a str, Change, Change, &'a [&'a str], i32, &'a str);
    let cases: [Case<'_>; 8] = [
        (
            "slower",
            slower,
            |_| (),
            &["--fail-on-regression"],
            99,
            "regressed",
        ),
        (
            "slower, judged by another metric",
            slower,
            |_| (),
            &["--fail-on-regression", "--metric", "join"],
            0,
            "join",
        ),
        (
            "within a wide noise threshold",
            slower,
            |_| (),
            &["--fail-on-regression", "--noise-threshold", "5%,2s"],
            0,
            "ttfa",
        ),
        (
            "another load",
            |_| (),
            |s| s["conditions"]["load"] = "9 calls".into(),
            &[],
            2,
            "load: ",
        ),
        (
            "another load, forced",
            |_| (),
            |s| s["conditions"]["load"] = "9 calls".into(),
            &["--force"],
            0,
            "not the same",
        ),
        (
            "another measurement version",
            |_| (),
            |s| s["run"]["measurement_version"] = 1.into(),
            &[],
            2,
            "what changed:\n  - version 2: a silence of 200 ms",
        ),
        (
            "a file without a measurement version, even with --force",
            |_| (),
            |s| {
                drop(
                    s["run"]
                        .as_object_mut()
                        .expect("an object")
                        .remove("measurement_version"),
                )
            },
            &["--force"],
            2,
            "hint: repeat both runs with the same release",
        ),
        (
            "invalid",
            |_| (),
            |s| {
                s["verdict"]["status"] = "invalid".into();
                s["verdict"]["reasons"] = serde_json::json!(["ticks were late"]);
            },
            &[],
            110,
            "ticks were late",
        ),
    ];
    for (nth, (name, turn, summary, more, code, says)) in cases.into_iter().enumerate() {
        let folder = dir.join(format!("case-{nth}"));
        copy(&dir.join("one"), &folder, turn, summary);
        let folder = folder.display().to_string();
        let args = [&["compare", "main", &folder], more].concat();
        let run = loadgen(dir, &args);
        run.assert_code(code);
        let said = format!("{}{}", run.finished.stdout, run.finished.stderr);
        assert!(said.contains(says), "{name}: {said}");
    }
    let absent = loadgen(dir, &["compare", "nothing", "one"]);
    absent.assert_code(2);
    assert!(
        absent.finished.stderr.contains("saved baselines: main"),
        "{}",
        absent.finished.stderr
    );
    let escaping = loadgen(dir, &["compare", "..", "one"]);
    assert_ne!(escaping.finished.code, Some(0));
}
