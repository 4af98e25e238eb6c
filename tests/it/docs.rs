//! Checks the documentation against the program: examples validate, commands parse, and every
//! key, flag and exit code exists. `book` checks that the pages form a whole, and runs their
//! examples.
//!
//! In: README.md, CHANGELOG.md, CONTRIBUTING.md and the pages of docs/.

mod book;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use loadgen::cli::Cli;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A page and its path.
struct Page {
    path: PathBuf,
    text: String,
}

/// A fenced block: its info string, the line of the fence, the lines inside.
struct Fence<'a> {
    info: &'a str,
    line: usize,
    body: Vec<&'a str>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Paths of the pages in a folder and its subfolders, relative to the root of the repository.
fn pages_below(folder: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(root().join(folder)).expect("a folder") {
        let entry = entry.expect("an entry");
        let path = format!("{folder}/{}", entry.file_name().display());
        if entry.path().is_dir() {
            paths.extend(pages_below(&path));
        } else if path.ends_with(".md") {
            paths.push(path);
        }
    }
    paths
}

fn pages() -> Vec<Page> {
    let mut paths = pages_below("docs");
    paths.extend(["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(str::to_owned));
    paths.sort();
    assert!(paths.len() > 5, "pages are missing: {paths:?}");
    let page = |path: String| Page {
        text: read(&path),
        path: root().join(path),
    };
    paths.into_iter().map(page).collect()
}

/// The fenced blocks of a page, and the lines outside them with their line numbers.
fn split(text: &str) -> (Vec<Fence<'_>>, Vec<(usize, &str)>) {
    let (mut fences, mut prose) = (Vec::new(), Vec::new());
    let mut open: Option<Fence<'_>> = None;
    for (index, line) in text.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (fence, open.take()) {
            (Some(_), Some(fence)) => fences.push(fence),
            (Some(info), None) => {
                let (info, line, body) = (info.trim(), index + 1, Vec::new());
                open = Some(Fence { info, line, body });
            }
            (None, Some(mut fence)) => {
                fence.body.push(line);
                open = Some(fence);
            }
            (None, None) => prose.push((index + 1, line)),
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    (fences, prose)
}

/// The code spans of a line.
fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Splits a line into words as a shell does; quotes group, a comment ends the line.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '#') if word.is_empty() => break,
            (None, c) if c.is_whitespace() => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            }
            (_, c) => word.push(c),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// Every `loadgen …` of a shell line, from that word to the end of the command. Variable
/// assignments before the command are left out.
fn commands(line: &str) -> Vec<Vec<String>> {
    let words = words(line);
    let ends = |word: &String| ["&&", "||", "|", ";", "&"].contains(&word.as_str());
    let sets = |word: &&String| {
        let name = word.split_once('=').map_or("", |(name, _)| name);
        !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
    };
    let command = |part: &[String]| part.iter().skip_while(sets).cloned().collect::<Vec<_>>();
    let parts = words.split(ends).map(command);
    parts
        .filter(|part| part.first().is_some_and(|word| word == "loadgen"))
        .collect()
}

/// The error if a command line does not parse. A bare command name counts as a mention.
fn refused(command: &[String]) -> Option<String> {
    if let [_, name] = command
        && Cli::command().find_subcommand(name).is_some()
    {
        return None;
    }
    match Cli::try_parse_from(command) {
        Ok(_) => None,
        Err(e) if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => None,
        Err(e) => Some(e.to_string()),
    }
}

#[test]
fn every_documented_command_parses() {
    let mut seen = 0;
    for page in pages() {
        let (fences, prose) = split(&page.text);
        let shell = fences.iter().filter(|f| ["sh", "bash"].contains(&f.info));
        let shell = shell.flat_map(|f| f.body.iter().map(|line| (f.line, *line)));
        let inline = prose
            .iter()
            .flat_map(|(n, line)| spans(line).map(|span| (*n, span)))
            .filter(|(_, span)| span.starts_with("loadgen "));
        for (line, text) in shell.chain(inline) {
            for command in commands(text) {
                seen += 1;
                if let Some(why) = refused(&command) {
                    panic!("{}:{line}: {command:?}: {why}", page.path.display());
                }
            }
        }
    }
    assert!(seen > 20, "only {seen} commands were found");
}

#[test]
fn invalid_commands_are_found() {
    let found = commands("A=1 && B=2 C_D= loadgen rnu 'a b' # loadgen x\n");
    assert_eq!(found, [["loadgen", "rnu", "a b"]]);
    assert!(refused(&found[0]).is_some());
    assert!(refused(&commands("loadgen run x --romos 3")[0]).is_some());
    assert!(refused(&commands("loadgen run x --rooms 3 | head")[0]).is_none());
}

fn flags(command: &clap::Command) -> BTreeSet<String> {
    let shown = command.get_arguments().filter(|a| !a.is_hide_set());
    shown
        .filter_map(|a| a.get_long().map(|long| format!("--{long}")))
        .chain(command.get_subcommands().flat_map(flags))
        .collect()
}

#[test]
fn every_documented_command_and_flag_exists() {
    let mut cli = Cli::command();
    cli.build();
    let known: BTreeSet<String> = cli.get_subcommands().flat_map(flags).collect();
    let mut text = String::new();
    for page in pages() {
        for (line, span) in split(&page.text).1.iter().flat_map(|(n, line)| {
            let flags = spans(line).filter(|span| span.starts_with("--"));
            flags.map(|span| (*n, span))
        }) {
            let flag = span.split([' ', '=']).next().unwrap_or_default();
            let at = page.path.display();
            assert!(known.contains(flag), "{at}:{line}: there is no `{flag}`");
        }
        text.push_str(&page.text);
    }
    for command in cli.get_subcommands().filter(|c| c.get_name() != "help") {
        let name = format!("loadgen {}", command.get_name());
        assert!(text.contains(&name), "no page mentions `{name}`");
    }
    let (agent, page) = (cli.find_subcommand("agent"), read("docs/agent.md"));
    for flag in flags(agent.expect("the agent")) {
        let told = flag == "--help" || page.contains(&format!("`{flag}"));
        assert!(told, "docs/agent.md does not mention `{flag}`");
    }
}

#[test]
fn every_documented_scenario_is_valid() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let scenarios = dir.path().join("scenarios");
    std::fs::create_dir(&scenarios).expect("a folder");
    std::os::unix::fs::symlink(root().join("fixtures"), dir.path().join("fixtures"))
        .expect("a link to the fixtures");
    let mut seen = 0;
    for page in pages() {
        for fence in split(&page.text).0 {
            let at = format!("{}:{}", page.path.display(), fence.line);
            let whole = fence.body.iter().any(|line| line.starts_with("version:"));
            if whole && fence.info.starts_with("yaml") {
                assert_eq!(fence.info, "yaml scenario", "{at}: mark whole scenarios");
            }
            if fence.info != "yaml scenario" {
                continue;
            }
            seen += 1;
            let file = scenarios.join(format!("{seen}.yaml"));
            std::fs::write(&file, fence.body.join("\n")).expect("a file");
            let run = Command::new(env!("CARGO_BIN_EXE_loadgen"))
                .arg("validate")
                .arg(&file)
                .current_dir(dir.path())
                .output()
                .expect("the binary starts");
            let said = String::from_utf8_lossy(&run.stderr);
            assert!(run.status.success(), "{at}:\n{said}");
        }
    }
    assert!(seen >= 4, "only {seen} scenarios were found");
}

/// The rows of all tables under a heading of docs/scenario.md: key, whole row.
fn rows<'a>(page: &'a str, heading: &str) -> Vec<(&'a str, &'a str)> {
    let (_, prose) = split(page);
    let is_heading = |line: &str| line.trim_start_matches('#').trim() == heading;
    let section = prose
        .iter()
        .map(|(_, line)| *line)
        .skip_while(|line| !(line.starts_with('#') && is_heading(line)))
        .skip(1)
        .take_while(|line| !line.starts_with('#'));
    let row = |line: &'a str| {
        let key = line.strip_prefix("| `")?.split('`').next()?;
        Some((key, line))
    };
    section.filter_map(row).collect()
}

#[test]
fn docs_have_every_metric_with_its_definition() {
    use loadgen::vocab::Metric;
    let (page, live) = (read("docs/scenario.md"), read("docs/metrics.md"));
    let described: Vec<(&str, &str)> = rows(&page, "`thresholds`")
        .into_iter()
        .filter(|(key, _)| Metric::named(key).is_some())
        .collect();
    let expected = Metric::ALL.iter().map(|metric| {
        let kind = if metric.is_share() {
            "share"
        } else {
            "latency"
        };
        let (name, definition) = (metric.name(), metric.row().definition);
        (name, format!("| `{name}` | {kind} | {definition} |"))
    });
    let expected: Vec<_> = expected.collect();
    let borrowed: Vec<(&str, &str)> = expected.iter().map(|(n, row)| (*n, &row[..])).collect();
    assert_eq!(described, borrowed);
    for metric in Metric::summarized() {
        let series = format!("| `loadgen_{}_seconds` |", metric.name());
        assert!(live.contains(&series), "docs/metrics.md: {series}");
    }
    let in_spans = |m: &&Metric| !m.is_share();
    for metric in Metric::ALL.iter().filter(in_spans) {
        let attribute = format!("`loadgen.{}_ms`", metric.name());
        assert!(live.contains(&attribute), "docs/metrics.md: {attribute}");
    }
    let compared: Vec<&str> = Metric::compared().map(|m| m.name()).collect();
    let cli = Cli::command();
    let compare = cli.find_subcommand("compare").expect("a command");
    let metric = compare.get_arguments().find(|a| a.get_id() == "metric");
    let told = metric.and_then(|a| a.get_help()).expect("help").to_string();
    let default = format!("[default: {}]", compared.join(", "));
    assert!(told.contains(&default), "{told}");
}

/// A part of the schema, following each `$ref` on the way.
fn part<'a>(schema: &'a Value, pointer: &str) -> &'a Value {
    let mut at = schema;
    for step in pointer.split('/').filter(|step| !step.is_empty()) {
        at = &at[step];
        if let Some(reference) = at["$ref"].as_str() {
            at = schema
                .pointer(reference.trim_start_matches('#'))
                .unwrap_or_else(|| panic!("{reference} does not resolve"));
        }
    }
    at
}

#[test]
fn scenario_docs_list_exactly_the_keys_of_the_schema() {
    let page = read("docs/scenario.md");
    let schema: Value = serde_json::from_str(&read("scenarios/schema.json")).expect("JSON");
    let sections: [(&str, &[&str]); 12] = [
        ("Top level", &[""]),
        ("`target`", &["properties/target"]),
        ("`target.agent`", &["properties/target/properties/agent"]),
        (
            "`utterances`",
            &["properties/utterances/additionalProperties"],
        ),
        ("`call`", &["properties/call"]),
        (
            "`call.turns`",
            &[
                "properties/call/properties/turns/items",
                "properties/call/properties/turns/items/properties/start",
            ],
        ),
        ("`load`", &["properties/load"]),
        ("`warmup`", &["properties/warmup"]),
        ("`network`", &["properties/network"]),
        ("`thresholds`", &["properties/thresholds"]),
        (
            "`thresholds`, an expression in full",
            &["$defs/ThresholdFile"],
        ),
        ("`variants`", &["properties/variants/items"]),
    ];
    for (heading, pointers) in sections {
        let rows = rows(&page, heading);
        let mut expected = BTreeSet::new();
        for pointer in pointers {
            let properties = part(&schema, pointer)["properties"].as_object();
            for (key, value) in properties.unwrap_or_else(|| panic!("{pointer}")) {
                expected.insert(key.as_str());
                let limits = ["maximum", "maxItems", "maxLength"];
                for limit in limits.iter().filter_map(|limit| value[limit].as_u64()) {
                    let told = |(name, row): &(&str, &str)| {
                        name == key && row.contains(&limit.to_string())
                    };
                    assert!(rows.iter().any(told), "{heading}: limit of {key}: {limit}");
                }
            }
        }
        if heading == "`call.turns`" {
            let anchors = part(&schema, "$defs/Anchor")["oneOf"].as_array();
            let anchors = anchors.expect("anchors").iter();
            expected.extend(anchors.filter_map(|anchor| anchor["const"].as_str()));
        }
        let told: BTreeSet<&str> = rows.iter().map(|(key, _)| *key).collect();
        assert_eq!(told, expected, "{heading} of docs/scenario.md");
    }
}

#[test]
fn documented_exit_codes_match_the_program() {
    let code = |line: &str| -> Option<u8> { line.split(['|', ',']).nth(1)?.trim().parse().ok() };
    let source = read("src/cli/exit.rs");
    let variant = |line: &str| {
        line.split_once(" = ")?
            .1
            .strip_suffix(',')?
            .parse::<u8>()
            .ok()
    };
    let real: BTreeSet<u8> = source.lines().filter_map(variant).collect();
    assert!(real.len() >= 7, "{real:?}");
    for path in ["README.md", "docs/ARCHITECTURE.md"] {
        let page = read(path);
        let section = page.lines().skip_while(|line| *line != "## Exit codes");
        let section = section.skip(1).take_while(|line| !line.starts_with('#'));
        let told: BTreeSet<u8> = section.filter_map(code).collect();
        assert_eq!(told, real, "{path}");
    }
}
