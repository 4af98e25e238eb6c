//! Counts an agent's concurrent calls, and slows the agent down beyond its capacity.
//!
//! In: calls that begin and end. Out: the factor by which every call's delay is multiplied.
//! Invariant: a call counts from its start to its end, even if it fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Beyond its capacity, an agent's delays are multiplied by this factor.
const CROWDED: u32 = 2;

/// The concurrent calls of an agent.
#[derive(Debug, Clone, Default)]
pub(super) struct Crowd {
    here: Arc<AtomicU32>,
    /// Maximum number of concurrent calls that do not slow the agent down; `None`: unlimited.
    pub(super) capacity: Option<u32>,
}

impl Crowd {
    /// Counts a call until the returned seat is dropped.
    pub(super) fn sit(&self) -> Seat {
        self.here.fetch_add(1, Relaxed);
        Seat(self.clone())
    }
}

/// One counted call; dropping it ends the count.
#[derive(Debug)]
pub(super) struct Seat(Crowd);

impl Seat {
    /// The factor by which every delay is currently multiplied.
    pub(super) fn factor(&self) -> u32 {
        let here = self.0.here.load(Relaxed);
        match self.0.capacity {
            Some(capacity) if here > capacity => CROWDED,
            _ => 1,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.here.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reply_takes_twice_as_long_beyond_capacity() {
        let crowd = Crowd {
            capacity: Some(2),
            ..Crowd::default()
        };
        let (first, second) = (crowd.sit(), crowd.sit());
        assert_eq!((first.factor(), second.factor()), (1, 1));
        let third = crowd.sit();
        assert_eq!([&first, &second, &third].map(Seat::factor), [2, 2, 2]);
        drop(second);
        assert_eq!((first.factor(), third.factor()), (1, 1));
        let any = Crowd::default();
        let seats: Vec<Seat> = (0..1000).map(|_| any.sit()).collect();
        assert!(seats.iter().all(|s| s.factor() == 1));
    }
}
