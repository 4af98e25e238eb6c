//! Runs that do not end as planned: signals, a crash, an agent that is killed.

use crate::support::reports::{journal, prefix};
use crate::support::{LivekitServer, Loadgen, Reports, Running, Shared, Small, poll};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const CALLS: usize = 20;
/// Maximum time between a signal and the end of the run.
const STOPPING: Duration = Duration::from_secs(5);

/// A server with its own agent.
struct Stage {
    _agent: Running,
    server: LivekitServer,
}

static STAGE: Shared<Stage> = Shared::new();
/// Twenty concurrent calls keep two cores busy, so these tests run one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn stage() -> (std::sync::Arc<Stage>, MutexGuard<'static, ()>) {
    let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let made = STAGE.get(|| {
        let server = LivekitServer::start();
        Stage {
            _agent: Loadgen::agent(&server, &["--reply-length", "300ms"]),
            server,
        }
    });
    (made, turn)
}

fn rooms(server: &LivekitServer, prefix: &str) -> Vec<String> {
    let names = server.rooms().into_iter().map(|r| r.name);
    names.filter(|n| n.starts_with(prefix)).collect()
}

/// Starts a run of many calls and returns when some turns have ended and more are under way.
fn in_the_middle(server: &LivekitServer, state: &Path) -> (Running, PathBuf) {
    let run = Loadgen::new(["run", "small.yaml", "--out", "run"])
        .on(server)
        .env("XDG_STATE_HOME", state);
    let small = Small {
        turns: 20,
        calls: CALLS,
        ..Small::default()
    };
    small.write(run.dir());
    let run = run.spawn();
    let folder = run.dir().join("run");
    let begun = poll(Duration::from_secs(60), || {
        (journal(&folder).len() >= CALLS).then_some(())
    });
    begun.expect("turns end");
    (run, folder)
}

fn stopped_by(signal: libc::c_int) {
    let (stage, _turn) = stage();
    let state = tempfile::tempdir().expect("a folder");
    let (run, folder) = in_the_middle(&stage.server, state.path());
    let signalled = Instant::now();
    run.send_signal(signal);
    let run = run.finish();
    let took = signalled.elapsed();
    run.assert_code(105);
    println!("signal {signal}: {took:?}");
    assert!(took < STOPPING, "{took:?}");

    let reports = Reports::read(&folder);
    assert_eq!(reports.summary["verdict"]["status"], "stopped");
    assert_eq!(reports.count("/calls/started"), CALLS as u64);
    assert_eq!(
        reports.turns.len(),
        CALLS * 20,
        "a row for every turn of every call that started"
    );
    assert_eq!(reports.journal.len(), CALLS * 20);
    assert!(reports.count("/outcomes/replied") >= 1);
    // Nothing failed: turns under way were cut off, at most one per call, and the rest did not run.
    let (cut_off, not_run) = (
        reports.count("/outcomes/cut_off"),
        reports.count("/outcomes/not_run"),
    );
    assert!(
        (1..=CALLS as u64).contains(&cut_off),
        "{:#}",
        reports.summary
    );
    assert!(not_run >= CALLS as u64, "{:#}", reports.summary);
    assert_eq!(reports.count("/outcomes/failed"), 0);
    assert_eq!(reports.count("/calls/failed"), 0);
    assert_eq!(reports.count("/calls/cut_off"), CALLS as u64);
    assert_eq!(reports.summary["failures"], serde_json::json!([]));
    assert_eq!(
        rooms(&stage.server, &reports.room_prefix()),
        Vec::<String>::new()
    );
    assert!(
        run.finished.stdout.contains("STOPPED"),
        "{}",
        run.finished.stdout
    );
    let noted = std::fs::read_dir(state.path().join("loadgen/runs")).expect("a ledger");
    assert_eq!(noted.count(), 0, "the run has cleaned up");
}

#[test]
fn a_run_stopped_by_sigint_writes_its_report() {
    stopped_by(libc::SIGINT);
}

#[test]
fn a_run_stopped_by_sigterm_writes_its_report() {
    stopped_by(libc::SIGTERM);
}

#[test]
fn a_run_stopped_by_sighup_writes_its_report() {
    stopped_by(libc::SIGHUP);
}

#[test]
fn the_next_run_deletes_the_rooms_of_a_crashed_one() {
    let (stage, _turn) = stage();
    let state = tempfile::tempdir().expect("a folder");
    let (run, folder) = in_the_middle(&stage.server, state.path());
    run.send_signal(libc::SIGKILL);
    let run = run.finish();
    assert_eq!(run.finished.signal, Some(libc::SIGKILL));
    let turns = journal(&folder);
    assert!(!folder.join("summary.json").exists());
    let crashed = prefix(turns[0]["room"].as_str().expect("a room")).to_owned();
    // The additional room is the sentinel call's.
    assert_eq!(
        rooms(&stage.server, &crashed).len(),
        CALLS + 1,
        "nothing has deleted them yet"
    );

    let next = Loadgen::new(["run", "small.yaml", "--out", "run"])
        .on(&stage.server)
        .env("XDG_STATE_HOME", state.path());
    Small::default().write(next.dir());
    let next = next.run();
    Reports::read(&next.dir().join("run")).assert_good(&next.finished);
    assert_eq!(rooms(&stage.server, &crashed), Vec::<String>::new());
    let said = &next.finished.stderr;
    assert!(
        said.contains(&format!("rooms of a run that crashed ({crashed}*)")),
        "{said}"
    );
}

#[test]
fn a_killed_agent_fails_its_calls_but_not_the_run() {
    let server = LivekitServer::start();
    let agent = Loadgen::agent(&server, &["--reply-length", "300ms"]);
    let run = Loadgen::new(["run", "small.yaml", "--out", "run"]).on(&server);
    let small = Small {
        turns: 8,
        calls: 3,
        ..Small::default()
    };
    small.write(run.dir());
    let run = run.spawn();
    let folder = run.dir().join("run");
    poll(Duration::from_secs(60), || {
        (journal(&folder).len() >= 3).then_some(())
    })
    .expect("turns end");
    agent.send_signal(libc::SIGKILL);
    let run = run.finish();

    let reports = Reports::read(&folder);
    assert_eq!(reports.turns.len(), 24, "{:#}", reports.summary);
    let (replied, lost) = (
        reports.count("/outcomes/replied"),
        reports.count("/outcomes/missed") + reports.count("/outcomes/failed"),
    );
    assert_eq!(replied + lost, 24, "{:#}", reports.summary);
    assert!(replied >= 3 && lost >= 3, "{replied} replied, {lost} lost");
    for failure in reports.summary["failures"].as_array().expect("a list") {
        assert_eq!(failure["cause"], "agent_left", "{failure}");
    }
    println!(
        "{lost} of 24 turns lost, failures {}",
        reports.summary["failures"]
    );
    // The scenario has no thresholds: the code is 0 if a call completed, else 1.
    let code = match reports.count("/calls/completed") {
        0 => 1,
        _ => 0,
    };
    assert!(
        [code, 110].contains(&run.finished.code.expect("a code")),
        "{:?}",
        run.finished
    );
    assert_eq!(rooms(&server, &reports.room_prefix()), Vec::<String>::new());
}
