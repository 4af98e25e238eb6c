//! Connects a run in progress with its surroundings: the progress line, Prometheus metrics, its own
//! OpenTelemetry spans, and those of the agents.
//!
//! In: the run's events, requests. Out: stderr, responses to scrapes, exported spans, received
//! telemetry. Invariants: nothing here makes the run wait or changes its figures; failures during the
//! run are only warnings.

mod feed;
mod http;
mod otlp;
mod progress;
mod response;
mod shown;
mod telemetry;

#[cfg(any(test, fuzzing))]
pub(crate) use http::answered;
pub(crate) use http::{ListenAt, Site};
pub(super) use shown::RunLabels;
#[cfg(any(test, fuzzing))]
pub(crate) use telemetry::{read_metrics, read_spans};

use super::console;
use super::signals::CancellablePart;
use super::trouble::Trouble;
use crate::run::{RunEvent, TelemetryInbox};
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
    /// Address to receive the agents' telemetry on.
    pub otlp_listen: Option<ListenAt>,
}

/// The live outputs of a run.
pub(super) struct LiveOutputs {
    progress: Progress,
    served: Option<(Feed, Server)>,
    received: Option<(Arc<TelemetryInbox>, Server)>,
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
                let server = Server::open(at, Site::Metrics(Arc::clone(feed.metrics())))?;
                if !quiet {
                    console::say(&format!("metrics on http://{}/metrics", server.address()));
                }
                Some((feed, server))
            }
            None => None,
        };
        let received = flags.otlp_listen.as_ref();
        let received = received.map(|at| receive(at, quiet)).transpose()?;
        let total = shown.plan.measured().map(|n| n + shown.plan.warmup());
        Ok(Self {
            progress: Progress::new(total, console::redraws(), quiet),
            served,
            received,
            export,
        })
    }

    /// Where the agents' telemetry arrives, if it is received.
    pub(super) fn telemetry(&self) -> Option<Arc<TelemetryInbox>> {
        self.received.as_ref().map(|(inbox, _)| Arc::clone(inbox))
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

    /// Ends the progress display and the servers; the remaining spans are sent in the
    /// background.
    #[must_use = "the remaining spans are still being sent"]
    pub(super) fn over(self) -> PendingExport {
        self.progress.finish();
        PendingExport(self.export.map(Export::over))
    }
}

/// Starts to receive telemetry.
fn receive(at: &ListenAt, quiet: bool) -> Result<(Arc<TelemetryInbox>, Server), Trouble> {
    let inbox = Arc::new(TelemetryInbox::default());
    let server = Server::open(at, Site::Telemetry(Arc::clone(&inbox)))?;
    if !quiet {
        console::say(&format!(
            "receiving the agents' telemetry: OTEL_EXPORTER_OTLP_ENDPOINT=http://{}",
            server.address()
        ));
    }
    Ok((inbox, server))
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
