//! How many calls an agent has at once, and what it does past its capacity.
//!
//! In: calls that begin and end. Out: by how much every call's delay is longer. Holds: a call
//! counts from its beginning to its end, whatever ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Past its capacity every delay of an agent is so many times as long.
const CROWDED: u32 = 2;

/// The calls of an agent.
#[derive(Debug, Clone, Default)]
pub(super) struct Crowd {
    here: Arc<AtomicU32>,
    /// Calls at once that it carries; `None`: any number.
    pub(super) capacity: Option<u32>,
}

impl Crowd {
    /// A call begins.
    pub(super) fn sit(&self) -> Seat {
        self.here.fetch_add(1, Relaxed);
        Seat(self.clone())
    }
}

/// One call of the crowd; it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Seat(Crowd);

impl Seat {
    /// How many times as long every delay is now.
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
    fn past_its_capacity_everybody_waits_twice_as_long() {
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
