//! Networks with published figures.
//!
//! In: a preset's name. Out: its network. Sources: `wifi`, `wifi-lossy`, `wifi-congested`,
//! `cellular` and `congested` have the figures of the presets of the crate `str0m-netem` 0.4
//! (<https://docs.rs/str0m-netem>), whose buffers in bytes are written here as times; `4g` and `3g`
//! those of Loadero's network modes
//! (<https://wiki.loadero.com/test-creation/participant-configuration/network-conditions/>).
//! Where a source has one figure for a network, it applies to each direction.

use super::file_network::PresetName;
use crate::vocab::{Bandwidth, Distribution, Jitter, LinkConfig, LossModel, NetworkConfig};
use std::time::Duration;
use strum::VariantArray as _;

const MBIT: u64 = 1_000_000;

/// The names of all presets.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PresetName::VARIANTS.iter().map(|preset| preset.into())
}

/// The preset of this name.
pub(super) fn named(name: &str) -> Option<PresetName> {
    let mut all = PresetName::VARIANTS.iter().copied();
    all.find(|preset| <&str>::from(preset) == name)
}

/// A preset's network.
pub(super) fn network(preset: PresetName) -> NetworkConfig {
    let (up, down) = match preset {
        PresetName::Wifi => both(link(5, 2, runs(200.0, 2.0), 100 * MBIT, 16)),
        PresetName::WifiLossy => both(link(15, 10, runs(40.0, 2.0), 50 * MBIT, 16)),
        PresetName::WifiCongested => both(link(10, 20, runs(20.0, 2.0), 5 * MBIT, 48)),
        PresetName::Cellular => both(link(50, 15, runs(100.0, 2.0), 30 * MBIT, 27)),
        PresetName::Congested => both(link(80, 40, runs(20.0, 2.0), 10 * MBIT, 40)),
        PresetName::FourG => (
            link(45, 15, single(0.002), 50 * MBIT, 200),
            link(45, 5, single(0.002), 100 * MBIT, 200),
        ),
        PresetName::ThreeG => both(link(250, 50, single(0.005), 1_200_000, 200)),
    };
    NetworkConfig {
        name: <&str>::from(preset).to_owned(),
        up,
        down,
    }
}

fn both(link: LinkConfig) -> (LinkConfig, LinkConfig) {
    (link.clone(), link)
}

/// Losses in runs: mean numbers of packets between two runs and in one.
fn runs(between: f64, within: f64) -> LossModel {
    LossModel {
        enter: 1.0 / between,
        leave: 1.0 / within,
        good: 0.0,
        bad: 1.0,
    }
}

/// Losses that do not depend on each other, by their share of the packets.
fn single(share: f64) -> LossModel {
    LossModel {
        enter: share,
        leave: 1.0 - share,
        good: 0.0,
        bad: 1.0,
    }
}

/// A direction, with times in milliseconds and a rate in bits per second.
fn link(delay: u64, jitter: u64, loss: LossModel, rate: u64, queue: u64) -> LinkConfig {
    let ms = Duration::from_millis;
    LinkConfig {
        loss: Some(loss),
        delay: ms(delay),
        jitter: Some(Jitter {
            size: ms(jitter),
            distribution: Distribution::Normal,
            correlation: 0.0,
            in_order: true,
        }),
        bandwidth: Some(Bandwidth {
            rate,
            queue: ms(queue),
        }),
        ..LinkConfig::default()
    }
}
