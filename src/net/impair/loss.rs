//! Which packets are lost.
//!
//! In: a [`LossModel`], random numbers. Out: whether the next packet is lost. Invariant: the chain
//! starts in its stationary distribution, as that of a channel that has long been in use.

use crate::vocab::LossModel;

/// The chain's state.
#[derive(Debug, Clone)]
pub(super) struct LossChain {
    model: LossModel,
    /// `None` before the first packet.
    bad: Option<bool>,
}

impl LossChain {
    pub(super) fn new(model: LossModel) -> Self {
        Self { model, bad: None }
    }

    /// Whether the next packet is lost; `draws` are uniform in [0, 1).
    pub(super) fn loses(&mut self, draws: [f64; 2]) -> bool {
        let model = self.model;
        let to_bad = match self.bad {
            None => model.share_bad(),
            Some(true) => 1.0 - model.leave,
            Some(false) => model.enter,
        };
        let bad = draws[0] < to_bad;
        self.bad = Some(bad);
        draws[1] < if bad { model.bad } else { model.good }
    }
}
