//! The runtime around a command that makes calls or serves them.
//!
//! In: a future, what stops it. Out: what the future returns. Invariant: the first SIGINT, SIGTERM
//! or SIGHUP lets the command end by itself; the second does not wait for it.

use super::exit::Exit;
use super::trouble::Trouble;
use std::future::Future;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long background tasks may go on after a command is over.
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
    let refused = |e: std::io::Error| {
        Trouble::new(
            Exit::Error,
            format!("the system refuses threads: {e}"),
            "check `ulimit -u`",
        )
    };
    crate::targets::livekit::install_crypto();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(refused)?;
    let done = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
        let mut hang_up = match hang_ups_are_ignored() {
            true => None,
            false => Some(signal(SignalKind::hangup()).map_err(refused)?),
        };
        tokio::spawn(async move {
            let mut told = false;
            loop {
                let code = tokio::select! {
                    _ = interrupt.recv() => 130,
                    _ = terminate.recv() => 143,
                    () = hung_up(&mut hang_up) => 129,
                };
                if told {
                    std::process::exit(code);
                }
                told = true;
                stop.cancel();
            }
        });
        Ok(work.await)
    });
    // Without a limit, this would wait for a DNS lookup that is still running.
    runtime.shutdown_timeout(LEFTOVERS);
    done
}

/// Whether this process was started to outlive its terminal, as by nohup.
fn hang_ups_are_ignored() -> bool {
    let own = procfs::process::Process::myself().and_then(|process| process.status());
    let bit = 1 << (libc::SIGHUP - 1);
    own.is_ok_and(|status| status.sigign & bit != 0)
}

/// Returns at the next hang-up; never if they are ignored.
async fn hung_up(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
