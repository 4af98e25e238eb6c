//! The error of figures while the generator is starved of CPU (docs/accuracy.md,
//! "With a starved generator": check 7).
//!
//! In: nothing; `LOADGEN_FULL=1` measures at full size, applies the limits, and needs the machine
//! to itself. Out: tables (`--nocapture`). Invariants: only the generator is starved, never the
//! agent or the server; the truth is the agent's own.

#[path = "truth/errors.rs"]
pub mod errors;
pub mod support;
#[path = "truth/truth.rs"]
pub mod truth;

use errors::{Error, Errors};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use support::os::pin;
use support::{LivekitServer, Loadgen, Reports, full, in_repo, is_running};

/// Time for which the generator runs undisturbed while calls are set up.
const SETTLE: Duration = Duration::from_secs(2);
/// Number of busy threads that share the generator's only core.
const BUSY: usize = 2;

/// How the generator is starved of CPU.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Starved {
    /// Not at all: the reference for the others.
    No,
    /// All of its threads pinned to one core, which busy loops share.
    Pinned,
    /// Stopped for 50 ms at intervals.
    Stopped,
}

/// Binds all current threads of a process to one core; threads that they start inherit it.
fn pin_all(pid: u32, core: usize) {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter();
    for task in tasks.flatten().flatten() {
        if let Ok(id) = task.file_name().to_string_lossy().parse() {
            pin(id, core);
        }
    }
}

/// `pid`: a child of ours that has not been reaped.
fn signal(pid: u32, signal: Signal) {
    // The process may have ended.
    let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
}

/// Starves a process until `over` is set.
fn starve(pid: u32, how: Starved, over: &Arc<AtomicBool>) {
    std::thread::sleep(SETTLE);
    match how {
        Starved::No => {}
        Starved::Pinned => {
            let core = std::thread::available_parallelism().map_or(1, usize::from) - 1;
            pin_all(pid, core);
            let busy = || {
                let over = over.clone();
                std::thread::spawn(move || {
                    pin(0, core);
                    while !over.load(Relaxed) {
                        std::hint::spin_loop();
                    }
                })
            };
            let busy: Vec<_> = (0..BUSY).map(|_| busy()).collect();
            for thread in busy {
                thread.join().expect("a busy loop ends");
            }
        }
        Starved::Stopped => {
            // Wait 0.2 to 1.2 s between stops, from a pseudorandom sequence.
            let mut state = 12_345u64;
            while !over.load(Relaxed) && is_running(pid) {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                std::thread::sleep(Duration::from_millis(200 + (state >> 33) % 1_000));
                signal(pid, Signal::SIGSTOP);
                std::thread::sleep(Duration::from_millis(50));
                signal(pid, Signal::SIGCONT);
            }
        }
    }
}

fn scenario(callers: usize, turns: usize) -> String {
    let fixture = in_repo("fixtures/yes.wav");
    let pause = "delay: {min: 50ms, max: 250ms}";
    let first = format!("    - {{say: yes, start: {{after: call_start, {pause}}}, timeout: 5s}}\n");
    let turn =
        format!("    - {{say: yes, start: {{after: previous_turn, {pause}}}, timeout: 5s}}\n");
    format!(
        "version: 1\nname: starved\nseed: 11\ntarget: {{kind: livekit}}\n\
         utterances: {{yes: {{file: {}}}}}\ncall:\n  greeting: none\n  turns:\n{first}{}\
         load: {{calls: {callers}, ramp: {}ms}}\n",
        fixture.display(),
        turn.repeat(turns - 1),
        20 * callers,
    )
}

/// Makes a run; returns the errors of its turns, and the number of planned turns.
fn measure(server: &LivekitServer, how: Starved, callers: usize, turns: usize) -> (Errors, usize) {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("truth.jsonl");
    let truth_flag = format!("--truth={}", file.display());
    let mut agent = Loadgen::agent(server, &["--reply-length=300ms", &truth_flag]);
    let run = Loadgen::new(["run", "starved.yaml", "--out", "run"]).on(server);
    std::fs::write(run.dir().join("starved.yaml"), scenario(callers, turns)).expect("writable");
    let run = run.deadline(Duration::from_secs(1_500)).spawn();
    let over = Arc::new(AtomicBool::new(false));
    let (pid, told) = (run.pid(), over.clone());
    let starving = std::thread::spawn(move || starve(pid, how, &told));
    let run = run.finish();
    over.store(true, Relaxed);
    starving.join().expect("starving ends with the run");
    agent.process().send_signal(libc::SIGTERM);
    agent.finish().assert_code(0);

    let reports = Reports::read(&run.dir().join("run"));
    let errors = truth::errors(&reports.turns, &truth::read(&file), "late_send");
    println!(
        "{how:?}, {callers} callers: {} missed, send lateness p50 {} p99 {} ms, {}",
        reports.count("/outcomes/missed"),
        reports.number("/generator/tick_lateness_ms/p50"),
        reports.number("/generator/tick_lateness_ms/p99"),
        reports.summary["verdict"]["status"],
    );
    println!("    all: {errors}");
    println!("    unflagged: {}", errors.unflagged());
    (errors, callers * turns)
}

#[test]
fn unflagged_figures_of_a_starved_generator_are_accurate() {
    let server = LivekitServer::start();
    let sizes: &[(usize, usize)] = if full() {
        &[(50, 20), (1, 200)]
    } else {
        &[(5, 8)]
    };
    for &(callers, turns) in sizes {
        let (plain, _) = measure(&server, Starved::No, callers, turns);
        let usual = plain.median();
        for how in [Starved::Pinned, Starved::Stopped] {
            let (errors, planned) = measure(&server, how, callers, turns);
            let unflagged = errors.unflagged();
            println!(
                "    unflagged, minus {usual:+.2} ms: {}",
                unflagged.less(usual)
            );
            assert!(errors.0.len() * 2 >= planned, "{how:?}: {errors}");
            assert!(
                unflagged.less(usual).median().abs() <= 20.0,
                "{how:?}: {errors}"
            );
            let far = |e: &&Error| (e.ms - usual).abs() > 20.0;
            let far: Vec<_> = unflagged.0.iter().filter(far).collect();
            println!("    unflagged and off by more than 20 ms: {}", far.len());
            if full() {
                let p99 = if callers == 1 { 3.0 } else { 5.0 };
                assert!(far.is_empty(), "{how:?}: {far:?}");
                assert!(unflagged.less(usual).bias().abs() <= 1.0, "{how:?}");
                assert!(unflagged.less(usual).within(0.99) <= p99, "{how:?}");
            }
        }
    }
}
