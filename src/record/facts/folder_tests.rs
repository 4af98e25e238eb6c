//! The run folder: unsafe names, folders in use, full disks and unwritable locations.

use super::*;
use std::cell::RefCell;

thread_local! {
    static SYNCED: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
}

/// Records the entries of a folder that this thread, and so this test, has synced.
pub(super) fn synced(folder: &Path) {
    let held = fs::read_dir(folder).into_iter().flatten().flatten();
    SYNCED.with_borrow_mut(|synced| synced.extend(held.map(|entry| entry.path())));
}

/// Whether a name survives a power cut: its folder was synced after the name was created.
fn is_durable(path: &Path) -> bool {
    SYNCED.with_borrow(|synced| synced.iter().any(|p| p == path))
}

#[test]
fn new_files_and_their_folders_are_synced() {
    let dir = tempfile::tempdir().unwrap();
    let outer = dir.path().join("a");
    let out = outer.join("b/c");
    let folder = RunFolder::create(Some(&out), noon(), "x").unwrap();
    let journal = folder.file("turns.jsonl");
    crate::record::Journal::create(&journal).unwrap();
    assert!(is_durable(&journal) && is_durable(&folder.file("calls.jsonl")));
    let report = folder.write("summary.json", b"{}").unwrap();
    let part = folder.file(EVIDENCE_FOLDER);
    RunFolder::part(&part).unwrap();
    let baseline = outer.join("d/e/baseline.json");
    write_durably(&baseline, b"{}").unwrap();
    let within = RunFolder::within(&dir.path().join("f/reports"), noon(), "x").unwrap();
    let names = [
        &outer,
        &outer.join("b"),
        &out,
        &folder.file(START),
        &report,
        &part,
        &outer.join("d"),
        &outer.join("d/e"),
        &baseline,
        &dir.path().join("f"),
        &dir.path().join("f/reports"),
        &within.path,
    ];
    for name in names {
        assert!(is_durable(name), "{}", name.display());
    }
    assert!(
        !is_durable(&folder.file("other")),
        "a file that was not synced is not durable"
    );
}

fn noon() -> Timestamp {
    "2026-01-31T12:00:00Z".parse().unwrap()
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn run_names_become_safe_folder_names() {
    let long = "x".repeat(500);
    let cases = [
        ("100-calls", "100-calls"),
        ("my scenario / v2", "my-scenario-v2"),
        ("../../etc/passwd", "etc-passwd"),
        ("\u{1b}[31mred\n", "31mred"),
        ("größer", "gr-er"),
        ("..", "run"),
        ("", "run"),
        (".hidden", "hidden"),
        (&long, &long[..LONGEST_NAME]),
    ];
    for (name, expected) in cases {
        assert_eq!(safe(name), expected, "{name:?}");
    }
}

#[test]
fn the_default_folder_is_named_after_time_and_scenario() {
    let dir = tempfile::tempdir().unwrap();
    let parent = dir.path().join("reports");
    let made: Vec<RunFolder> = (0..3)
        .map(|_| RunFolder::within(&parent, noon(), "100 calls").unwrap())
        .collect();
    assert_eq!(made[0].path(), parent.join("20260131T120000Z-100-calls"));
    let expected = [
        "20260131T120000Z-100-calls",
        "20260131T120000Z-100-calls-2",
        "20260131T120000Z-100-calls-3",
    ];
    assert_eq!(names(&parent), expected);
}

#[test]
fn a_hundred_runs_that_start_in_the_same_second_get_a_folder_each() {
    let dir = tempfile::tempdir().unwrap();
    let make = || RunFolder::within(dir.path(), noon(), "many");
    let made: Vec<RunFolder> = (0..100).map(|_| make().unwrap()).collect();
    let last = dir.path().join("20260131T120000Z-many-100");
    assert_eq!(made[99].path(), last);
    assert!(make().unwrap_err().to_string().contains("many-100"));
}

#[test]
fn a_folder_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("a/b");
    fs::create_dir_all(&out).unwrap();
    let folder = RunFolder::create(Some(&out), noon(), "x").unwrap();
    folder.write("notes.txt", b"mine").unwrap();
    let error = RunFolder::create(Some(&out), noon(), "x").unwrap_err();
    assert!(
        matches!(
            error,
            RecordError::Occupied {
                finished: false,
                ..
            }
        ),
        "{error}"
    );
    folder.write(SUMMARY, b"{}\n").unwrap();
    let error = RunFolder::create(Some(&out), noon(), "x").unwrap_err();
    assert!(
        matches!(error, RecordError::Occupied { finished: true, .. }),
        "{error}"
    );
    assert_eq!(names(&out), ["notes.txt", "run.json", "summary.json"]);

    let file = out.join("notes.txt");
    let error = RunFolder::create(Some(&file), noon(), "x").unwrap_err();
    assert!(
        error
            .hint()
            .starts_with("there is a file where a folder is needed"),
        "{error}"
    );
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[test]
fn files_are_replaced_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(Some(dir.path()), noon(), "x").unwrap();
    for content in ["first\n", "a second, longer one\n", ""] {
        let path = folder.write("summary.md", content.as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), content);
        assert_eq!(names(dir.path()), ["run.json", "summary.md"]);
    }
    for name in ["", "..", "a/b", "/etc/passwd", "."] {
        assert!(folder.write(name, b"x").is_err(), "{name:?}");
    }
    assert_eq!(names(dir.path()), ["run.json", "summary.md"]);
}

#[test]
fn concurrent_runs_cannot_claim_the_same_folder() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let out = dir.path().join(format!("out-{round}"));
        let claimed = std::thread::scope(|scope| {
            let claims =
                [0; 4].map(|_| scope.spawn(|| RunFolder::create(Some(&out), noon(), "x").is_ok()));
            claims.map(|claim| claim.join().unwrap())
        });
        assert_eq!(claimed.iter().filter(|ok| **ok).count(), 1, "{claimed:?}");
    }
}

#[test]
fn discarding_a_run_removes_only_its_own_files() {
    let dir = tempfile::tempdir().unwrap();
    for (before, theirs) in [(false, false), (false, true), (true, false), (true, true)] {
        let out = dir.path().join(format!("{before}-{theirs}"));
        if before {
            fs::create_dir(&out).unwrap();
        }
        let folder = RunFolder::create(Some(&out), noon(), "x").unwrap();
        folder.write("scenario.yaml", b"version: 1").unwrap();
        if theirs {
            fs::create_dir(out.join("mine")).unwrap();
            fs::write(out.join("mine/notes.txt"), "keep").unwrap();
        }
        folder.discard();
        assert_eq!(out.exists(), before || theirs);
        if out.exists() {
            let left: &[&str] = if theirs { &["mine"] } else { &[] };
            assert_eq!(names(&out), left);
        }
    }
}

#[test]
fn run_files_are_private_and_links_are_not_followed() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(Some(&dir.path().join("run")), noon(), "x").unwrap();
    assert_eq!(mode(folder.path()), 0o700);
    let victim = dir.path().join("victim");
    fs::write(&victim, "as it was").unwrap();
    // The name of the temporary file in earlier releases, and the name of the file itself.
    for link in [
        format!(".summary.md.{}.tmp", std::process::id()),
        "summary.md".to_owned(),
    ] {
        std::os::unix::fs::symlink(&victim, folder.file(&link)).unwrap();
    }
    let path = folder.write("summary.md", b"new").unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was");
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(mode(&path), 0o600);
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
}

#[test]
fn a_full_disk_leaves_the_file_as_it_was() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        return; // This system has no `/dev/full`.
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    fs::write(&path, "as it was").unwrap();
    // The temporary file exists, but writing to it fails because the disk is full.
    let open = |temporary: &Path| -> io::Result<File> {
        File::create(temporary)?;
        File::options().write(true).open("/dev/full")
    };
    let source = replace(&path, b"half", open).unwrap_err();
    assert_eq!(source.kind(), io::ErrorKind::StorageFull);
    assert!(
        error("write", &path, source)
            .hint()
            .contains("disk is full")
    );
    assert_eq!(names(dir.path()), ["a"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "as it was");
}

#[test]
fn an_unwritable_folder_is_an_error_with_a_hint() {
    // Root ignores permissions, but cannot create folders in kernel file systems.
    let places = ["/sys/loadgen-run", "/proc/loadgen-run"];
    let errors: Vec<RecordError> = places
        .iter()
        .filter(|place| Path::new(place).parent().is_some_and(Path::is_dir))
        .filter_map(|place| RunFolder::create(Some(Path::new(place)), noon(), "x").err())
        .collect();
    let there = places
        .iter()
        .filter(|p| Path::new(p).parent().is_some_and(Path::is_dir));
    assert_eq!(errors.len(), there.count());
    for error in errors {
        assert!(error.to_string().starts_with("cannot create `/"), "{error}");
        assert!(
            error.hint().contains("--out") || error.hint().contains("path"),
            "{error}"
        );
    }
}
