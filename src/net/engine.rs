//! Runs a few media threads, each an event loop over its peers.
//!
//! In: peers, and closures to run on a peer's own thread. Out: the closures' results.
//! Invariants: a peer never moves between threads; threads share no lock. A thread's inbox is
//! bounded by its users: a session awaits each reply before it sends another request.

mod inbox;

use super::clock::Stamper;
use super::endpoint::Endpoint;
use super::error::NetError;
use super::grid::Grid;
use super::health::{HealthCounters, HealthSnapshot};
use super::peer::{Peer, PeerEvent, Tools};
use crate::os::{Batch, DATAGRAM, Poller};
use inbox::{Closing, Inbox, KeyHash, PeerCommand, PeerJob, PeerKey};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Events queued for a session that is busy: a handful of its own, and messages of participants.
const EVENTS: usize = 64;
/// Longest wait of an idle loop.
const NAP: Duration = Duration::from_millis(250);
/// How often a busy loop checks its sockets. The kernel timestamps arrivals, so waking for each
/// packet gains nothing, and wake-ups are expensive. The sockets of a sending peer are read in its
/// send slots instead, just before its packet leaves: its decisions take effect in a slot anyway,
/// and its state is fetched from memory once instead of twice.
const TICK: Duration = Duration::from_millis(1);
/// Number of peers from which a thread counts as busy; with fewer, packets come less often than
/// ticks.
const BUSY: usize = 10;
/// Send phases within the 20 ms period, assigned to peers in turn.
const SLOTS: u32 = 20;

struct Worker<E> {
    inbox: Arc<Inbox<E>>,
    health: Arc<HealthCounters>,
    thread: Option<JoinHandle<()>>,
}

/// The media threads. Dropping the engine stops them and waits for them to end.
pub struct Engine<E: Endpoint> {
    workers: Vec<Worker<E>>,
    next: AtomicU32,
    epoch: Instant,
}

impl<E: Endpoint> Engine<E> {
    /// Starts `threads` media threads (at least one).
    ///
    /// # Errors
    /// The operating system refuses a thread or a file descriptor.
    pub fn start(threads: usize) -> Result<Self, NetError> {
        let workers = (0..threads.max(1))
            .map(|i| {
                let poller = Poller::new()?;
                let inbox = Arc::new(Inbox::new(poller.waker()));
                let health = Arc::new(HealthCounters::default());
                let (i2, h2) = (inbox.clone(), health.clone());
                let thread = std::thread::Builder::new()
                    .name(format!("media-{i}"))
                    .spawn(move || Loop::new(poller, i2, h2).run())?;
                Ok(Worker {
                    inbox,
                    health,
                    thread: Some(thread),
                })
            })
            .collect::<Result<_, NetError>>()?;
        Ok(Self {
            workers,
            next: AtomicU32::new(0),
            epoch: Instant::now(),
        })
    }

    /// Adds a peer that will exchange media with `remote`. Peers are assigned send phases in turn.
    pub fn add(&self, endpoint: E, remote: IpAddr) -> (PeerHandle<E>, PeerEvents) {
        let key = self.next.fetch_add(1, Relaxed);
        let worker = &self.workers[key as usize % self.workers.len()];
        let (events, inbox) = mpsc::channel(EVENTS);
        let grid = Grid {
            epoch: self.epoch,
            phase: Duration::from_millis(20) * (key % SLOTS) / SLOTS,
        };
        let peer = Peer::new(endpoint, remote, grid, events);
        worker.inbox.push(PeerCommand::Add(key, Box::new(peer)));
        let handle = PeerHandle {
            key,
            inbox: worker.inbox.clone(),
        };
        (handle, inbox)
    }

    /// Health of all threads since the engine started.
    pub(crate) fn health(&self) -> HealthSnapshot {
        HealthSnapshot::of(self.workers.iter().map(|w| &*w.health))
    }
}

impl<E: Endpoint> Drop for Engine<E> {
    fn drop(&mut self) {
        for w in &self.workers {
            w.inbox.stop.store(true, Relaxed);
            w.inbox.waker.wake();
        }
        for w in &mut self.workers {
            if let Some(t) = w.thread.take() {
                let _ = t.join();
            }
        }
    }
}

/// A session's handle to its peer. Dropping it removes the peer.
pub struct PeerHandle<E: Endpoint> {
    key: PeerKey,
    inbox: Arc<Inbox<E>>,
}

/// Events from a peer's media to its session; the channel closes when the peer is removed.
pub(crate) type PeerEvents = mpsc::Receiver<PeerEvent>;

impl<E: Endpoint> PeerHandle<E> {
    /// Runs `f` on the peer, on the peer's own thread, and returns the result.
    ///
    /// # Errors
    /// [`NetError::Gone`] when the engine has stopped.
    pub async fn with<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Peer<E>, Instant) -> R + Send + 'static,
    ) -> Result<R, NetError> {
        let (tx, rx) = oneshot::channel();
        let job: PeerJob<E> = Box::new(move |peer, now| {
            // The requester may have stopped waiting.
            let _ = tx.send(f(peer, now));
        });
        self.inbox.push(PeerCommand::With(self.key, job));
        rx.await.map_err(|_| NetError::Gone)
    }

    /// Runs `f` on the peer, on the peer's own thread, without waiting for it to run. Users must
    /// bound how often they call this.
    pub(crate) fn tell(&self, f: impl FnOnce(&mut Peer<E>, Instant) + Send + 'static) {
        self.inbox.push(PeerCommand::With(self.key, Box::new(f)));
    }
}

impl<E: Endpoint> Drop for PeerHandle<E> {
    fn drop(&mut self) {
        self.inbox.push(PeerCommand::Remove(self.key));
    }
}

struct PeerEntry<E> {
    peer: Box<Peer<E>>,
    /// The peer's earliest entry in the heap; its later entries are stale.
    scheduled: Option<Instant>,
    /// The peer's sockets are read in its send slots, so the poller need not report them.
    slotted: bool,
}

impl<E: Endpoint> PeerEntry<E> {
    /// Registers new sockets with the poller, and turns their notifications off while they are read
    /// in send slots.
    fn watch(&mut self, poller: &Poller, key: PeerKey, slotted: bool) -> std::io::Result<()> {
        let key = |index: usize| u64::from(key) << 1 | index as u64;
        for index in 0..2 {
            if let Some(fd) = self.peer.take_fresh(index) {
                poller.watch(fd, key(index))?;
                if self.slotted {
                    poller.tell(fd, key(index), false)?;
                }
            }
        }
        if self.slotted == slotted {
            return Ok(());
        }
        self.slotted = slotted;
        for index in 0..2 {
            if let Some(fd) = self.peer.descriptor(index) {
                poller.tell(fd, key(index), !slotted)?;
            }
        }
        Ok(())
    }
}

type PeerEntries<E> = HashMap<PeerKey, PeerEntry<E>, KeyHash>;

struct Loop<E: Endpoint> {
    poller: Poller,
    inbox: Arc<Inbox<E>>,
    health: Arc<HealthCounters>,
    entries: PeerEntries<E>,
    heap: BinaryHeap<Reverse<(Instant, PeerKey)>>,
    stamper: Stamper,
    batch: Batch,
    room: Box<[u8]>,
    /// Sockets to read, including those with more data than was read in their last turn.
    readable: Vec<u64>,
    looked: Instant,
}

impl<E: Endpoint> Loop<E> {
    fn new(poller: Poller, inbox: Arc<Inbox<E>>, health: Arc<HealthCounters>) -> Self {
        Self {
            poller,
            inbox,
            health,
            entries: PeerEntries::default(),
            heap: BinaryHeap::new(),
            stamper: Stamper::new(),
            batch: Batch::new(),
            room: vec![0; DATAGRAM].into(),
            readable: Vec::new(),
            looked: Instant::now(),
        }
    }

    fn run(mut self) {
        // However the thread ends, release every session that is waiting for a reply.
        let inbox = self.inbox.clone();
        let _closed = Closing(&inbox);
        Poller::sharpen();
        while !self.inbox.stop.load(Relaxed) {
            self.wait();
            self.timers();
            self.commands();
            self.reads();
        }
    }

    fn is_busy(&self) -> bool {
        self.entries.len() >= BUSY
    }

    /// Waits until there is work to do: with many peers, until a timer or the next tick; with few,
    /// until a timer or a packet.
    fn wait(&mut self) {
        let now = Instant::now();
        let due = self.heap.peek().map_or(now + NAP, |Reverse((at, _))| *at);
        let wait = due.saturating_duration_since(now).min(NAP);
        if !self.readable.is_empty() {
            self.poller.wait(Duration::ZERO);
        } else if !self.is_busy() {
            self.poller.wait(wait);
        } else {
            let tick = (self.looked + TICK).saturating_duration_since(now);
            let wait = wait.min(tick);
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
            self.poller.wait(Duration::ZERO);
            self.stamper.begin_batch();
        }
        self.looked = Instant::now();
    }

    /// Serves due peers, earliest first: a send must not wait for a batch of reads.
    fn timers(&mut self) {
        loop {
            let now = Instant::now();
            match self.heap.peek() {
                Some(Reverse((at, _))) if *at <= now => {}
                _ => return,
            }
            let Some(Reverse((at, key))) = self.heap.pop() else {
                return;
            };
            let live = self.entries.get_mut(&key).is_some_and(|s| {
                let live = s.scheduled == Some(at);
                if live {
                    s.scheduled = None;
                }
                live
            });
            if live {
                self.serve(key, |peer, tools| peer.serve(now, tools));
            }
        }
    }

    fn reads(&mut self) {
        self.readable.extend(self.poller.readable());
        if self.readable.is_empty() {
            return;
        }
        self.stamper.begin_batch();
        let (now, paced) = (Instant::now(), self.is_busy());
        // A socket with datagrams left after its turn is read again, after the others.
        let mut left = 0;
        for i in 0..self.readable.len() {
            let key = self.readable[i];
            let index = (key & 1) as usize;
            let entry = self.entries.get(&((key >> 1) as PeerKey));
            if paced && entry.is_some_and(|s| s.peer.reads_in_slots(now)) {
                continue;
            }
            let mut more = false;
            self.serve((key >> 1) as PeerKey, |peer, tools| {
                more = peer.readable(index, tools);
            });
            if more {
                self.readable[left] = key;
                left += 1;
            }
            self.timers();
        }
        self.readable.truncate(left);
    }

    fn commands(&mut self) {
        for command in self.inbox.take() {
            match command {
                PeerCommand::Add(key, peer) => {
                    let entry = PeerEntry {
                        peer,
                        scheduled: None,
                        slotted: false,
                    };
                    self.entries.insert(key, entry);
                }
                PeerCommand::With(key, job) => {
                    let now = Instant::now();
                    self.serve(key, |peer, tools| {
                        peer.tell_figures(now);
                        job(peer, now);
                        peer.settle(now, tools);
                    });
                }
                // Closing the sockets removes them from the poller.
                PeerCommand::Remove(key) => drop(self.entries.remove(&key)),
            }
        }
    }

    /// Runs `f` on a peer, then watches its new sockets and schedules its next wake-up.
    fn serve(&mut self, key: PeerKey, f: impl FnOnce(&mut Peer<E>, &mut Tools<'_>)) {
        let paced = self.is_busy();
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        let mut tools = Tools {
            stamper: &mut self.stamper,
            health: &self.health,
            batch: &mut self.batch,
            room: &mut self.room,
            paced,
        };
        // A panic caused by one peer's datagrams or descriptions ends that peer, not the hundreds
        // on the same thread; its media is not served again.
        let served = catch_unwind(AssertUnwindSafe(|| f(&mut entry.peer, &mut tools)));
        if served.is_err() {
            let why = PeerEvent::Broken("a defect in the media engine".into());
            entry.peer.fail(why, &self.health);
        }
        if entry.peer.is_dead() {
            // The sockets of a dead peer are no longer read.
            entry.peer.close_all();
        }
        let now = Instant::now();
        if let Err(e) = entry.watch(&self.poller, key, paced && entry.peer.reads_in_slots(now)) {
            let why = PeerEvent::Broken(e.to_string());
            entry.peer.fail(why, &self.health);
        }
        let next = entry.peer.next_wake(now);
        if entry.scheduled.is_none_or(|at| next < at) {
            entry.scheduled = Some(next);
            self.heap.push(Reverse((next, key)));
        }
    }
}

#[cfg(test)]
mod tests;
