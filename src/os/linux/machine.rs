//! Facts about the machine, from /proc.

use crate::os::facts::{Boot, MachineTimes};
use procfs::{Current as _, CurrentSI as _, KernelStats, Meminfo};

/// Range of the ephemeral ports, which the system assigns to sockets.
const PORTS: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// Default size of the receive buffers of sockets.
const BUFFER: &str = "/proc/sys/net/core/rmem_default";

/// Memory, in bytes, that is still available to processes.
pub(crate) fn free_memory() -> Option<u64> {
    Meminfo::current().ok()?.mem_available
}

/// Number of ephemeral UDP ports.
pub(crate) fn udp_ports() -> Option<u64> {
    count(&std::fs::read_to_string(PORTS).ok()?)
}

/// Default size of a socket's receive buffer, in bytes; not known in a network namespace other than
/// the first.
pub(crate) fn receive_buffer() -> Option<u64> {
    std::fs::read_to_string(BUFFER).ok()?.trim().parse().ok()
}

/// Number of ports in a range as the kernel writes it.
fn count(range: &str) -> Option<u64> {
    let mut bounds = range.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (bounds.next()?.ok()?, bounds.next()?.ok()?);
    (last + 1).checked_sub(first)
}

/// Accumulated processor time of the machine; `None` if the kernel does not report steal time.
pub(crate) fn machine_times() -> Option<MachineTimes> {
    times(&KernelStats::current().ok()?)
}

fn times(stats: &KernelStats) -> Option<MachineTimes> {
    let t = &stats.total;
    let later = [t.iowait?, t.irq?, t.softirq?, t.steal?];
    Some(MachineTimes {
        all: t.user + t.nice + t.system + t.idle + later.iter().sum::<u64>(),
        stolen: t.steal?,
    })
}

/// This machine, and its current boot.
pub(crate) fn boot() -> Option<Boot> {
    let read = |path| std::fs::read_to_string(path).ok();
    let text = |path| Some(read(path)?.trim().to_owned());
    Some(Boot {
        host: text("/proc/sys/kernel/hostname")?,
        id: text("/proc/sys/kernel/random/boot_id")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use procfs::FromBufReadSI as _;

    #[test]
    fn guest_time_is_not_counted_twice_and_steal_may_be_missing() {
        let read = |cpu: &str| {
            let stat = format!("cpu  {cpu}\ncpu0 {cpu}\nctxt 1\nbtime 2\nprocesses 3\n");
            let stats = KernelStats::from_buf_read(stat.as_bytes(), procfs::current_system_info());
            times(&stats.expect("a /proc/stat"))
        };
        // User time includes that of guests, which is listed again after steal.
        let expected = MachineTimes {
            all: 100,
            stolen: 5,
        };
        assert_eq!(read("10 0 20 60 0 0 5 5 7 7"), Some(expected));
        assert_eq!(read("10 0 20 60"), None);
    }

    #[test]
    fn ranges_of_ports_are_counted() {
        assert_eq!(count("32768\t60999\n"), Some(28_232));
        assert_eq!(
            [count(""), count("5"), count("9 x"), count("9 3")],
            [None; 4]
        );
        assert!(udp_ports().is_some_and(|ports| ports > 0));
    }
}
