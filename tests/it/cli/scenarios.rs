//! `validate` and `plan`: valid and invalid files, and the resulting exit codes.

use super::{command, fixture, folder, loadgen, shown, snapshot};
use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

const GOOD: &str = "version: 1\ntarget: {kind: livekit, url: '${LIVEKIT_URL}'}\n\
    utterances: {yes: {file: yes.wav}}\ncall: {turns: [{say: yes}, {say: yes}]}\nload: {calls: 2}\n";

fn write(dir: &Path, name: &str, content: impl AsRef<[u8]>) {
    fs::write(dir.join(name), content).expect("written");
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal")
}

#[test]
fn every_mistake_is_reported() {
    let dir = folder();
    let text =
        GOOD.replace("{say: yes}, {say: yes}", "{say: yess}, {sya: yes}") + "warmup: {calls: -1}\n";
    write(dir.path(), "x.yaml", text);
    write(dir.path(), "yes.wav", fixture("yes.wav"));
    snapshot(
        "validate_three",
        &shown(&loadgen(dir.path(), &["validate", "x.yaml"])),
    );
}

#[test]
fn bad_sound_files_are_reported_at_their_lines() {
    let dir = folder();
    let sounds = ["none", "empty", "truncated", "silent", "text"];
    let lines: String = sounds
        .map(|name| format!("  {name}: {{file: {name}.wav}}\n"))
        .concat();
    let text = GOOD.replace(
        "utterances: {yes: {file: yes.wav}}\n",
        &format!("utterances:\n{lines}"),
    );
    write(dir.path(), "x.yaml", text.replace("say: yes", "say: none"));
    let yes = fixture("yes.wav");
    write(dir.path(), "empty.wav", "");
    write(dir.path(), "truncated.wav", &yes[..yes.len() / 2]);
    let mut silent = yes;
    silent[44..].fill(0);
    write(dir.path(), "silent.wav", silent);
    write(
        dir.path(),
        "text.wav",
        "not a sound at all, whatever its name says",
    );
    snapshot(
        "validate_sounds",
        &shown(&loadgen(dir.path(), &["validate", "x.yaml"])),
    );
}

#[test]
fn files_that_are_not_scenarios_exit_with_104() {
    let dir = folder();
    let cases: [(&str, Vec<u8>, &str); 4] = [
        ("empty.yaml", Vec::new(), "the file is empty"),
        (
            "binary.yaml",
            vec![0xff, 0xfe, 0x00],
            "the file is not UTF-8 text",
        ),
        (
            "large.yaml",
            vec![b'#'; (1 << 20) + 1],
            "the limit is 1048576",
        ),
        (
            "deep.yaml",
            vec![b'['; 1 << 19],
            "nested deeper than 32 levels",
        ),
    ];
    for (name, content, message) in cases {
        write(dir.path(), name, content);
        for verb in ["validate", "plan", "run"] {
            let output = loadgen(dir.path(), &[verb, name]);
            let text = shown(&output);
            assert_eq!(code(&output), 104, "{text}");
            assert!(text.contains(message) && text.contains("hint: "), "{text}");
            assert!(output.stdout.is_empty(), "{text}");
        }
    }
    assert!(!dir.path().join("reports").exists(), "nothing half-written");
    let directory = loadgen(dir.path(), &["validate", "."]);
    assert_eq!(code(&directory), 2, "{}", shown(&directory));
}

#[test]
fn the_most_severe_problem_decides_the_exit_code() {
    let dir = folder();
    write(dir.path(), "good.yaml", GOOD);
    write(dir.path(), "bad.yaml", "version: 2\n");
    write(dir.path(), "yes.wav", fixture("yes.wav"));
    let codes = |args: &[&str]| code(&loadgen(dir.path(), args));
    assert_eq!(codes(&["validate", "good.yaml"]), 0);
    assert_eq!(
        codes(&["validate", "good.yaml", "bad.yaml", "good.yaml"]),
        104
    );
    assert_eq!(codes(&["validate", "bad.yaml", "none.yaml"]), 2);
}

#[test]
fn variables_may_be_unset_until_the_run() {
    let dir = folder();
    write(dir.path(), "good.yaml", GOOD);
    write(dir.path(), "yes.wav", fixture("yes.wav"));
    snapshot(
        "validate_unset",
        &shown(&loadgen(dir.path(), &["validate", "good.yaml"])),
    );
    snapshot(
        "run_unset",
        &shown(&loadgen(dir.path(), &["run", "good.yaml"])),
    );
    write(dir.path(), ".env", "LIVEKIT_URL=ws://from-the-file:7880\n");
    let output = loadgen(dir.path(), &["plan", "good.yaml"]);
    assert!(
        shown(&output).contains("LiveKit at ws://from-the-file:7880"),
        "{}",
        shown(&output)
    );
    let output = command(dir.path(), &["plan", "good.yaml"])
        .env("LIVEKIT_URL", "ws://from-the-environment:7880")
        .output()
        .expect("the binary starts");
    assert!(
        shown(&output).contains("ws://from-the-environment:7880"),
        "{}",
        shown(&output)
    );
}

#[test]
fn plans_are_deterministic() {
    let dir = folder();
    let json = |args: &[&str]| {
        let output = loadgen(
            dir.path(),
            &[&["plan", "100-calls", "--json"], args].concat(),
        );
        assert_eq!(code(&output), 0, "{}", shown(&output));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let all = json(&[]);
    assert_eq!(all, json(&[]));
    assert_eq!(all.lines().count(), 100);
    for line in all.lines() {
        let call: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(call["turns"].as_array().map(Vec::len), Some(3), "{line}");
    }
    let five = json(&["--rooms", "5", "--timeout", "3s"]);
    assert_eq!(five.lines().count(), 5);
    assert!(five.contains("\"timeout_ms\":3000.0"));
    snapshot(
        "plan_quickstart",
        &shown(&loadgen(dir.path(), &["plan", "quickstart"])),
    );
}

#[test]
fn closed_pipes_succeed_and_full_disks_fail() {
    let dir = folder();
    let mut child = command(
        dir.path(),
        &["plan", "100-calls", "--json", "--rooms", "100000"],
    )
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .expect("the binary starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the process ends");
    assert_eq!(code(&output), 0, "{}", shown(&output));
    assert!(output.stderr.is_empty(), "{}", shown(&output));
    let full = fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full exists on Linux");
    let output = command(dir.path(), &["schema"])
        .stdout(full)
        .output()
        .expect("the binary starts");
    assert_eq!(code(&output), 1, "{}", shown(&output));
    assert!(shown(&output).contains("is the disk full?"));
}

#[test]
fn flags_that_do_not_fit_the_scenario_exit_with_2() {
    let dir = folder();
    let cases: [(&[&str], &str); 4] = [
        (
            &["plan", "quickstart", "--concurrency", "6"],
            "more than the 5 calls in all",
        ),
        (
            &["plan", "quickstart", "--agent-name", "x"],
            "is for LiveKit rooms",
        ),
        (
            &["run", "quickstart", "--url", "ws://x"],
            "is for LiveKit rooms",
        ),
        (
            &["run", "quickstart", "--rooms", "1001"],
            "this run makes 1001 calls",
        ),
    ];
    for (args, message) in cases {
        let output = loadgen(dir.path(), args);
        assert_eq!(code(&output), 2, "{}", shown(&output));
        assert!(shown(&output).contains(message), "{}", shown(&output));
        assert!(!dir.path().join("reports").exists(), "nothing half-written");
    }
}

#[test]
fn committed_scenarios_are_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = fs::read_dir(root.join("scenarios"))
        .expect("readable")
        .flatten();
    let names = files.map(|file| format!("scenarios/{}", file.file_name().to_string_lossy()));
    let names: Vec<String> = names.filter(|name| name.ends_with(".yaml")).collect();
    assert!(names.len() >= 3);
    for name in names {
        let output = loadgen(root, &["validate", &name]);
        assert_eq!(code(&output), 0, "{}", shown(&output));
        assert!(
            output.stderr.is_empty(),
            "{name} needs no variables: {}",
            shown(&output)
        );
    }
}
