//! Whether this machine suffices for the planned calls: a line for each resource.
//!
//! In: the plan's size; facts about the machine, which [`Machine::look`] collects. Out: lines.
//! Invariants: a fact that the system does not report is left out; the same limits refuse a run.

use super::check::{Check, Line};
use super::server::ms;
use crate::os::{cores, cpu_limit, receive_buffer};
use crate::run::error::RunError;
use crate::run::room::{self, Free};
use crate::run::{limits, room::free};
use crate::vocab::number::counted;
use std::time::{Duration, Instant};

/// Processor time of a caller whose audio is decoded, in cores; docs/performance.md has the
/// measurement.
const CORES_OF_A_CALL: f64 = 0.0025;
/// Share of the processor time that the callers may need: what is left keeps them on time.
const BUSY: f64 = 0.5;
/// Free memory below this leaves little for anything else, in bytes.
const MEMORY: u64 = 2 << 30;
/// Room for a second of a reply: 50 packets, each of which counts as about 1.3 KiB.
const BUFFER: u64 = 64 << 10;
/// A timer that is later than this on an idle machine makes callers late.
const LATE: Duration = Duration::from_millis(1);
/// Packets of a caller on the wire, each way: 50 a second with 60 bytes of Opus, 12 of RTP, 18 of
/// SRTP and header extensions, 28 of UDP and IP, 18 of Ethernet.
const BITS_OF_A_CALL: u64 = 50 * (60 + 12 + 18 + 28 + 18) * 8;
/// Number of sleeps that are measured, and their length.
const SLEEPS: usize = 41;
const SLEEP: Duration = Duration::from_millis(1);

/// The size of a plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs {
    /// Maximum number of calls at once.
    pub calls: u64,
    /// The number of calls is an upper bound that the load may never reach.
    pub open: bool,
    /// File descriptors and UDP ports of a call.
    pub descriptors: u64,
    pub ports: u64,
}

/// Facts about this machine.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub cores: usize,
    /// Processor time that the control group allows, in cores.
    pub limit: Option<f64>,
    pub memory: Option<Free>,
    /// Default size of a socket's receive buffer, in bytes.
    pub buffer: Option<u64>,
    /// How late a timer fires if the machine has nothing else to do.
    pub late: Duration,
    /// Number of callers up to which `loadgen calibrate` found the figures to be right.
    pub calibrated: Option<u64>,
}

impl Machine {
    /// Looks at this machine; takes about 50 ms.
    pub(super) fn look(calibrated: Option<u64>) -> Self {
        Self {
            cores: cores(),
            limit: cpu_limit(),
            memory: free(),
            buffer: receive_buffer(),
            late: lateness(),
            calibrated,
        }
    }
}

/// How late a timer fires: the lower quartile, because other processes can only make it later.
fn lateness() -> Duration {
    let mut late: Vec<Duration> = (0..SLEEPS)
        .map(|_| {
            let begun = Instant::now();
            std::thread::sleep(SLEEP);
            begun.elapsed().saturating_sub(SLEEP)
        })
        .collect();
    late.sort_unstable();
    late[SLEEPS / 4]
}

/// The lines about this machine, for a plan of this size.
pub(super) fn lines(machine: &Machine, needs: Needs) -> Vec<Line> {
    let calls = needs.calls;
    let memory = machine.memory.map(|free| memory(free, calls));
    let descriptors = limits::allow(calls, needs.descriptors, needs.open);
    let ports = room::ports(calls, needs.ports);
    let of =
        |n: u64, what: &str| format!("{} for {}", n.saturating_mul(calls), counted(calls, what));
    let lines = [
        Some(processor(machine, calls)),
        memory,
        Some(fits(
            descriptors,
            Check::Descriptors,
            of(needs.descriptors, "call"),
        )),
        Some(fits(ports, Check::Ports, of(needs.ports, "call"))),
        machine.buffer.map(buffer),
        Some(timers(machine.late)),
        Some(calibration(machine.calibrated, calls)),
        Some(bandwidth(calls)),
    ];
    lines.into_iter().flatten().collect()
}

/// A resource whose shortage refuses a run.
fn fits(result: Result<(), RunError>, check: Check, enough: String) -> Line {
    match result {
        Ok(()) => Line::ok(check, enough),
        Err(e) => Line::fail(check, e.to_string(), e.hint()),
    }
}

fn processor(machine: &Machine, calls: u64) -> Line {
    let whole = machine.cores as f64;
    let available = machine.limit.map_or(whole, |limit| limit.min(whole));
    let needed = calls as f64 * CORES_OF_A_CALL;
    let have = match machine.limit {
        Some(limit) => format!("the control group (container) allows {limit} cores"),
        None => counted(machine.cores as u64, "core"),
    };
    let text = format!("{have}; {} need about {needed:.2}", counted(calls, "call"));
    if machine.limit.is_some_and(|limit| limit < 1.0) {
        return Line::warn(
            Check::Processor,
            text,
            "a group with less than a core is held back for a part of every 100 ms, so callers \
             are late: allow at least one core (`docker run --cpus`, `resources.limits.cpu`)",
        );
    }
    match needed > BUSY * available {
        true => Line::warn(
            Check::Processor,
            text,
            "callers would be late: use a machine with more cores, or fewer calls at once",
        ),
        false => Line::ok(Check::Processor, text),
    }
}

fn memory(free: Free, calls: u64) -> Line {
    let whose = match free.of_group {
        true => "the control group (container)",
        false => "this machine",
    };
    if let Err(e) = room::fits_memory(calls, Some(free)) {
        return Line::fail(Check::Memory, e.to_string(), e.hint());
    }
    let text = format!(
        "{whose} has {:.1} GiB free",
        free.bytes as f64 / f64::from(1 << 30)
    );
    match free.bytes < MEMORY {
        true => Line::warn(
            Check::Memory,
            text,
            "less than 2 GiB: if something else needs memory, callers wait for it",
        ),
        false => Line::ok(Check::Memory, text),
    }
}

fn buffer(bytes: u64) -> Line {
    let text = format!("{} KiB for the packets that wait in a socket", bytes >> 10);
    match bytes < BUFFER {
        true => Line::warn(
            Check::Buffers,
            text,
            "packets are lost if a thread is late: `sysctl net.core.rmem_default=212992`",
        ),
        false => Line::ok(Check::Buffers, text),
    }
}

fn timers(late: Duration) -> Line {
    let text = format!("a thread wakes {} after its time", ms(late));
    match late > LATE {
        true => Line::warn(
            Check::Timers,
            text,
            "packets leave late: is the machine busy, or its kernel without high-resolution timers?",
        ),
        false => Line::ok(Check::Timers, text),
    }
}

fn calibration(trusted: Option<u64>, calls: u64) -> Line {
    match trusted {
        None => Line::note(
            Check::Calibration,
            "not done on this machine: `loadgen calibrate` measures the error of the figures",
        ),
        Some(trusted) if calls > trusted => Line::warn(
            Check::Calibration,
            format!(
                "{}, but the figures are reliable up to {trusted} only",
                counted(calls, "call")
            ),
            "use fewer calls at once or another machine; `loadgen calibrate` repeats the measurement",
        ),
        Some(trusted) => Line::ok(
            Check::Calibration,
            format!(
                "the figures are reliable up to {}",
                counted(trusted, "call")
            ),
        ),
    }
}

fn bandwidth(calls: u64) -> Line {
    let bits = calls.saturating_mul(BITS_OF_A_CALL) as f64;
    Line::note(
        Check::Bandwidth,
        format!(
            "{} take about {:.1} Mbit/s each way (computed, not measured)",
            counted(calls, "call"),
            bits / 1e6
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::check::Word;
    use super::*;

    fn healthy() -> Machine {
        Machine {
            cores: 2,
            limit: None,
            memory: Some(Free {
                bytes: 8 << 30,
                of_group: false,
            }),
            buffer: Some(212_992),
            late: Duration::from_micros(60),
            calibrated: Some(200),
        }
    }

    fn needs(calls: u64) -> Needs {
        Needs {
            calls,
            open: false,
            descriptors: 0,
            ports: 0,
        }
    }

    fn bad(machine: &Machine, needs: Needs) -> Vec<(Check, Word)> {
        let lines = lines(machine, needs).into_iter();
        let bad = lines.filter(|l| l.word >= Word::Warn);
        bad.inspect(|l| assert!(l.hint.is_some(), "{l:?}"))
            .map(|l| (l.check, l.word))
            .collect()
    }

    #[test]
    fn a_healthy_machine_has_no_warning() {
        assert_eq!(bad(&healthy(), needs(100)), []);
        let unknown = Machine {
            memory: None,
            buffer: None,
            calibrated: None,
            ..healthy()
        };
        assert_eq!(bad(&unknown, needs(100)), []);
    }

    #[test]
    fn each_shortage_of_a_machine_is_named() {
        let free = |bytes| {
            Some(Free {
                bytes,
                of_group: true,
            })
        };
        let broken = |change: &dyn Fn(&mut Machine)| {
            let mut machine = healthy();
            change(&mut machine);
            machine
        };
        for (machine, calls, expected) in [
            (
                broken(&|m| m.limit = Some(0.5)),
                1,
                (Check::Processor, Word::Warn),
            ),
            (
                broken(&|m| m.calibrated = None),
                500,
                (Check::Processor, Word::Warn),
            ),
            (
                broken(&|m| m.memory = free(1 << 30)),
                1,
                (Check::Memory, Word::Warn),
            ),
            (
                broken(&|m| m.memory = free(1 << 20)),
                1,
                (Check::Memory, Word::Fail),
            ),
            (
                broken(&|m| m.buffer = Some(4_096)),
                1,
                (Check::Buffers, Word::Warn),
            ),
            (
                broken(&|m| m.late = Duration::from_millis(4)),
                1,
                (Check::Timers, Word::Warn),
            ),
            (
                broken(&|m| m.calibrated = Some(10)),
                11,
                (Check::Calibration, Word::Warn),
            ),
        ] {
            assert_eq!(bad(&machine, needs(calls)), [expected]);
        }
        let many = Needs {
            descriptors: u64::MAX,
            ..needs(1)
        };
        assert_eq!(bad(&healthy(), many), [(Check::Descriptors, Word::Fail)]);
    }

    #[test]
    fn the_bits_of_a_hundred_calls_are_those_of_their_packets() {
        assert!(
            bandwidth(100).text.contains("5.4 Mbit/s"),
            "{:?}",
            bandwidth(100)
        );
        assert!(lateness() < Duration::from_secs(1));
    }
}
