//! Runs that need more than the system allows: refused before the first call, or allowed by
//! raising a soft limit.

use crate::support::{Loadgen, Reports, in_repo};

/// Forty calls at once of one turn each.
fn scenario() -> String {
    format!(
        "version: 1\nname: many\ntarget: {{kind: embedded, agent: {{delay: 300ms, reply_length: 300ms}}}}\n\
         utterances: {{yes: {{file: {}}}}}\n\
         call:\n  greeting: none\n  turns: [{{say: yes, start: {{after: call_start, delay: 200ms}}, timeout: 4s}}]\n\
         load: {{calls: 40, ramp: 1s}}\nsentinels: off\n",
        in_repo("fixtures/yes.wav").display()
    )
}

/// The program with these limits of open files.
fn limited(soft: u64, hard: u64) -> Loadgen {
    let run = Loadgen::new(["run", "many.yaml", "--out", "run"]).open_files(soft, hard);
    std::fs::write(run.dir().join("many.yaml"), scenario()).expect("a writable folder");
    run
}

#[test]
fn a_soft_limit_is_raised() {
    let run = limited(45, 4_096).run();
    let reports = Reports::read(&run.dir().join("run"));
    assert_eq!(
        reports.count("/calls/completed"),
        40,
        "{}",
        run.finished.stderr
    );
    assert_eq!(reports.count("/outcomes/failed"), 0);
}

#[test]
fn a_hard_limit_refuses_the_run_before_its_first_call() {
    let run = limited(45, 45).run();
    run.assert_code(1);
    let told = &run.finished.stderr;
    assert!(told.contains("needs 104 file descriptors"), "{told}");
    assert!(told.contains("allows this process 45"), "{told}");
    assert!(told.contains("ulimit -n 104"), "{told}");
    assert!(!run.dir().join("run").exists(), "there is nothing to keep");
}

/// An old LiveKit server needs two sockets for media beside the one for signalling, and whether it
/// is old shows only in the first call: the check before it counts three.
#[test]
fn a_livekit_call_is_counted_with_three_descriptors() {
    let scenario = scenario().replace(
        "{kind: embedded, agent: {delay: 300ms, reply_length: 300ms}}",
        "{kind: livekit}",
    );
    let commands: [&[&str]; 2] = [
        &["run", "many.yaml", "--out", "run"],
        &["capacity", "many.yaml", "--max", "40"],
    ];
    for command in commands {
        // Enough for two descriptors a call. Nobody listens: the run must not get that far.
        let run = Loadgen::new(command)
            .open_files(45, 150)
            .env("LIVEKIT_URL", "ws://127.0.0.1:9")
            .env("LIVEKIT_API_KEY", "key")
            .env("LIVEKIT_API_SECRET", "a-secret-of-thirty-two-characters");
        std::fs::write(run.dir().join("many.yaml"), &scenario).expect("a writable folder");
        let run = run.run();
        run.assert_code(1);
        let told = &run.finished.stderr;
        assert!(told.contains("needs 184 file descriptors"), "{told}");
    }
}
