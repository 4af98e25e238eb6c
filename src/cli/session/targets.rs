//! Resolves where the calls of each variant go, from flags, environment and file.
//!
//! In: a scenario, flags, the environment. Out: [`Targets`]. Invariant: a variant's own server
//! settings take precedence over flags and environment, which apply to the scenario's target.

use super::truth::this_program;
use crate::cli::exit::Exit;
use crate::cli::settings::{self, Environment, ServerFlags};
use crate::cli::trouble::Trouble;
use crate::run::Targets;
use crate::scenario::{self, AgentSettings, Scenario, Target, Variant};
use crate::targets::embedded::Embedded;
use crate::targets::livekit::{AgentChoice, Ask, Dispatch, Livekit};

/// The target of every variant.
pub(crate) fn of(
    scenario: &Scenario,
    flags: &ServerFlags,
    env: &Environment,
) -> Result<Targets, Trouble> {
    // A checked scenario has at least one variant.
    let (first, others) = scenario.variants.split_first().ok_or_else(not_embedded)?;
    match &scenario.target {
        Target::Embedded(agent) => {
            let target =
                |variant: &Variant| embedded(variant.agent.as_ref().unwrap_or(agent), Vec::new());
            let others: Result<Vec<_>, Trouble> = others.iter().map(target).collect();
            Ok(Targets::for_variants(target(first)?, others?))
        }
        Target::Livekit(livekit) => {
            let asks = asks(scenario);
            let target = |variant: &Variant| server(livekit, variant, &asks, flags, env);
            let others: Result<Vec<_>, Trouble> = others.iter().map(target).collect();
            Ok(Targets::for_variants(target(first)?, others?))
        }
    }
}

/// The embedded target, with `more` arguments for its agent.
pub(crate) fn of_embedded(scenario: &Scenario, more: Vec<String>) -> Result<Embedded, Trouble> {
    match &scenario.target {
        Target::Embedded(agent) => embedded(agent, more),
        Target::Livekit(_) => Err(not_embedded()),
    }
}

/// What the calls of each variant ask a LiveKit server for.
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
    };
    scenario.variants.iter().map(ask).collect()
}

fn not_embedded() -> Trouble {
    let message = "this needs an embedded target";
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

/// Refuses to send the keys of the environment (or of flags) to a host that only the scenario
/// names: whoever writes a scenario would get them.
fn keys_go_to_known_hosts(
    livekit: &scenario::Livekit,
    own: Option<&scenario::Server>,
    flags: &ServerFlags,
    env: &Environment,
) -> Result<(), Trouble> {
    let users = flags.url.clone().or_else(|| env.get("LIVEKIT_URL"));
    let (url, keys) = match own {
        Some(own) => (
            Some(&own.url),
            own.api_key.is_some() && own.api_secret.is_some(),
        ),
        None if users.is_some() => return Ok(()),
        None => {
            let from_environment = flags.api_key.is_some()
                || flags.api_secret.is_some()
                || ["LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"]
                    .iter()
                    .any(|name| env.get(name).is_some());
            let keys = livekit.api_key.is_some() && livekit.api_secret.is_some();
            (livekit.url.as_ref(), keys && !from_environment)
        }
    };
    let Some(host) = url
        .filter(|_| !keys)
        .and_then(|url| scenario::host_of(url).ok().map(str::to_owned))
    else {
        return Ok(());
    };
    let named = env.get(KEY_HOSTS).unwrap_or_default();
    let mut known = named.split(',').map(|host| host.trim().to_owned());
    let users = users.as_deref().and_then(|url| scenario::host_of(url).ok());
    let is_users = users == Some(host.as_str());
    if is_users || is_loopback(&host) || known.any(|known| known == host) {
        return Ok(());
    }
    Err(Trouble::new(
        Exit::InvalidScenario,
        format!(
            "the scenario names the server `{host}`, but no keys for it, and yours are for another"
        ),
        format!(
            "write `api_key` and `api_secret` beside its `url`, or allow it: {KEY_HOSTS}={host}"
        ),
    ))
}

/// Hosts that may be sent the keys of the environment, separated by commas.
const KEY_HOSTS: &str = "LOADGEN_KEY_HOSTS";

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn server(
    livekit: &scenario::Livekit,
    variant: &Variant,
    asks: &[Ask],
    flags: &ServerFlags,
    env: &Environment,
) -> Result<Livekit, Trouble> {
    let own = variant.server.as_ref();
    keys_go_to_known_hosts(livekit, own, flags, env)?;
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
    let (address, credentials) = settings::server(&flags, env, &file)
        .map_err(|e| Trouble::new(Exit::Usage, e.to_string(), e.hint()))?;
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
        check(text.as_bytes(), path, &|_| None, Unset::Problem, &|_, _| {
            Ok(None)
        })
        .expect("a valid scenario")
    }

    #[test]
    fn a_variants_own_server_stands_above_the_flag() {
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
        let targets = of(&scenario, &flags, &env).unwrap_or_else(|t| panic!("{t:?}"));
        assert_eq!(targets.describe(), "livekit ws://flag:3, livekit ws://b:2");
    }

    #[test]
    fn keys_of_the_environment_go_to_hosts_that_the_user_names() {
        let env = |known: &str| {
            let set = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            let all = [
                ("LIVEKIT_API_KEY", "key"),
                ("LIVEKIT_API_SECRET", "secret"),
                (KEY_HOSTS, known),
            ];
            Environment::of(all.into_iter().map(set))
        };
        let url = |url: &str| ServerFlags {
            url: Some(url.to_owned()),
            ..ServerFlags::default()
        };
        let none = ServerFlags::default();
        let strangers = "[{name: a}, {name: b, url: 'wss://stranger.example'}]";
        let with_keys =
            "[{name: a}, {name: b, url: 'wss://stranger.example', api_key: k, api_secret: s}]";
        let file = "{kind: livekit, url: 'wss://file.example'}";
        let near = "{kind: livekit, url: 'ws://127.0.0.1:7880'}";
        let bare = "{kind: livekit}";
        let own = "{kind: livekit, url: 'wss://file.example', api_key: k, api_secret: s}";
        let one = "[{name: a}]";
        for (target, variants, flags, known, allowed) in [
            (bare, strangers, &url("wss://mine.example"), "", false),
            (bare, with_keys, &url("wss://mine.example"), "", true),
            (
                bare,
                strangers,
                &url("wss://mine.example"),
                "other, stranger.example",
                true,
            ),
            (
                bare,
                strangers,
                &url("wss://stranger.example:444"),
                "",
                true,
            ),
            (file, one, &none, "", false),
            (file, one, &none, "file.example", true),
            (file, one, &url("wss://mine.example"), "", true),
            (near, one, &none, "", true),
            // The environment's keys would win over those of the file.
            (own, one, &none, "", false),
        ] {
            let made = of(&scenario(target, variants), flags, &env(known));
            let exit = made.err().map(|trouble| trouble.exit());
            let expected = (!allowed).then_some(Exit::InvalidScenario);
            assert_eq!(exit, expected, "{target} {variants} {known}");
        }
    }

    #[test]
    fn an_embedded_variant_has_an_agent_of_its_own() {
        let scenario = scenario(
            "{kind: embedded, agent: {delay: 1s, reply_length: 2s}}",
            "[{name: a}, {name: b, agent: {delay: 2s}}]",
        );
        let env = Environment::load().unwrap_or_else(|t| panic!("{t:?}"));
        let targets =
            of(&scenario, &ServerFlags::default(), &env).unwrap_or_else(|t| panic!("{t:?}"));
        let all: Vec<String> = targets.all().map(|target| format!("{target:?}")).collect();
        assert_eq!(all.len(), 2);
        assert!(all[0].contains("--delay=1s") && all[1].contains("--delay=2s"));
        assert!(all[1].contains("--reply-length=2s"), "{all:?}");
    }
}
