//! Errors that prevent a run from being carried out.

use crate::audio::AudioError;
use crate::call::Failure;
use crate::record::RecordError;
use std::path::PathBuf;

/// A failure of the run itself, not of one of its calls.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A preflight call failed, so no other call can be expected to succeed.
    #[error("the first call failed, so the run ends here: {0}")]
    Preflight(Failure),
    /// A target cannot be opened, or one of our own agents cannot be started on a target.
    #[error("{0}")]
    Target(Failure),
    /// The process may not open as many file descriptors as the run needs.
    #[error("this run needs {needed} file descriptors, but the system allows this process {hard}")]
    Descriptors {
        /// Number of file descriptors that the run needs.
        needed: u64,
        /// The hard limit on file descriptors.
        hard: u64,
        /// Number of concurrent calls that the limit allows.
        calls: u64,
    },
    /// Less memory is free than the run needs.
    #[error(
        "this run needs at least {} MiB of memory, but {} has {} MiB free",
        needed >> 20,
        if *of_group { "its control group (container)" } else { "this machine" },
        free >> 20
    )]
    Memory {
        /// Minimum number of bytes that the run needs.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// The limit is the control group's, not the machine's.
        of_group: bool,
        /// Number of concurrent calls that fit in this memory.
        calls: u64,
    },
    /// The system has fewer UDP ports than the run needs.
    #[error("this run needs {needed} UDP ports, but the system has {range} ephemeral ones")]
    Ports {
        /// Number of ports that the run needs.
        needed: u64,
        /// Number of ephemeral ports that the system has.
        range: u64,
        /// Number of concurrent calls for which the ports suffice.
        calls: u64,
    },
    /// The system cannot start another thread.
    #[error("no thread could be started: {0}")]
    Thread(std::io::Error),
    /// The evidence folder cannot be created.
    #[error("{0}")]
    Evidence(RecordError),
    /// The log of the simulated networks cannot be created.
    #[error("the log of the simulated network cannot be created: {0}")]
    Impairments(std::io::Error),
    /// The audio codec failed.
    #[error("the audio codec failed: {0}")]
    Codec(AudioError),
    /// A sound file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A sound file cannot be used.
    #[error("cannot use {}: {source}", path.display())]
    Unusable {
        /// Path of the file.
        path: PathBuf,
        /// Why it cannot be used.
        source: AudioError,
    },
}

impl RunError {
    /// What to try next.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Preflight(f) | Self::Target(f) => f.hint().into(),
            Self::Descriptors { needed, calls, .. } => format!(
                "`ulimit -n {needed}` (or LimitNOFILE, or `docker run --ulimit nofile={needed}`) \
                 raises the limit; the current one allows at most {calls} calls at once"
            ),
            Self::Memory { calls, .. } => format!(
                "at most {calls} calls fit at once; provide more memory, or lower `load.concurrency`"
            ),
            Self::Ports { calls, .. } => format!(
                "at most {calls} calls fit at once; `sysctl net.ipv4.ip_local_port_range=\"1024 65535\"` allows more"
            ),
            Self::Thread(_) => "check `ulimit -n` and `ulimit -u`".into(),
            Self::Evidence(e) => e.hint().into(),
            Self::Impairments(_) => {
                "the run folder must be writable, or `network.log: drop`".into()
            }
            Self::Codec(e) => e.hint().to_string(),
            Self::Unreadable { .. } => "paths are relative to the scenario file's folder".into(),
            Self::Unusable { source, .. } => source.hint().to_string(),
        }
    }
}
