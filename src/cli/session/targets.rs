//! Resolves the target of each variant's calls, from flags, environment and file.
//!
//! In: a scenario, flags, the environment. Out: [`Targets`]. Invariant: a variant's own server
//! settings take precedence over flags and environment, which apply to the scenario's target.

use super::key_hosts::Users;
use super::truth::this_program;
use crate::cli::exit::Exit;
use crate::cli::settings::{self, Environment, ServerFlags};
use crate::cli::trouble::Trouble;
use crate::run::Targets;
use crate::scenario::{self, AgentSettings, Scenario, TargetConfig, Variant};
use crate::targets::embedded::Embedded;
use crate::targets::livekit::{AgentChoice, Ask, Dispatch, Livekit};

/// The target of every variant.
pub(crate) fn resolve(
    scenario: &Scenario,
    flags: &ServerFlags,
    env: &Environment,
) -> Result<Targets, Trouble> {
    // A checked scenario has at least one variant.
    let (first, others) = scenario.variants.split_first().ok_or_else(not_embedded)?;
    match &scenario.target {
        TargetConfig::Embedded(agent) => {
            let target =
                |variant: &Variant| embedded(variant.agent.as_ref().unwrap_or(agent), Vec::new());
            let others: Result<Vec<_>, Trouble> = others.iter().map(target).collect();
            Ok(Targets::for_variants(target(first)?, others?))
        }
        TargetConfig::Livekit(livekit) => {
            let asks = asks(scenario);
            let target = |variant: &Variant| server(livekit, variant, &asks, flags, env);
            let others: Result<Vec<_>, Trouble> = others.iter().map(target).collect();
            Ok(Targets::for_variants(target(first)?, others?))
        }
    }
}

/// The embedded target, with `more` as additional arguments for its agent.
pub(crate) fn of_embedded(scenario: &Scenario, more: Vec<String>) -> Result<Embedded, Trouble> {
    match &scenario.target {
        TargetConfig::Embedded(agent) => embedded(agent, more),
        TargetConfig::Livekit(_) => Err(not_embedded()),
    }
}

/// The agent, attributes and metadata that the calls of each variant request from a LiveKit server.
pub(crate) fn asks(scenario: &Scenario) -> Vec<Ask> {
    let ask = |variant: &Variant| Ask {
        dispatch: variant.agent_name.as_ref().map(|name| Dispatch {
            agent_name: name.clone(),
            metadata: variant.metadata.clone().unwrap_or_default(),
        }),
        attributes: variant.attributes.clone(),
        room_metadata: variant.room_metadata.clone().unwrap_or_default(),
        choice: AgentChoice {
            track: scenario.call.agent_track.clone(),
            identity: scenario.call.agent_identity.clone(),
        },
        account: scenario.call.agent_account,
    };
    scenario.variants.iter().map(ask).collect()
}

fn not_embedded() -> Trouble {
    let message = "this command needs an embedded target";
    Trouble::new(
        Exit::InvalidScenario,
        message,
        "set `target.kind: embedded`",
    )
}

fn embedded(agent: &AgentSettings, more: Vec<String>) -> Result<Embedded, Trouble> {
    let program = this_program()?;
    let mut arguments = super::agent_flags::arguments(agent);
    arguments.extend(more);
    Ok(Embedded { program, arguments })
}

fn server(
    livekit: &scenario::LivekitConfig,
    variant: &Variant,
    asks: &[Ask],
    flags: &ServerFlags,
    env: &Environment,
) -> Result<Livekit, Trouble> {
    let own = variant.server.as_ref();
    Users::of(flags, env)?.check(livekit, variant)?;
    let pick = |own: Option<&String>, flag: &Option<String>| own.or(flag.as_ref()).cloned();
    let flags = ServerFlags {
        url: pick(own.map(|s| &s.url), &flags.url),
        api_key: pick(own.and_then(|s| s.api_key.as_ref()), &flags.api_key),
        api_secret: pick(
            own.and_then(|s| s.api_secret.as_ref().map(|s| &s.0)),
            &flags.api_secret,
        ),
    };
    let file = ServerFlags {
        url: livekit.url.clone(),
        api_key: livekit.api_key.clone(),
        api_secret: livekit.api_secret.as_ref().map(|s| s.0.clone()),
    };
    let (address, credentials) = settings::server(&flags, env, &file)?;
    Ok(Livekit {
        address,
        credentials,
        room_prefix: livekit.room_prefix.clone(),
        asks: asks.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Unset, check};
    use std::path::Path;

    fn scenario(target: &str, variants: &str) -> Scenario {
        let text = format!(
            "version: 1\ntarget: {target}\nutterances: {{a: {{file: a.wav}}}}\n\
             call: {{turns: [{{say: a}}]}}\nvariants: {variants}\n"
        );
        let path = Path::new("test.yaml");
        check(text.as_bytes(), path, &|_| None, Unset::Problem, &|_| {
            Ok(None)
        })
        .expect("a valid scenario")
    }

    #[test]
    fn a_variants_own_server_overrides_the_flag() {
        let scenario = scenario(
            "{kind: livekit, url: 'ws://file:1', api_key: k, api_secret: s}",
            "[{name: a}, {name: b, url: 'ws://b:2', api_key: kb, api_secret: sb}, {name: c, agent_name: x}]",
        );
        let flags = ServerFlags {
            url: Some("ws://flag:3".to_owned()),
            api_key: Some("key".to_owned()),
            api_secret: Some("secret".to_owned()),
        };
        let env = Environment::load().unwrap_or_else(|t| panic!("{t:?}"));
        let targets = resolve(&scenario, &flags, &env).unwrap_or_else(|t| panic!("{t:?}"));
        assert_eq!(targets.describe(), "livekit ws://flag:3, livekit ws://b:2");
    }

    #[test]
    fn an_embedded_variant_has_an_agent_of_its_own() {
        let scenario = scenario(
            "{kind: embedded, agent: {delay: 1s, reply_length: 2s}}",
            "[{name: a}, {name: b, agent: {delay: 2s}}]",
        );
        let env = Environment::load().unwrap_or_else(|t| panic!("{t:?}"));
        let targets =
            resolve(&scenario, &ServerFlags::default(), &env).unwrap_or_else(|t| panic!("{t:?}"));
        let all: Vec<String> = targets.all().map(|target| format!("{target:?}")).collect();
        assert_eq!(all.len(), 2);
        assert!(all[0].contains("--delay=1s") && all[1].contains("--delay=2s"));
        assert!(all[1].contains("--reply-length=2s"), "{all:?}");
    }

    #[test]
    fn a_variants_agent_has_its_own_behaviour_and_truth_file() {
        let scenario = scenario(
            "{kind: embedded, agent: {truth: t.jsonl, behaviour: {silent: 10%, stop: {after: 1s}}}}",
            "[{name: a}, {name: b, agent: {behaviour: {stop: {ignore: 50%}}}}]",
        );
        let env = Environment::load().unwrap_or_else(|t| panic!("{t:?}"));
        let targets =
            resolve(&scenario, &ServerFlags::default(), &env).unwrap_or_else(|t| panic!("{t:?}"));
        let all: Vec<String> = targets.all().map(|target| format!("{target:?}")).collect();
        assert!(all[0].contains("--truth=t.jsonl"), "{all:?}");
        assert!(all[1].contains("--truth=t-b.jsonl"), "{all:?}");
        let given = |target: &String| target.replace('\\', "");
        let (one, other) = (given(&all[0]), given(&all[1]));
        assert!(
            one.contains(r#"{"stop":{"after":"1s","ignore":"0%"},"silent":"10%"}"#),
            "{one}"
        );
        assert!(
            other.contains(r#"{"stop":{"ignore":"50%"},"silent":"10%"}"#),
            "{other}"
        );
    }
}
