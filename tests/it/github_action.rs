//! The shell scripts of the GitHub Action, run as a runner would run them.
//!
//! In: the real scripts and the real binary; files in a folder take the place of GitHub's. Out: the
//! contents of GITHUB_OUTPUT, GITHUB_STEP_SUMMARY and GITHUB_PATH, and the job's exit code.

use crate::support::in_repo;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

struct Job {
    dir: TempDir,
}

impl Job {
    fn new() -> Self {
        let dir = TempDir::with_prefix("job-").expect("a temporary folder");
        std::fs::create_dir(dir.path().join("temp")).expect("a folder");
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn script(&self, name: &str, env: &[(&str, &str)]) -> Output {
        let program = Path::new(env!("CARGO_BIN_EXE_loadgen"));
        let bin = program.parent().expect("a folder").display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        Command::new(in_repo("deploy/github-action").join(name))
            .current_dir(self.dir.path())
            .env("PATH", format!("{bin}:{path}"))
            .env("RUNNER_TEMP", self.path("temp"))
            .env("GITHUB_OUTPUT", self.path("output"))
            .env("GITHUB_STEP_SUMMARY", self.path("summary"))
            .env("GITHUB_PATH", self.path("path"))
            .envs(env.iter().copied())
            .output()
            .expect("the script starts")
    }

    /// Writes an embedded scenario of one short call, with `more` at its end.
    fn scenario(&self, name: &str, more: &str) {
        let text = format!(
            "version: 1\nname: in-a-job\ntarget: {{kind: embedded, agent: {{delay: 200ms, reply_length: 300ms}}}}\n\
             utterances: {{it: {{file: {}}}}}\n\
             call: {{greeting: none, turns: [{{say: it, timeout: 4s}}]}}\nsentinels: off\n\
             health: {{tick_lateness: 10s, signalling_lateness: 10s}}\n{more}",
            in_repo("fixtures/yes.wav").display()
        );
        std::fs::write(self.path(name), text).expect("writable");
    }

    /// The value of `name` in GITHUB_OUTPUT.
    fn output(&self, name: &str) -> Option<String> {
        let text = self.text("output");
        let mut lines = text.lines();
        let value = lines.find_map(|l| l.strip_prefix(name)?.strip_prefix('='));
        value.map(str::to_owned)
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_job_ends_with_loadgens_exit_code() {
    let cases = [
        ("passed", "", 0, true),
        // One turn refutes a maximum.
        ("refuted", "thresholds: {ttfa: ['max<1ms']}\n", 99, true),
        ("invalid", "treshold: 1\n", 104, false),
    ];
    for (name, more, code, reported) in cases {
        let job = Job::new();
        // A name that a shell would expand if the script did not quote it.
        let file = format!("{name} $(touch hacked); x.yaml");
        job.scenario(&file, more);
        let run = job.script(
            "run",
            &[
                ("INPUT_SCENARIO", &file),
                ("INPUT_ARGUMENTS", "--rooms\n1\n\n"),
            ],
        );
        let told = said(&run);
        assert_eq!(run.status.code(), Some(0), "{name}: {told}");
        assert_eq!(
            job.output("exit-code"),
            Some(code.to_string()),
            "{name}: {told}"
        );
        let report = job.output("report");
        assert_eq!(report.is_some(), reported, "{name}: {told}");
        if let Some(report) = report {
            assert!(
                Path::new(&report).join("summary.json").is_file(),
                "{report}"
            );
        }
        let summary = job.text("summary");
        let expected = if reported { "in-a-job" } else { "treshold" };
        assert!(summary.contains(expected), "{name}: {summary}");
        assert!(!job.path("hacked").exists());
        let verdict = job.script("verdict", &[("EXIT_CODE", &code.to_string())]);
        assert_eq!(verdict.status.code(), Some(code), "{name}");
        assert_eq!(said(&verdict).contains("::error::"), code != 0);
    }
    overlong_output_is_shortened();
    let nothing = Job::new().script("verdict", &[("EXIT_CODE", "")]);
    assert_eq!(nothing.status.code(), Some(1));
}

/// Runs a stand-in for the program that prints more than a job summary can hold.
fn overlong_output_is_shortened() {
    use std::os::unix::fs::PermissionsExt as _;
    let job = Job::new();
    let bin = job.path("bin");
    std::fs::create_dir(&bin).expect("a folder");
    let program = bin.join("loadgen");
    let text = "#!/bin/sh\nseq 1 200000 >&2\nexit 104\n";
    std::fs::write(&program, text).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", bin.display());
    let run = job.script("run", &[("INPUT_SCENARIO", "x.yaml"), ("PATH", &path)]);
    assert_eq!(run.status.code(), Some(0), "{:?}", run.status);
    assert_eq!(job.output("exit-code").as_deref(), Some("104"));
    let summary = job.text("summary");
    assert!(summary.ends_with("    200\n"), "{summary}");
}

#[test]
fn a_release_is_installed_if_its_checksum_matches() {
    let job = Job::new();
    let archive = format!(
        "loadgen-{}-unknown-linux-gnu.tar.gz",
        std::env::consts::ARCH
    );
    let release = job.path("releases/download/v9.9.9");
    std::fs::create_dir_all(&release).expect("a folder");
    // A small stand-in for the program: only its installation matters.
    std::fs::write(release.join("loadgen"), "#!/bin/sh\necho loadgen 9.9.9\n").expect("written");
    let make = format!(
        "chmod +x loadgen && tar -czf {archive} loadgen && sha256sum {archive} > {archive}.sha256"
    );
    let made = Command::new("sh")
        .args(["-c", &make])
        .current_dir(&release)
        .status();
    assert!(made.expect("sh").success());
    let releases = format!("file://{}", job.path("releases").display());
    let with = |version: &str| {
        let env = [("INPUT_VERSION", version), ("RELEASES", releases.as_str())];
        job.script("install", &env)
    };
    for bad in ["v9.9.8", "../v9.9.9", "$(touch hacked)"] {
        let refused = with(bad);
        assert_eq!(refused.status.code(), Some(1), "{bad}: {}", said(&refused));
    }
    assert_eq!(job.text("path"), "");
    let installed = with("v9.9.9");
    assert_eq!(installed.status.code(), Some(0), "{}", said(&installed));
    let bin = PathBuf::from(job.text("path").trim());
    assert!(bin.join("loadgen").is_file());
    std::fs::write(
        release.join(format!("{archive}.sha256")),
        format!("{}  {archive}\n", "0".repeat(64)),
    )
    .expect("written");
    let wrong = with("v9.9.9");
    assert_eq!(wrong.status.code(), Some(1), "{}", said(&wrong));
    assert!(said(&wrong).contains("checksum") && !job.path("hacked").exists());
}

#[test]
fn inputs_are_never_expanded_into_scripts() {
    let action =
        std::fs::read_to_string(in_repo("deploy/github-action/action.yml")).expect("readable");
    let runs: Vec<&str> = action
        .lines()
        .filter(|l| l.trim_start().starts_with("run:"))
        .collect();
    assert_eq!(runs.len(), 3);
    for run in runs {
        assert!(!run.contains("${{"), "{run}");
        let script = run
            .split('/')
            .nth(1)
            .and_then(|s| s.split('"').next())
            .expect("a script");
        assert!(
            in_repo("deploy/github-action").join(script).is_file(),
            "{run}"
        );
    }
}
