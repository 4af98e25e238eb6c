//! `loadgen man`: a page for every command, which groff formats without a warning.

use super::{folder, loadgen, shown};
use clap::{Command, CommandFactory as _};
use loadgen::cli::Cli;
use std::fs;

/// The names of the pages, and the commands that they describe.
fn commands() -> Vec<(String, Command)> {
    let mut whole = Cli::command().disable_help_subcommand(true);
    whole.build();
    let mut left = vec![whole];
    let mut found = Vec::new();
    while let Some(command) = left.pop() {
        let shown = command.get_subcommands().filter(|c| !c.is_hide_set());
        left.extend(shown.cloned());
        let name = command.get_display_name().unwrap_or("loadgen");
        found.push((format!("{name}.1"), command.clone()));
    }
    found
}

#[test]
fn every_command_has_a_page_with_its_flags() {
    let dir = folder();
    let output = loadgen(dir.path(), &["man", "share/man/man1"]);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let commands = commands();
    assert!(commands.len() > 18, "{}", commands.len());
    assert_eq!(printed.lines().count(), commands.len(), "{printed}");
    for (name, command) in commands {
        let path = format!("share/man/man1/{name}");
        assert!(printed.lines().any(|line| line == path), "{path}");
        let page = fs::read_to_string(dir.path().join(&path)).expect("a page");
        let flags = command.get_arguments().filter(|a| !a.is_hide_set());
        for flag in flags.filter_map(|a| a.get_long()) {
            let flag = format!("--{flag}").replace('-', "\\-");
            assert!(page.contains(&flag), "{name}: {flag}");
        }
        assert!(
            page.contains("EXIT STATUS") && page.contains("110"),
            "{name}"
        );
        let checked = std::process::Command::new("groff")
            .args(["-ww", "-man", "-Kutf8", "-Tutf8", "-z"])
            .arg(dir.path().join(&path))
            .output();
        match checked {
            Ok(checked) => {
                let clean = checked.status.success() && checked.stderr.is_empty();
                assert!(clean, "{name}: {}", shown(&checked));
            }
            Err(_) => println!("SKIPPED: groff is not installed"),
        }
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let dir = folder();
    fs::write(dir.path().join("file"), "").expect("writable");
    let output = loadgen(dir.path(), &["man", "file"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        shown(&output).contains("error: cannot write `file"),
        "{}",
        shown(&output)
    );
}
