//! Seeded random draws that are the same on every machine and with every version of `rand`.
//!
//! In: seed, domain and number. Out: random draws from ChaCha8, with a separate stream for each
//! number in each domain. Invariant: the draws of one call do not depend on any other call.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The purpose of a draw; domains share no stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Domain {
    Call,
    WarmupCall,
    Block,
    WarmupBlock,
    /// Arrivals of an open load.
    Arrival,
    /// How often loops are taken, and when callers hang up.
    Course,
    WarmupCourse,
    /// How the caller sounds.
    Sound,
    WarmupSound,
    /// Which of the networks of a mix it has.
    Network,
    WarmupNetwork,
}

impl Domain {
    pub(super) fn call(warmup: bool) -> Self {
        if warmup { Self::WarmupCall } else { Self::Call }
    }

    pub(super) fn course(warmup: bool) -> Self {
        if warmup {
            Self::WarmupCourse
        } else {
            Self::Course
        }
    }

    pub(super) fn sound(warmup: bool) -> Self {
        if warmup {
            Self::WarmupSound
        } else {
            Self::Sound
        }
    }

    pub(super) fn network(warmup: bool) -> Self {
        if warmup {
            Self::WarmupNetwork
        } else {
            Self::Network
        }
    }

    pub(super) fn block(warmup: bool) -> Self {
        if warmup {
            Self::WarmupBlock
        } else {
            Self::Block
        }
    }
}

pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    pub(super) fn new(seed: u64, domain: Domain, number: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8] = domain as u8;
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(number);
        Self(rng)
    }

    /// Draws uniformly from 0 to `bound` − 1; returns 0 for a bound of 0 or 1. Always consumes one
    /// word, whatever the bound. Uses multiplication (Lemire 2019) without rejection: the bias is
    /// below 2⁻³² for every bound that occurs in plans.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let word = self.0.next_u64();
        ((u128::from(word) * u128::from(bound)) >> 64) as u64
    }

    /// Draws from the standard normal distribution (Box and Muller 1958). Consumes one word: each
    /// half of it is a uniform number, which bounds the result to ±6.8.
    pub(super) fn normal(&mut self) -> f64 {
        let word = self.0.next_u64();
        let unit = |half: u32| (f64::from(half) + 0.5) / (f64::from(u32::MAX) + 1.0);
        let (radius, angle) = (unit((word >> 32) as u32), unit(word as u32));
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    /// Fisher–Yates shuffle.
    pub(super) fn shuffle(&mut self, items: &mut [usize]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}
