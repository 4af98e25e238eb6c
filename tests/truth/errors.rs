//! Statistics of measurement errors.
//!
//! In: measured minus true, in ms, with or without a flag. Out: bias and quantiles.
//! Invariants: quantiles are order statistics (nearest rank); without values they are NaN.

use std::fmt;

/// One turn's error.
#[derive(Debug, Clone, Copy)]
pub struct Error {
    /// Measured minus true, in ms.
    pub ms: f64,
    /// Whether the turn carries the flag in question.
    pub flagged: bool,
}

/// The errors of a measurement.
#[derive(Debug, Clone, Default)]
pub struct Errors(pub Vec<Error>);

impl Errors {
    /// Only the errors without a flag.
    pub fn unflagged(&self) -> Self {
        Self(self.0.iter().filter(|e| !e.flagged).copied().collect())
    }

    /// The mean error.
    pub fn bias(&self) -> f64 {
        self.0.iter().map(|e| e.ms).sum::<f64>() / self.0.len() as f64
    }

    /// The median error, with its sign; the higher of two middle values.
    pub fn median(&self) -> f64 {
        let mut all: Vec<f64> = self.0.iter().map(|e| e.ms).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The quantile of the absolute errors at `share`.
    pub fn within(&self, share: f64) -> f64 {
        let mut all: Vec<f64> = self.0.iter().map(|e| e.ms.abs()).collect();
        all.sort_by(f64::total_cmp);
        let rank = (share * all.len() as f64).ceil() as usize;
        all.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
    }

    /// The errors minus a bias that does not come from the measurement.
    pub fn less(&self, bias: f64) -> Self {
        let shifted = self.0.iter().map(|e| Error {
            ms: e.ms - bias,
            ..*e
        });
        Self(shifted.collect())
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flagged = self.0.iter().filter(|e| e.flagged).count();
        write!(
            f,
            "{} turns ({flagged} flagged), bias {:+.2}, p50 {:.2}, p95 {:.2}, p99 {:.2}, worst {:.2} ms",
            self.0.len(),
            self.bias(),
            self.within(0.5),
            self.within(0.95),
            self.within(0.99),
            self.within(1.0),
        )
    }
}
