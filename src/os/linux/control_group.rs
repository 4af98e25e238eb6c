//! The resource limits that control groups (containers) set for this process.
//!
//! In: /proc/self/cgroup and the files of the groups, versions 1 and 2. Out: free memory, the limit
//! on processor time, how often the process was throttled. Invariant: a figure that the system does
//! not report is `None`, as is a limit that is not set.

use procfs::process::Process;
use std::path::{Path, PathBuf};

/// Where control groups are mounted, by convention.
const MOUNT: &str = "/sys/fs/cgroup";

/// The folders of a group and of the groups that contain it. In a container, only its own group is
/// visible, as the root.
#[derive(Debug, Clone)]
struct Folders {
    root: PathBuf,
    own: PathBuf,
    /// Version 2: one hierarchy for all controllers.
    unified: bool,
}

impl Folders {
    /// The groups that limit the resource of `controller`.
    fn of(controller: &str) -> Vec<Self> {
        let groups = Process::myself().and_then(|me| me.cgroups());
        let groups = groups.into_iter().flatten();
        let folders = groups.filter_map(|group| {
            let unified = group.controllers.iter().all(String::is_empty);
            let controls = group.controllers.iter().any(|c| c == controller);
            let root = match (unified, controls) {
                (true, _) => PathBuf::from(MOUNT),
                (_, true) => Path::new(MOUNT).join(controller),
                _ => return None,
            };
            let own = root.join(group.pathname.trim_start_matches('/'));
            Some(Self { root, own, unified })
        });
        folders.collect()
    }

    fn each(&self) -> impl Iterator<Item = &Path> {
        let folders = self.own.ancestors();
        folders.take_while(|folder| folder.starts_with(&self.root))
    }
}

fn read(folder: &Path, file: &str) -> Option<String> {
    std::fs::read_to_string(folder.join(file)).ok()
}

fn number(folder: &Path, file: &str) -> Option<i64> {
    read(folder, file)?.trim().parse().ok()
}

/// Memory, in bytes, that is still free within the limits.
pub(crate) fn group_free_memory() -> Option<u64> {
    let of = |groups: &Folders| {
        let (limit, used) = match groups.unified {
            true => ("memory.max", "memory.current"),
            false => ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        };
        let free = |folder: &Path| {
            let bytes = |file| u64::try_from(number(folder, file)?).ok();
            // The page cache counts as used, but is released when memory runs short.
            let cached = cache(&read(folder, "memory.stat")?);
            Some(bytes(limit)?.saturating_sub(bytes(used)?.saturating_sub(cached)))
        };
        groups.each().filter_map(free).min()
    };
    Folders::of("memory").iter().filter_map(of).min()
}

/// Bytes of page cache in a group's `memory.stat`, of either version.
fn cache(stat: &str) -> u64 {
    let part = |name: &str| field(stat, &format!("total_{name}")).or_else(|| field(stat, name));
    let parts = ["inactive_file", "active_file"].map(|name| part(name).unwrap_or_default());
    parts.iter().sum()
}

/// The number with this name, in a file with one name and number per line.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines
        .find(|(known, _)| *known == name)
        .and_then(|(_, value)| value.trim().parse().ok())
}

/// The tightest limit on processor time.
#[derive(Debug, Clone, PartialEq)]
struct CpuLimit {
    /// Processor time that the group may use, in cores: 1.5 means 150 ms in every 100 ms.
    cores: f64,
    folder: PathBuf,
}

/// How often a limit on processor time has been reached since its group was created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Throttling {
    /// Periods (of 100 ms, by default) in which the group was runnable.
    periods: u64,
    /// Periods in which the group used up its quota and was throttled until the next one.
    throttled: u64,
}

impl CpuLimit {
    /// The tightest limit among this process's groups.
    fn own() -> Option<Self> {
        let hierarchies = Folders::of("cpu");
        let limits = hierarchies.iter().flat_map(|groups| {
            groups.each().filter_map(|folder| {
                let cores = cores_allowed(folder, groups.unified)?;
                let folder = folder.to_owned();
                Some(Self { cores, folder })
            })
        });
        limits.min_by(|a, b| a.cores.total_cmp(&b.cores))
    }

    fn throttling(&self) -> Option<Throttling> {
        throttling(&read(&self.folder, "cpu.stat")?)
    }
}

/// Processor time that this process's groups allow, in cores.
pub(crate) fn cpu_limit() -> Option<f64> {
    CpuLimit::own().map(|limit| limit.cores)
}

/// Processor time that a group allows, in cores.
fn cores_allowed(folder: &Path, unified: bool) -> Option<f64> {
    if unified {
        return quota(&read(folder, "cpu.max")?);
    }
    let of = |file| number(folder, file);
    share(of("cpu.cfs_quota_us")?, of("cpu.cfs_period_us")?)
}

/// Number of cores in a version 2 `cpu.max`, which contains quota and period in µs, or `max`.
fn quota(max: &str) -> Option<f64> {
    let mut parts = max.split_whitespace();
    share(parts.next()?.parse().ok()?, parts.next()?.parse().ok()?)
}

/// Quota divided by period. Without a limit, version 1 gives a quota of −1.
fn share(quota: i64, period: i64) -> Option<f64> {
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

fn throttling(stat: &str) -> Option<Throttling> {
    Some(Throttling {
        periods: field(stat, "nr_periods")?,
        throttled: field(stat, "nr_throttled")?,
    })
}

/// Counts how often the limit on processor time is reached from now on.
#[derive(Debug, Clone)]
pub(crate) struct ThrottleMeter {
    limit: Option<CpuLimit>,
    before: Throttling,
}

impl ThrottleMeter {
    pub(crate) fn start() -> Self {
        let limit = CpuLimit::own();
        let before = limit.as_ref().and_then(CpuLimit::throttling);
        Self {
            before: before.unwrap_or_default(),
            limit,
        }
    }

    /// Processor time that this process may use, in cores.
    pub(crate) fn limit(&self) -> Option<f64> {
        self.limit.as_ref().map(|limit| limit.cores)
    }

    /// Share of the periods since the start in which the process was throttled.
    pub(crate) fn throttled(&self) -> Option<f64> {
        let now = self.limit.as_ref()?.throttling()?;
        let periods = now.periods.saturating_sub(self.before.periods);
        let throttled = now.throttled.saturating_sub(self.before.throttled);
        Some(throttled as f64 / periods.max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_cache_is_counted_in_both_versions() {
        let v1 = "cache 9\ninactive_file 1\ntotal_inactive_file 30\ntotal_active_file 12\n";
        assert_eq!(cache(v1), 42);
        assert_eq!(cache("anon 5\ninactive_file 30\nactive_file 12\nx\n"), 42);
    }

    #[test]
    fn limits_on_processor_time_are_read_in_both_versions() {
        assert_eq!(quota("150000 100000\n"), Some(1.5));
        assert_eq!(quota("max 100000\n"), None);
        assert_eq!([quota(""), quota("5"), quota("5 0")], [None; 3]);
        assert_eq!(share(-1, 100_000), None);
        let stat = "usage_usec 9\nnr_periods 40\nnr_throttled 6\nthrottled_usec 123456\n";
        let counted = Throttling {
            periods: 40,
            throttled: 6,
        };
        assert_eq!(throttling(stat), Some(counted));
        assert_eq!(throttling("usage_usec 9\n"), None);
    }

    #[test]
    fn the_tightest_group_applies_and_its_throttling_is_counted_from_the_start() {
        let root = tempfile::tempdir().expect("a folder");
        let own = root.path().join("pod/container");
        std::fs::create_dir_all(&own).expect("a folder");
        let write = |folder: &Path, file: &str, text: &str| {
            std::fs::write(folder.join(file), text).expect("writable");
        };
        write(&own, "cpu.stat", "nr_periods 10\nnr_throttled 1\n");
        let limit = CpuLimit {
            cores: 0.5,
            folder: own.clone(),
        };
        let meter = ThrottleMeter {
            before: limit.throttling().expect("a readable cpu.stat"),
            limit: Some(limit),
        };
        write(&own, "cpu.stat", "nr_periods 30\nnr_throttled 6\n");
        assert_eq!((meter.limit(), meter.throttled()), (Some(0.5), Some(0.25)));
        let folders = Folders {
            root: root.path().to_owned(),
            own,
            unified: true,
        };
        assert_eq!(folders.each().count(), 3);
    }
}
