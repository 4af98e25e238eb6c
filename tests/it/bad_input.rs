//! Bad input, bad servers and a full disk: each gives a clear message, a hint and the documented
//! exit code, and leaves nothing half-written.

use crate::support::reports::runs;
use crate::support::{
    HttpServer404, LivekitServer, Loadgen, Process, Run, Shared, SilentPort, Small, free_tcp_port,
    in_repo,
};
use std::path::Path;
use std::time::Duration;

static SERVER: Shared<LivekitServer> = Shared::new();
const KEYS: [&str; 4] = ["--api-key", "key", "--api-secret", SECRET];
const SECRET: &str = "0f0f-this-is-nobodys-business-0f0f0f";

/// Checks the properties that all refusals share, and that the message contains `parts`.
#[track_caller]
fn refused(run: &Run, code: i32, parts: &[&str]) {
    run.assert_code(code);
    let (out, err) = (&run.finished.stdout, &run.finished.stderr);
    for part in parts.iter().chain(&["error: ", "hint: "]) {
        assert!(err.contains(part), "{part:?} is not in:\n{err}");
    }
    let errors = errors_in(err);
    let hints = err.lines().filter(|l| l.trim_start().starts_with("hint: "));
    assert_eq!(hints.count(), errors, "a hint for each error:\n{err}");
    assert!(!err.contains("panicked"), "{err}");
    assert!(
        !err.contains("warning: "),
        "one error, nothing else:\n{err}"
    );
    assert_eq!(out, "", "no data");
    assert_eq!(
        runs(run.dir()),
        Vec::<std::path::PathBuf>::new(),
        "no run folder"
    );
    nothing_tells(run);
}

/// Number of errors reported.
fn errors_in(stderr: &str) -> usize {
    stderr.lines().filter(|l| l.starts_with("error: ")).count()
}

/// Neither the output nor any file contains the secret.
fn nothing_tells(run: &Run) {
    let told = format!("{}{}", run.finished.stdout, run.finished.stderr);
    assert!(!told.contains(SECRET), "{told}");
    assert_eq!(files_with_secret(run.dir()), Vec::<String>::new());
}

fn files_with_secret(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with_secret(&path));
        } else if String::from_utf8_lossy(&std::fs::read(&path).expect("a file")).contains(SECRET) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// A run of a small scenario, with API keys that no server accepts.
fn small(args: &[&str]) -> Loadgen {
    let args = ["run", "small.yaml"].iter().chain(args).chain(&KEYS);
    let run = Loadgen::new(args).deadline(Duration::from_secs(60));
    let small = Small {
        agent_timeout: "2s",
        ..Small::default()
    };
    small.write(run.dir());
    run
}

#[test]
fn a_missing_file_is_bad_usage() {
    let run = Loadgen::new(["run", "nowhere.yaml"]).run();
    refused(&run, 2, &["there is no file `nowhere.yaml`", "quickstart"]);
}

#[test]
fn three_mistakes_are_reported_at_once() {
    for command in ["run", "validate"] {
        let run = small(&[]);
        let yaml = Small::default().yaml();
        let yaml = yaml.replace("greeting: none", "greetin: none");
        let yaml = yaml.replace("timeout: 4s", "timeout: soon");
        let yaml = yaml.replace("calls: 1", "calls: 0");
        std::fs::write(run.dir().join("small.yaml"), yaml).expect("writable");
        let run = match command {
            "run" => run.run(),
            _ => {
                let validate = Loadgen::new(["validate"]).arg(run.dir().join("small.yaml"));
                validate.run()
            }
        };
        let each = [
            "unknown key `greetin`",
            "small.yaml:7:",
            "`soon` is not a duration",
            "small.yaml:10:",
            "`calls` must be at least 1",
            "small.yaml:11:",
        ];
        refused(&run, 104, &each);
        assert_eq!(errors_in(&run.finished.stderr), 3);
    }
}

#[test]
fn unusable_sound_files_are_reported() {
    let good = std::fs::read(in_repo("fixtures/yes.wav")).expect("a fixture");
    let mut silent = good.clone();
    silent[44..].fill(0);
    let half = &good[..good.len() / 2];
    // A header that declares no samples.
    let mut header = good[..44].to_vec();
    header[4..8].copy_from_slice(&36u32.to_le_bytes());
    header[40..44].copy_from_slice(&0u32.to_le_bytes());
    let cases: [(&[u8], &str); 4] = [
        (&[], "the audio is empty"),
        (&header, "the audio is empty"),
        (half, "the audio is truncated"),
        (&silent, "there is no speech in the audio"),
    ];
    for (bytes, message) in cases {
        let run = small(&[]);
        let bad = Small {
            sound: "bad.wav".to_owned(),
            ..Small::default()
        };
        bad.write(run.dir());
        std::fs::write(run.dir().join("bad.wav"), bytes).expect("writable");
        refused(&run.run(), 104, &[message, "bad.wav", "small.yaml:5:"]);
    }
    let missing = small(&[]);
    let bad = Small {
        sound: "none.wav".to_owned(),
        ..Small::default()
    };
    bad.write(missing.dir());
    refused(&missing.run(), 104, &["there is no file", "none.wav"]);
}

#[test]
fn addresses_without_a_livekit_server_are_reported() {
    for url in [
        "not a url",
        "localhost:7880",
        "ftp://127.0.0.1",
        "ws://a:b@127.0.0.1",
        "ws://127.0.0.1:78800",
    ] {
        let run = small(&["--url", url]).run();
        refused(&run, 2, &["is not the URL of a LiveKit server", "wss://"]);
    }
    let nobody = format!("ws://127.0.0.1:{}", free_tcp_port());
    let run = small(&["--url", &nobody]).run();
    refused(&run, 1, &["cannot reach the server", "refused"]);

    let other = HttpServer404::start();
    let run = small(&["--url", &other.url()]).run();
    refused(&run, 1, &["does not respond like a LiveKit server", "404"]);

    // TLS to a port that does not speak it.
    let run = small(&["--url", &other.url().replace("ws:", "wss:")]).run();
    refused(&run, 1, &["tls"]);
}

/// A URL is checked in the same way wherever it is given.
#[test]
fn every_command_accepts_and_refuses_the_same_urls() {
    let http = HttpServer404::start();
    let port = http.port();
    let cases = [
        ("ws://127.0.0.1:78800", Some("its port is not a number")),
        ("ws://127.0.0.1:", Some("no port follows the `:`")),
        ("ws://127.0.0.1/?a=1", Some("it has a query")),
        ("ws://127.0.0.1/#a", Some("it has a fragment")),
        ("127.0.0.1:7880", Some("it has no scheme")),
        ("ws://::1:7880", Some("an IPv6 address must be in brackets")),
        ("ws://127.0.0.1 :7880", Some("it contains a space")),
        (&format!("WS://127.0.0.1:{port}/lk/"), None),
        (&format!("HTTP://127.0.0.1:{port}"), None),
        (&format!(" ws://127.0.0.1:{port}\n"), None),
    ];
    for (url, why) in cases {
        for way in [
            "file", "flag", "variable", ".env", "validate", "agent", "capacity",
        ] {
            let (command, of_file) = match way {
                "validate" | "agent" | "capacity" => (way, way == "validate"),
                _ => ("run", way == "file"),
            };
            let args: &[&str] = match command {
                "agent" => &["agent"],
                command => &[command, "small.yaml"],
            };
            let mut run = Loadgen::new(args).deadline(Duration::from_secs(60));
            let mut yaml = Small::default().yaml();
            if of_file {
                let target = format!("kind: livekit, url: {url:?}");
                yaml = yaml.replace("kind: livekit", &target);
            }
            std::fs::write(run.dir().join("small.yaml"), yaml).expect("writable");
            run = match way {
                "flag" | "agent" | "capacity" => run.arg("--url").arg(url),
                "variable" => run.env("LIVEKIT_URL", url),
                ".env" => {
                    let line = format!("LIVEKIT_URL={}\n", url.trim_end());
                    std::fs::write(run.dir().join(".env"), line).expect("writable");
                    run
                }
                _ => run,
            };
            if command != "validate" {
                run = KEYS.iter().fold(run, |run, key| run.arg(key));
            }
            let run = run.run();
            let said = format!("{way} {url}: {}", run.finished.stderr);
            let code = run.finished.code;
            match why {
                Some(why) => {
                    assert_eq!(code, Some(if of_file { 104 } else { 2 }), "{said}");
                    assert!(said.contains(why) && said.contains("hint: "), "{said}");
                }
                // The server that answers there is not a LiveKit server.
                None if command == "validate" => assert_eq!(code, Some(0), "{said}"),
                None => {
                    assert_eq!(code, Some(1), "{said}");
                    assert!(said.contains("404"), "{said}");
                }
            }
            nothing_tells(&run);
        }
    }
}

#[test]
fn env_file_lines_for_other_tools_are_ignored() {
    const OF_FILE: &str = "0e0e-a-secret-that-stands-in-a-file";
    let run = |env: &[u8]| {
        let run = Loadgen::new(["run", "small.yaml"]);
        Small::default().write(run.dir());
        std::fs::write(run.dir().join(".env"), env).expect("writable");
        run.run()
    };
    let nobody = format!("ws://127.0.0.1:{}", free_tcp_port());
    let good = format!(
        "\u{feff}OTHER=a b c\r\nMY-KEY=x\r\nNAME='it\r\nLIVEKIT_URL = {nobody}\r\n\
         export LIVEKIT_API_KEY=key\r\nLIVEKIT_API_SECRET=\"{OF_FILE}\" # of staging\r\n"
    );
    let wide: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for env in [good.as_bytes(), &wide] {
        let run = run(env);
        run.assert_code(1);
        let said = &run.finished.stderr;
        assert!(said.contains("cannot reach the server"), "{said}");
    }
    let bad = good.replace("export LIVEKIT_API_KEY=key", "LIVEKIT_API_KEY: key");
    let parts = ["line 5 of `.env`", "NAME=value"];
    refused(&run(bad.as_bytes()), 2, &parts);
    let bad = good.replace("\" # of staging", " # of staging");
    let run = run(bad.as_bytes());
    run.assert_code(2);
    let said = &run.finished.stderr;
    assert!(said.contains("line 6 of `.env` has a quote"), "{said}");
    assert!(!said.contains(OF_FILE), "{said}");
}

#[test]
fn a_port_that_never_answers_times_out() {
    let silent = SilentPort::start();
    let run = small(&["--url", &silent.url()]).run();
    run.assert_code(1);
    let err = &run.finished.stderr;
    assert!(err.contains("joining took longer than 10s"), "{err}");
    assert!(err.contains("hint: the port answers too slowly"), "{err}");
    assert!(
        run.finished.took < Duration::from_secs(25),
        "{:?}",
        run.finished.took
    );
    assert!(runs(run.dir()).is_empty());
    nothing_tells(&run);
}

#[test]
fn a_wrong_secret_is_refused_by_the_server() {
    let server = SERVER.get(LivekitServer::start);
    let args = [
        "run",
        "small.yaml",
        "--url",
        &server.url(),
        "--api-key",
        server.key(),
    ];
    let run = Loadgen::new(args).arg("--api-secret").arg(SECRET);
    Small::default().write(run.dir());
    refused(
        &run.run(),
        1,
        &["the server refused the token", "LIVEKIT_API_SECRET"],
    );

    let agent = Loadgen::new(["agent", "--url", &server.url(), "--api-key", server.key()]);
    let agent = agent.arg("--api-secret").arg(SECRET).run();
    refused(
        &agent,
        1,
        &["cannot register", "the server refused the token"],
    );
}

#[test]
fn swapped_key_and_secret_are_recognised() {
    let server = SERVER.get(LivekitServer::start);
    let swapped = ["--api-key", SECRET, "--api-secret", "APIofsomebody"];
    let args = ["run", "small.yaml", "--url", &server.url()];
    let run = Loadgen::new(args.iter().chain(&swapped));
    Small::default().write(run.dir());
    let hint = "hint: the API key and the secret look swapped: LIVEKIT_API_KEY begins with API";
    refused(&run.run(), 1, &["the server refused the token", hint]);
}

#[test]
fn a_missing_agent_is_reported_with_a_hint() {
    let server = SERVER.get(LivekitServer::start);
    let run = Loadgen::new(["run", "small.yaml", "--rooms", "100"]).on(&server);
    let small = Small {
        agent_timeout: "2s",
        ..Small::default()
    };
    // A prefix of its own: other tests have rooms on this server.
    let named = "target: {kind: livekit, room_prefix: nobody}";
    let yaml = small.yaml().replace("target: {kind: livekit}", named);
    std::fs::write(run.dir().join("small.yaml"), yaml).expect("writable");
    let run = run.run();
    refused(&run, 1, &["no worker took the job within 2s", "agent_name"]);
    assert_eq!(errors_in(&run.finished.stderr), 1);
    let rooms = server.rooms().into_iter().map(|r| r.name);
    let left: Vec<String> = rooms.filter(|r| r.starts_with("nobody-")).collect();
    assert!(
        left.is_empty(),
        "the preflight call's room is deleted: {left:?}"
    );
}

#[test]
fn missing_settings_are_bad_usage() {
    let run = Loadgen::new(["run", "small.yaml"]);
    Small::default().write(run.dir());
    refused(&run.run(), 2, &["no server URL was given", "LIVEKIT_URL"]);
}

/// Writes a scenario for the embedded agent; the reports of its run need a few kilobytes.
fn embedded(dir: &Path) {
    let small = Small {
        calls: 4,
        more: "sentinels: off\n",
        ..Small::default()
    };
    let target = "target: {kind: embedded, agent: {delay: 400ms, reply_length: 300ms}}";
    let yaml = small.yaml().replace("target: {kind: livekit}", target);
    std::fs::write(dir.join("small.yaml"), yaml).expect("writable");
}

/// Runs `script` in a folder with the scenario; `$LOADGEN` is the program.
fn sh(script: &str, dir: &Path) -> crate::support::Finished {
    embedded(dir);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script]).current_dir(dir);
    command.env("LOADGEN", env!("CARGO_BIN_EXE_loadgen"));
    command.env("XDG_STATE_HOME", dir.join("state"));
    Process::spawn("sh", command, false).finish(Duration::from_secs(60))
}

/// No file may grow past 2.5 KiB: the turns fit, the summary does not.
#[test]
fn a_summary_that_cannot_be_written_is_an_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let limited = "trap '' XFSZ; ulimit -f 9; exec \"$LOADGEN\" run small.yaml --out run";
    let run = sh(limited, dir.path());
    run.assert_code(1);
    let err = &run.stderr;
    assert!(
        err.contains("error: cannot write `run/summary.json`"),
        "{err}"
    );
    assert!(
        err.contains("hint: the disk is full or a quota is used up"),
        "{err}"
    );
    assert!(
        run.stdout.contains("4 replied"),
        "the table is still shown: {}",
        run.stdout
    );
    let left = std::fs::read_dir(dir.path().join("run")).expect("a run folder");
    let mut left: Vec<_> = left.flatten().map(|f| f.file_name()).collect();
    left.sort();
    // Only complete files, and none that marks the run as finished.
    let whole = "calls.csv calls.jsonl histogram.hlog run.json scenario.yaml turns.csv turns.jsonl";
    let whole: Vec<&str> = whole.split(' ').collect();
    assert_eq!(left, whole);
    assert_eq!(
        crate::support::reports::journal(&dir.path().join("run")).len(),
        4
    );
}

/// No file can be written at all: the run does not start.
#[test]
fn a_run_is_refused_if_the_disk_is_full() {
    let dir = tempfile::tempdir().expect("a folder");
    let limited = "trap '' XFSZ; ulimit -f 0; exec \"$LOADGEN\" run small.yaml --out run";
    let run = sh(limited, dir.path());
    run.assert_code(1);
    assert!(
        run.stderr
            .contains("error: cannot write `run/scenario.yaml`"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("hint: the disk is full"),
        "{}",
        run.stderr
    );
    assert!(
        !dir.path().join("run").exists(),
        "a run that does not start leaves no folder"
    );
}

/// Uses a real file system of 16 KiB, in its own mount namespace. `scripts/test` runs this test if
/// the system allows mounts, and prints a message if it does not.
#[test]
#[ignore = "needs root and mounts"]
fn a_file_system_that_fills_up_is_an_error() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join("full")).expect("writable");
    let script = "exec unshare -m sh -ec '
        mount -t tmpfs -o size=16k tmpfs full
        head -c 4096 /dev/zero > full/other
        \"$LOADGEN\" run small.yaml --out full/run && code=0 || code=$?
        echo \"left: $(ls -A full/run)\" | tr \"\\n\" \" \"
        exit $code'";
    let run = sh(script, dir.path());
    run.assert_code(1);
    assert!(
        run.stderr.contains("No space left on device"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("hint: the disk is full"),
        "{}",
        run.stderr
    );
    assert!(!run.stdout.contains("summary.json"), "{}", run.stdout);
    assert!(!run.stdout.contains(".tmp"), "{}", run.stdout);
}

#[test]
fn no_report_contains_the_secret() {
    let server = SERVER.get(LivekitServer::start);
    let secret = server.secret().to_owned();
    let _agent = Loadgen::agent(&server, &["--agent-name", "s", "--reply-length", "300ms"]);
    let args = [
        "run",
        "small.yaml",
        "--agent-name",
        "s",
        "--out",
        "run",
        "--evidence=all",
        "--json",
    ];
    let run = Loadgen::new(args);
    let in_file = format!(
        "api_key: {}, api_secret: {secret}, url: {}",
        server.key(),
        server.url()
    );
    let yaml = Small::default().yaml();
    let yaml = yaml.replace("kind: livekit", &format!("kind: livekit, {in_file}"));
    std::fs::write(run.dir().join("small.yaml"), yaml).expect("writable");
    let run = run.run();
    let told = format!("{}{}", run.finished.stdout, run.finished.stderr);
    assert!(
        [0, 110].contains(&run.finished.code.expect("a code")),
        "{told}"
    );
    assert!(!told.contains(&secret), "{told}");
    let (mut folders, mut files) = (vec![run.dir().join("run")], 0);
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).expect("a run folder");
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let content = std::fs::read(&path).expect("a file");
            let found = String::from_utf8_lossy(&content).contains(&secret);
            assert!(!found, "{} contains the secret", path.display());
        }
    }
    let evidence = run.dir().join("run/evidence");
    assert!(evidence.is_dir() && files > 10, "{files} files");
}
