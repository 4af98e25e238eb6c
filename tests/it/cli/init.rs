//! `loadgen init` writes everything or nothing, and what it writes works.

use super::{folder, loadgen, shown, snapshot};
use std::fs;
use std::path::Path;

fn count(dir: &Path) -> usize {
    let entries = fs::read_dir(dir)
        .map(|e| e.flatten().collect::<Vec<_>>())
        .unwrap_or_default();
    entries
        .iter()
        .map(|e| {
            if e.path().is_dir() {
                count(&e.path())
            } else {
                1
            }
        })
        .sum()
}

#[test]
fn writes_scenarios_that_are_valid_where_they_are() {
    let dir = folder();
    let output = loadgen(dir.path(), &["init", "new/folder"]);
    snapshot("init", &shown(&output));
    let folder = dir.path().join("new/folder");
    for name in [
        "quickstart",
        "100-calls",
        "capacity",
        "ci-gate",
        "compare-providers",
        "pipeline",
        "soak",
        "spike",
    ] {
        let output = loadgen(&folder, &["validate", &format!("scenarios/{name}.yaml")]);
        assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    }
}

#[test]
fn overwrites_nothing_and_leaves_nothing_behind() {
    let dir = folder();
    fs::create_dir(dir.path().join("fixtures")).expect("made");
    fs::write(dir.path().join("fixtures/yes.wav"), "mine").expect("written");
    let output = loadgen(dir.path(), &["init"]);
    snapshot("init_refused", &shown(&output));
    assert_eq!(count(dir.path()), 1);
    let kept = fs::read(dir.path().join("fixtures/yes.wav")).expect("still there");
    assert_eq!(kept, b"mine");
}

#[test]
fn takes_back_what_it_has_written_when_it_cannot_go_on() {
    let dir = folder();
    // Scenarios can be written, but a file is in the place of the folder of sounds.
    fs::write(dir.path().join("fixtures"), "a file").expect("written");
    let output = loadgen(dir.path(), &["init"]);
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    assert!(
        shown(&output).contains("error: cannot write `./fixtures/"),
        "{}",
        shown(&output)
    );
    assert_eq!(count(dir.path()), 1, "only what was there before");
    assert!(!dir.path().join("scenarios").exists());
}
