//! Flags that change a scenario, shared by `run`, `plan` and `capacity`.

use crate::scenario::Overrides;
use clap::Args;
use std::time::Duration;

/// Flags that override values of a scenario.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Scenario overrides")]
pub(crate) struct OverrideArgs {
    /// Make N calls, all at once if the scenario made all its calls at once
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = super::number::whole(1..=100_000))]
    pub rooms: Option<u32>,
    /// At most N calls at once
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = super::number::whole(1..=100_000))]
    pub concurrency: Option<u32>,
    /// Keep starting calls for this long, such as 1m30s, instead of a fixed number of calls
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = super::duration::parse_duration)]
    pub duration: Option<Duration>,
    /// Agent to dispatch to every room; not allowed if variants have different agents
    #[arg(long, value_name = "NAME")]
    pub agent_name: Option<String>,
    /// Attribute to set on every caller, in addition to the scenario's; not allowed if variants
    /// have different values for it; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_attribute)]
    pub attribute: Vec<(String, String)>,
    /// Timeout of every turn, from the end of speech
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = super::duration::parse_duration)]
    pub timeout: Option<Duration>,
}

impl OverrideArgs {
    /// The overrides that these flags specify; `url` is `--url`, which `loadgen plan` lacks.
    pub(crate) fn overrides(&self, url: Option<String>) -> Overrides {
        Overrides {
            rooms: self.rooms,
            concurrency: self.concurrency,
            duration: self.duration,
            url,
            agent_name: self.agent_name.clone(),
            timeout: self.timeout,
            attributes: self.attribute.iter().cloned().collect(),
            evidence: None,
            thresholds: Vec::new(),
        }
    }
}

fn parse_attribute(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE".to_owned()),
    }
}
