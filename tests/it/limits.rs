//! Runs that need more than the system allows: refused before the first call, or allowed by
//! raising a soft limit.

use crate::support::{Loadgen, Reports, in_repo};
use std::path::{Path, PathBuf};

/// Forty concurrent calls of one turn each.
fn scenario() -> String {
    format!(
        "version: 1\nname: many\ntarget: {{kind: embedded, agent: {{delay: 300ms, reply_length: 300ms}}}}\n\
         utterances: {{yes: {{file: {}}}}}\n\
         call:\n  greeting: none\n  turns: [{{say: yes, start: {{after: call_start, delay: 200ms}}, timeout: 4s}}]\n\
         load: {{calls: 40, ramp: 1s}}\nsentinels: off\n",
        in_repo("fixtures/yes.wav").display()
    )
}

/// The program with these limits on open files.
fn limited(soft: u64, hard: u64) -> Loadgen {
    let run = Loadgen::new(["run", "many.yaml", "--out", "run"]).open_files(soft, hard);
    std::fs::write(run.dir().join("many.yaml"), scenario()).expect("a writable folder");
    run
}

#[test]
fn a_soft_limit_on_open_files_is_raised() {
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
fn a_run_beyond_the_hard_limit_is_refused_before_its_first_call() {
    let run = limited(45, 45).run();
    run.assert_code(1);
    let told = &run.finished.stderr;
    assert!(told.contains("needs 104 file descriptors"), "{told}");
    assert!(told.contains("allows this process 45"), "{told}");
    assert!(told.contains("ulimit -n 104"), "{told}");
    assert!(!run.dir().join("run").exists(), "no run folder is left");
}

/// A call to an old LiveKit server needs two sockets for media besides the one for signalling. Only
/// the first call shows whether the server is old, so the check before that call counts three.
#[test]
fn a_livekit_call_counts_as_three_descriptors() {
    let scenario = scenario().replace(
        "{kind: embedded, agent: {delay: 300ms, reply_length: 300ms}}",
        "{kind: livekit}",
    );
    let commands: [&[&str]; 2] = [
        &["run", "many.yaml", "--out", "run"],
        &["capacity", "many.yaml", "--max", "40"],
    ];
    for command in commands {
        // Enough for two descriptors per call. Nothing listens at the URL: the run must
        // fail before it connects.
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

/// A control group, removed when the value is dropped.
struct ControlGroup(PathBuf);

impl ControlGroup {
    /// A group that may use a twentieth of a core.
    fn of_a_twentieth() -> Self {
        let mount = Path::new("/sys/fs/cgroup");
        let name = format!("loadgen-test-{}", std::process::id());
        let version_1 = mount.join("cpu");
        let (group, limits) = match version_1.is_dir() {
            true => {
                let limits = [
                    ("cpu.cfs_period_us", "100000"),
                    ("cpu.cfs_quota_us", "5000"),
                ];
                (Self(version_1.join(name)), limits.to_vec())
            }
            false => (Self(mount.join(name)), vec![("cpu.max", "5000 100000")]),
        };
        std::fs::create_dir(&group.0).expect("a control group");
        for (file, limit) in limits {
            std::fs::write(group.0.join(file), limit).expect("a limit");
        }
        group
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // A process that has just ended may still be in the group.
        for _ in 0..50 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

#[test]
#[ignore = "needs root and a control group of its own; scripts/test runs this test if possible"]
fn a_container_that_throttles_the_generator_is_reported_as_the_cause() {
    let group = ControlGroup::of_a_twentieth();
    let run = Loadgen::new(["run", "many.yaml", "--out", "run"]).control_group(&group.0);
    std::fs::write(run.dir().join("many.yaml"), scenario()).expect("a writable folder");
    let run = run.run();
    run.assert_code(110);
    // Undo the wrapping of the text.
    let told: Vec<&str> = run.finished.stdout.split_whitespace().collect();
    let told = told.join(" ");
    assert!(
        told.contains("its control group (container) is limited to 0.05 cores"),
        "{told}"
    );
    let reports = Reports::read(&run.dir().join("run"));
    let generator = |field: &str| reports.summary["generator"][field].as_f64();
    assert_eq!(generator("cpu_limit_cores"), Some(0.05));
    assert!(
        generator("throttled").is_some_and(|share| share > 0.05),
        "{:?}",
        generator("throttled")
    );
}
