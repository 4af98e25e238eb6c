//! Runs whose process is suspended for a while, and runs in which one part, or the disk, hangs.

use crate::in_process::{scenario, settings};
use crate::support::process::Stream;
use crate::support::reports::journal;
use crate::support::{Loadgen, Reports, Running, in_repo, poll};
use loadgen::plan::Plan;
use loadgen::record::Journal;
use loadgen::run::{Alarm, Clock, RunSettings, Watchdog, WatchedPart, run};
use loadgen::targets::in_process::InProcess;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// A call of twelve turns that are answered after 300 ms.
fn twelve_turns() -> String {
    let first = "    - {say: yes, start: {after: call_start, delay: 200ms}, timeout: 4s}\n";
    let next = "    - {say: yes, start: {delay: 200ms}, timeout: 4s}\n";
    format!(
        "version: 1\nname: twelve\ntarget: {{kind: embedded, agent: {{delay: 300ms, reply_length: 300ms}}}}\n\
         utterances: {{yes: {{file: {}}}}}\ncall:\n  greeting: none\n  turns:\n{first}{}load: {{calls: 1}}\nsentinels: off\n",
        in_repo("fixtures/yes.wav").display(),
        next.repeat(11),
    )
}

#[test]
fn a_process_suspended_for_a_while_continues_and_loses_no_turn() {
    let run = Loadgen::new(["run", "twelve.yaml", "--out", "run"]);
    std::fs::write(run.dir().join("twelve.yaml"), twelve_turns()).expect("a writable folder");
    let begun = Instant::now();
    let run = run.spawn();
    let folder = run.dir().join("run");
    let some = poll(Duration::from_secs(60), || {
        (journal(&folder).len() >= 3).then_some(())
    });
    some.expect("turns end");
    run.send_signal(libc::SIGSTOP);
    let stop = Duration::from_secs(3);
    std::thread::sleep(stop);
    run.send_signal(libc::SIGCONT);
    let before = journal(&folder).len();
    let run = run.finish();
    // Twelve turns take about 25 s, so 75 s is too long on any machine. A run once took that long
    // because the thread that computes the second opinion slept in proportion to the time for which
    // the process was suspended.
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(75), "{took:?}");
    let reports = Reports::read(&folder);
    assert_eq!(reports.turns.len(), 12, "{}", run.finished.stderr);
    assert!(before >= 3, "turns are written as they end");
    assert_eq!(reports.count("/outcomes/cut_off"), 0);
    assert!(!run.finished.stderr.contains("has made no progress"));
}

#[test]
fn a_run_with_hanging_signalling_ends_with_the_turns_so_far() {
    let (tell, told) = channel();
    // The watchdog ends a stalled run after sixty checks, 100 ms apart: 6 s, which other parts do
    // not need for one step even when the disk is busy.
    let watchdog = Watchdog::start(Duration::from_millis(100), move |alarm| {
        // Sending fails if the test has ended.
        let _ = tell.send(alarm);
    });
    let watchdog = watchdog.expect("a thread");
    let agent = InProcess {
        reply: Duration::from_millis(300),
        ..InProcess::default()
    };
    let settings = RunSettings {
        pulses: watchdog.pulses().clone(),
        ..settings(agent, Clock::System)
    };
    let scenario = scenario(&twelve_turns());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut journal = Journal::create(&folder.path().join("turns.jsonl")).expect("a journal");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a runtime");
    let (free, held) = channel::<()>();
    let finished = runtime.block_on(async {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(4)).await;
            // The only worker hangs until the run is over.
            let _ = held.recv();
        });
        let plan = Plan::new(&scenario);
        run(&scenario, &plan, &settings, &mut journal, &mut |_| {}).await
    });
    drop(free);
    let finished = finished.expect("the run started");
    assert!(finished.invalid[0].contains("did not move"), "{finished:?}");
    assert_eq!(finished.turns.len(), 12, "every turn has an outcome");
    let replied = finished
        .turns
        .iter()
        .filter(|turn| turn.ttfa_wire_ms.is_some());
    assert!(
        replied.count() >= 1,
        "turns that had ended are kept: {finished:?}"
    );
    // The collector waits for the disk, so on a busy machine there may be an alarm about it as well.
    let of_signalling = |alarm: &Alarm| {
        let (Alarm::Still(part, _) | Alarm::Over(part, _)) = alarm;
        *part == WatchedPart::Signalling
    };
    let alarms: Vec<Alarm> = told.try_iter().filter(of_signalling).collect();
    assert!(
        matches!(
            alarms[..],
            [
                Alarm::Still(WatchedPart::Signalling, _),
                Alarm::Over(WatchedPart::Signalling, _)
            ]
        ),
        "{alarms:?}"
    );
}

/// A file system of its own that can be frozen: from then on whatever writes to it hangs.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let image = folder.path().join("image");
        let file = std::fs::File::create(&image).expect("a file");
        file.set_len(64 << 20).expect("space");
        let disk = Self { folder };
        std::fs::create_dir(disk.path()).expect("a folder");
        done(Command::new("mkfs.ext4").arg("-q").arg(&image));
        done(
            Command::new("mount")
                .args(["-o", "loop"])
                .args([&image, &disk.path()]),
        );
        disk
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn freeze(&self) {
        done(Command::new("fsfreeze").arg("-f").arg(self.path()));
    }

    fn thaw(&self) {
        done(Command::new("fsfreeze").arg("-u").arg(self.path()));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Thawing fails if the disk is not frozen. A process that still has files on it is ended
        // by the harness, so the file system is detached now and unmounted then.
        for command in [["fsfreeze", "-u"], ["umount", "-l"]] {
            let _ = Command::new(command[0])
                .arg(command[1])
                .arg(self.path())
                .output();
        }
    }
}

#[track_caller]
fn done(command: &mut Command) {
    let output = command.output();
    let output = output.unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
}

#[test]
#[ignore = "needs root, and takes a minute and a half: cargo test --test it -- --ignored frozen_disk"]
fn a_run_on_a_frozen_disk_ends_after_a_minute_with_the_turns_so_far() {
    let disk = Disk::mount();
    let folder = disk.path().join("run");
    let run = Loadgen::new([
        "run".as_ref(),
        "twelve.yaml".as_ref(),
        Path::new("--out"),
        &folder,
    ]);
    std::fs::write(run.dir().join("twelve.yaml"), twelve_turns()).expect("a writable folder");
    let mut run = run.spawn();
    let some = poll(Duration::from_secs(60), || {
        (journal(&folder).len() >= 3).then_some(())
    });
    some.expect("turns end");
    disk.freeze();
    let told = |run: &mut Running, text: &str, patience: u64| {
        let patience = Duration::from_secs(patience);
        run.process().wait_for_line(Stream::Err, text, patience)
    };
    told(
        &mut run,
        "writing the journal has made no progress for 10s",
        60,
    );
    told(&mut run, "the run ends with the results so far", 120);
    let before = journal(&folder).len();
    assert!(before >= 3, "{before}");
    // The kernel ends a process only when its writes have returned.
    disk.thaw();
    let run = run.finish();
    assert!(!run.finished.timed_out, "{}", run.finished.stderr);
    assert_ne!(run.finished.code, Some(0), "{}", run.finished.stderr);
    let again = Loadgen::new(["report".as_ref(), folder.as_path()]).run();
    // The report of an incomplete run says that it is invalid.
    again.assert_code(110);
    let reports = Reports::read(&folder);
    assert!(reports.turns.len() >= before, "{}", again.finished.stderr);
}
