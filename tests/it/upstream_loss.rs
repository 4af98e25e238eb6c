//! Utterances that are partly lost upstream, on their way to a real server.
//!
//! In: a network namespace, in which nftables drops a share of the caller's packets. Out: the
//! losses that loadgen derives from the server's receiver reports. Needs root. `scripts/test` runs
//! this test in a namespace of its own if the system allows one, and otherwise prints a message.

use crate::support::{LivekitServer, Loadgen, Reports, Small, in_repo};
use std::process::Command;
use std::time::Duration;

/// Group id of the caller's process, by which nftables distinguishes its packets from the agent's.
const CALLER: u32 = 42_424;
/// Percentage of the caller's packets that are dropped.
const DROPPED: u32 = 15;
const CALLS: usize = 4;
const TURNS: usize = 3;

/// Runs nft; returns its output.
fn nft(arguments: &str) -> String {
    let done = Command::new("nft").arg(arguments).output();
    let done = done.expect("nft is installed");
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "nft {arguments}: {complaint}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Network interfaces that are visible to this process.
fn interfaces() -> Vec<String> {
    let table = std::fs::read_to_string("/proc/thread-self/net/dev").expect("/proc");
    let names = table.lines().filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}

fn called(server: &LivekitServer) -> Reports {
    let run = Loadgen::new(["run", "small.yaml", "--out", "run"]).group(CALLER);
    let small = Small {
        turns: TURNS,
        calls: CALLS,
        sound: in_repo("fixtures/order-status.wav").display().to_string(),
        ..Small::default()
    };
    small.write(run.dir());
    let run = run.on(server).deadline(Duration::from_secs(90)).run();
    Reports::read(&run.dir().join("run"))
}

fn flagged(reports: &Reports) -> usize {
    let lost = |flags: &str| flags.contains("utterance_lost");
    reports
        .turns
        .iter()
        .filter(|row| lost(&row["flags"]))
        .count()
}

#[test]
#[ignore = "needs root and a network namespace of its own"]
fn upstream_losses_are_counted_and_their_turns_flagged() {
    // In a shared namespace, other programs would lose packets too.
    assert_eq!(
        interfaces(),
        ["lo"],
        "this test needs a network namespace of its own"
    );
    let server = LivekitServer::start();
    let _agent = Loadgen::agent(&server, &["--reply-length", "300ms"]);

    let untouched = called(&server);
    assert_eq!(untouched.number("/generator/packets_lost_upstream"), 0.0);
    assert_eq!(flagged(&untouched), 0);

    // Mark packets on output and drop them on input: a drop on output makes the send call fail.
    nft(&format!(
        "add table inet loss; \
         add chain inet loss out {{ type filter hook output priority 0; }}; \
         add chain inet loss in {{ type filter hook input priority 0; }}; \
         add rule inet loss out meta skgid {CALLER} meta l4proto udp meta mark set 1; \
         add rule inet loss in meta mark 1 numgen random mod 100 < {DROPPED} counter drop"
    ));
    let lossy = called(&server);
    let rule = nft("list ruleset");
    let counter = rule.split_once("counter packets ").map(|(_, rest)| rest);
    let dropped = counter.and_then(|rest| rest.split(' ').next());
    let dropped: f64 = dropped.expect("a counter").parse().expect("a number");
    let told = lossy.number("/generator/packets_lost_upstream");
    let flagged = flagged(&lossy);
    println!(
        "dropped {dropped}, reported {told}; {flagged} of {} turns flagged",
        CALLS * TURNS
    );
    // Receiver reports end with the call, and packets other than media are dropped too.
    assert!(
        told >= dropped / 2.0 && told <= dropped,
        "{told} of {dropped}"
    );
    // A call's last turn may end before the next report.
    assert!(flagged >= CALLS * (TURNS - 1), "{:#?}", lossy.turns);
}
