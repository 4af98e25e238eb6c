//! Runs each level in separate processes and measures them from outside.
//!
//! In: the arguments. Out: the resource usage of every level.
//! Invariants: the window starts once every call is under way and ends before the first call
//! does, or else the level is invalid; all processes of a level end before the next one starts.

use super::args::CallersArgs;
use super::level::{Came, LevelArgs, REPLY, TURN, Word, scenario_text};
use super::pairs::{AccountPairs, Pair, order};
use super::peer;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::session::truth::this_program;
use crate::cli::settings::{self, Environment, ServerFlags};
use crate::cli::sources::ScenarioSource;
use crate::cli::trouble::Trouble;
use crate::os;
use crate::plan::{Consent, Plan};
use crate::scenario::Unset;
use crate::targets::OwnAgent;
use crate::targets::livekit::{Credentials, OwnWorker};
use crate::vocab::{AccountUse, Address};
use serde::Serialize;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Wait after the last call is under way, so that the window excludes greetings, first decodes and
/// first-touch page faults.
const SETTLE: Duration = Duration::from_secs(2);

/// Results of the bench, serialised with `--json`.
#[derive(Debug, Serialize)]
pub(super) struct BenchResult {
    pub target: String,
    pub loadgen_version: &'static str,
    pub cores: usize,
    pub window_s: f64,
    pub levels: Vec<Level>,
}

/// One level: the repetition with the median CPU usage.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Level {
    pub calls: u32,
    /// Percent of one core per caller.
    pub generator_cpu_percent: f64,
    pub agent_cpu_percent: Option<f64>,
    pub server_cpu_percent: Option<f64>,
    /// Growth of the generator's resident memory since before the first call, per caller.
    pub rss_kib: f64,
    /// Usage of the Go SDK's participant with the same packets, but without decoding.
    pub peer: Option<peer::Took>,
    /// CPU usage of a Go participant divided by the generator's per caller.
    pub peer_ratio: Option<f64>,
    /// CPU cost of reading the agent's account.
    pub account_pairs: Option<AccountPairs>,
    #[serde(flatten)]
    pub came: Came,
}

/// Measures all levels.
pub(super) fn callers(args: &CallersArgs) -> Result<BenchResult, Trouble> {
    let env = Environment::load()?;
    let flags: ServerFlags = args.server.clone().into();
    let server = match &flags.url {
        None => None,
        Some(_) => Some(settings::server(&flags, &env, &ServerFlags::default())?),
    };
    let host = server.as_ref().map(|(address, _)| address.host());
    if let Some(consent) = consent(args, host)?.filter(|_| !args.yes) {
        return Err(Trouble::new(
            Exit::Usage,
            consent.to_string(),
            consent.hint(),
        ));
    }
    let peer = args.peer.as_deref().map(peer::Peer::prepare).transpose()?;
    let mut levels = Vec::new();
    for calls in &args.calls {
        if let Some(count) = args.account_pairs {
            levels.extend(measure_pairs(args, *calls, count, server.as_ref())?);
            continue;
        }
        let mut runs = Vec::new();
        for _ in 0..args.repeat {
            let mut level = measure_level(args, *calls, server.as_ref(), AccountUse::Read)?;
            if let (Some(peer), Some((address, credentials))) = (&peer, &server) {
                let took = peer.run(*calls, args.window, address, credentials)?;
                level.peer_ratio = Some(took.cpu_percent / level.generator_cpu_percent);
                level.peer = Some(took);
            }
            runs.push(level);
        }
        levels.extend(median(runs));
    }
    Ok(BenchResult {
        target: server.map_or("embedded".into(), |(a, _)| format!("livekit {a}")),
        loadgen_version: env!("CARGO_PKG_VERSION"),
        cores: os::cores(),
        window_s: args.window.as_secs_f64(),
        levels,
    })
}

/// The consent that the largest level needs, if any.
fn consent(args: &CallersArgs, host: Option<&str>) -> Result<Option<Consent>, Trouble> {
    let calls = args.calls.iter().copied().max().unwrap_or(1);
    let text = scenario_text(&LevelArgs {
        calls,
        ramp: ramp(args, calls),
        lasting: length(args, calls),
        ignore_account: false,
        agent_name: host.map(|_| "loadgen-bench".into()),
    });
    let scenario =
        ScenarioSource::made("bench-callers", text, &[])?.check(&|_| Ok(None), Unset::Absent)?;
    Ok(Plan::new(&scenario).needs_consent(host))
}

/// Measures a level in `count` pairs of runs, one that reads the agent's account and one that
/// ignores it; returns the median of the runs that read it.
fn measure_pairs(
    args: &CallersArgs,
    calls: u32,
    count: u32,
    server: Option<&(Address, Credentials)>,
) -> Result<Option<Level>, Trouble> {
    let (mut reading, mut invalid, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
    for nth in 0..count {
        let mut pair = Pair::default();
        for account in order(nth) {
            let level = measure_level(args, calls, server, account)?;
            match account {
                AccountUse::Read => {
                    pair.reading_cpu_percent = level.generator_cpu_percent;
                    reading.push(level);
                }
                AccountUse::Ignore => {
                    pair.ignoring_cpu_percent = level.generator_cpu_percent;
                    invalid.extend(level.came.invalid);
                }
            }
        }
        pairs.push(pair);
    }
    Ok(median(reading).map(|mut level| {
        level.came.invalid.extend(invalid);
        level.account_pairs = Some(AccountPairs::of(pairs));
        level
    }))
}

/// The run with the median CPU usage, with the exceeded health bounds of all runs.
fn median(mut runs: Vec<Level>) -> Option<Level> {
    runs.sort_by(|a, b| a.generator_cpu_percent.total_cmp(&b.generator_cpu_percent));
    let invalid: Vec<String> = runs.iter().flat_map(|l| l.came.invalid.clone()).collect();
    let middle = runs.len() / 2;
    (!runs.is_empty()).then(|| {
        let mut level = runs.swap_remove(middle);
        level.came.invalid = invalid;
        level
    })
}

fn ramp(args: &CallersArgs, calls: u32) -> Duration {
    args.ramp.unwrap_or(Duration::from_millis(10) * calls)
}

/// Minimum length of a call, chosen so that the window lies inside every call.
fn length(args: &CallersArgs, calls: u32) -> Duration {
    ramp(args, calls) + SETTLE + args.window + TURN
}

fn system(what: &str, e: impl std::fmt::Display) -> Trouble {
    Trouble::new(
        Exit::Error,
        format!("{what}: {e}"),
        "check `ulimit -u` and `ulimit -n`",
    )
}

/// The generator process; killed on drop if it is still running.
struct Generator {
    child: Child,
    words: std::io::Lines<BufReader<ChildStdout>>,
}

impl Generator {
    fn start(
        args: &CallersArgs,
        calls: u32,
        server: Option<(&Address, &Credentials, &str)>,
        account: AccountUse,
    ) -> Result<Self, Trouble> {
        let program = std::env::current_exe().map_err(|e| system("cannot find this program", e))?;
        let mut command = Command::new(program);
        command
            .args(["bench", "level"])
            .arg(format!("--calls={calls}"))
            .arg(format!("--ramp={}ms", ramp(args, calls).as_millis()))
            .arg(format!("--lasting={}ms", length(args, calls).as_millis()))
            .args((account == AccountUse::Ignore).then_some("--ignore-account"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if let Some((address, credentials, agent)) = server {
            command
                .arg(format!("--agent-name={agent}"))
                .env("LIVEKIT_URL", address.to_string());
            credentials.to_environment(&mut command);
        }
        let mut child = command
            .spawn()
            .map_err(|e| system("cannot start the generator", e))?;
        let stdout = child.stdout.take();
        let stdout = stdout.ok_or_else(|| system("cannot start the generator", "no pipe"))?;
        Ok(Self {
            child,
            words: BufReader::new(stdout).lines(),
        })
    }

    fn hear(&mut self) -> Result<Word, Trouble> {
        let line = self.words.next().and_then(Result::ok);
        line.and_then(|l| serde_json::from_str(&l).ok())
            .ok_or_else(|| system("the generator ended", "its message is above"))
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Resource usage of the processes within a window.
struct Used {
    /// Cores used, by process; `None` if there is no such process.
    cores: [Option<f64>; 3],
    /// Resident memory of the first process at the end, in bytes.
    rss_bytes: u64,
}

impl Used {
    fn during(window: Duration, pids: [Option<u32>; 3]) -> Self {
        let begin = Instant::now();
        let before = pids.map(|pid| pid.and_then(os::usage));
        std::thread::sleep(window);
        let after = pids.map(|pid| pid.and_then(os::usage));
        let seconds = begin.elapsed().as_secs_f64();
        let cores = |i: usize| {
            let used = after[i]?.cpu.saturating_sub(before[i]?.cpu);
            Some(used.as_secs_f64() / seconds)
        };
        Self {
            cores: [0, 1, 2].map(cores),
            rss_bytes: after[0].map_or(0, |u| u.rss_bytes),
        }
    }
}

fn server_pid(args: &CallersArgs, server: Option<&(Address, Credentials)>) -> Option<u32> {
    let (address, _) = server?;
    args.server_pid.or_else(|| os::tcp_listener(address.port()))
}

/// Describes the reference agent to start and writes its reply to `folder`.
fn own_agent(folder: &Path, name: String) -> Result<OwnAgent, Trouble> {
    let reply = folder.join("reply.wav");
    let sound = crate::cli::builtin::content(REPLY).unwrap_or_default();
    std::fs::write(&reply, sound).map_err(|e| system("cannot write a sound", e))?;
    Ok(OwnAgent {
        program: this_program()?,
        arguments: vec![
            "--delay=400ms".to_owned(),
            format!("--reply={}", reply.display()),
        ],
        name,
    })
}

fn measure_level(
    args: &CallersArgs,
    calls: u32,
    server: Option<&(Address, Credentials)>,
    account: AccountUse,
) -> Result<Level, Trouble> {
    console::say(&format!(
        "{calls} callers: {:.0} s",
        length(args, calls).as_secs_f64()
    ));
    let folder = tempfile::tempdir().map_err(|e| system("cannot create a temporary folder", e))?;
    let name = format!("loadgen-bench-{}", settings::random_id());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| system("cannot start a runtime", e))?;
    let agent = match server {
        None => None,
        Some((address, credentials)) => {
            let own = own_agent(folder.path(), name.clone())?;
            let worker = runtime.block_on(OwnWorker::start(&own, address, credentials));
            Some(worker.map_err(|f| Trouble::new(Exit::Error, f.to_string(), f.hint()))?)
        }
    };
    let through = server.map(|(address, credentials)| (address, credentials, name.as_str()));
    let mut generator = Generator::start(args, calls, through, account)?;
    let Word::Begins { rss_bytes } = generator.hear()? else {
        return Err(system("the generator", "its first message was unexpected"));
    };
    let begun = Instant::now();
    let Word::UnderWay = generator.hear()? else {
        return Err(system("the generator", "its calls were over too soon"));
    };
    let waited = begun.elapsed();
    std::thread::sleep(SETTLE);
    let pid = generator.child.id();
    let agent_pid = agent
        .as_ref()
        .map_or_else(|| os::child_of(pid), |a| runtime.block_on(a.pid()));
    let pids = [Some(pid), agent_pid, server_pid(args, server)];
    let used = Used::during(args.window, pids);
    let percent = |i: usize| Some(used.cores[i]? / f64::from(calls) * 100.0);
    let Word::Over(mut came) = generator.hear()? else {
        return Err(system("the generator", "its last message was unexpected"));
    };
    if let Some(agent) = agent {
        runtime.block_on(agent.stop());
    }
    // The first call may end once `length` has elapsed; the window must end before that.
    if waited + SETTLE + args.window > length(args, calls) {
        came.invalid.push(format!(
            "the last call was under way only after {:.1} s: some calls ended before the window did",
            waited.as_secs_f64(),
        ));
    }
    let grown = used.rss_bytes.saturating_sub(rss_bytes);
    Ok(Level {
        calls,
        generator_cpu_percent: percent(0).unwrap_or_default(),
        agent_cpu_percent: percent(1),
        server_cpu_percent: percent(2),
        rss_kib: grown as f64 / 1_024.0 / f64::from(calls),
        peer: None,
        peer_ratio: None,
        account_pairs: None,
        came: *came,
    })
}
