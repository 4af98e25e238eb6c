//! How well the generator itself kept up, as reported in the summary of a run and in a calibration.
//!
//! In: nothing; the run fills in the figures. Out: a part of `summary.json`. Invariant: a measure
//! that the kernel does not provide is null, never zero.

use super::ms::Ms;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The generator's own health.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Generator {
    /// How late the media ticks were.
    pub(crate) tick_lateness_ms: TickLateness,
    /// Number of cores that the process kept busy, on average.
    pub(crate) cpu_cores: f64,
    /// CPU limit of the process's control group (container), in cores; null without a limit.
    #[serde(default)]
    pub(crate) cpu_limit_cores: Option<f64>,
    /// Share of the scheduler's periods in which that limit throttled the process; null without a
    /// limit.
    #[serde(default)]
    pub(crate) throttled: Option<f64>,
    /// Peak resident memory of the process.
    pub(crate) rss_bytes: u64,
    /// Packets sent, on average.
    pub(crate) packets_out_per_s: f64,
    /// Packets received, on average.
    pub(crate) packets_in_per_s: f64,
    /// How long received packets waited in our sockets: kernel's stamp → read.
    #[serde(default)]
    pub(crate) receive_wait_ms: TickLateness,
    /// How late the signalling timers fired, which delays joins, agent states and hang-ups.
    #[serde(default)]
    pub(crate) signalling_lateness_ms: TickLateness,
    /// Datagrams that the kernel dropped because our socket buffers were full.
    #[serde(default)]
    pub(crate) own_drops: u64,
    /// Audio packets that a caller listened to.
    #[serde(default)]
    pub(crate) packets_heard: u64,
    /// Audio packets dropped for a known reason: they belong to a track that is not the agent's
    /// voice, or arrived before the track's section was known or after the call.
    #[serde(default)]
    pub(crate) packets_ignored: u64,
    /// Audio packets that belong to no known track.
    #[serde(default)]
    pub(crate) packets_unheard: u64,
    /// Media datagrams that failed authentication, so they did not come from the other side.
    #[serde(default)]
    pub(crate) packets_unauthenticated: u64,
    /// Duplicates of audio packets that had already arrived.
    #[serde(default)]
    pub(crate) packets_repeated: u64,
    /// Audio packets that arrived too far behind their stream to be played.
    #[serde(default)]
    pub(crate) packets_behind: u64,
    /// Packets sent that the other side reported as not received.
    #[serde(default)]
    pub(crate) packets_lost_upstream: u64,
    /// Events of a connection that its call did not receive because a queue was full.
    #[serde(default)]
    pub(crate) events_lost: u64,
    /// Number of media threads.
    #[serde(default)]
    pub(crate) media_threads: usize,
    /// Share of a core that the busiest media thread used.
    #[serde(default)]
    pub(crate) media_thread_cores: f64,
    /// Share of a core that each media thread used, in the order in which they started.
    #[serde(default)]
    pub(crate) media_threads_cores: Vec<f64>,
    /// Share of the time for which a media thread was ready to run but waited for a core; null
    /// where the kernel does not report it.
    #[serde(default)]
    pub(crate) run_queue_wait: Option<f64>,
    /// Share of the machine's processor time that the host gave to other machines (steal); null
    /// where the kernel does not report it.
    #[serde(default)]
    pub(crate) steal: Option<f64>,
}

/// Quantiles of a lateness or of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TickLateness {
    pub p50: Ms,
    pub p99: Ms,
    pub max: Ms,
}
