//! The arguments of `loadgen bench callers`.

use crate::cli::server::ServerArgs;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `loadgen bench callers`.
#[derive(Debug, Args)]
pub(crate) struct CallersArgs {
    /// Concurrent callers, one level after the other
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', default_value = "25,50,100,200,400",
          value_parser = crate::cli::number::whole(1..=5_000))]
    pub calls: Vec<u32>,
    /// How long each level is measured, once all calls are under way
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = crate::cli::duration::parse_duration)]
    pub window: Duration,
    /// Time from the first call's start to the last one's [default: 10ms per call]
    #[arg(long, value_name = "DURATION", value_parser = crate::cli::duration::parse_duration)]
    pub ramp: Option<Duration>,
    /// Number of times to measure each level; the run with the median CPU usage is shown
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = crate::cli::number::whole(1..=99))]
    pub repeat: u32,
    /// Measure each level in N pairs of runs, one that reads the agent's account of its session and
    /// one that ignores it, and show the ratio of their CPU usage
    #[arg(long, value_name = "N", requires = "url", conflicts_with_all = ["repeat", "peer"],
          value_parser = crate::cli::number::whole(1..=99))]
    pub account_pairs: Option<u32>,
    /// Process id of the server, if it runs on this machine but cannot be found by its port
    #[arg(long, value_name = "PID", requires = "url")]
    pub server_pid: Option<u32>,
    /// Also measure the Go SDK's participant: the folder benches/peers/pion-pairs, which is built
    /// with Go, or the built binary
    #[arg(long, value_name = "PATH", requires = "url")]
    pub peer: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Start even a level that is large enough to need confirmation
    #[arg(long)]
    pub yes: bool,
    /// The server to call through; without --url, the embedded agent is called.
    #[command(flatten)]
    pub server: ServerArgs,
}
