//! The targets that the suite is run against.

use super::{Case, Mishap, Records};
use crate::in_process::{carried_out, scenario};
use crate::support::{LivekitServer, Loadgen, Running, Shared, children, poll};
use loadgen::record::Journal;
use loadgen::targets::in_process;
use loadgen::vocab::AgentDelay;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use tempfile::TempDir;

/// Maximum wait for the first turns to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A target with our own agent.
pub(super) trait Subject {
    /// Runs the two calls of the case.
    fn run(&self, case: &Case) -> Records;
}

/// An agent in this process.
pub(super) struct InThisProcess;
/// The reference agent as a worker of a real LiveKit server.
pub(super) struct Livekit;
/// The embedded agent.
pub(super) struct Embedded;

/// A server for all cases except those that kill the server.
static SERVER: Shared<LivekitServer> = Shared::new();
/// Number of agents started so far, for unique names.
static AGENTS: AtomicU32 = AtomicU32::new(0);

fn milliseconds(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

impl Subject for InThisProcess {
    fn run(&self, case: &Case) -> Records {
        let folder = TempDir::with_prefix("conformance-").expect("a temporary folder");
        let scenario = scenario(&case.scenario("{kind: embedded}", folder.path()));
        // Virtual time well after the first turn and well before the second.
        let when = Duration::from_secs(20);
        let mishap = case.mishap.map(|mishap| match mishap {
            Mishap::AgentLeaves => (when, in_process::Mishap::AgentLeaves),
            Mishap::TargetGone => (when, in_process::Mishap::TargetGone),
        });
        let agent = in_process::InProcess {
            delay: AgentDelay::Fixed(case.delay),
            reply: case.reply,
            path: Duration::from_millis(10),
            mishaps: mishap.into_iter().collect(),
            ..in_process::InProcess::default()
        };
        let finished = carried_out(&scenario, agent);
        Records {
            turns: finished.turns,
            calls: finished.calls,
        }
    }
}

impl Subject for Embedded {
    fn run(&self, case: &Case) -> Records {
        let target = format!(
            "{{kind: embedded, agent: {{delay: {}, reply_length: {}}}}}",
            milliseconds(case.delay),
            milliseconds(case.reply)
        );
        let run = Loadgen::new(["run", "conformance.yaml", "--out", "run"]);
        prepare(case, &target, run.dir());
        let run = run.spawn();
        if case.mishap.is_some() {
            first_turns_ended(&run);
            for pid in children(run.pid()) {
                kill(pid);
            }
        }
        finished(run)
    }
}

impl Subject for Livekit {
    fn run(&self, case: &Case) -> Records {
        let (shared, own);
        let server = match case.mishap {
            Some(Mishap::TargetGone) => {
                own = LivekitServer::start();
                &own
            }
            _ => {
                shared = SERVER.get(LivekitServer::start);
                &*shared
            }
        };
        let name = format!("conformance-{}", AGENTS.fetch_add(1, Relaxed));
        let (delay, reply) = (milliseconds(case.delay), milliseconds(case.reply));
        let settings = ["--delay", &delay, "--reply-length", &reply];
        let agent = Loadgen::agent(server, &[&settings[..], &["--agent-name", &name]].concat());
        let target = format!("{{kind: livekit, agent_name: {name}}}");
        let run = Loadgen::new(["run", "conformance.yaml", "--out", "run"]).on(server);
        prepare(case, &target, run.dir());
        let run = run.spawn();
        if let Some(mishap) = case.mishap {
            first_turns_ended(&run);
            match mishap {
                Mishap::AgentLeaves => agent.send_signal(libc::SIGINT),
                Mishap::TargetGone => kill(server.pid()),
            }
        }
        finished(run)
    }
}

/// Kills a process that this test started.
fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed());
    // The process may have ended already.
    let _ = signal::kill(pid, Signal::SIGKILL);
}

/// Writes the scenario into the run's folder, without sentinels: there are only two calls.
fn prepare(case: &Case, target: &str, folder: &Path) {
    let text = case.scenario(target, folder) + "sentinels: off\n";
    std::fs::write(folder.join("conformance.yaml"), text).expect("a writable folder");
}

/// Waits until the first turn of both calls is in the journal.
fn first_turns_ended(run: &Running) {
    let journal = run.dir().join("run/turns.jsonl");
    let both = || {
        let turns = std::fs::read_to_string(&journal).unwrap_or_default();
        (turns.lines().count() >= 2).then_some(())
    };
    poll(PATIENCE, both).expect("the first turns end");
}

fn finished(run: Running) -> Records {
    let run = run.finish();
    let folder = run.dir().join("run");
    let read = Journal::read(&folder.join("turns.jsonl"));
    let read = read.unwrap_or_else(|e| panic!("{e}: {:?}", run.finished));
    Records {
        turns: read.turns,
        calls: Journal::read_calls(&folder.join("turns.jsonl"))
            .expect("the calls")
            .0,
    }
}
