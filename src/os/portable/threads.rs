//! Processor time of this process's threads, recorded by each thread itself.
//!
//! There is no portable way to read another thread's CPU time, so each thread records its own
//! whenever it waits. Invariant: a thread that has ended is not listed.

use crate::os::clock::thread_cpu_time;
use crate::os::facts::ThreadTimes;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Minimum time between two records of a thread, since each costs a system call.
const INTERVAL: Duration = Duration::from_millis(10);

/// The processor time that a thread has recorded.
struct Account {
    name: String,
    used_ns: AtomicU64,
}

/// All threads that have recorded their times, in the order of their first record.
static ACCOUNTS: Mutex<Accounts> = Mutex::new(Accounts {
    opened: 0,
    open: BTreeMap::new(),
});

struct Accounts {
    opened: u64,
    /// Weak, because a thread drops its account when it ends.
    open: BTreeMap<u64, Weak<Account>>,
}

/// This thread's account.
struct Own {
    account: Arc<Account>,
    noted: Cell<Option<Instant>>,
}

thread_local! {
    static OWN: Own = Own::open();
}

impl Own {
    fn open() -> Self {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let used_ns = AtomicU64::new(0);
        let account = Arc::new(Account { name, used_ns });
        let mut accounts = ACCOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.open.retain(|_, known| known.strong_count() > 0);
        accounts.opened += 1;
        let id = accounts.opened;
        accounts.open.insert(id, Arc::downgrade(&account));
        Self {
            account,
            noted: Cell::new(None),
        }
    }

    fn note(&self) {
        let now = Instant::now();
        if self.noted.get().is_none_or(|noted| now - noted >= INTERVAL) {
            self.noted.set(Some(now));
            let used = thread_cpu_time().as_nanos() as u64;
            self.account.used_ns.store(used, Relaxed);
        }
    }
}

/// Records the calling thread's processor time.
pub(super) fn note_times() {
    // Fails while the thread is ending.
    let _ = OWN.try_with(Own::note);
}

/// The live threads of this process that wait on a poller, and whose name begins with `prefix`.
/// The keys increase in the order in which the threads started.
pub(crate) fn threads(prefix: &str) -> BTreeMap<u64, ThreadTimes> {
    let accounts = ACCOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let open = accounts
        .open
        .iter()
        .filter_map(|(id, account)| Some((*id, account.upgrade()?)));
    let named = open.filter(|(_, account)| account.name.starts_with(prefix));
    let times = |account: &Account| ThreadTimes {
        used: Duration::from_nanos(account.used_ns.load(Relaxed)),
        waited: None,
    };
    named.map(|(id, account)| (id, times(&account))).collect()
}
