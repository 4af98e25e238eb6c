//! Passes on the messages of a peer's data channels to its session, at once or in batches, or drops
//! them.
//!
//! In: messages with their arrivals. Out: batches for the session. Invariants: messages keep their
//! order and their arrivals; held messages are due after [`HOLD`], or at once when there
//! are [`MOST`] of them.

use std::time::{Duration, Instant};

/// How long messages are held so that they are passed on as a batch.
const HOLD: Duration = Duration::from_millis(500);
/// Size of a batch that is passed on at once.
const MOST: usize = 32;

/// A message, and when its last packet arrived.
pub type Message = (Instant, Vec<u8>);

/// What happens to the messages that a peer receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Messages {
    /// Each message is passed on at once.
    #[default]
    AtOnce,
    /// They are passed on in batches: waking the session for a message costs several times as much
    /// as reading the message.
    Together,
    /// They are dropped.
    Dropped,
}

/// The messages of a peer that have not been passed on.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    pub(super) policy: Messages,
    held: Vec<Message>,
}

impl Mailbox {
    /// Adds a message, unless messages are dropped.
    pub(super) fn put(&mut self, message: Message) {
        if self.policy != Messages::Dropped {
            self.held.push(message);
        }
    }

    /// When the held messages must be passed on, if there are any.
    pub(super) fn due(&self) -> Option<Instant> {
        let (arrival, _) = self.held.first()?;
        match self.policy {
            Messages::Together if self.held.len() < MOST => Some(*arrival + HOLD),
            _ => Some(*arrival),
        }
    }

    /// The messages that are due by `now`.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Vec<Message>> {
        let is_due = self.due().is_some_and(|due| due <= now);
        is_due.then(|| std::mem::take(&mut self.held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_passed_on_at_once_or_together_or_dropped() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let put = |mailbox: &mut Mailbox, ms: u64| mailbox.put((at(ms), vec![ms as u8]));
        let mut mailbox = Mailbox::default();
        put(&mut mailbox, 1);
        assert_eq!(mailbox.take_due(at(1)), Some(vec![(at(1), vec![1])]));
        assert_eq!(mailbox.take_due(at(1)), None);

        mailbox.policy = Messages::Together;
        put(&mut mailbox, 10);
        put(&mut mailbox, 20);
        assert_eq!(mailbox.due(), Some(at(510)));
        assert_eq!(mailbox.take_due(at(509)), None);
        let both = vec![(at(10), vec![10]), (at(20), vec![20])];
        assert_eq!(mailbox.take_due(at(510)), Some(both));
        // A flood is not held.
        for ms in 0..MOST as u64 {
            put(&mut mailbox, ms);
        }
        assert_eq!(mailbox.take_due(at(31)).map(|all| all.len()), Some(MOST));

        mailbox.policy = Messages::Dropped;
        put(&mut mailbox, 1);
        assert_eq!(mailbox.due(), None);
    }
}
