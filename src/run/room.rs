//! Whether this machine has the memory and the ports that a run needs.
//!
//! In: the number of calls, /proc, the control group. Out: the figures if they do not suffice.
//! Invariants: what the system does not tell is taken to suffice; a run is refused only if it
//! cannot fit, so each need is a lower bound.

use super::control_group;
use super::error::RunError;
use procfs::{Current as _, Meminfo};

/// Memory of a caller while it is in a call, at least; docs/performance.md has the measurement.
const OF_A_CALL: u64 = 200 << 10;
/// Memory of the process without calls.
const BESIDE_CALLS: u64 = 16 << 20;
/// Range of the ports that the system gives to sockets.
const PORTS: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// Makes sure that `calls` concurrent calls fit, each with `ports` UDP ports on this machine.
///
/// # Errors
/// [`RunError::Memory`] or [`RunError::Ports`] if they do not.
pub(super) fn check(calls: u64, ports: u64) -> Result<(), RunError> {
    fits_memory(calls, free_memory())?;
    let range = std::fs::read_to_string(PORTS).ok();
    fits_ports(calls, ports, range.as_deref().and_then(count))
}

fn fits_memory(calls: u64, free: Option<Free>) -> Result<(), RunError> {
    let needed = calls.saturating_mul(OF_A_CALL).saturating_add(BESIDE_CALLS);
    match free {
        Some(Free { bytes, of_group }) if needed > bytes => Err(RunError::Memory {
            needed,
            free: bytes,
            of_group,
            calls: bytes.saturating_sub(BESIDE_CALLS) / OF_A_CALL,
        }),
        _ => Ok(()),
    }
}

fn fits_ports(calls: u64, ports: u64, range: Option<u64>) -> Result<(), RunError> {
    let needed = calls.saturating_mul(ports);
    match range {
        Some(range) if needed > range => Err(RunError::Ports {
            needed,
            range,
            calls: range / ports.max(1),
        }),
        _ => Ok(()),
    }
}

/// Number of ports in a range as the kernel writes it.
fn count(range: &str) -> Option<u64> {
    let mut bounds = range.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (bounds.next()?.ok()?, bounds.next()?.ok()?);
    (last + 1).checked_sub(first)
}

/// Memory that this process may still take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Free {
    bytes: u64,
    /// The control group's limit is what bounds it, not the machine's memory.
    of_group: bool,
}

fn free_memory() -> Option<Free> {
    let of_machine = Meminfo::current()
        .ok()
        .and_then(|memory| memory.mem_available);
    least(of_machine, control_group::free_memory())
}

fn least(of_machine: Option<u64>, of_group: Option<u64>) -> Option<Free> {
    let bytes = of_machine.into_iter().chain(of_group).min()?;
    Some(Free {
        bytes,
        of_group: of_machine.is_none_or(|machine| machine > bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_beyond_memory_or_ports_are_refused_with_figures() {
        let free = |mib: u64, of_group| {
            Some(Free {
                bytes: mib << 20,
                of_group,
            })
        };
        assert!(fits_memory(1_000, free(300, false)).is_ok());
        assert!(
            fits_memory(1_000_000, None).is_ok(),
            "the system does not tell"
        );
        let refused = fits_memory(1_000, free(128, true)).expect_err("too little");
        let (text, hint) = (refused.to_string(), refused.hint());
        assert!(
            text.contains("at least 211 MiB of memory") && text.contains("128 MiB"),
            "{text}"
        );
        assert!(text.contains("control group"), "{text}");
        assert!(hint.contains("573 calls"), "{hint}");
        assert!(fits_memory(u64::MAX, free(1 << 20, false)).is_err());
        assert!(fits_ports(14_000, 2, Some(28_232)).is_ok());
        assert!(fits_ports(1, 0, Some(0)).is_ok(), "nothing is sent");
        let refused = fits_ports(20_000, 2, Some(28_232)).expect_err("too few");
        let text = refused.to_string();
        assert!(
            text.contains("40000 UDP ports") && text.contains("28232"),
            "{text}"
        );
        assert!(refused.hint().contains("14116 calls"), "{}", refused.hint());
    }

    #[test]
    fn the_tighter_memory_limit_of_machine_and_control_group_applies() {
        assert_eq!(least(None, None), None);
        let free = |bytes, of_group| Some(Free { bytes, of_group });
        assert_eq!(least(Some(5), None), free(5, false));
        assert_eq!(least(Some(5), Some(9)), free(5, false));
        assert_eq!(least(Some(9), Some(5)), free(5, true));
        assert_eq!(count("32768\t60999\n"), Some(28_232));
        assert_eq!(
            [count(""), count("5"), count("9 x"), count("9 3")],
            [None; 4]
        );
        let here = free_memory().expect("Linux tells");
        assert!(here.bytes > 1 << 20, "{here:?}");
    }
}
