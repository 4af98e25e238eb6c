//! `--help` of every command, and the errors for bad usage.

use super::{folder, loadgen, shown, snapshot};
use clap::CommandFactory as _;
use loadgen::cli::Cli;

#[test]
fn every_command_has_help() {
    let dir = folder();
    let program = Cli::command();
    let commands = program.get_subcommands().map(|command| command.get_name());
    for command in [""].into_iter().chain(commands) {
        let args: Vec<&str> = [command, "--help"]
            .into_iter()
            .filter(|a| !a.is_empty())
            .collect();
        let output = loadgen(dir.path(), &args);
        let name = if command.is_empty() {
            "help".to_owned()
        } else {
            format!("help_{command}")
        };
        snapshot(&name, &shown(&output));
    }
}

#[test]
fn bad_usage_exits_with_2_and_a_hint() {
    let dir = folder();
    let cases: [(&[&str], &str); 10] = [
        (&[], "Usage: loadgen <COMMAND>"),
        (&["rnu"], "unrecognized subcommand 'rnu'"),
        (&["run"], "<SCENARIO>"),
        (&["run", "x.yaml", "--rooms", "0"], "0 is not in 1..=100000"),
        (
            &["run", "x.yaml", "--duration", "10"],
            "`10` has no unit; write `10s` or `10ms`",
        ),
        (
            &["run", "x.yaml", "--attribute", "novalue"],
            "write it as KEY=VALUE",
        ),
        (
            &["agent", "--delay", "uniform(2s,1s)"],
            "exceeds its maximum",
        ),
        (
            &["agent", "--reply-length", "0s"],
            "it must be greater than 0",
        ),
        (
            &["agent", "--stdio", "--url", "ws://x"],
            "cannot be used with",
        ),
        (
            &["validate", "nope.yaml"],
            "there is no file `nope.yaml`\n  hint: give a path, or a \
          scenario that comes with loadgen: quickstart, 100-calls, bad-networks, \
          capacity, ci-gate, compare-providers, conversation, fillers, interruptions, noisy-callers, \
          pipeline, soak, spike, track-changes, troubles",
        ),
    ];
    for (args, message) in cases {
        let output = loadgen(dir.path(), args);
        let text = shown(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}\n{text}");
        assert!(
            text.contains(message),
            "{args:?}: no {message:?} in\n{text}"
        );
        assert!(output.stdout.is_empty(), "{args:?}\n{text}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let dir = folder();
    let mut help = super::command(dir.path(), &["run", "--help"]);
    let output = help
        .env("LIVEKIT_API_SECRET", "hush-hush")
        .output()
        .expect("the binary starts");
    assert!(!shown(&output).contains("hush-hush"));
    let args = ["run", "no.yaml", "--api-secret", "hush-hush"];
    assert!(!shown(&loadgen(dir.path(), &args)).contains("hush-hush"));
}
