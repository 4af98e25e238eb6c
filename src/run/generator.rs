//! What the generator itself takes: processor time and memory (Linux' /proc).

use std::time::{Duration, Instant};

/// Kernel ticks a second in /proc (USER_HZ, fixed at 100 on Linux).
const USER_HZ: f64 = 100.0;
/// Bytes of a page in /proc/self/statm on the machines this runs on.
fn page_bytes() -> u64 {
    // SAFETY: sysconf has no preconditions.
    let n = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(n).unwrap_or(4_096)
}

/// Processor time since a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meter {
    at: Instant,
    used: Duration,
}

fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The command name may hold spaces: fields are counted from its closing bracket.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11);
    let user: f64 = ticks.next()?.parse().ok()?;
    let system: f64 = ticks.next()?.parse().ok()?;
    Some(Duration::from_secs_f64((user + system) / USER_HZ))
}

impl Meter {
    /// Starts now.
    pub(super) fn start() -> Self {
        Self {
            at: Instant::now(),
            used: cpu_time().unwrap_or_default(),
        }
    }

    /// Mean number of processor cores in use since the start.
    pub(super) fn cores(&self) -> f64 {
        let used = cpu_time().unwrap_or_default().saturating_sub(self.used);
        used.as_secs_f64() / self.at.elapsed().as_secs_f64().max(1e-3)
    }

    /// Time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.at.elapsed()
    }
}

/// Resident memory in bytes, 0 where the kernel does not tell.
pub(super) fn resident_bytes() -> u64 {
    std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|s| s.split_whitespace().nth(1)?.parse::<u64>().ok())
        .map_or(0, |pages| pages * page_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_up_as_processor_time_and_memory_is_there() {
        let meter = Meter::start();
        let mut x = 1u64;
        while cpu_time().expect("/proc").saturating_sub(meter.used) < Duration::from_millis(30) {
            x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
        assert!(meter.cores() > 0.0);
        assert!(resident_bytes() > 1 << 20);
    }
}
