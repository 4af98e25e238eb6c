//! Every example scenario at a small size: through a real LiveKit server, or embedded.
//!
//! All run at once, so only outcomes are checked: latencies are meaningless here. This file's name
//! sorts first, so that its test starts first: it needs the machine to itself, and if it started
//! later, it would have to wait for the longest of the other tests.

use crate::support::{LivekitServer, Loadgen, Reports, in_repo};
use std::collections::BTreeSet;
use std::time::Duration;

/// An example, the variables and flags that make it small, and its minimum number of replies.
type Example = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
    u64,
);

/// Shows what troubles look like: its calls fail on purpose.
const TROUBLED: Example = ("troubles", &[], &["--rooms", "6"], 4);

const EXAMPLES: &[Example] = &[
    ("100-calls", &[], &["--rooms", "2"], 6),
    ("bad-networks", &[], &["--rooms", "4"], 4),
    ("capacity", &[], &["--rooms", "2"], 8),
    ("ci-gate", &[], &["--rooms", "2"], 8),
    (
        "compare-providers",
        &[("WARMUP", "0")],
        &["--rooms", "4", "--concurrency", "4"],
        12,
    ),
    ("conversation", &[], &["--rooms", "2"], 2),
    ("fillers", &[], &["--rooms", "4"], 6),
    ("interruptions", &[], &["--rooms", "1"], 5),
    ("noisy-callers", &[], &["--rooms", "3"], 4),
    ("pipeline", &[], &["--rooms", "1"], 3),
    ("quickstart", &[], &["--rooms", "2"], 6),
    (
        "soak",
        &[("RAMP", "0s")],
        &["--duration", "4s", "--concurrency", "2"],
        6,
    ),
    (
        "spike",
        &[
            ("BASE", "1"),
            ("PEAK", "3"),
            ("BEFORE", "2s"),
            ("HOLD", "2s"),
            ("AFTER", "2s"),
        ],
        &[],
        9,
    ),
    ("track-changes", &[], &["--rooms", "2"], 4),
];

#[test]
fn every_example_has_an_expectation() {
    let files = std::fs::read_dir(in_repo("scenarios")).expect("scenarios");
    let names = files.map(|f| f.expect("an entry").path());
    let yaml = names.filter(|path| path.extension().is_some_and(|e| e == "yaml"));
    let there: BTreeSet<String> = yaml
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let here: BTreeSet<String> = (EXAMPLES.iter().chain([&TROUBLED]))
        .map(|e| e.0.to_owned())
        .collect();
    assert_eq!(there, here);
}

#[test]
fn every_example_begins_with_a_comment_and_is_valid() {
    for (name, ..) in EXAMPLES.iter().chain([&TROUBLED]) {
        let path = in_repo(&format!("scenarios/{name}.yaml"));
        let text = std::fs::read_to_string(&path).expect("readable");
        assert!(
            text.starts_with("# yaml-language-server: $schema=schema.json\n#\n# "),
            "{name}"
        );
        for command in ["validate", "plan"] {
            let run = Loadgen::new([command]).arg(&path).run();
            run.assert_code(0);
        }
    }
}

#[test]
fn every_example_runs() {
    let _machine = crate::alone();
    let server = LivekitServer::start();
    let delay = ["--delay", "300ms", "--reply-length", "300ms"];
    let _anybodys = Loadgen::agent(&server, &delay);
    let named = [&delay[..], &["--agent-name", "pipeline"]].concat();
    let _named = Loadgen::agent(&server, &named);
    let changes = "{publish_after: 500ms, republish: 50%}";
    let changes = [
        &delay[..],
        &["--agent-name", "changes", "--behaviour", changes],
    ]
    .concat();
    let _changes = Loadgen::agent(&server, &changes);
    let start = |(name, variables, flags, _): &(&str, &[(&str, &str)], &[&str], u64)| {
        let path = in_repo(&format!("scenarios/{name}.yaml"));
        let mut run = Loadgen::new(["run", "--quiet", "--out", "run"]).arg(path);
        for flag in *flags {
            run = run.arg(flag);
        }
        for (name, value) in *variables {
            run = run.env(name, value);
        }
        run.on(&server).deadline(Duration::from_secs(120)).spawn()
    };
    let running: Vec<_> = EXAMPLES.iter().map(start).collect();
    for (run, (name, .., least)) in running.into_iter().zip(EXAMPLES) {
        let run = run.finish();
        let reports = Reports::read(&run.dir().join("run"));
        let summary = &reports.summary;
        assert!(
            reports.count("/outcomes/replied") >= *least,
            "{name}: {summary:#}"
        );
        assert_eq!(reports.count("/outcomes/failed"), 0, "{name}: {summary:#}");
        assert_eq!(reports.count("/calls/failed"), 0, "{name}: {summary:#}");
        // A run this small has too few turns for some gates, and this machine may be busy.
        let code = run.finished.code;
        assert!(matches!(code, Some(0 | 99 | 110)), "{name}: {code:?}");
    }
    // Its calls fail on purpose, and each trouble has its own outcome.
    let run = start(&TROUBLED).finish();
    let reports = Reports::read(&run.dir().join("run"));
    for outcome in ["replied", "missed", "early", "failed"] {
        let count = reports.count(&format!("/outcomes/{outcome}"));
        assert!(count > 0, "{outcome}: {:#}", reports.summary);
    }
    let left = server.rooms().into_iter().map(|room| room.name);
    assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new());
}
