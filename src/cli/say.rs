//! Error messages of commands, and the runtime around a command.
//!
//! In: a message and a hint. Out: stderr, an exit code. Invariants: stdout carries only data; a
//! closed pipe is not an error.

use super::exit::Exit;
use crate::record::RecordError;
use crate::scenario::Problem;
use std::future::Future;
use std::io::Write as _;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// An error that ends a command, with its exit code.
#[derive(Debug)]
pub struct Trouble {
    exit: Exit,
    text: String,
}

impl Trouble {
    /// A message with its hint.
    pub fn new(exit: Exit, message: impl AsRef<str>, hint: impl AsRef<str>) -> Self {
        let text = format!("error: {}\n  hint: {}", message.as_ref(), hint.as_ref());
        Self { exit, text }
    }

    /// All problems of a scenario.
    pub fn problems(source: &str, problems: &[Problem]) -> Self {
        let shown: Vec<String> = problems
            .iter()
            .map(|p| p.display(source).to_string())
            .collect();
        Self {
            exit: Exit::InvalidScenario,
            text: shown.join("\n\n"),
        }
    }

    /// A record that cannot be written or read.
    pub fn record(e: &RecordError) -> Self {
        Self::new(Exit::Error, e.to_string(), e.hint())
    }

    /// Prints the message to stderr; returns the exit code.
    pub fn tell(&self) -> Exit {
        // If stderr is closed, there is nowhere to report that.
        let _ = writeln!(std::io::stderr(), "{}", self.text);
        self.exit
    }
}

/// Prints data. A reader that closes the pipe (`| head`) ends the printing, not the command.
pub fn out(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// How long background tasks may go on after a command is over.
const LEFTOVERS: Duration = Duration::from_millis(200);

/// Runs a command's future; the first SIGINT or SIGTERM cancels `stop`, the second ends the
/// process as the signal itself would.
///
/// # Errors
/// The system refuses threads or signal handlers.
pub fn with_runtime<T>(
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
        tokio::spawn(async move {
            let mut told = false;
            loop {
                let code = tokio::select! {
                    _ = interrupt.recv() => 130,
                    _ = terminate.recv() => 143,
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
