//! Runs a command that makes or serves calls, on an async runtime with signal handling.
//!
//! In: a future, the token that stops it. Out: the future's result. Invariant: the first SIGINT,
//! SIGTERM or SIGHUP cancels the command; the second ends the process at once.

use super::signals::{self, CancellablePart};
use super::trouble::Trouble;
use std::future::Future;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long background tasks may keep running after a command is over.
const LEFTOVERS: Duration = Duration::from_millis(200);

/// Runs a command's future; the first SIGINT, SIGTERM or SIGHUP cancels `stop`, the second ends the
/// process as the signal itself would.
///
/// # Errors
/// The system refuses threads or signal handlers.
pub(super) fn with_runtime<T>(
    stop: CancellationToken,
    work: impl Future<Output = T>,
) -> Result<T, Trouble> {
    let refused = |e: std::io::Error| Trouble::threads(&e);
    crate::targets::livekit::install_crypto();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(refused)?;
    signals::listen().map_err(refused)?;
    let part = CancellablePart::begin(&stop);
    let done = runtime.block_on(work);
    drop(part);
    // Without a limit, this would wait for a DNS lookup that is still running.
    runtime.shutdown_timeout(LEFTOVERS);
    Ok(done)
}
