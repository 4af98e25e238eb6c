//! Sends spans to an OpenTelemetry collector, by OTLP over HTTP.
//!
//! In: the run's events. Out: batches of spans. Invariants: the run never blocks on a collector:
//! spans pass through a bounded queue, and spans dropped because the queue is full are counted; a
//! separate thread sends them and ends within seconds of the run, whatever the collector does;
//! after a signal, the command does not wait for that thread.

use super::shown::RunLabels;
use crate::cli::exit::Exit;
use crate::cli::trouble::Trouble;
use crate::record::Ms;
use crate::report::spans::Spans;
use crate::run::RunEvent;
use crate::vocab::Address;
use opentelemetry::KeyValue;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Capacity of the queue, in calls and turns: a few seconds of a run with a thousand calls.
const QUEUE: usize = 4_096;
/// Approximate number of spans per batch.
const BATCH: usize = 512;
/// Maximum time for which spans are gathered into a batch.
const GATHER: Duration = Duration::from_secs(1);
/// Timeout for sending a batch; a batch that takes longer is lost.
const SEND: Duration = Duration::from_secs(3);
/// After the run, spans still in the queue are sent within this time or lost.
const LAST: Duration = Duration::from_secs(5);
/// Interval at which the wait for the last spans checks for a signal.
const LOOK: Duration = Duration::from_millis(20);
/// Path at which collectors accept spans.
const PATH: &str = "/v1/traces";

/// Numbers of spans sent and lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sent {
    sent: u64,
    lost: u64,
}

/// Sends a run's spans.
pub(super) struct Export {
    endpoint: String,
    queue: SyncSender<Vec<SpanData>>,
    /// The numbers of spans sent and lost, once the thread has ended.
    done: Receiver<Sent>,
    /// The first error, until it has been reported.
    trouble: Arc<Mutex<Option<String>>>,
    /// Deadline for sending, set when the run is over.
    end: Arc<OnceLock<Instant>>,
    run: Option<(Spans, Instant)>,
    /// Spans from the agents' accounts of turns of calls in progress, by call and turn. An account
    /// may change until its call ends; its spans are sent then.
    accounts: BTreeMap<(usize, usize), Vec<SpanData>>,
    /// Number of spans dropped because the queue was full.
    dropped: u64,
}

/// The URL to post to: `endpoint`, with [`PATH`] appended unless `endpoint` already ends with it.
fn traces(endpoint: &str) -> Result<String, Trouble> {
    let address = Address::parse_collector(endpoint).map_err(|e| {
        let hint = match endpoint.contains(['@', '?']) {
            true => "put credentials into the variable OTEL_EXPORTER_OTLP_HEADERS",
            false => e.hint(),
        };
        Trouble::new(Exit::Usage, e.to_string(), hint)
    })?;
    let plain = address.http();
    Ok(match plain.ends_with(PATH) {
        true => plain,
        false => format!("{plain}{PATH}"),
    })
}

fn resource(shown: &RunLabels<'_>) -> Resource {
    Resource::builder()
        .with_service_name("loadgen")
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("loadgen.scenario", shown.scenario.to_owned()),
            KeyValue::new("loadgen.target", shown.target.to_owned()),
        ])
        .build()
}

impl Export {
    /// Prepares the export; nothing is sent yet.
    pub(super) fn open(endpoint: &str, shown: &RunLabels<'_>) -> Result<Self, Trouble> {
        let address = traces(endpoint)?;
        let refused = |e: &dyn std::fmt::Display| {
            let message = format!("cannot send spans to {address}: {e}");
            Trouble::new(Exit::Error, message, "check `ulimit -u`, and the address")
        };
        crate::targets::livekit::install_crypto();
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&address)
            .with_timeout(SEND)
            .build()
            .map_err(|e| refused(&e))?;
        exporter.set_resource(&resource(shown));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| refused(&e))?;
        let (queue, inbox) = sync_channel(QUEUE);
        let (trouble, end) = (Arc::new(Mutex::new(None)), Arc::new(OnceLock::new()));
        let sender = Sender {
            exporter,
            runtime,
            trouble: trouble.clone(),
            end: end.clone(),
            came: Sent::default(),
        };
        let thread = std::thread::Builder::new().name("otlp".into());
        let (tell, done) = mpsc::channel();
        let work = move || {
            // The receiver is gone if a signal has ended the wait.
            let _ = tell.send(sender.work(&inbox));
        };
        thread.spawn(work).map_err(|e| refused(&e))?;
        Ok(Self {
            endpoint: address.clone(),
            queue,
            done,
            trouble,
            end,
            run: None,
            accounts: BTreeMap::new(),
            dropped: 0,
        })
    }

    /// Queues the spans of an event.
    pub(super) fn take(&mut self, event: &RunEvent) {
        if let RunEvent::Started { at, zero_at } = event {
            let spans = Spans::new((*zero_at).into(), rand::random());
            self.run = Some((spans, *at));
        }
        let Some((spans, start)) = &self.run else {
            return;
        };
        if let RunEvent::TurnEnded(turn) | RunEvent::TurnAmended(turn) = event {
            let account = spans.account(turn);
            if !account.is_empty() {
                self.accounts.insert((turn.call, turn.turn), account);
            }
        }
        let made = match event {
            RunEvent::TurnEnded(turn) => spans.turn(turn, Ms::between(*start, Instant::now())),
            RunEvent::CallEnded(call) => {
                let mut made = spans.call(call);
                let mut later = self.accounts.split_off(&(call.call, 0));
                let mut others = later.split_off(&(call.call + 1, 0));
                made.extend(later.into_values().flatten());
                self.accounts.append(&mut others);
                made
            }
            _ => return,
        };
        self.send(made);
    }

    fn send(&mut self, made: Vec<SpanData>) {
        let number = made.len() as u64;
        if !made.is_empty() && self.queue.try_send(made).is_err() {
            self.dropped += number;
        }
    }

    /// The first error; `None` once it has been returned.
    pub(super) fn warning(&self) -> Option<String> {
        warning(&self.trouble, &self.endpoint)
    }

    /// Ends the export after the run: the remaining spans are sent while the reports are written.
    pub(super) fn over(mut self) -> UnsentSpans {
        let late = std::mem::take(&mut self.accounts);
        self.send(late.into_values().flatten().collect());
        let _ = self.end.set(Instant::now() + LAST);
        // Closing the queue makes the thread finish.
        drop(self.queue);
        UnsentSpans {
            endpoint: self.endpoint,
            done: self.done,
            trouble: self.trouble,
            dropped: self.dropped,
        }
    }
}

/// The spans of a finished run that are still to be sent.
pub(super) struct UnsentSpans {
    endpoint: String,
    done: Receiver<Sent>,
    trouble: Arc<Mutex<Option<String>>>,
    dropped: u64,
}

impl UnsentSpans {
    /// Waits for the spans to be sent: a few seconds at most, and only until `cut` is cancelled.
    /// Returns the warnings.
    pub(super) fn finish(self, cut: &CancellationToken) -> Vec<String> {
        let came = loop {
            match self.done.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Timeout) if cut.is_cancelled() => {
                    return vec![format!(
                        "a signal ended the wait for {}: the last spans are lost",
                        self.endpoint
                    )];
                }
                Err(RecvTimeoutError::Timeout) => {}
                // The result is missing only if the thread has panicked.
                came => break came.unwrap_or_default(),
            }
        };
        let first = warning(&self.trouble, &self.endpoint);
        let missing = self.dropped + came.lost;
        let last = (missing > 0).then(|| {
            format!(
                "{missing} of {} spans did not reach {}: {} were dropped because the queue was full, {} were not accepted",
                missing + came.sent,
                self.endpoint,
                self.dropped,
                came.lost
            )
        });
        first.into_iter().chain(last).collect()
    }
}

fn warning(trouble: &Mutex<Option<String>>, endpoint: &str) -> Option<String> {
    let detail = trouble.lock().ok()?.take()?;
    Some(format!(
        "cannot send spans to {endpoint} ({detail}); the run continues without them\n  \
         hint: is a collector listening there for OTLP over HTTP (port 4318 by default)?"
    ))
}

/// Sends the spans in the queue.
struct Sender {
    exporter: SpanExporter,
    runtime: tokio::runtime::Runtime,
    trouble: Arc<Mutex<Option<String>>>,
    /// The deadline, set when the run is over.
    end: Arc<OnceLock<Instant>>,
    came: Sent,
}

impl Sender {
    fn work(mut self, inbox: &Receiver<Vec<SpanData>>) -> Sent {
        let mut given_up = false;
        loop {
            let (batch, open) = gather(inbox);
            if !open && batch.is_empty() {
                return self.came;
            }
            let number = batch.len() as u64;
            if !given_up && self.send(batch) {
                self.came.sent += number;
            } else {
                self.came.lost += number;
                // Once the run is over, one failure ends sending, so that the command can exit.
                given_up = self.end.get().is_some();
            }
        }
    }

    /// Timeout for the next batch.
    fn patience(&self) -> Duration {
        let left = self
            .end
            .get()
            .map(|end| end.saturating_duration_since(Instant::now()));
        left.map_or(SEND, |left| left.min(SEND))
    }

    /// Sends a batch; returns whether the collector accepted it.
    fn send(&self, batch: Vec<SpanData>) -> bool {
        if batch.is_empty() {
            return true;
        }
        // The exporter has its own timeout, but the time until the deadline may be shorter.
        let patience = self.patience();
        let sending = async { tokio::time::timeout(patience, self.exporter.export(batch)).await };
        let failed = match self.runtime.block_on(sending) {
            Ok(Ok(())) => return true,
            Ok(Err(e)) => e.to_string(),
            Err(_) => format!("no answer within {patience:.1?}"),
        };
        // Only the first error is reported.
        if self.came.lost == 0
            && let Ok(mut trouble) = self.trouble.lock()
        {
            *trouble = Some(failed);
        }
        false
    }
}

/// Gathers a batch of spans; also returns whether the queue is still open.
fn gather(inbox: &Receiver<Vec<SpanData>>) -> (Vec<SpanData>, bool) {
    let mut batch = Vec::new();
    let end = Instant::now() + GATHER;
    while batch.len() < BATCH {
        match inbox.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(spans) => batch.extend(spans),
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => return (batch, false),
        }
    }
    (batch, true)
}

#[cfg(test)]
mod tests {
    use super::super::shown::tests::plan;
    use super::*;
    use crate::record::fixtures::{self, base};
    use std::net::TcpListener;

    /// The listener's backlog accepts connections, but nothing answers.
    #[test]
    fn a_collector_that_never_answers_delays_the_command_by_seconds_at_most() {
        let mute = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", mute.local_addr().expect("a local address"));
        let shown = RunLabels {
            scenario: "s",
            target: "t",
            variants: &["v"],
            plan: &plan("{calls: 1}"),
        };
        let mut export = Export::open(&endpoint, &shown).expect("the exporter starts");
        export.take(&RunEvent::Started {
            at: base(),
            zero_at: jiff::Timestamp::now(),
        });
        let second = Duration::from_secs(1);
        let result = fixtures::replied(base(), 0, second, second);
        let turn = fixtures::recorded(0, &result, None);
        // Nearly forty batches, each of which would time out after three seconds.
        for _ in 0..QUEUE - 100 {
            export.take(&RunEvent::TurnEnded(Box::new(turn.clone())));
        }
        let begun = Instant::now();
        let said = export.over().finish(&CancellationToken::new());
        assert!(begun.elapsed() < LAST + SEND, "{:?}", begun.elapsed());
        assert_eq!(said.len(), 2, "{said:?}");
        let missing = 5 * (QUEUE - 100);
        let all = format!("{missing} of {missing} spans did not reach");
        assert!(said[1].starts_with(&all), "{said:?}");
    }

    #[test]
    fn the_traces_path_is_appended_unless_present() {
        for (given, posted) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("HTTP://c:4318/", "http://c:4318/v1/traces"),
            ("https://c/otlp", "https://c:443/otlp/v1/traces"),
            ("https://c/v1/traces", "https://c:443/v1/traces"),
        ] {
            assert_eq!(traces(given).expect("a valid endpoint"), posted, "{given}");
        }
    }

    #[test]
    fn invalid_endpoints_are_refused_without_repeating_secrets() {
        for given in [
            "",
            "127.0.0.1:4318",
            "http://",
            "http:///x",
            "grpc://c:4317",
            "http://a b",
            "http://c:78800",
            "http://c:",
        ] {
            assert!(traces(given).is_err(), "{given}");
        }
        for secret in ["http://name:hunter2@c:4318", "https://c/?key=hunter2"] {
            let refused = traces(secret).expect_err("an endpoint with a secret");
            assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
        }
    }
}
