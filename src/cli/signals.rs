//! Handles SIGINT, SIGTERM and SIGHUP, from a command's first calls to its end.
//!
//! In: signals, and the part of the command that is in progress. Out: a cancelled token, or the end
//! of the process. Invariant: from the first part on, every signal has an effect. The first one
//! during a part cancels it, and one between two parts cancels the next; if there is no part left
//! to cancel, the process ends as the signal itself would end it.

use crate::os::hang_ups_are_ignored;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The state that determines the effect of the next signal.
#[derive(Debug)]
struct Watch {
    /// The thread that waits for signals has been started.
    started: bool,
    /// The token that the next signal cancels.
    next: Option<CancellationToken>,
    /// A part is in progress.
    busy: bool,
    /// A signal came between two parts.
    pending: bool,
}

static WATCH: Mutex<Watch> = Mutex::new(Watch {
    started: false,
    next: None,
    busy: false,
    pending: false,
});

fn watch() -> MutexGuard<'static, Watch> {
    WATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// Begins a part, which the next signal cancels.
    fn begin(&mut self, part: CancellationToken) {
        self.busy = true;
        if std::mem::take(&mut self.pending) {
            part.cancel();
            self.next = None;
        } else {
            self.next = Some(part);
        }
    }

    /// Handles a signal. Returns whether it cancelled a part, or will cancel the next one.
    fn signalled(&mut self) -> bool {
        let Some(part) = self.next.take() else {
            return false;
        };
        part.cancel();
        self.pending = !self.busy;
        true
    }
}

/// A part of a command that a signal cancels; over when it is dropped.
#[derive(Debug)]
#[must_use = "the part is over when this is dropped"]
pub(super) struct CancellablePart(());

impl CancellablePart {
    /// Begins a part: the next signal cancels `token`. If a signal came since the last part,
    /// `token` is cancelled at once.
    pub(super) fn begin(token: &CancellationToken) -> Self {
        watch().begin(token.clone());
        Self(())
    }
}

impl Drop for CancellablePart {
    fn drop(&mut self) {
        watch().busy = false;
    }
}

/// Starts to wait for signals. From then on, a signal does not end the process by itself.
///
/// # Errors
/// The system refuses a thread or the signal handlers.
pub(super) fn listen() -> io::Result<()> {
    let mut watch = watch();
    if watch.started {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (tell, ready) = mpsc::channel();
    let thread = std::thread::Builder::new().name("signals".into());
    thread.spawn(move || {
        runtime.block_on(async {
            match Handlers::install() {
                Ok(handlers) => {
                    let _ = tell.send(Ok(()));
                    handlers.wait().await;
                }
                Err(e) => drop(tell.send(Err(e))),
            }
        });
    })?;
    // If the thread ended without sending a result, it panicked; the panic has been printed.
    ready.recv().unwrap_or(Ok(()))?;
    watch.started = true;
    Ok(())
}

struct Handlers {
    interrupt: Signal,
    terminate: Signal,
    /// `None`: hang-ups are ignored.
    hang_up: Option<Signal>,
}

impl Handlers {
    fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: match hang_ups_are_ignored() {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
        })
    }

    async fn wait(mut self) {
        loop {
            let code = tokio::select! {
                _ = self.interrupt.recv() => 130,
                _ = self.terminate.recv() => 143,
                () = hung_up(&mut self.hang_up) => 129,
            };
            if !watch().signalled() {
                std::process::exit(code);
            }
        }
    }
}

/// Returns at the next hang-up; never returns if hang-ups are ignored.
async fn hung_up(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> Watch {
        Watch {
            started: true,
            next: None,
            busy: false,
            pending: false,
        }
    }

    #[test]
    fn every_signal_has_an_effect() {
        let mut watch = fresh();
        assert!(!watch.signalled(), "no part to cancel: the process ends");
        let [first, second, third] = [(); 3].map(|()| CancellationToken::new());
        watch.begin(first.clone());
        assert!(watch.signalled() && first.is_cancelled());
        assert!(!watch.signalled(), "the second signal ends the process");
        // A signal that cancelled one part does not cancel the next.
        watch.busy = false;
        watch.begin(second.clone());
        assert!(!second.is_cancelled());
        // Between two parts.
        watch.busy = false;
        assert!(watch.signalled());
        watch.begin(third.clone());
        assert!(third.is_cancelled());
        assert!(!watch.signalled(), "the second signal ends the process");
    }
}
