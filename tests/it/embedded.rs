//! Runs against the embedded agent: a new user's first commands, and the files that runs leave.

use crate::support::reports::{journal, median, only_run};
use crate::support::screen::assert_shown;
use crate::support::{Loadgen, Reports, children, in_repo, is_running, poll};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The delay that the scenario sets for the embedded agent, in ms.
const DELAY: f64 = 400.0;
/// Maximum error of the median latency on a busy machine, in ms; 25 is enough on an idle one.
const BOUND: f64 = 60.0;
const CALLS: u64 = 5;
const TURNS: u64 = 15;

/// One call of one turn.
const SHORT: &str = "\
version: 1
name: short
target: {kind: embedded, agent: {delay: 400ms, reply_length: 300ms}}
utterances:
  yes: {file: FIXTURES/yes.wav}
call:
  greeting: none
  turns: [{say: yes, start: {after: call_start, delay: 100ms}, timeout: 4s}]
";

/// Writes [`SHORT`] followed by `more` into the run's folder.
fn short(run: &Loadgen, more: &str) {
    let fixtures = in_repo("fixtures");
    let text = SHORT.replace("FIXTURES", &fixtures.display().to_string());
    std::fs::write(run.dir().join("short.yaml"), text + more).expect("writable");
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder).expect("a folder");
    let files = files.map(|f| f.expect("an entry").path());
    files
        .map(|f| (f.display().to_string(), std::fs::read(&f).expect("a file")))
        .collect()
}

#[test]
fn the_quickstart_measures_its_agents_delay() {
    let scenario = in_repo("scenarios/quickstart.yaml");
    let mut run = Loadgen::new(["run", "--out", "run"]).arg(scenario).spawn();
    let agents = poll(Duration::from_secs(10), || {
        Some(children(run.pid())).filter(|found| !found.is_empty())
    });
    let agents = agents.expect("the embedded agent is a child process");
    run.process().close_stdin();
    let run = run.finish();

    assert!(agents.iter().all(|pid| !is_running(*pid)), "{agents:?}");
    let reports = Reports::read(&run.dir().join("run"));
    reports.assert_good(&run.finished);
    assert!(
        !reports.folder().join("evidence").exists(),
        "no evidence was requested"
    );
    assert!(run.finished.took < Duration::from_secs(30));
    assert_eq!(reports.count("/calls/completed"), CALLS);
    assert_eq!(reports.count("/outcomes/planned"), TURNS);
    assert_eq!(reports.turns.len() as u64, TURNS);
    assert_eq!(reports.journal.len() as u64, TURNS);
    has_all_fields(&reports.summary);

    let number = |row: &BTreeMap<String, String>, column: &str| -> f64 {
        row[column]
            .parse()
            .unwrap_or_else(|_| panic!("{column}: {row:?}"))
    };
    for row in &reports.turns {
        assert_eq!(row["outcome"], "replied", "{row:?}");
        let parts = number(row, "ttfa_wire_ms") + number(row, "playout_ms");
        assert!((number(row, "ttfa_ms") - parts).abs() < 1e-6, "{row:?}");
    }
    let playout = median(
        reports
            .turns
            .iter()
            .map(|r| number(r, "playout_ms"))
            .collect(),
    );
    let (ttfa, wire) = (
        reports.number("/metrics/ttfa/p50_ms"),
        reports.number("/metrics/ttfa_wire/p50_ms"),
    );
    println!("ttfa p50 {ttfa} ms, wire {wire} ms, playout {playout} ms");
    assert!(
        (ttfa - DELAY - playout).abs() <= BOUND,
        "{ttfa} with {playout}"
    );
    assert!((wire - DELAY).abs() <= BOUND, "{wire}");
    let table = &run.finished.stdout;
    for word in ["ttfa", "p95", "replied", "report.html"] {
        assert!(table.contains(word), "{word} is not in:\n{table}");
    }
    assert!(table.lines().count() <= 40, "{table}");
    assert_shown("docs/start/quickstart.md", table, &reports.summary);
}

/// Checks the fields that readers may rely on.
fn has_all_fields(summary: &Value) {
    let mut pointers: Vec<String> = ["name", "seed", "target", "started_at", "duration_ms"]
        .map(|f| format!("/run/{f}"))
        .to_vec();
    pointers.push("/run/loadgen_version".to_owned());
    for metric in [
        "ttfa",
        "ttfa_wire",
        "join",
        "agent_present",
        "agent_audible",
        "greeting",
    ] {
        for figure in [
            "count", "min_ms", "mean_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms",
        ] {
            pointers.push(format!("/metrics/{metric}/{figure}"));
        }
    }
    pointers.extend(["replied", "missed", "early", "failed"].map(|o| format!("/outcomes/{o}")));
    pointers.extend(["p50", "p99", "max"].map(|q| format!("/generator/tick_lateness_ms/{q}")));
    let health = [
        "cpu_cores",
        "rss_bytes",
        "packets_out_per_s",
        "packets_in_per_s",
    ];
    pointers.extend(health.map(|f| format!("/generator/{f}")));
    pointers.extend(["/version", "/verdict/status", "/failures"].map(str::to_owned));
    let silent = |p: &str| p.starts_with("/metrics/greeting/") && !p.ends_with("count");
    for pointer in pointers {
        let value = summary.pointer(&pointer);
        assert!(value.is_some(), "no {pointer} in {summary:#}");
        assert_eq!(value == Some(&Value::Null), silent(&pointer), "{pointer}");
    }
    for health in [
        "cpu_cores",
        "rss_bytes",
        "packets_out_per_s",
        "packets_in_per_s",
    ] {
        assert!(
            summary["generator"][health].as_f64() > Some(0.0),
            "{health}"
        );
    }
    assert_eq!(summary["version"], 2);
    assert_eq!(summary["run"]["name"], "quickstart");
}

#[test]
fn the_builtin_quickstart_needs_no_files_and_prints_only_json() {
    let run = Loadgen::new(["run", "quickstart", "--json"]).run();
    let reports = Reports::read(&only_run(run.dir()));
    reports.assert_good(&run.finished);
    let printed: Value = serde_json::from_str(&run.finished.stdout).expect("JSON only");
    assert_eq!(printed, reports.summary);
    let name = reports
        .folder()
        .file_name()
        .expect("a name")
        .to_string_lossy();
    assert!(name.ends_with("Z-quickstart"), "{name}");
    let left: Vec<_> = contents_of_dir(run.dir());
    assert_eq!(left, ["reports"]);
}

fn contents_of_dir(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("a folder").flatten();
    entries
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn the_quickstart_written_by_init_passes() {
    let written = Loadgen::new(["init", "examples"]).run();
    written.assert_code(0);
    let scenario = written.dir().join("examples/scenarios/quickstart.yaml");
    for line in written.finished.stdout.lines() {
        assert!(written.dir().join(line).is_file(), "{line}");
    }
    let run = Loadgen::new(["run", "--quiet", "--out", "run"])
        .arg(scenario)
        .run();
    Reports::read(&run.dir().join("run")).assert_good(&run.finished);
    assert_eq!(run.finished.stdout, "", "`--quiet` prints no table");
}

#[test]
fn a_failed_gate_exits_with_99_and_no_run_is_overwritten() {
    let run = Loadgen::new(["run", "short.yaml", "--out", "run"]);
    short(&run, "thresholds: {ttfa: [\"p(95)<100ms\"]}\n");
    let run = run.run();
    let reports = Reports::read(&run.dir().join("run"));
    let verdict = &reports.summary["verdict"];
    let slow = verdict["reasons"]
        .to_string()
        .contains("the generator was too slow");
    run.assert_code(if slow { 110 } else { 99 });
    assert_eq!(verdict["gates"][0]["verdict"], "failed");
    assert!(
        verdict["reasons"].to_string().contains("ttfa p(95)<100ms"),
        "{verdict}"
    );

    let before = contents(reports.folder());
    let again = Loadgen::new(["run", "quickstart", "--out"])
        .arg(reports.folder())
        .run();
    again.assert_code(1);
    let said = &again.finished.stderr;
    assert!(said.contains("already holds a finished run"), "{said}");
    assert!(said.contains("hint: "), "{said}");
    assert_eq!(contents(reports.folder()), before);
}

#[test]
fn a_refuted_gate_with_abort_on_fail_ends_the_run() {
    let run = Loadgen::new(["run", "short.yaml", "--out", "run"]);
    let more = "load: {duration: 2m, concurrency: 5}\nthresholds:\n  ttfa:\n    \
                - {expr: p(95)<100ms, abort_on_fail: true, delay: 1s}\n";
    short(&run, more);
    let run = run.run();
    let reports = Reports::read(&run.dir().join("run"));
    let verdict = &reports.summary["verdict"];
    let reasons = verdict["reasons"].to_string();
    let slow = reasons.contains("the generator was too slow");
    run.assert_code(if slow { 110 } else { 99 });
    assert!(
        run.finished.took < Duration::from_secs(60),
        "the whole run would take two minutes"
    );
    assert!(
        reasons.contains("ended early: ttfa p(95)<100ms was refuted"),
        "{verdict:#}"
    );
    assert_eq!(verdict["gates"][0]["answer"], "fail", "{verdict:#}");
    // Turns cut off by the end of the run do not count towards any gate.
    assert_eq!(
        verdict["gates"][0]["n"],
        reports.count("/outcomes/replied"),
        "{verdict:#}"
    );
    let said = &run.finished.stderr;
    assert!(
        said.contains("ttfa p(95)<100ms is refuted: the run ends here"),
        "{said}"
    );
}

#[test]
fn a_threshold_flag_replaces_the_scenarios_thresholds() {
    let gates = [
        "--threshold",
        "ttfa: max<9s",
        "--threshold",
        "missed: rate<=0",
    ];
    let run = Loadgen::new(
        ["run", "short.yaml", "--out", "run"]
            .into_iter()
            .chain(gates),
    );
    short(&run, "thresholds: {ttfa: [\"max<100ms\"]}\n");
    let run = run.run();
    let reports = Reports::read(&run.dir().join("run"));
    reports.assert_good(&run.finished);
    let gates = reports.summary["verdict"]["gates"]
        .as_array()
        .expect("a list");
    let told: Vec<_> = gates
        .iter()
        .map(|g| (&g["expression"], &g["answer"]))
        .collect();
    assert_eq!(
        told,
        [
            (&"max<9s".into(), &"pass".into()),
            (&"rate<=0".into(), &"pass".into())
        ]
    );

    let nonsense = Loadgen::new(["run", "quickstart", "--threshold", "ttfa: p95<1s"]).run();
    nonsense.assert_code(2);
    let said = &nonsense.finished.stderr;
    assert!(
        said.contains("| ttfa: p95<1s\n   |       ^\n  hint: write `p(95)`"),
        "{said}"
    );
}

#[test]
fn a_killed_run_keeps_its_turns_and_leaves_no_agent_running() {
    let run = Loadgen::new(["run", "short.yaml", "--out", "run", "--duration", "1m"]);
    short(&run, "");
    let run = run.spawn();
    let folder = run.dir().join("run");
    poll(Duration::from_secs(30), || {
        (!journal(&folder).is_empty()).then_some(())
    })
    .expect("a turn ends");
    let agents = children(run.pid());
    assert!(!agents.is_empty());
    run.send_signal(libc::SIGKILL);
    let run = run.finish();
    assert_eq!(run.finished.signal, Some(libc::SIGKILL));

    let turns = journal(&folder);
    assert_eq!(turns[0]["outcome"], "replied", "{turns:?}");
    assert!(
        !folder.join("summary.json").exists(),
        "a killed run has no summary"
    );
    let gone = || agents.iter().all(|pid| !is_running(*pid)).then_some(());
    poll(Duration::from_secs(10), gone).expect("the agent ends when its pipe closes");
}
