//! Applies the flags of the command line to a checked scenario.
//!
//! In: a scenario and [`Overrides`]. Out: the scenario as it will run. Invariants: the result
//! keeps every invariant of [`Scenario`]; an override that cannot be applied is an error.

use super::check_load::MOST_CALLS;
use super::evidence::EvidenceChoice;
use super::problem::quoted;
use super::threshold::Threshold;
use super::types::Shape;
use super::types::{Extent, Scenario, TargetConfig, Variant};
use crate::vocab::{GreetingPolicy, Metric};
use std::collections::BTreeMap;
use std::time::Duration;

/// Settings that replace those of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Overrides {
    /// `--rooms N`: N calls, all at once if the file makes all its calls at once, else at most the
    /// file's concurrency. A load that lasts for a duration gets N concurrent calls instead; an
    /// open load always gets N calls.
    pub rooms: Option<u32>,
    /// `--concurrency N`: at most N concurrent calls.
    pub concurrency: Option<u32>,
    /// `--duration D`: keep starting calls until D has passed, however many calls that makes.
    pub duration: Option<Duration>,
    /// `--url`: the server.
    pub url: Option<String>,
    /// `--agent-name`: the agent to dispatch; an error if variants differ in it.
    pub agent_name: Option<String>,
    /// `--timeout`: every turn's timeout.
    pub timeout: Option<Duration>,
    /// `--attribute k=v`: attributes of every caller, in addition to the file's; an error if
    /// variants differ in one.
    pub attributes: BTreeMap<String, String>,
    /// `--evidence`: which turns' and calls' audio is kept.
    pub evidence: Option<EvidenceChoice>,
    /// `--threshold 'ttfa: p(95)<1s'`: in addition to the file's thresholds; replaces those of the
    /// file on the same figure.
    pub thresholds: Vec<Threshold>,
}

/// An override that does not fit the scenario.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OverrideError {
    /// A setting of LiveKit rooms for an embedded target.
    #[error("`{flag}` is for LiveKit rooms, but the target of this scenario is embedded")]
    Embedded { flag: &'static str },
    /// The flag would set one value for all variants, which differ in it.
    #[error("`{flag}` would give the same value to variants that differ in it")]
    Variants {
        /// The flag; for an attribute, with its name.
        flag: String,
    },
    /// A number out of bounds.
    #[error("`{flag}` must be from 1 to 100000, not {value}")]
    OutOfBounds {
        flag: &'static str,
        /// The number as given.
        value: u32,
    },
    /// A duration of zero.
    #[error("`{flag}` must be greater than 0")]
    Zero { flag: &'static str },
    /// More concurrent calls than calls in all.
    #[error("`--concurrency {concurrency}` is more than the {calls} calls in all")]
    Concurrency {
        /// The concurrency as given.
        concurrency: u32,
        /// Number of calls that would run.
        calls: u32,
    },
    /// A flag for a setting that the shape of the load already determines.
    #[error("`{flag}` does not fit `load.{shape}` of this scenario")]
    Shape {
        flag: &'static str,
        /// The shape's key in the file.
        shape: &'static str,
    },
    /// A threshold on an unknown variant.
    #[error("`--threshold {subject}`: there is no variant `{name}`; known variants: {known}")]
    Variant {
        /// Metric and filter of the threshold.
        subject: String,
        /// The name as given.
        name: String,
        /// The known variants.
        known: String,
    },
    /// A threshold on greetings, which the scenario does not measure.
    #[error("`--threshold greeting`: this scenario does not measure greetings")]
    Greeting,
    /// The ramp of the file does not fit into the duration.
    #[error("`--duration` is shorter than the scenario's `load.ramp`")]
    Ramp,
    /// More calls would arrive than a load may have.
    #[error("with `--duration`, more than 100000 calls would arrive")]
    Arrivals,
}

impl OverrideError {
    /// What to do instead; printed on its own `hint:` line.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Embedded { .. } => "leave it out, or choose a scenario with `kind: livekit`",
            Self::OutOfBounds { .. } | Self::Zero { .. } => {
                "leave it out to use the scenario's value"
            }
            Self::Variants { .. } => "the variants differ in it: change them in the scenario",
            Self::Shape { .. } => "leave it out, or change the scenario's `load`",
            Self::Variant { .. } => "choose one of them, or leave the filter out for all",
            Self::Greeting => "set `call.greeting: expect` in the scenario",
            Self::Concurrency { .. } => "raise `--rooms` too",
            Self::Arrivals => "shorten it, or lower `load.arrival.rate`",
            Self::Ramp => "lengthen it: `concurrency` would never be reached",
        }
    }
}

impl Overrides {
    /// Applies the overrides to a copy of `scenario`.
    ///
    /// # Errors
    /// The first override that cannot be applied.
    pub(crate) fn apply(&self, scenario: &Scenario) -> Result<Scenario, OverrideError> {
        let mut scenario = scenario.clone();
        self.apply_load(&mut scenario)?;
        if let Some(choice) = self.evidence {
            scenario.evidence = choice.apply(scenario.evidence);
        }
        match &mut scenario.target {
            TargetConfig::Livekit(target) => {
                if let Some(url) = &self.url {
                    target.url = Some(url.clone());
                }
            }
            TargetConfig::Embedded(_) => {
                let given = [
                    ("--url", self.url.is_some()),
                    ("--agent-name", self.agent_name.is_some()),
                    ("--attribute", !self.attributes.is_empty()),
                ];
                if let Some((flag, _)) = given.into_iter().find(|(_, given)| *given) {
                    return Err(OverrideError::Embedded { flag });
                }
            }
        }
        self.keeps_variants_apart(&scenario)?;
        for variant in &mut scenario.variants {
            if let Some(name) = &self.agent_name {
                variant.agent_name = Some(name.clone());
            }
            variant.attributes.extend(self.attributes.clone());
        }
        if let Some(timeout) = self.timeout {
            if timeout.is_zero() {
                return Err(OverrideError::Zero { flag: "--timeout" });
            }
            scenario
                .call
                .turns
                .iter_mut()
                .for_each(|turn| turn.timeout = timeout);
        }
        self.apply_thresholds(&mut scenario)?;
        Ok(scenario)
    }

    /// Rejects overrides of settings in which the variants differ.
    fn keeps_variants_apart(&self, scenario: &Scenario) -> Result<(), OverrideError> {
        let differ = |of: &dyn Fn(&Variant) -> Option<String>| {
            let mut values = scenario.variants.iter().map(of);
            let first = values.next();
            values.any(|value| Some(value) != first)
        };
        if self.agent_name.is_some() && differ(&|v| v.agent_name.clone()) {
            let flag = "--agent-name".to_owned();
            return Err(OverrideError::Variants { flag });
        }
        let given = self.attributes.keys();
        match { given }.find(|key| differ(&|v| v.attributes.get(*key).cloned())) {
            Some(key) => {
                let flag = format!("--attribute {key}");
                Err(OverrideError::Variants { flag })
            }
            None => Ok(()),
        }
    }

    /// A threshold on the command line replaces the operator and the bound of the file's thresholds
    /// on the same figure, which keep their `on` and `abort_on_fail`.
    fn apply_thresholds(&self, scenario: &mut Scenario) -> Result<(), OverrideError> {
        for given in &self.thresholds {
            let known = || scenario.variants.iter().map(|v| v.name.as_str());
            if let Some(name) = &given.variant
                && !known().any(|known| known == name)
            {
                return Err(OverrideError::Variant {
                    subject: given.subject(),
                    name: name.clone(),
                    known: quoted(known()),
                });
            }
            if given.metric == Metric::Greeting && scenario.call.greeting != GreetingPolicy::Expect
            {
                return Err(OverrideError::Greeting);
            }
            let same = |t: &&mut Threshold| t.bounds_the_same(given);
            let mut replaced = false;
            for threshold in scenario.thresholds.iter_mut().filter(same) {
                (threshold.op, threshold.bound) = (given.op, given.bound);
                replaced = true;
            }
            if !replaced {
                scenario.thresholds.push(given.clone());
            }
        }
        Ok(())
    }

    /// Checks that the flags about the load apply to its shape.
    fn fits(&self, shape: &Shape) -> Result<(), OverrideError> {
        let given = [
            ("--rooms", self.rooms.is_some()),
            ("--concurrency", self.concurrency.is_some()),
            ("--duration", self.duration.is_some()),
        ];
        let first = given.into_iter().find(|(_, given)| *given);
        match (shape, first) {
            (Shape::Stages(_), Some((flag, _))) => Err(OverrideError::Shape {
                flag,
                shape: "stages",
            }),
            _ => Ok(()),
        }
    }

    fn apply_load(&self, scenario: &mut Scenario) -> Result<(), OverrideError> {
        let load = &mut scenario.load;
        for (flag, value) in [("--rooms", self.rooms), ("--concurrency", self.concurrency)] {
            if let Some(value) = value.filter(|value| !(1..=100_000).contains(value)) {
                return Err(OverrideError::OutOfBounds { flag, value });
            }
        }
        self.fits(&load.shape)?;
        if let Some(duration) = self.duration {
            if duration.is_zero() {
                return Err(OverrideError::Zero { flag: "--duration" });
            }
            if load.ramp > duration {
                return Err(OverrideError::Ramp);
            }
            if let Shape::Arrival(arrival) = &load.shape
                && duration.as_secs_f64() * arrival.rate > MOST_CALLS
            {
                return Err(OverrideError::Arrivals);
            }
            load.extent = Extent::Duration(duration);
        }
        let open = matches!(load.shape, Shape::Arrival(_));
        match (self.rooms, &mut load.extent) {
            (Some(rooms), extent) if open => *extent = Extent::Calls(rooms),
            (Some(rooms), Extent::Calls(calls)) => {
                let all_at_once = load.concurrency == *calls;
                load.concurrency = if all_at_once {
                    rooms
                } else {
                    load.concurrency.min(rooms)
                };
                *calls = rooms;
            }
            (Some(rooms), Extent::Duration(_)) => load.concurrency = rooms,
            (None, _) => {}
        }
        if let Some(concurrency) = self.concurrency {
            if let Extent::Calls(calls) = load.extent
                && concurrency > calls
                && !open
            {
                return Err(OverrideError::Concurrency { concurrency, calls });
            }
            load.concurrency = concurrency;
        }
        Ok(())
    }
}
