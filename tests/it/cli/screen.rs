//! The layout of reports and comparisons on screen: colours, width, number of lines.

use super::{command, copy_files, folder, loadgen, shown};
use std::path::Path;
use std::process::{Command, Stdio};

/// Maximum number of lines of a report or a comparison.
const LINES: usize = 40;

/// Copies a run folder, since reports are written into it.
fn record(dir: &Path, from: &str) {
    copy_files(from, &dir.join("run"));
}

fn stdout(command: &mut Command) -> String {
    let output = command
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Environment variables, whether output to a pipe has colours, and whether a terminal's has.
type Case<'a> = (&'a [(&'a str, &'a str)], bool, bool);

#[test]
fn only_terminals_get_colour_by_default() {
    let dir = folder();
    record(dir.path(), "tests/records/v1");
    let cases: [Case<'_>; 7] = [
        (&[], false, true),
        (&[("NO_COLOR", "1")], false, false),
        (&[("NO_COLOR", "")], false, true),
        (&[("CLICOLOR_FORCE", "1")], true, true),
        (&[("CLICOLOR_FORCE", "")], false, true),
        (&[("CLICOLOR", "0")], false, false),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false, false),
    ];
    for args in [
        &["report", "run"][..],
        &["compare", "run", "run", "--force"],
        &["list", "."],
    ] {
        for (variables, piped, on_a_terminal) in cases {
            let clean = |command: &mut Command| {
                for name in ["CI", "CLICOLOR", "CLICOLOR_FORCE", "NO_COLOR"] {
                    command.env_remove(name);
                }
                command.env("TERM", "xterm").envs(variables.iter().copied());
            };
            let mut pipe = command(dir.path(), args);
            clean(&mut pipe);
            let text = stdout(&mut pipe);
            assert_eq!(
                text.contains("\u{1b}["),
                piped,
                "{args:?} {variables:?}: {text}"
            );
            let mut terminal = on_terminal(dir.path(), args, 100);
            clean(&mut terminal);
            let text = stdout(&mut terminal);
            assert_eq!(
                text.contains("\u{1b}["),
                on_a_terminal,
                "{args:?} {variables:?}: {text}"
            );
        }
    }
}

/// Prepares the program on a terminal that is `columns` wide.
fn on_terminal(dir: &Path, args: &[&str], columns: usize) -> Command {
    let line = format!(
        "stty cols {columns} rows 24; {} {} 2>/dev/null",
        env!("CARGO_BIN_EXE_loadgen"),
        args.join(" ")
    );
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(dir);
    script
}

/// The text without colour codes, and without the carriage returns that a terminal adds.
fn bare(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut bare = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        bare += part.split_once('m').map_or(part, |(_, rest)| rest);
    }
    bare.replace('\r', "")
}

#[test]
fn reports_and_comparisons_fit_terminals_of_80_and_120_columns() {
    for (from, variants) in [("reports/sample", false), ("reports/sample-compare", true)] {
        let dir = folder();
        record(dir.path(), from);
        for columns in [80, 120] {
            let mut commands = vec![&["report", "run"][..]];
            // The folder with variants has no turns to compare.
            if !variants {
                commands.push(&["compare", "run", "run", "--force"]);
            }
            for args in commands {
                let text = bare(&stdout(&mut on_terminal(dir.path(), args, columns)));
                let lines: Vec<&str> = text.lines().collect();
                assert!((5..=LINES).contains(&lines.len()), "{args:?}: {text}");
                for line in lines {
                    assert!(line.chars().count() <= columns, "{columns}: {line}");
                }
            }
        }
        let report = loadgen(dir.path(), &["report", "run"]);
        assert_eq!(
            shown(&report).contains("\nvariants by"),
            variants,
            "{}",
            shown(&report)
        );
        assert!(
            shown(&report).contains("\nreport      run/report.html\n"),
            "{}",
            shown(&report)
        );
        let details = loadgen(dir.path(), &["report", "run", "--details"]);
        let details = String::from_utf8_lossy(&details.stdout).into_owned();
        assert!(details.lines().count() > LINES, "{details}");
        for part in ["latency, ms", "generator", "definitions", "agent_audible"] {
            assert!(details.contains(part), "{part}: {details}");
        }
    }
}

#[test]
fn the_width_without_a_terminal_is_100_or_the_columns_variable() {
    let dir = folder();
    record(dir.path(), "reports/sample");
    let widest = |columns: Option<&str>| {
        let mut report = command(dir.path(), &["report", "run"]);
        report.env_remove("COLUMNS");
        report.envs(columns.map(|columns| ("COLUMNS", columns)));
        let text = stdout(&mut report);
        text.lines()
            .map(|line| line.chars().count())
            .max()
            .unwrap_or(0)
    };
    assert!((81..=100).contains(&widest(None)), "{}", widest(None));
    assert!(widest(Some("60")) <= 60);
    assert!(
        (101..=120).contains(&widest(Some("500"))),
        "{}",
        widest(Some("500"))
    );
    assert_eq!(widest(Some("wide")), widest(None));
}

#[test]
fn explain_defines_every_name_and_suggests_the_nearest() {
    let dir = folder();
    let one = loadgen(dir.path(), &["explain", "ttfa"]);
    assert_eq!(one.status.code(), Some(0));
    assert!(
        shown(&one).contains("leaves the caller's loudspeaker; ttfa_wire"),
        "{}",
        shown(&one)
    );
    let term = loadgen(dir.path(), &["explain", "end", "of", "speech"]);
    assert_eq!(term.status.code(), Some(0), "{}", shown(&term));
    let all = loadgen(dir.path(), &["explain"]);
    let all = String::from_utf8_lossy(&all.stdout).into_owned();
    for name in loadgen::report::explain::names() {
        let line = |line: &str| line.strip_prefix("  ").is_some_and(|l| l.starts_with(name));
        assert!(all.lines().any(line), "{name}: {all}");
    }
    for (wrong, hint) in [
        ("tfta", "hint: did you mean `ttfa`?"),
        ("colour", "hint: `loadgen explain` lists them all"),
    ] {
        let output = loadgen(dir.path(), &["explain", wrong]);
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
        assert!(shown(&output).contains(hint), "{}", shown(&output));
    }
}
