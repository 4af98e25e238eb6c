//! The command line of the real binary: help, messages, exit codes.
//!
//! Invariants: stdout carries data and stderr everything else; no file is half-written.

mod completions;
mod help;
mod init;
mod manual;
mod outputs;
mod scenarios;
mod screen;

use crate::support::in_repo;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// Environment variables that would change the output.
const CLEARED: [&str; 6] = [
    "LIVEKIT_URL",
    "LIVEKIT_API_KEY",
    "LIVEKIT_API_SECRET",
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
];

/// A new empty folder.
pub(crate) fn folder() -> TempDir {
    TempDir::with_prefix("loadgen-test-").expect("a temporary folder")
}

/// Copies the files of a committed folder to a new one.
pub(crate) fn copy_files(from: &str, to: &Path) {
    std::fs::create_dir(to).expect("a folder");
    for entry in std::fs::read_dir(in_repo(from)).expect("a folder") {
        let file = entry.expect("an entry").path();
        if file.is_file() {
            std::fs::copy(&file, to.join(file.file_name().expect("a name"))).expect("a copy");
        }
    }
}

/// Prepares `loadgen ARGS…` in a folder without starting it.
pub(crate) fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(args).current_dir(dir).env("COLUMNS", "100");
    for name in CLEARED {
        command.env_remove(name);
    }
    command
}

/// Runs `loadgen ARGS…` in a folder to completion.
pub(crate) fn loadgen(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().expect("the binary starts")
}

/// Exit code, stdout and stderr, as one text.
pub(crate) fn shown(output: &Output) -> String {
    format!(
        "exit {}\n---- stdout\n{}---- stderr\n{}",
        output.status.code().expect("no signal"),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Asserts a snapshot; snapshots are stored next to the tests they belong to.
pub(crate) fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("cli/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// The content of a fixture of the repository.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
