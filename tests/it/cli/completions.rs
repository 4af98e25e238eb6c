//! Completions in real shells: the tests source the script, call its function and read the results.
//!
//! Invariant: a shell that is not installed is reported as skipped.

use super::{command, copy_files, folder, loadgen, shown};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Sources the completion script, then completes the last argument.
const BASH: &str = r#"
eval "$(loadgen completions bash)" || exit 3
complete -p loadgen | grep -q -- '-F _clap_complete_loadgen' || exit 4
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9
_clap_complete_loadgen loadgen "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
"#;

/// `PATH` with the folder of the built program first.
fn path() -> std::ffi::OsString {
    let bin = Path::new(env!("CARGO_BIN_EXE_loadgen")).parent();
    let mut paths: Vec<PathBuf> = vec![bin.expect("a folder").to_owned()];
    paths.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    std::env::join_paths(paths).expect("no colon in a path")
}

/// Bash's completions of the last of `words`, in `dir`.
fn bash(dir: &Path, words: &[&str]) -> Vec<String> {
    let output = Command::new("bash")
        .args(["--norc", "--noprofile", "-c", BASH, "bash", "loadgen"])
        .args(words)
        .current_dir(dir)
        .env("PATH", path())
        .env("XDG_STATE_HOME", dir.join("state"))
        .stdin(Stdio::null())
        .output()
        .expect("bash");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{words:?}: {}",
        shown(&output)
    );
    assert!(output.stderr.is_empty(), "{words:?}: {}", shown(&output));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(str::to_owned).collect()
}

/// A folder with scenarios, runs and a baseline for the shell to complete.
fn prepared() -> tempfile::TempDir {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    for name in ["scenarios", "state/loadgen/baselines", "reports", "other"] {
        fs::create_dir_all(at(name)).expect("a folder");
    }
    for name in [
        "mine.yaml",
        "mine.txt",
        "my own.yml",
        "scenarios/x.yaml",
        "scenarios/x.wav",
    ] {
        fs::write(at(name), "").expect("writable");
    }
    fs::write(at("state/loadgen/baselines/main.json"), "").expect("writable");
    for run in [
        "reports/20260101T000000Z-old",
        "reports/20260202T000000Z-new",
        "other/run",
    ] {
        copy_files("tests/records/v1", &at(run));
    }
    fs::create_dir(at("reports/no-run")).expect("a folder");
    dir
}

#[test]
fn bash_completes_commands_flags_scenarios_runs_and_baselines() {
    let dir = prepared();
    let new = "reports/20260202T000000Z-new";
    let cases: &[(&[&str], &[&str])] = &[
        (&["vali"], &["validate"]),
        (&["run", "quick"], &["quickstart"]),
        (&["run", "mine"], &["mine.yaml"]),
        (&["plan", "my"], &["my own.yml"]),
        (&["validate", "mine.yaml", "sc"], &["scenarios/"]),
        (&["capacity", "scenarios/"], &["scenarios/x.yaml"]),
        (&["run", "mine.yaml", "--base"], &["--baseline"]),
        (&["run", "mine.yaml", "--baseline", "ma"], &["main"]),
        (&["run", "mine.yaml", "--gate-on", "u"], &["upper"]),
        (
            &["report", "reports/20260202"],
            &["reports/20260202T000000Z-new/"],
        ),
        (&["open", "other/r"], &["other/run/"]),
        (&["compare", "main", "other/r"], &["other/run/"]),
        (&["compare", "mai"], &["main"]),
        (&["report", new, "--format", "cs"], &["csv"]),
        (&["explain", "ttfa_"], &["ttfa_wire"]),
        (&["explain", "end"], &["end_of_turn_delay", "end of speech"]),
        (&["completions", "z"], &["zsh"]),
        (&["run", "nothing-of-this-name"], &[]),
    ];
    for (words, expected) in cases {
        assert_eq!(bash(dir.path(), words), *expected, "{words:?}");
    }
    let runs = bash(dir.path(), &["report", "re"]);
    let old = "reports/20260101T000000Z-old";
    assert_eq!(runs[..2], [new, old], "latest first: {runs:?}");
    assert!(!runs.contains(&"reports/no-run".to_owned()), "{runs:?}");
    let commands = bash(dir.path(), &[""]);
    for command in ["run", "report", "explain", "completions", "man"] {
        assert!(
            commands.iter().any(|c| c == command),
            "{command}: {commands:?}"
        );
    }
}

/// Each installed shell checks the syntax of its script.
#[test]
fn scripts_are_valid_for_their_shells() {
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let dir = folder();
        let output = loadgen(dir.path(), &["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
        let script = dir.path().join("script");
        fs::write(&script, &output.stdout).expect("writable");
        match Command::new(shell).arg(check).arg(&script).output() {
            Ok(checked) => {
                assert!(
                    checked.status.success() && checked.stderr.is_empty(),
                    "{}",
                    shown(&checked)
                );
            }
            Err(_) => println!("SKIPPED: {shell} is not installed"),
        }
    }
}

#[test]
fn an_unknown_shell_is_bad_usage() {
    let dir = folder();
    let output = loadgen(dir.path(), &["completions", "tcsh"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        shown(&output).contains("bash, elvish, fish, powershell, zsh"),
        "{}",
        shown(&output)
    );
    let mut asked = command(dir.path(), &["--", "loadgen", "r"]);
    let output = asked
        .env("LOADGEN_COMPLETE", "tcsh")
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        shown(&output).contains("unknown shell `tcsh`"),
        "{}",
        shown(&output)
    );
}
