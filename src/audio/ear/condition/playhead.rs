//! Finds underruns of the modelled jitter buffer.
//!
//! In: each packet's transit, and the time for which the model holds it back. Out: how much audio
//! the buffer had to invent before the packet came. Invariants: a packet that is held back is no
//! underrun; after an underrun the buffer plays later, and catches up slowly.

use crate::audio::Packet;
use std::time::{Duration, Instant};

/// A buffer that plays too late catches up by this share of the time, as NetEQ's acceleration
/// does on average: a tenth.
const CATCH_UP: i64 = 10;
/// Shorter underruns are jitter: after an underrun, a real buffer stretches the sound until it has
/// some reserve again, which this model does not.
const SHORTEST: i64 = 5_000_000;

/// Where the modelled buffer plays.
#[derive(Debug, Default)]
pub(super) struct Playhead {
    /// The transit at which audio is played, in ns, and when it was last updated.
    plays: Option<(i64, Instant)>,
}

impl Playhead {
    /// Takes a packet with its transit in ns; returns the length of the underrun that it ends.
    pub(super) fn packet(
        &mut self,
        transit: i64,
        packet: &Packet<'_>,
        hold: Duration,
    ) -> Option<Duration> {
        let due = transit.saturating_add(i64::try_from(hold.as_nanos()).unwrap_or(0));
        let (plays, since) = self.plays.replace((due, packet.arrival))?;
        let passed = packet.arrival.saturating_duration_since(since).as_nanos();
        let caught = plays.saturating_sub(i64::try_from(passed).unwrap_or(i64::MAX) / CATCH_UP);
        self.plays = Some((due.max(caught), packet.arrival));
        let missing = transit.saturating_sub(plays);
        (hold.is_zero() && missing >= SHORTEST)
            .then(|| Duration::from_nanos(u64::try_from(missing).unwrap_or(0)))
    }
}
