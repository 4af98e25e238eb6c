//! `loadgen doctor` on set-ups that are broken on purpose, each in one way, and on healthy ones.
//!
//! In: a real server, a real agent, and what can stand between them and a caller. Out: the checks
//! that fail or warn. Invariant: a broken set-up is named by exactly the check that it breaks.
//!
//! Two tests need root: `scripts/test` runs them if the system allows it.

use crate::support::{
    ClockOff, LivekitServer, Loadgen, Run, Running, Shared, SlowLink, TlsProxy, TokenGateway,
    free_tcp_port, in_repo,
};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// The server and the agents that all tests here share.
static SERVER: Shared<(Running, Running, LivekitServer)> = Shared::new();

fn server() -> Arc<(Running, Running, LivekitServer)> {
    SERVER.get(|| {
        let server = LivekitServer::start();
        let agent = |name: &str, behaviour: &str| {
            let args = [
                "--agent-name",
                name,
                "--delay=300ms",
                "--reply-length=300ms",
                "--behaviour",
                behaviour,
            ];
            Loadgen::agent(&server, &args)
        };
        let awake = agent("awake", "{}");
        let silent = agent("silent", "{silent: 100%}");
        (awake, silent, server)
    })
}

/// A scenario with this target and load, whose callers say one word.
fn scenario(target: &str, load: &str) -> String {
    format!(
        "version: 1\nname: checked\ntarget: {target}\n\
         utterances: {{yes: {{file: {}}}}}\n\
         call:\n  greeting: none\n  agent_timeout: 3s\n\
         \x20 turns: [{{say: yes, start: {{after: call_start, delay: 200ms}}, timeout: 3s}}]\n\
         load: {load}\nsentinels: off\n",
        in_repo("fixtures/yes.wav").display()
    )
}

const LIVEKIT: &str = "{kind: livekit}";
const EMBEDDED: &str = "{kind: embedded, agent: {delay: 300ms, reply_length: 300ms}}";
const ONE: &str = "{calls: 1}";

/// `loadgen doctor --json` with this scenario.
fn doctor(text: &str) -> Loadgen {
    let doctor = Loadgen::new(["doctor", "checked.yaml", "--json"]);
    std::fs::write(doctor.dir().join("checked.yaml"), text).expect("a writable folder");
    doctor.deadline(Duration::from_secs(90))
}

/// The same for an agent on the shared server, at another URL.
fn doctor_at(server: &LivekitServer, url: &str, agent: &str) -> Loadgen {
    let doctor = doctor(&scenario(LIVEKIT, ONE)).on(server);
    doctor.args(["--url", url, "--agent-name", agent])
}

fn checks(run: &Run) -> Vec<Value> {
    let text = &run.finished.stdout;
    let results: Value = serde_json::from_str(text)
        .unwrap_or_else(|e| panic!("{e}: {text}\n{}", run.finished.stderr));
    results["checks"].as_array().expect("a list").clone()
}

/// The checks with this result: `CHECK: TEXT | HINT`.
fn with(run: &Run, result: &str) -> Vec<String> {
    let part = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let checks = checks(run).into_iter().filter(|c| c["result"] == result);
    checks
        .map(|c| {
            let [name, text, hint] = ["check", "text", "hint"].map(|key| part(&c, key));
            format!("{name}: {text} | {hint}")
        })
        .collect()
}

/// Asserts that exactly this check fails, and that its line contains this text.
#[track_caller]
fn assert_names(run: &Run, check: &str, text: &str) {
    let bad = with(run, "fail");
    let named =
        bad.len() == 1 && bad[0].starts_with(&format!("{check}: ")) && bad[0].contains(text);
    assert!(
        named,
        "no {check:?} with {text:?}: {bad:#?}\n{}",
        run.finished.stdout
    );
    assert!(!bad[0].ends_with("| "), "without a hint: {bad:?}");
    run.assert_code(1);
}

/// Asserts that nothing fails and nothing warns. On a busy machine, timers may be late.
#[track_caller]
fn assert_healthy(run: &Run) {
    run.assert_code(0);
    let mut told = with(run, "warn");
    told.retain(|line| !line.starts_with("timers: ") && !line.starts_with("round_trip: "));
    told.extend(with(run, "skipped"));
    assert_eq!(told, [""; 0], "{}", run.finished.stdout);
}

#[test]
fn nothing_is_said_against_the_embedded_agent() {
    let run = doctor(&scenario(EMBEDDED, ONE)).run();
    assert_healthy(&run);
    let names: Vec<String> = with(&run, "ok");
    assert!(
        names.iter().any(|l| l.starts_with("audio: a reply ")),
        "{names:#?}"
    );
    assert!(
        run.finished.took < Duration::from_secs(30),
        "{:?}",
        run.finished.took
    );
}

#[test]
fn nothing_is_said_against_a_healthy_server_and_agent_over_tls() {
    let shared = server();
    let proxy = TlsProxy::start(&shared.2.address());
    // Without a scenario: the built-in one, which waits for a greeting.
    let run = Loadgen::new(["doctor", "--json", "--agent-name", "awake", "--url"])
        .arg(proxy.url())
        .on(&shared.2)
        .env("SSL_CERT_FILE", proxy.root_pem_path())
        .run();
    assert_healthy(&run);
    let good = with(&run, "ok");
    for expected in [
        "tls: the certificate is trusted",
        "clock: as the server's",
        "token: accepted",
        "join: after ",
        "permissions: publish, subscribe, send data",
        "candidates: media flows over UDP with 127.0.0.1:",
        "agent: in the room ",
        "audio: a reply ",
        "states: ",
        "session: ",
        "again: in the room ",
    ] {
        assert!(
            good.iter().any(|l| l.starts_with(expected)),
            "{expected}: {good:#?}"
        );
    }
    assert!(
        run.finished.took < Duration::from_secs(30),
        "{:?}",
        run.finished.took
    );
    let rooms = shared.2.rooms();
    assert!(
        rooms.iter().all(|r| !r.name.contains("doctor")),
        "{rooms:?}"
    );
}

#[test]
fn without_a_scenario_only_the_room_is_joined() {
    let shared = server();
    let run = Loadgen::new(["doctor"]).on(&shared.2).run();
    run.assert_code(0);
    let text = &run.finished.stdout;
    assert!(text.contains("no agent was called"), "{text}");
    assert!(!text.contains(shared.2.secret()), "{text}");
}

#[test]
fn a_wrong_address_is_named() {
    let shared = server();
    let run = doctor_at(&shared.2, "ws://no-such-host.invalid:7880", "awake").run();
    assert_names(&run, "name", "`no-such-host.invalid` does not resolve");
    let url = format!("ws://127.0.0.1:{}", free_tcp_port());
    let run = doctor_at(&shared.2, &url, "awake").run();
    assert_names(&run, "port", "does not accept connections");
}

#[test]
fn each_fault_of_tls_is_named() {
    let shared = server();
    let address = shared.2.address();
    let run = doctor_at(&shared.2, &format!("wss://{address}"), "awake").run();
    assert_names(&run, "tls", "speaks plain HTTP, but the URL asks for TLS");

    let proxy = TlsProxy::start(&address);
    let run = doctor_at(&shared.2, &proxy.url().replace("wss:", "ws:"), "awake").run();
    assert_names(&run, "tls", "speaks TLS, but the URL asks for plain HTTP");
    let run = doctor_at(&shared.2, &proxy.url(), "awake").run();
    assert_names(&run, "tls", "SSL_CERT_FILE");

    let expired = TlsProxy::expired(&address);
    let run = doctor_at(&shared.2, &expired.url(), "awake");
    let run = run.env("SSL_CERT_FILE", expired.root_pem_path()).run();
    assert_names(&run, "tls", "certificate expired at 2001-02-03");
}

#[test]
fn a_wrong_key_and_a_wrong_secret_are_told_apart() {
    let shared = server();
    let url = shared.2.url();
    let run = doctor_at(&shared.2, &url, "awake")
        .args(["--api-key", "APIother"])
        .run();
    assert_names(&run, "token", "does not know this API key");
    let other = "another-secret-of-thirty-two-characters";
    let run = doctor_at(&shared.2, &url, "awake")
        .args(["--api-secret", other])
        .run();
    assert_names(&run, "token", "the secret does not belong to the API key");
    let all = format!("{}{}", run.finished.stdout, run.finished.stderr);
    assert!(!all.contains(other) && !all.contains("eyJ"), "{all}");
}

#[test]
fn a_clock_that_is_off_by_a_day_is_named() {
    let shared = server();
    for (ahead, text) in [
        (86_400, "this machine's clock is 24.0 h behind the server's"),
        (
            -86_400,
            "this machine's clock is 24.0 h ahead of the server's",
        ),
    ] {
        let off = ClockOff::start(ahead);
        let run = doctor_at(&shared.2, &off.url(), "awake").run();
        run.assert_code(1);
        let bad = with(&run, "fail");
        assert!(bad[0].starts_with(&format!("clock: {text}")), "{bad:#?}");
        assert!(bad[1].starts_with("token: ") && bad.len() == 2, "{bad:#?}");
        assert!(bad[1].contains("clock"), "{bad:#?}");
    }
}

#[test]
fn a_token_that_does_not_allow_to_publish_is_named() {
    let shared = server();
    let server = &shared.2;
    let gateway = TokenGateway::start(&server.address(), server.key(), server.secret());
    let run = doctor_at(server, &gateway.url(), "awake").run();
    assert_names(&run, "permissions", "the caller may not publish");
}

#[test]
fn an_agent_that_is_absent_or_silent_is_named() {
    let shared = server();
    let url = shared.2.url();
    let run = doctor_at(&shared.2, &url, "nobody").run();
    assert_names(&run, "agent", "no worker took the job of agent `nobody`");
    let run = doctor_at(&shared.2, &url, "silent").run();
    assert_names(&run, "audio", "the agent is silent");
}

#[test]
fn a_round_trip_of_300_ms_is_a_warning() {
    let shared = server();
    let link = SlowLink::start(&shared.2.address(), Duration::from_millis(150));
    let run = doctor_at(&shared.2, &link.url(), "awake").run();
    run.assert_code(0);
    let slow = with(&run, "warn");
    let slow: Vec<_> = slow
        .iter()
        .filter(|l| l.starts_with("round_trip: 3"))
        .collect();
    assert_eq!(slow.len(), 1, "{}", run.finished.stdout);
    assert!(slow[0].contains("more than 50 ms"), "{slow:?}");
}

#[test]
fn too_few_descriptors_for_the_plan_are_named() {
    let text = scenario(EMBEDDED, "{calls: 40, ramp: 1s}");
    let run = doctor(&text).open_files(90, 90).run();
    assert_names(&run, "descriptors", "needs 104 file descriptors");
}

/// `run` names the command that finds the cause.
#[test]
fn a_run_whose_first_call_fails_points_to_doctor() {
    let shared = server();
    let run = Loadgen::new(["run", "checked.yaml", "--agent-name", "nobody"]).on(&shared.2);
    std::fs::write(run.dir().join("checked.yaml"), scenario(LIVEKIT, ONE)).expect("writable");
    let run = run.run();
    run.assert_code(1);
    let told = &run.finished.stderr;
    assert!(
        told.contains("; `loadgen doctor checked.yaml` shows each step"),
        "{told}"
    );
}

/// Group id of the caller's process, by which nftables distinguishes its packets.
const CALLER: u32 = 42_425;

#[test]
#[ignore = "needs root and a network namespace of its own"]
fn udp_that_a_firewall_drops_is_named() {
    let nft = |rules: &str| {
        let done = Command::new("nft")
            .arg(rules)
            .status()
            .expect("nft is installed");
        assert!(done.success(), "nft {rules}");
    };
    nft("add table ip doctor { chain out { type filter hook output priority 0; } ; }");
    nft(&format!(
        "add rule ip doctor out meta l4proto udp skgid {CALLER} drop"
    ));
    let server = LivekitServer::start();
    let run = doctor_at(&server, &server.url(), "nobody")
        .group(CALLER)
        .run();
    nft("delete table ip doctor");
    assert_names(
        &run,
        "candidates",
        "media did not connect: no answer over UDP from 127.0.0.1:",
    );
}

#[test]
#[ignore = "needs root and a control group of its own; scripts/test runs this test if possible"]
fn a_container_that_throttles_half_a_core_is_a_warning() {
    let mount = Path::new("/sys/fs/cgroup");
    let name = format!("loadgen-doctor-{}", std::process::id());
    let version_1 = mount.join("cpu");
    let (group, file, limit) = match version_1.is_dir() {
        true => (version_1.join(name), "cpu.cfs_quota_us", "50000"),
        false => (mount.join(name), "cpu.max", "50000 100000"),
    };
    std::fs::create_dir(&group).expect("a control group");
    std::fs::write(group.join(file), limit).expect("a limit");
    let run = doctor(&scenario(EMBEDDED, ONE)).control_group(&group).run();
    let removed = crate::support::poll(Duration::from_secs(5), || std::fs::remove_dir(&group).ok());
    assert!(removed.is_some(), "the group is empty");
    run.assert_code(0);
    let warned = with(&run, "warn");
    let named = warned
        .iter()
        .any(|l| l.starts_with("processor: the control group (container) allows 0.5 cores"));
    assert!(named, "{warned:#?}");
}

#[test]
#[ignore = "needs libfaketime: LOADGEN_FAKETIME is the path of the library"]
fn a_real_server_refuses_a_caller_whose_clock_is_a_day_ahead() {
    let library = std::env::var("LOADGEN_FAKETIME").expect("LOADGEN_FAKETIME");
    let shared = server();
    let run = doctor_at(&shared.2, &shared.2.url(), "awake")
        .env("LD_PRELOAD", library)
        .env("FAKETIME", "+1d")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .run();
    let bad = with(&run, "fail");
    assert!(bad[0].contains("24.0 h ahead of the server's"), "{bad:#?}");
    assert!(bad[1].contains("not valid yet"), "{bad:#?}");
}
