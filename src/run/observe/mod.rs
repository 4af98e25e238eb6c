//! Observes endpoints and processes while calls are under way.
//!
//! In: the sources that the scenario observes. Out: a reading of each source, once a second, for
//! the collector. Invariants: observation happens on a separate thread, so that neither a slow
//! endpoint nor a large response delays a call; a reading takes at most a second; a failed reading
//! is a gap, never an error.

mod endpoint;
pub(crate) mod exposition;
mod family;
mod presence;
mod source;

pub(super) use presence::Presence;

use super::call_report::CallReport;
use super::clock::Clock;
use super::error::RunError;
use crate::record::{Ms, Reading};
use crate::scenario::{Observed, ObservedSource};
use endpoint::Endpoint;
use exposition::Values;
use family::Family;
use futures_util::future::join_all;
use source::{LONGEST, Source, TOO_SLOW};
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Interval between the readings of one source.
const EVERY: Duration = Duration::from_secs(1);
/// Reason of a missing value: the process does not exist, or no longer exists.
const NO_PROCESS: &str = "no such process";

impl Source for Family {
    async fn read(&mut self) -> Result<Values, String> {
        Self::read(self).ok_or_else(|| NO_PROCESS.to_owned())
    }
}

/// Observes the sources until it is dropped.
#[derive(Debug)]
pub(super) struct Observers {
    _stop: DropGuard,
}

/// Starts to observe. `None` if there is nothing to observe. Also `None` in virtual time, where
/// nothing may run outside the runtime.
///
/// # Errors
/// [`RunError::Thread`].
pub(super) fn start(
    observed: &[Observed],
    run_start: std::time::Instant,
    clock: Clock,
    reports: &Sender<CallReport>,
) -> Result<Option<Observers>, RunError> {
    if observed.is_empty() || clock != Clock::System {
        return Ok(None);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::Thread)?;
    let stop = CancellationToken::new();
    let (stopped, observed, reports) = (stop.clone(), observed.to_vec(), reports.clone());
    let observe = move || {
        runtime.block_on(async {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = follow_all(&observed, run_start, &reports) => {}
            }
        });
        // Do not wait for a DNS lookup that is still running.
        runtime.shutdown_background();
    };
    let thread = std::thread::Builder::new().name("observe".into());
    thread.spawn(observe).map_err(RunError::Thread)?;
    let _stop = stop.drop_guard();
    Ok(Some(Observers { _stop }))
}

async fn follow_all(
    observed: &[Observed],
    run_start: std::time::Instant,
    reports: &Sender<CallReport>,
) {
    let follow_one = async |observed: &Observed| {
        let name = observed.name.as_str();
        match &observed.source {
            ObservedSource::Endpoint { url, series } => {
                follow(name, Endpoint::new(url, series), run_start, reports).await;
            }
            ObservedSource::Process { pid, children } => {
                follow(name, Family::new(*pid, *children), run_start, reports).await;
            }
        }
    };
    join_all(observed.iter().map(follow_one)).await;
}

/// Reads a source at every whole second of the run until the receiver of the readings is dropped.
/// If a reading takes longer than a second, the seconds that pass in the meantime are skipped.
async fn follow(
    name: &str,
    mut source: impl Source,
    run_start: std::time::Instant,
    reports: &Sender<CallReport>,
) {
    let mut second = interval_at(Instant::from_std(run_start), EVERY);
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        second.tick().await;
        let read = timeout(LONGEST, source.read()).await;
        let read = read.unwrap_or_else(|_| Err(TOO_SLOW.to_owned()));
        let at = Ms::between(run_start, Instant::now().into_std());
        let reading = match read {
            Ok(Values { gauges, counters }) => Reading {
                gauges,
                counters,
                ..Reading::new(name, at)
            },
            Err(gap) => Reading {
                gap: Some(gap),
                ..Reading::new(name, at)
            },
        };
        let report = CallReport::Observed(Box::new(reading));
        if reports.send(report).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;
    use tokio::time::sleep;

    /// Responds after each of these times, in ms, with the number of the response; then always
    /// fails.
    struct Slow {
        delays: Vec<u64>,
        answers: usize,
    }

    impl Source for Slow {
        async fn read(&mut self) -> Result<Values, String> {
            let Some(delay) = self.delays.get(self.answers).copied() else {
                return Err("gone".to_owned());
            };
            self.answers += 1;
            let answer = self.answers as f64;
            sleep(Duration::from_millis(delay)).await;
            Ok(Values {
                gauges: [("n".to_owned(), answer)].into(),
                ..Values::default()
            })
        }
    }

    /// The first `n` readings of a source: the time of each, in ms, and its value or failure.
    async fn readings(delays: &[u64], n: usize) -> Vec<(f64, Result<f64, String>)> {
        let start = Instant::now().into_std();
        let (reports, mut inbox) = mpsc::channel(8);
        let source = Slow {
            delays: delays.to_vec(),
            answers: 0,
        };
        let taken = async {
            let mut taken = Vec::new();
            while taken.len() < n {
                let Some(CallReport::Observed(reading)) = inbox.recv().await else {
                    panic!("only readings are sent");
                };
                assert_eq!(reading.name, "source");
                let value = match &reading.gap {
                    Some(gap) => Err(gap.clone()),
                    None => Ok(reading.gauges["n"]),
                };
                taken.push((reading.at_ms.as_f64(), value));
            }
            taken
        };
        tokio::select! {
            () = follow("source", source, start, &reports) => panic!("observation ended by itself"),
            taken = taken => taken,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_is_read_at_every_second() {
        let read = readings(&[0, 20, 300], 5).await;
        let gone = || Err("gone".to_owned());
        let expected = [
            (0.0, Ok(1.0)),
            (1_020.0, Ok(2.0)),
            (2_300.0, Ok(3.0)),
            (3_000.0, gone()),
            (4_000.0, gone()),
        ];
        assert_eq!(read, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_does_not_respond_in_time_is_a_gap() {
        let read = readings(&[0, 5_000, 900, 999, 0], 5).await;
        let slow = || Err(TOO_SLOW.to_owned());
        // The reading that was abandoned at 2 s delays the one due at that second, but not later
        // ones.
        let expected = [
            (0.0, Ok(1.0)),
            (2_000.0, slow()),
            (2_900.0, Ok(3.0)),
            (3_999.0, Ok(4.0)),
            (4_000.0, Ok(5.0)),
        ];
        assert_eq!(read, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn observing_ends_when_the_receiver_is_dropped() {
        let (reports, inbox) = mpsc::channel(8);
        drop(inbox);
        let start = Instant::now();
        let source = Slow {
            delays: Vec::new(),
            answers: 0,
        };
        follow("source", source, start.into_std(), &reports).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[test]
    fn nothing_is_observed_in_virtual_time_or_without_sources() {
        let (reports, _inbox) = mpsc::channel(8);
        let process = Observed {
            name: "process".to_owned(),
            source: ObservedSource::Process {
                pid: std::process::id(),
                children: false,
            },
        };
        let now = std::time::Instant::now();
        let starts = |observed: &[Observed], clock| {
            let started = start(observed, now, clock, &reports);
            started.expect("a thread").is_some()
        };
        let fixed = Clock::Virtual(jiff::Timestamp::UNIX_EPOCH);
        assert!(!starts(std::slice::from_ref(&process), fixed));
        assert!(!starts(&[], Clock::System));
        assert!(starts(&[process], Clock::System));
    }
}
