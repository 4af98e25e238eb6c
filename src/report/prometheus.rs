//! Live metrics of a run, for Prometheus and OpenMetrics.
//!
//! In: the records and events of the run as they occur. Out: the text of a scrape. Invariants:
//! names and units are those of `docs/metrics.md`; the number of label values is bounded,
//! whatever the scenario contains; every series exists from the start, at zero, except that failed
//! calls get a series per cause when the first call fails for that cause.

use crate::record::{CallOutcome, CallRecord, Outcome, TurnRecord};
use crate::vocab::Metric;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

mod labels;

pub(crate) use labels::CallState;
use labels::{OfCause, OfDirection, OfOutcome, OfQuantile, OfState, OfVariant, STATES};

/// Upper bounds of the latency buckets, in seconds: 7 to 25 % apart in the range of most replies.
pub(crate) const BUCKETS: [f64; 32] = [
    0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9,
    1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 10.0,
];
/// Maximum number of variants with a label of their own; further ones share [`OTHER`].
const VARIANTS: usize = 50;
/// Label of all variants without a label of their own.
const OTHER: &str = "other";
/// Maximum length of a label value, in characters.
const LONGEST: usize = 100;

#[derive(Debug, Clone)]
struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BUCKETS)
    }
}

type Latencies = Family<OfVariant, Histogram, Buckets>;
type Count<L> = Family<L, Counter>;
type Lateness = Family<OfQuantile, Gauge<f64, AtomicU64>>;

/// Generator health at one moment; counts and lateness cover the run up to then.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct GeneratorHealth {
    /// Send lateness (planned send to hand-over to the kernel): median, 99th percentile, maximum.
    pub tick_lateness: [Duration; 3],
    /// Lateness of the signalling timers: median, 99th percentile, maximum.
    pub signalling_lateness: [Duration; 3],
    /// Packets dropped because our own socket buffers were full.
    pub own_drops: u64,
    /// Packets that the operating system refused to send.
    pub send_errors: u64,
    /// Media datagrams that failed authentication.
    pub unauthenticated: u64,
    /// Audio packets that had arrived before.
    pub repeated: u64,
    /// Audio packets that arrived too far behind their stream to be played.
    pub behind: u64,
    /// Packets sent that the other side reported as not received.
    pub lost_upstream: u64,
    /// Connection events that did not reach their calls.
    pub events_lost: u64,
    /// RTP packets sent.
    pub packets_out: u64,
    /// RTP packets received.
    pub packets_in: u64,
    /// CPU time of the process.
    pub cpu: Duration,
    /// Resident memory of the process.
    pub resident_bytes: u64,
}

/// Name and help text of each count of [`GeneratorHealth::useless`].
const USELESS: [(&str, &str); 5] = [
    (
        "loadgen_packets_unauthenticated",
        "Media datagrams that failed authentication",
    ),
    (
        "loadgen_packets_repeated",
        "Audio packets that had arrived before",
    ),
    (
        "loadgen_packets_behind",
        "Audio packets too far behind their stream to be heard",
    ),
    (
        "loadgen_packets_lost_upstream",
        "Packets sent that the other side reported as not received",
    ),
    (
        "loadgen_events_lost",
        "Connection events that did not reach their calls",
    ),
];

impl GeneratorHealth {
    fn useless(&self) -> [u64; 5] {
        [
            self.unauthenticated,
            self.repeated,
            self.behind,
            self.lost_upstream,
            self.events_lost,
        ]
    }
}

/// The metrics of one run, ready to be scraped.
#[derive(Debug)]
pub(crate) struct PrometheusMetrics {
    registry: Registry,
    /// The variants with a label of their own.
    variants: Vec<String>,
    latencies: Vec<(Metric, Latencies)>,
    turns: Count<OfOutcome>,
    calls: Family<OfState, Gauge>,
    offered: Count<OfVariant>,
    started: Count<OfVariant>,
    dropped: Count<OfVariant>,
    completed: Count<OfVariant>,
    cut_off: Count<OfVariant>,
    failed: Count<OfCause>,
    target: Gauge,
    lateness: Lateness,
    signalling: Lateness,
    own_drops: Counter,
    send_errors: Counter,
    /// Counts of useless packets and events, in the order of [`GeneratorHealth::useless`].
    useless: [Counter; 5],
    packets: Count<OfDirection>,
    /// Packets of calls that are over, and those of them that were lost.
    expected: Count<OfDirection>,
    lost: Count<OfDirection>,
    cpu: Counter<f64, AtomicU64>,
    resident: Gauge,
}

/// Truncates a name from outside; the encoder escapes it.
fn bounded(name: &str) -> String {
    name.chars().take(LONGEST).collect()
}

impl PrometheusMetrics {
    /// Creates the metrics of a run. `scenario` is the scenario's name; `target` is the target's
    /// kind and address, without secrets.
    pub(crate) fn new(scenario: &str, target: &str, version: &str, variants: &[&str]) -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            variants: variants.iter().take(VARIANTS).map(|v| bounded(v)).collect(),
            latencies: Metric::summarized()
                .map(|metric| (metric, Family::new_with_constructor(Buckets)))
                .collect(),
            turns: Family::default(),
            calls: Family::default(),
            offered: Family::default(),
            started: Family::default(),
            dropped: Family::default(),
            completed: Family::default(),
            cut_off: Family::default(),
            failed: Family::default(),
            target: Gauge::default(),
            lateness: Family::default(),
            signalling: Family::default(),
            own_drops: Counter::default(),
            send_errors: Counter::default(),
            useless: Default::default(),
            packets: Family::default(),
            expected: Family::default(),
            lost: Family::default(),
            cpu: Counter::default(),
            resident: Gauge::default(),
        };
        let labels = [
            ("scenario", scenario),
            ("target", target),
            ("version", version),
        ];
        let labels = labels.map(|(name, value)| (name, bounded(value))).to_vec();
        let help = "The current run";
        metrics
            .registry
            .register("loadgen_run", help, Info::new(labels));
        metrics.register_turns();
        metrics.register_calls();
        metrics.register_generator();
        metrics.begin(variants.len() > VARIANTS);
        metrics
    }

    fn register_turns(&mut self) {
        let r = &mut self.registry;
        for (metric, family) in &self.latencies {
            let name = format!("loadgen_{}", metric.name());
            let help = metric.row().definition;
            r.register_with_unit(name, help, Unit::Seconds, family.clone());
        }
        let help = "Measured turns by outcome; cut_off and not_run are due to the end of the run or a hang-up, skipped to the scenario";
        r.register("loadgen_turns", help, self.turns.clone());
    }

    fn register_calls(&mut self) {
        let r = &mut self.registry;
        let help = "Calls in progress, by state, including warm-up calls";
        r.register("loadgen_calls", help, self.calls.clone());
        let help = "Concurrency that the load currently targets, or allows in an open model";
        r.register("loadgen_target_calls", help, self.target.clone());
        for (name, help, family) in [
            ("offered", "whose planned start has passed", &self.offered),
            ("started", "that started", &self.started),
            ("dropped", "that could not start", &self.dropped),
            ("completed", "that completed", &self.completed),
            ("cut_off", "that the end of the run cut off", &self.cut_off),
        ] {
            let (name, help) = (
                format!("loadgen_calls_{name}"),
                format!("Measured calls {help}"),
            );
            r.register(name, help, family.clone());
        }
        let help = "Measured calls that failed, by cause";
        r.register("loadgen_calls_failed", help, self.failed.clone());
    }

    fn register_generator(&mut self) {
        let r = &mut self.registry;
        let help = "Send lateness since the run began: planned send to hand-over to the kernel";
        let lateness = self.lateness.clone();
        r.register_with_unit("loadgen_tick_lateness", help, Unit::Seconds, lateness);
        let help = "How late the signalling timers fired, since the run began";
        let lateness = self.signalling.clone();
        r.register_with_unit("loadgen_signalling_lateness", help, Unit::Seconds, lateness);
        let help = "Packets dropped because the generator's own sockets were full";
        r.register("loadgen_own_drops", help, self.own_drops.clone());
        let help = "Packets that the operating system refused to send";
        r.register("loadgen_send_errors", help, self.send_errors.clone());
        for ((name, help), counter) in USELESS.into_iter().zip(&self.useless) {
            r.register(name, help, counter.clone());
        }
        r.register(
            "loadgen_packets",
            "RTP packets by direction",
            self.packets.clone(),
        );
        let help = "Audio packets of measured calls that are over, by direction";
        r.register("loadgen_network_packets", help, self.expected.clone());
        let help = "Audio packets of these calls that the network lost, by direction";
        r.register("loadgen_network_packets_lost", help, self.lost.clone());
        let help = "Processor time of the generator";
        r.register_with_unit("process_cpu", help, Unit::Seconds, self.cpu.clone());
        let (help, resident) = ("Resident memory of the generator", self.resident.clone());
        r.register_with_unit("process_resident_memory", help, Unit::Bytes, resident);
    }

    /// Creates every series whose labels are known from the start.
    fn begin(&self, more: bool) {
        let other = more.then_some(OTHER);
        for variant in self.variants.iter().map(String::as_str).chain(other) {
            let of = self.of(variant);
            for (_, family) in &self.latencies {
                drop(family.get_or_create(&of));
            }
            let counts = [
                &self.offered,
                &self.started,
                &self.dropped,
                &self.completed,
                &self.cut_off,
            ];
            for family in counts {
                drop(family.get_or_create(&of));
            }
            for &outcome in Outcome::ALL {
                drop(self.turns.get_or_create(&self.of_outcome(variant, outcome)));
            }
            for state in STATES {
                drop(self.calls.get_or_create(&self.of_state(variant, state)));
            }
        }
        for direction in ["up", "down"] {
            for family in [&self.expected, &self.lost] {
                drop(family.get_or_create(&OfDirection { direction }));
            }
        }
        self.health(&GeneratorHealth::default());
    }

    fn label(&self, variant: &str) -> String {
        let name = bounded(variant);
        match self.variants.contains(&name) {
            true => name,
            false => OTHER.to_owned(),
        }
    }

    fn of(&self, variant: &str) -> OfVariant {
        let variant = self.label(variant);
        OfVariant { variant }
    }

    fn of_outcome(&self, variant: &str, outcome: Outcome) -> OfOutcome {
        OfOutcome {
            variant: self.label(variant),
            outcome: outcome.name(),
        }
    }

    fn of_state(&self, variant: &str, state: CallState) -> OfState {
        OfState {
            variant: self.label(variant),
            state: state.name(),
        }
    }

    /// Moves a call of `variant` from one state to another; `None` means not in progress.
    pub(crate) fn call_moves(&self, variant: &str, from: Option<CallState>, to: Option<CallState>) {
        if let Some(from) = from {
            self.calls
                .get_or_create(&self.of_state(variant, from))
                .dec();
        }
        if let Some(to) = to {
            self.calls.get_or_create(&self.of_state(variant, to)).inc();
        }
    }

    /// Counts a measured call whose planned start has passed, and whether it started or was
    /// dropped.
    pub(crate) fn call_offered(&self, variant: &str, began: bool) {
        let of = self.of(variant);
        self.offered.get_or_create(&of).inc();
        let what = if began { &self.started } else { &self.dropped };
        what.get_or_create(&of).inc();
    }

    /// Counts a call that started and is over.
    pub(crate) fn call_ended(&self, call: &CallRecord) {
        if call.warmup {
            return;
        }
        let of = self.of(&call.variant);
        self.observe(&of, |metric| metric.of_call(call));
        if let Some(c) = &call.connection {
            let (up, down) = (&c.up, &c.down);
            for (direction, expected, lost) in [
                ("up", up.expected, up.lost),
                ("down", down.stream.expected, down.stream.lost),
            ] {
                let of = OfDirection { direction };
                self.expected.get_or_create(&of).inc_by(expected);
                self.lost.get_or_create(&of).inc_by(lost);
            }
        }
        match (call.ended_as(), &call.failure) {
            (Some(CallOutcome::Completed), _) => {
                self.completed.get_or_create(&of).inc();
            }
            (Some(CallOutcome::CutOff), _) => {
                self.cut_off.get_or_create(&of).inc();
            }
            // Causes are a closed set that this program defines.
            (_, Some(failure)) => {
                let cause = bounded(&failure.cause);
                let variant = of.variant;
                self.failed.get_or_create(&OfCause { variant, cause }).inc();
            }
            // A call that never started does not end.
            (_, None) => {}
        }
    }

    /// Counts a turn that is over.
    pub(crate) fn turn_ended(&self, turn: &TurnRecord) {
        if !turn.is_measured() {
            return;
        }
        let of = self.of_outcome(&turn.variant, turn.outcome);
        self.turns.get_or_create(&of).inc();
        let of = self.of(&turn.variant);
        self.observe(&of, |metric| metric.of_turn(turn));
    }

    /// Records the agent's account of a turn that has already been counted.
    pub(crate) fn turn_described(&self, turn: &TurnRecord) {
        if turn.is_measured() {
            let of = self.of(&turn.variant);
            self.observe(&of, |metric| {
                metric.of_turn(turn).filter(|_| metric.is_from_agent())
            });
        }
    }

    /// Records every latency that a call or a turn has.
    fn observe(&self, of: &OfVariant, latency: impl Fn(Metric) -> Option<Duration>) {
        for (metric, family) in &self.latencies {
            if let Some(latency) = latency(*metric) {
                family.get_or_create(of).observe(latency.as_secs_f64());
            }
        }
    }

    /// Sets the concurrency that the load targets.
    pub(crate) fn target(&self, calls: u64) {
        self.target.set(i64::try_from(calls).unwrap_or(i64::MAX));
    }

    /// Updates the generator health.
    pub(crate) fn health(&self, health: &GeneratorHealth) {
        for (family, values) in [
            (&self.lateness, health.tick_lateness),
            (&self.signalling, health.signalling_lateness),
        ] {
            for (quantile, lateness) in ["0.5", "0.99", "1"].into_iter().zip(values) {
                let of = OfQuantile { quantile };
                family.get_or_create(&of).set(lateness.as_secs_f64());
            }
        }
        for (counter, count) in self.useless.iter().zip(health.useless()) {
            counter.inner().store(count, Relaxed);
        }
        self.own_drops.inner().store(health.own_drops, Relaxed);
        self.send_errors.inner().store(health.send_errors, Relaxed);
        for (direction, packets) in [("out", health.packets_out), ("in", health.packets_in)] {
            let family = self.packets.get_or_create(&OfDirection { direction });
            family.inner().store(packets, Relaxed);
        }
        let cpu = health.cpu.as_secs_f64().to_bits();
        self.cpu.inner().store(cpu, Relaxed);
        let bytes = i64::try_from(health.resident_bytes).unwrap_or(i64::MAX);
        self.resident.set(bytes);
    }

    /// Renders the answer to a scrape in the OpenMetrics text format.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

/// Content type of [`PrometheusMetrics::text`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests;
