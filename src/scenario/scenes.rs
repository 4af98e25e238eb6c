//! How the callers of a call sound, and their network: the call's settings, and those of its variant
//! over them.
//!
//! In: a checked scenario. Out: scenes, networks.

use super::sound::Scene;
use super::types::Scenario;
use crate::vocab::NetworkConfig;
use std::sync::Arc;

impl Scenario {
    /// Number of sounds from which the seed picks one for each call; at least 1.
    pub(crate) fn sounds(&self) -> usize {
        self.call.sounds.len().max(1)
    }

    /// The scene of a variant's calls for which sound `pick` was picked.
    pub(crate) fn scene(&self, variant: usize, pick: usize) -> Scene {
        let call = self.call.sounds.get(pick).cloned().unwrap_or_default();
        let variant = self.variants.get(variant);
        let background = variant.and_then(|v| v.background.clone());
        Scene {
            sound: variant.map_or_else(|| call.clone(), |v| v.sound.over(&call)),
            background: background.or_else(|| self.call.background.clone()),
        }
    }

    /// Every scene, by variant and then by pick.
    pub(crate) fn scenes(&self) -> impl Iterator<Item = Scene> + '_ {
        let picks = self.sounds();
        let variants = 0..self.variants.len().max(1);
        variants.flat_map(move |variant| (0..picks).map(move |pick| self.scene(variant, pick)))
    }

    /// The network of a variant's calls for which network `pick` was picked; `None` if packets pass
    /// unchanged.
    pub(crate) fn network(
        &self,
        variant: usize,
        pick: Option<usize>,
    ) -> Option<Arc<NetworkConfig>> {
        let own = self.variants.get(variant).and_then(|v| v.network.clone());
        let picked = || Some(self.networks.mix.get(pick?)?.1.clone());
        own.or_else(picked).filter(|network| !network.is_clean())
    }

    /// Whether any call has a simulated network.
    pub(crate) fn is_impaired(&self) -> bool {
        let own = self.variants.iter().filter_map(|v| v.network.as_ref());
        !self.networks.are_clean() || own.into_iter().any(|network| !network.is_clean())
    }
}
