//! Describes a run before its first call.
//!
//! In: scenario, plan, targets, the time. Out: the content of `run.json`.

use super::gates;
use crate::call::MODEL;
use crate::plan::Plan;
use crate::record::{
    MEASUREMENT_VERSION, Network, NetworkPart, PlannedGate, RunStart, START_VERSION,
};
use crate::run::Targets;
use crate::scenario::Scenario;
use crate::stats::Decider;

pub(super) fn describe(
    scenario: &Scenario,
    plan: &Plan,
    targets: &Targets,
    started: jiff::Timestamp,
) -> RunStart {
    let gates = gates::from_thresholds(&scenario.thresholds, Decider::default());
    RunStart {
        version: START_VERSION,
        name: scenario.name.clone(),
        seed: scenario.seed,
        target: targets.describe(),
        started_at: format!("{started:.3}"),
        zero_at: None,
        loadgen_version: env!("CARGO_PKG_VERSION").to_owned(),
        measurement_version: MEASUREMENT_VERSION,
        playout_model: MODEL.to_owned(),
        planned_calls: plan.measured().map(|n| n as usize),
        turns_per_call: scenario.call.turns.len(),
        network: network(scenario),
        prices: scenario.prices.clone(),
        gates: gates.iter().map(PlannedGate::from).collect(),
    }
}

/// Formats the instant from which a run's times are counted, to the microsecond.
pub(super) fn zero(at: jiff::Timestamp) -> String {
    format!("{at:.6}")
}

/// The simulated networks that the scenario specifies.
pub(super) fn network(scenario: &Scenario) -> Option<Network> {
    let networks = &scenario.networks;
    let own = scenario.variants.iter().filter_map(|variant| {
        let network = variant.network.as_ref()?;
        Some((variant.name.clone(), None, network.to_string()))
    });
    let parts = networks
        .in_words()
        .map(|(name, share, words)| (name, Some(share), words));
    let part = |(name, share, words): (String, Option<f64>, String)| NetworkPart {
        name: Some(name).filter(|name| !name.is_empty()),
        share,
        words,
    };
    scenario.is_impaired().then(|| Network {
        loss: networks.loss(),
        burst: networks.flat.and_then(|flat| flat.burst),
        parts: match networks.flat {
            Some(_) => own.map(part).collect(),
            None => parts.chain(own).map(part).collect(),
        },
    })
}
