//! Standard output and standard error that are closed or full: nothing panics, and the exit code
//! shows whether the result reached its reader.
//!
//! Invariants: a reader that closes the pipe is not an error; a full disk is an error, except for
//! the table of a run, whose results are in the run folder too.

use super::{command, copy_files, folder, shown};
use crate::support::in_repo;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// A call of one turn; loose bounds, since a busy machine must not change the exit code.
const SHORT: &str = "\
version: 1
name: short
target: {kind: embedded, agent: {delay: 400ms, reply_length: 300ms}}
utterances:
  yes: {file: FIXTURES/yes.wav}
call:
  greeting: none
  turns: [{say: yes, start: {after: call_start, delay: 100ms}, timeout: 4s}]
health: {tick_lateness: 500ms, own_drops: 100000, signalling_lateness: 10s}
";
/// The message when a result is lost.
const LOST: &str = "cannot write to standard output";

/// Ways in which an output can be unusable.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sink {
    /// A pipe whose reader is gone, as with `| head`.
    NoReader,
    /// No descriptor at all, as after `>&-`.
    Closed,
    /// A full disk.
    Full,
}

const SINKS: [Sink; 3] = [Sink::NoReader, Sink::Closed, Sink::Full];

impl Sink {
    fn open(self) -> Stdio {
        match self {
            Self::NoReader => {
                let (reader, writer) = std::io::pipe().expect("a pipe");
                drop(reader);
                writer.into()
            }
            // `spawn` makes the shell close the descriptor.
            Self::Closed => Stdio::null(),
            Self::Full => {
                let full = File::options().write(true).open("/dev/full");
                full.expect("/dev/full exists on Linux").into()
            }
        }
    }
}

/// `loadgen ARGS…` with the given outputs; `None` is a pipe that is read.
fn spawn(dir: &Path, args: &[&str], out: Option<Sink>, err: Option<Sink>) -> Child {
    let plain = command(dir, args);
    let closed = |sink: Option<Sink>, redirection| match sink {
        Some(Sink::Closed) => redirection,
        _ => "",
    };
    let script = format!("exec \"$@\" {} {}", closed(out, ">&-"), closed(err, "2>&-"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &script, "sh"]);
    shell.arg(plain.get_program()).args(plain.get_args());
    shell
        .current_dir(dir)
        .env("XDG_STATE_HOME", dir.join("state"));
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.stdin(Stdio::null());
    shell.stdout(out.map_or_else(Stdio::piped, Sink::open));
    shell.stderr(err.map_or_else(Stdio::piped, Sink::open));
    shell.spawn().expect("a shell")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal")
}

fn says(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Copies a committed run folder.
fn record(dir: &Path, name: &str) {
    copy_files("tests/records/v1", &dir.join(name));
}

fn short(dir: &Path) {
    let fixtures = in_repo("fixtures").display().to_string();
    let text = SHORT.replace("FIXTURES", &fixtures);
    std::fs::write(dir.join("short.yaml"), text).expect("writable");
}

/// Only the metrics' address, the progress and the path of the reports are lost.
#[test]
fn a_run_continues_if_its_progress_cannot_be_written() {
    let sinks = SINKS.map(|sink| {
        let dir = folder();
        short(dir.path());
        let args = [
            "run",
            "short.yaml",
            "--out",
            "run",
            "--metrics-listen",
            "127.0.0.1:0",
        ];
        let child = spawn(dir.path(), &args, None, Some(sink));
        (sink, dir, child)
    });
    for (sink, dir, child) in sinks {
        let output = child.wait_with_output().expect("the process ends");
        assert_eq!(code(&output), 0, "{sink:?}: {}", shown(&output));
        assert!(!output.stdout.is_empty(), "{sink:?}: no table");
        assert!(dir.path().join("run/summary.json").is_file(), "{sink:?}");
    }
}

/// The reports of a run are in its folder, so its exit code is its verdict even if the table is
/// lost; on a full disk, a warning reports the loss. JSON is read by a program, so losing it is an
/// error.
#[test]
fn an_unwritable_table_is_a_warning_and_unwritable_json_an_error() {
    for json in [false, true] {
        let sinks = SINKS.map(|sink| {
            let dir = folder();
            short(dir.path());
            let args = ["run", "short.yaml", "--out", "run", "--json"];
            let args = if json { &args[..] } else { &args[..4] };
            let child = spawn(dir.path(), args, Some(sink), None);
            (sink, dir, child)
        });
        for (sink, dir, child) in sinks {
            let output = child.wait_with_output().expect("the process ends");
            let full = sink == Sink::Full;
            let context = format!("{sink:?}, JSON {json}: {}", shown(&output));
            assert_eq!(code(&output), i32::from(full && json), "{context}");
            assert!(dir.path().join("run/summary.json").is_file(), "{context}");
            assert_eq!(says(&output).contains(LOST), full, "{context}");
            let warned = says(&output).contains(&format!("warning: {LOST}"));
            assert_eq!(warned, full && !json, "{context}");
        }
    }
}

/// On a full disk, losing a result that goes only to stdout is an error.
#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let dir = folder();
    record(dir.path(), "one");
    let commands: [&[&str]; 7] = [
        &["list", "."],
        &["list", ".", "--json"],
        &["plan", "quickstart", "--json"],
        &["validate", "quickstart"],
        &["schema", "summary"],
        &["compare", "one", "one", "--force"],
        &["compare", "one", "one", "--force", "--json"],
    ];
    for args in commands {
        let usual = spawn(dir.path(), args, None, None);
        let usual = usual.wait_with_output().expect("the process ends");
        assert_eq!(code(&usual), 0, "{args:?}: {}", shown(&usual));
        assert!(!usual.stdout.is_empty(), "{args:?}: no result");
        for sink in SINKS {
            let output = spawn(dir.path(), args, Some(sink), None);
            let output = output.wait_with_output().expect("the process ends");
            let full = sink == Sink::Full;
            let context = format!("{args:?}, {sink:?}: {}", shown(&output));
            assert_eq!(code(&output), i32::from(full), "{context}");
            assert_eq!(says(&output).contains(LOST), full, "{context}");
            assert!(!says(&output).contains("panicked"), "{context}");
        }
    }
}

/// Errors keep their exit code even if their message cannot be written.
#[test]
fn a_closed_stderr_does_not_change_the_exit_code() {
    let dir = folder();
    std::fs::write(dir.path().join("bad.yaml"), "version: 1\n").expect("writable");
    record(dir.path(), "one");
    let cases: [(&[&str], i32); 5] = [
        (&["list", "nowhere"], 2),
        (&["validate", "bad.yaml"], 104),
        (&["run", "nowhere.yaml"], 2),
        (&["compare", "one", "nowhere"], 2),
        // A message of the argument parser.
        (&["run", "--no-such-flag"], 2),
    ];
    for (args, expected) in cases {
        for sink in SINKS {
            let output = spawn(dir.path(), args, Some(sink), Some(sink));
            let output = output.wait_with_output().expect("the process ends");
            assert_eq!(code(&output), expected, "{args:?}, {sink:?}");
        }
    }
    // Neither the result nor the message about its loss can be written.
    let both = spawn(
        dir.path(),
        &["list", "."],
        Some(Sink::Full),
        Some(Sink::Full),
    );
    assert_eq!(code(&both.wait_with_output().expect("the process ends")), 1);
}
