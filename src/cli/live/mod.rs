//! Shows a run in progress: the progress line, Prometheus metrics, OpenTelemetry spans.
//!
//! In: the run's events. Out: stderr, responses to scrapes, exported spans. Invariants: nothing
//! here blocks the run or changes its figures; failures during the run are only warnings.

mod feed;
mod http;
mod otlp;
mod progress;
mod shown;

pub(crate) use http::ListenAt;
#[cfg(any(test, fuzzing))]
pub(crate) use http::answered;
pub(super) use shown::RunLabels;

use super::console;
use super::signals::CancellablePart;
use super::trouble::Trouble;
use crate::run::RunEvent;
use feed::Feed;
use http::Server;
use otlp::Export;
use progress::Progress;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The live outputs requested on the command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct LiveFlags {
    /// Address to serve metrics on.
    pub metrics_listen: Option<ListenAt>,
    /// URL of the collector to send spans to.
    pub otlp_endpoint: Option<String>,
}

/// The live outputs of a run.
pub(super) struct LiveOutputs {
    progress: Progress,
    served: Option<(Feed, Server)>,
    export: Option<Export>,
}

impl LiveOutputs {
    /// Opens the requested outputs, before the run begins.
    pub(super) fn open(
        flags: &LiveFlags,
        shown: RunLabels<'_>,
        quiet: bool,
    ) -> Result<Self, Trouble> {
        let export = flags.otlp_endpoint.as_deref();
        let export = export.map(|e| Export::open(e, &shown)).transpose()?;
        let served = match &flags.metrics_listen {
            Some(at) => {
                let feed = Feed::new(&shown);
                let server = Server::open(at, Arc::clone(feed.metrics()))?;
                if !quiet {
                    console::say(&format!("metrics on http://{}/metrics", server.address()));
                }
                Some((feed, server))
            }
            None => None,
        };
        let total = shown.plan.measured().map(|n| n + shown.plan.warmup());
        Ok(Self {
            progress: Progress::new(total, console::redraws(), quiet),
            served,
            export,
        })
    }

    /// Passes an event to every output.
    pub(super) fn take(&mut self, event: RunEvent) {
        if let Some((feed, _)) = &mut self.served {
            feed.take(&event);
        }
        if let Some(export) = &mut self.export {
            export.take(&event);
            if let Some(warning) = export.warning() {
                self.progress.take(RunEvent::Notice(warning));
            }
        }
        self.progress.take(event);
    }

    /// Ends the progress display and the metrics server; the remaining spans are sent in the
    /// background.
    #[must_use = "the remaining spans are still being sent"]
    pub(super) fn over(self) -> PendingExport {
        self.progress.finish();
        PendingExport(self.export.map(Export::over))
    }
}

/// The span export, which may take a few more seconds.
pub(super) struct PendingExport(Option<otlp::UnsentSpans>);

impl PendingExport {
    /// Waits for the span export, until a signal ends the wait. Must be called last, so that a
    /// collector never delays the reports.
    pub(super) fn finish(self) {
        let Some(rest) = self.0 else { return };
        let cut = CancellationToken::new();
        let _part = CancellablePart::begin(&cut);
        for warning in rest.finish(&cut) {
            console::warn(&warning);
        }
    }
}
