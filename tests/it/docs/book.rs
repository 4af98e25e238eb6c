//! Checks that the pages form a book: the table of contents lists all of them, their links resolve,
//! and the examples of the first steps and the how-tos work as described.
//!
//! In: the pages, a folder that `loadgen init` writes. Invariant: no server is needed.

use super::{Page, pages, pages_below, read, root, split, words};
use crate::support::screen::assert_shown;
use crate::support::{Loadgen, Reports, Running};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Targets of the links of a text, with their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (line, prose) in split(text).1 {
        let targets = prose.split("](").skip(1);
        let targets = targets.filter_map(|rest| Some((line, rest.split_once(')')?.0)));
        found.extend(targets);
    }
    found
}

/// The anchors of a page's headings, as GitHub and mdBook make them: in lower case, with hyphens
/// for spaces, without punctuation; repeated anchors are numbered.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut times = BTreeMap::new();
    let mut found = BTreeSet::new();
    for (_, heading) in split(text).1 {
        if !heading.starts_with('#') {
            continue;
        }
        let kept = heading.trim_start_matches('#').trim().chars();
        let kept = kept.filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        let name = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let times = times.entry(name.clone()).or_insert(0_usize);
        found.insert(match *times {
            0 => name,
            again => format!("{name}-{again}"),
        });
        *times += 1;
    }
    found
}

/// The reason why the link to `target` does not resolve; `None` if it does. `from` and `text` are
/// the path and the text of the page with the link.
fn leads_nowhere(from: &Path, text: &str, target: &str) -> Option<String> {
    if target.contains("://") {
        return None;
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = match file {
        "" => from.to_owned(),
        file => from.with_file_name("").join(file),
    };
    if !file.is_empty() && !path.exists() {
        return Some(format!("{target}: no such file"));
    }
    if heading.is_empty() {
        return None;
    }
    let known = match file {
        "" => anchors(text),
        _ => anchors(&std::fs::read_to_string(&path).expect("a page")),
    };
    (!known.contains(heading)).then(|| format!("{target}: no such heading"))
}

#[test]
fn every_link_resolves() {
    let mut seen = 0;
    for page in pages() {
        for (line, target) in links(&page.text) {
            seen += 1;
            let why = leads_nowhere(&page.path, &page.text, target);
            assert_eq!(why, None, "{}:{line}", page.path.display());
        }
    }
    assert!(seen > 100, "only {seen} links were found");
}

#[test]
fn dead_links_are_found() {
    let text = "# One `two`, three\n## A\n## A\n[a](#a-1) [b](#one-two-three) [c](#a-2)\n\
                [d](gates.md#gates) [e](gates.md#gate) [f](gatess.md) [g](https://example.org/#x)\n";
    let from = root().join("docs/page.md");
    let wrong = links(text).into_iter();
    let wrong: Vec<String> = wrong
        .filter_map(|(_, target)| leads_nowhere(&from, text, target))
        .collect();
    let expected = [
        "#a-2: no such heading",
        "gates.md#gate: no such heading",
        "gatess.md: no such file",
    ];
    assert_eq!(wrong, expected);
}

#[test]
fn the_contents_list_every_page_once() {
    let summary = read("docs/SUMMARY.md");
    let mut listed: Vec<String> = links(&summary)
        .into_iter()
        .map(|(_, target)| format!("docs/{target}"))
        .collect();
    let mut written = pages_below("docs");
    written.retain(|path| path != "docs/SUMMARY.md");
    listed.sort();
    written.sort();
    assert_eq!(listed, written, "docs/SUMMARY.md and the pages of docs/");
}

/// A scenario on a page, which the reader is to save as a file.
struct Shown {
    /// The page, such as `docs/howto/capacity.md`.
    page: String,
    name: String,
    text: String,
}

impl Shown {
    /// The path at which the reader saves the scenario.
    fn file(&self) -> String {
        format!("scenarios/{}.yaml", self.name)
    }

    fn needs_no_server(&self) -> bool {
        self.text.contains("kind: embedded")
    }
}

/// The pages with steps to follow.
fn guides() -> Vec<Page> {
    let mut guides = pages();
    let folders = [root().join("docs/start"), root().join("docs/howto")];
    guides.retain(|page| folders.iter().any(|folder| page.path.starts_with(folder)));
    assert!(guides.len() >= 9, "guides are missing");
    guides
}

/// The scenarios of a page.
fn scenarios(page: &Page) -> Vec<Shown> {
    let fences = split(&page.text).0.into_iter();
    let fences = fences.filter(|fence| fence.info == "yaml scenario");
    let shown = fences.map(|fence| {
        let named = fence
            .body
            .iter()
            .find_map(|line| line.strip_prefix("name: "));
        Shown {
            page: in_docs(page),
            name: named.expect("a name").to_owned(),
            text: fence.body.join("\n"),
        }
    });
    shown.collect()
}

/// A page's path relative to the root of the repository.
fn in_docs(page: &Page) -> String {
    let path = page.path.strip_prefix(root()).expect("in the repository");
    path.display().to_string()
}

/// The scenario files in the commands of a page.
fn files_named(page: &Page) -> BTreeSet<String> {
    let fences = split(&page.text).0.into_iter();
    let shell = fences.filter(|fence| fence.info == "sh");
    let all = shell.flat_map(|fence| fence.body.into_iter().flat_map(words));
    all.filter(|word| word.ends_with(".yaml")).collect()
}

/// A folder written by `loadgen init`, with these scenarios saved in it.
fn folder_of_a_reader(shown: &[Shown]) -> TempDir {
    let folder = TempDir::with_prefix("loadgen-book-").expect("a folder");
    let init = Loadgen::new(["init"]).arg(folder.path()).run();
    init.assert_code(0);
    for scenario in shown {
        let file = folder.path().join(scenario.file());
        assert!(!file.exists(), "{}: {}", scenario.page, scenario.name);
        std::fs::write(file, &scenario.text).expect("writable");
    }
    folder
}

#[test]
fn scenario_files_named_in_guides_exist() {
    for page in guides() {
        let (shown, named, at) = (scenarios(&page), files_named(&page), in_docs(&page));
        let folder = folder_of_a_reader(&shown);
        for file in &named {
            assert!(
                folder.path().join(file).exists(),
                "{at}: there is no {file}"
            );
        }
        for scenario in &shown {
            let file = scenario.file();
            assert!(named.contains(&file), "{at}: no command uses {file}");
            let told = format!("Save this as `{}`", scenario.file());
            assert!(page.text.contains(&told), "{at}: {told}");
            for command in ["validate", "plan"] {
                let file = folder.path().join(scenario.file());
                Loadgen::new([command]).arg(file).run().assert_code(0);
            }
        }
        let is_how_to = at.starts_with("docs/howto/");
        assert!(!is_how_to || !shown.is_empty(), "{at} shows no scenario");
    }
}

#[test]
fn guide_scenarios_that_need_no_server_run() {
    let mut shown: Vec<Shown> = guides().iter().flat_map(scenarios).collect();
    shown.retain(Shown::needs_no_server);
    assert!(shown.len() >= 4, "only {} scenarios", shown.len());
    let folder = folder_of_a_reader(&shown);
    let start = |scenario: &Shown| -> Running {
        let file = folder.path().join(scenario.file());
        Loadgen::new(["run", "--out", "run"]).arg(file).spawn()
    };
    let running: Vec<Running> = shown.iter().map(start).collect();
    for (scenario, running) in shown.iter().zip(running) {
        let run = running.finish();
        let reports = Reports::read(&run.dir().join("run"));
        let page = read(&scenario.page);
        let screen = |verdict: &str| format!("```text\n{verdict:<12}{}\n", scenario.name);
        let fails = page.contains(&screen("FAILED"));
        reports.assert_answered(&run.finished, if fails { 99 } else { 0 });
        if fails || page.contains(&screen("PASSED")) {
            assert_shown(&scenario.page, &run.finished.stdout, &reports.summary);
        }
        for fence in split(&page).0 {
            if fence.info == "python" && fence.body.contains(&"run = sys.argv[1]") {
                reads_every_turn(&fence.body.join("\n"), &reports);
            }
        }
    }
}

/// Runs a page's Python program on a run folder; checks that it prints a line for every turn.
fn reads_every_turn(program: &str, reports: &Reports) {
    let output = Command::new("python3")
        .args(["-c", program])
        .arg(reports.folder())
        .output()
        .expect("python3 starts");
    let (printed, said) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}");
    assert_eq!(printed.lines().count(), reports.turns.len(), "{printed}");
    for row in &reports.turns {
        assert!(printed.contains(&row["ttfa_ms"]), "{row:?}: {printed}");
    }
}
