//! Checks whether this machine has the memory and the ports that a run needs.
//!
//! In: the number of calls, and the system's free memory and ports. Out: an error with the figures
//! if they do not suffice. Invariants: a resource that the system does not report is assumed to
//! suffice; a run is refused only if it cannot fit, so each estimated need is a lower bound.

use super::error::RunError;
use crate::os::{free_memory, group_free_memory, udp_ports};

/// Minimum memory of a caller during a call; docs/performance.md has the measurement.
const OF_A_CALL: u64 = 200 << 10;
/// Memory of the process without calls.
const BESIDE_CALLS: u64 = 16 << 20;

/// Checks that `calls` concurrent calls fit, each with `ports` UDP ports on this machine.
///
/// # Errors
/// [`RunError::Memory`] or [`RunError::Ports`] if they do not.
pub(super) fn check(calls: u64, ports: u64) -> Result<(), RunError> {
    fits_memory(calls, free())?;
    self::ports(calls, ports)
}

/// Memory that this process may still allocate; `None` if the system does not report it.
pub(super) fn free() -> Option<Free> {
    least(free_memory(), group_free_memory())
}

/// Checks that there are enough UDP ports for `calls` concurrent calls, each with `ports` of them.
///
/// # Errors
/// [`RunError::Ports`] if there are not.
pub(super) fn ports(calls: u64, ports: u64) -> Result<(), RunError> {
    fits_ports(calls, ports, udp_ports())
}

/// Checks that `calls` concurrent calls fit into the free memory.
///
/// # Errors
/// [`RunError::Memory`] if they do not.
pub(super) fn fits_memory(calls: u64, free: Option<Free>) -> Result<(), RunError> {
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

/// Memory that this process may still allocate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Free {
    pub bytes: u64,
    /// The limit is that of the control group, not of the machine.
    pub of_group: bool,
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
            "an unreported resource suffices"
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
        assert!(
            fits_ports(1, 0, Some(0)).is_ok(),
            "calls that send nothing need no port"
        );
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
        let here = least(free_memory(), group_free_memory()).expect("known");
        assert!(here.bytes > 1 << 20, "{here:?}");
    }
}
