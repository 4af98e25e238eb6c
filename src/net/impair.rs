//! Drops received packets on purpose, as a bad network between agent and caller would.
//!
//! In: a share of lost packets, their mean burst length, a seed; then the agent's packets, once
//! they are known to be the agent's. Out: whether each one counts as lost.
//! Invariants: only RTP passes through here (never RTCP, ICE or DTLS); a caller's losses depend
//! only on the seed, the caller's number and the count of its packets.

use crate::vocab::Loss;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// The packet losses of one caller.
///
/// Bursts follow Gilbert's two-state model: in the bad state every packet is lost, in the good
/// state none (E. N. Gilbert, *Capacity of a burst-noise channel*, 1960).
#[derive(Debug, Clone)]
pub struct Impairment {
    random: ChaCha8Rng,
    /// Probability of a loss after a received packet, and (`after_bad`) after a lost one.
    after_good: f64,
    after_bad: f64,
    bad: bool,
}

impl Impairment {
    /// The losses of caller `caller` in a run with this seed.
    pub fn new(loss: Loss, seed: u64, caller: u64) -> Self {
        let share = loss.share.clamp(0.0, 1.0);
        let (after_good, after_bad) = match loss.burst {
            None => (share, share),
            Some(burst) => {
                let leave = 1.0 / burst.max(1.0);
                (leave * share / (1.0 - share), 1.0 - leave)
            }
        };
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(caller);
        let mut new = Self {
            random,
            after_good,
            after_bad,
            bad: false,
        };
        // Start from the stationary distribution, like a channel that has long been in use.
        new.bad = new.draw() < share;
        new
    }

    /// Uniform in [0, 1).
    fn draw(&mut self) -> f64 {
        (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether the next packet is lost.
    pub fn loses(&mut self) -> bool {
        let bound = match self.bad {
            true => self.after_bad,
            false => self.after_good,
        };
        self.bad = self.draw() < bound;
        self.bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(loss: Loss, seed: u64, caller: u64, packets: usize) -> Vec<bool> {
        let mut i = Impairment::new(loss, seed, caller);
        (0..packets).map(|_| i.loses()).collect()
    }

    #[test]
    fn loss_rate_and_burst_length_match_the_settings() {
        for (share, burst, expected) in [
            (0.05, None, 1.0 / 0.95),
            (0.05, Some(2.6), 2.6),
            (0.2, Some(1.0), 1.0),
            (0.5, Some(8.0), 8.0),
        ] {
            let all = lost(Loss { share, burst }, 7, 3, 400_000);
            let count = all.iter().filter(|l| **l).count() as f64;
            let bursts = all.windows(2).filter(|w| !w[0] && w[1]).count() as f64;
            let (got, mean) = (count / all.len() as f64, count / bursts);
            assert!((got / share - 1.0).abs() < 0.05, "{share} {burst:?}: {got}");
            assert!(
                (mean / expected - 1.0).abs() < 0.05,
                "{share} {burst:?}: {mean}"
            );
        }
    }

    #[test]
    fn shares_of_0_and_1_lose_nothing_and_everything() {
        let all = |share, burst| lost(Loss { share, burst }, 1, 0, 1_000);
        assert!(all(0.0, None).iter().all(|l| !l));
        assert!(all(0.0, Some(3.0)).iter().all(|l| !l));
        assert!(all(1.0, None).iter().all(|l| *l));
    }

    #[test]
    fn losses_are_reproducible_per_caller() {
        let loss = Loss {
            share: 0.1,
            burst: Some(2.0),
        };
        assert_eq!(lost(loss, 9, 4, 2_000), lost(loss, 9, 4, 2_000));
        assert_ne!(lost(loss, 9, 4, 2_000), lost(loss, 9, 5, 2_000));
        assert_ne!(lost(loss, 9, 4, 2_000), lost(loss, 8, 4, 2_000));
    }
}
