//! The simulated networks of a scenario.
//!
//! In: networks and their shares of the calls. Out: the network that a draw picks; words.

use crate::vocab::{Loss, LossModel, NetworkConfig};
use std::sync::Arc;

/// All calls, as the sum of the shares of a mix: shares are exact to a millionth.
pub(crate) const ONE: u32 = 1_000_000;

/// The simulated networks of a scenario; without any, packets pass unchanged.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Networks {
    /// Loss of the agent's audio in the simple form, if that is how the file specifies it.
    pub(crate) flat: Option<Loss>,
    /// Each network with its share of the calls, in millionths.
    pub(crate) mix: Vec<(u32, Arc<NetworkConfig>)>,
    /// Whether a log of what happened to each packet is kept.
    pub(crate) log: bool,
}

impl Networks {
    /// Each network in words, with its name and its share of the calls from 0 to 1.
    pub(crate) fn in_words(&self) -> impl Iterator<Item = (String, f64, String)> + '_ {
        let shown = self
            .mix
            .iter()
            .filter(|(_, network)| !network.is_clean() || self.mix.len() > 1);
        shown.map(|(share, network)| {
            let share = f64::from(*share) / f64::from(ONE);
            (network.name.clone(), share, network.to_string())
        })
    }

    /// Mean share of the packets from the server that the loss models lose, 0 to 1.
    pub(crate) fn loss(&self) -> f64 {
        if let Some(flat) = self.flat {
            return flat.share;
        }
        let lost = |network: &NetworkConfig| network.down.loss.map_or(0.0, LossModel::share);
        let shares = self.mix.iter();
        let sum: f64 = shares.map(|(share, of)| f64::from(*share) * lost(of)).sum();
        // Sums of rounded numbers are rounded too.
        (sum / f64::from(ONE) * 1e9).round() / 1e9
    }

    /// The network that a draw from 0 to [`ONE`] − 1 picks.
    pub(crate) fn pick(&self, mut draw: u32) -> Option<usize> {
        for (index, (share, _)) in self.mix.iter().enumerate() {
            match draw.checked_sub(*share) {
                None => return Some(index),
                Some(rest) => draw = rest,
            }
        }
        self.mix.len().checked_sub(1)
    }

    /// Whether any packet is changed.
    pub(crate) fn are_clean(&self) -> bool {
        self.mix.iter().all(|(_, network)| network.is_clean())
    }
}
