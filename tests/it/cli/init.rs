//! `loadgen init` writes all its files or none, and the scenarios that it writes are valid.

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
fn init_writes_valid_scenarios() {
    let dir = folder();
    let output = loadgen(dir.path(), &["init", "new/folder"]);
    snapshot("init", &shown(&output));
    let folder = dir.path().join("new/folder");
    for name in [
        "quickstart",
        "100-calls",
        "bad-networks",
        "capacity",
        "ci-gate",
        "compare-providers",
        "conversation",
        "fillers",
        "interruptions",
        "noisy-callers",
        "pipeline",
        "soak",
        "spike",
        "track-changes",
        "troubles",
    ] {
        let output = loadgen(&folder, &["validate", &format!("scenarios/{name}.yaml")]);
        assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    }
}

#[test]
fn init_writes_a_scenario_and_a_job_for_the_named_agent() {
    let dir = folder();
    let named: [&[&str]; 4] = [
        &["--livekit"],
        &["--agent-name", "support", "--ci", "github"],
        &["--pipecat", "--ci", "gitlab"],
        &[],
    ];
    for (number, flags) in named.iter().enumerate() {
        let folder = dir.path().join(number.to_string());
        fs::create_dir(&folder).expect("made");
        let output = loadgen(&folder, &[&["init"], *flags].concat());
        assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
        let scenario = fs::read_to_string(folder.join("scenarios/my-agent.yaml")).expect("written");
        // The first lines list the commands to run next.
        let next = scenario
            .lines()
            .filter_map(|line| line.strip_prefix("#   loadgen "));
        assert_eq!(next.count(), 3, "{scenario}");
        assert_eq!(
            scenario.contains("agent_name: \"support\""),
            flags.contains(&"support")
        );
        let output = loadgen(&folder, &["validate", "scenarios/my-agent.yaml"]);
        assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
        let job = |path: &str| folder.join(path).exists();
        assert_eq!(
            job(".github/workflows/voice-agent.yml"),
            flags.contains(&"github")
        );
        assert_eq!(job(".gitlab-ci.yml"), flags.contains(&"gitlab"));
    }
}

#[test]
fn init_again_adds_a_job_and_keeps_an_edited_scenario() {
    let dir = folder();
    let first = loadgen(dir.path(), &["init"]);
    assert_eq!(first.status.code(), Some(0), "{}", shown(&first));
    let own = dir.path().join("scenarios/my-agent.yaml");
    fs::write(&own, "mine").expect("written");
    let again = loadgen(dir.path(), &["init", "--ci", "gitlab"]);
    assert_eq!(again.status.code(), Some(0), "{}", shown(&again));
    assert_eq!(String::from_utf8_lossy(&again.stdout), "./.gitlab-ci.yml\n");
    assert_eq!(fs::read(&own).expect("kept"), b"mine");
    let other = loadgen(dir.path(), &["init", "--livekit"]);
    assert_eq!(other.status.code(), Some(1), "{}", shown(&other));
    assert_eq!(fs::read(&own).expect("kept"), b"mine");
}

#[test]
fn init_overwrites_nothing() {
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
fn a_failed_init_removes_the_files_that_it_wrote() {
    let dir = folder();
    // Scenarios can be written, but a file has the name of the folder for sounds.
    fs::write(dir.path().join("fixtures"), "a file").expect("written");
    let output = loadgen(dir.path(), &["init"]);
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    assert!(
        shown(&output).contains("error: cannot write `./fixtures/"),
        "{}",
        shown(&output)
    );
    assert_eq!(count(dir.path()), 1, "only the file from before is left");
    assert!(!dir.path().join("scenarios").exists());
}
