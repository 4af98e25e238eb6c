//! Checks which servers may be called with the user's API key and secret.
//!
//! In: the user's flags and environment, the scenario. Out: nothing, or the reason for refusal.
//! Invariant: the author of a scenario gets no token signed with the user's keys, and never the
//! secret itself. The check depends on whose key is used, not on where the scenario got it from.

use crate::cli::exit::Exit;
use crate::cli::settings::{Environment, ServerFlags};
use crate::cli::trouble::Trouble;
use crate::scenario::{self, Variant};
use crate::vocab::Address;
use crate::vocab::host::bare;

/// Hosts that may be called with the user's keys, separated by commas. Read only from the process's
/// environment: a `.env` can come with the scenario.
const KEY_HOSTS: &str = "LOADGEN_KEY_HOSTS";
/// Minimum length of a secret to search for; a shorter one could occur in a text by chance.
const SHORTEST: usize = 16;

/// The user's own settings.
pub(super) struct Users {
    url: Option<String>,
    key: Option<String>,
    secret: Option<String>,
    hosts: String,
}

impl Users {
    pub(super) fn of(flags: &ServerFlags, env: &Environment) -> Result<Self, Trouble> {
        Ok(Self {
            url: env.flag_or(flags.url.as_ref(), "LIVEKIT_URL")?,
            key: env.flag_or(flags.api_key.as_ref(), "LIVEKIT_API_KEY")?,
            secret: env.flag_or(flags.api_secret.as_ref(), "LIVEKIT_API_SECRET")?,
            hosts: std::env::var(KEY_HOSTS).unwrap_or_default(),
        })
    }

    /// Refuses a variant whose calls would send tokens signed with the user's keys to a host that
    /// the user has not named, or the secret to any host.
    pub(super) fn check(
        &self,
        livekit: &scenario::LivekitConfig,
        variant: &Variant,
    ) -> Result<(), Trouble> {
        self.no_secret_is_sent(livekit, variant)?;
        let own = variant.server.as_ref();
        let (url, by_user) = match (own, &self.url) {
            (Some(own), _) => (Some(&own.url), false),
            (None, Some(url)) => (Some(url), true),
            (None, None) => (livekit.url.as_ref(), false),
        };
        let key = own.and_then(|own| own.api_key.as_ref());
        let secret = own.and_then(|own| own.api_secret.as_ref().map(|secret| &secret.0));
        // In the order in which settings are resolved: variant, else user, else scenario.
        let is_users = |own: Option<&String>, users: &Option<String>| match (own, users) {
            (Some(own), Some(users)) => own.trim() == users.trim(),
            (None, users) => users.is_some(),
            (Some(_), None) => false,
        };
        let users_keys = is_users(key, &self.key) || is_users(secret, &self.secret);
        let Some(url) = url.filter(|_| users_keys && !by_user) else {
            return Ok(());
        };
        let host = match Address::parse(url) {
            // An address that cannot be parsed is reported where it is used.
            Err(_) => return Ok(()),
            Ok(address) if self.trusts(&address) => return Ok(()),
            Ok(address) => address.host().to_owned(),
        };
        Err(Trouble::new(
            Exit::InvalidScenario,
            format!(
                "the scenario specifies the server `{host}`, and would send it tokens signed \
                     with your API key"
            ),
            format!(
                "if this is intended, set {KEY_HOSTS}={host} in the environment; otherwise give the \
                     server its own keys, `api_key` and `api_secret` next to its `url`"
            ),
        ))
    }

    fn trusts(&self, address: &Address) -> bool {
        let host = address.host();
        let plain = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
        let same = |other: &str| plain(bare(other.trim())) == plain(host);
        let users = self.url.as_deref().map(Address::parse);
        let users = users.and_then(Result::ok).is_some_and(|users| {
            // A URL without TLS is not trusted if the user's own URL uses TLS.
            same(users.host()) && (address.is_secure() || !users.is_secure())
        });
        users || is_loopback(host) || self.hosts.split(',').any(same)
    }

    /// Refuses a variant whose calls would send the secret: in metadata, attributes, the agent's
    /// name, an address, the name of a room, or as the API key, which every token contains.
    fn no_secret_is_sent(
        &self,
        livekit: &scenario::LivekitConfig,
        variant: &Variant,
    ) -> Result<(), Trouble> {
        let secret = self.secret.as_deref().map(str::trim);
        let Some(secret) = secret.filter(|s| s.len() >= SHORTEST) else {
            return Ok(());
        };
        let own = variant.server.iter();
        let attributes = variant.attributes.iter();
        let texts = [
            variant.metadata.as_ref(),
            variant.room_metadata.as_ref(),
            variant.agent_name.as_ref(),
            livekit.url.as_ref(),
            livekit.api_key.as_ref(),
            Some(&livekit.room_prefix),
        ];
        let mut sent = texts
            .into_iter()
            .flatten()
            .chain(attributes.flat_map(|(name, value)| [name, value]))
            .chain(own.flat_map(|server| std::iter::once(&server.url).chain(&server.api_key)));
        if !sent.any(|text| text.contains(secret)) {
            return Ok(());
        }
        let message = format!(
            "the calls of variant `{}` would send your API secret as metadata, attribute, address, \
             room name or key",
            variant.name
        );
        let hint = "remove the secret, or the variable that contains it, from that setting";
        Err(Trouble::new(Exit::InvalidScenario, message, hint))
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Scenario, SoundFile, TargetConfig, Unset, check};
    use std::path::Path;

    const SECRET: &str = "my-secret-my-secret-my-secret";

    fn scenario(target: &str, variants: &str) -> Scenario {
        let text = format!(
            "version: 1\ntarget: {target}\nutterances: {{a: {{file: a.wav}}}}\n\
             call: {{turns: [{{say: a}}]}}\nvariants: {variants}\n"
        );
        let path = Path::new("test.yaml");
        let none = |_: &SoundFile<'_>| Ok(None);
        check(text.as_bytes(), path, &|_| None, Unset::Problem, &none).expect("a valid scenario")
    }

    fn refused(users: &Users, target: &str, variants: &str) -> bool {
        let scenario = scenario(target, variants);
        let TargetConfig::Livekit(livekit) = &scenario.target else {
            panic!("a server")
        };
        let mut variants = scenario.variants.iter();
        variants.any(|variant| users.check(livekit, variant).is_err())
    }

    #[test]
    fn the_users_keys_go_only_to_hosts_that_the_user_names() {
        let users = |url: &str, hosts: &str| Users {
            url: Some(url.to_owned()).filter(|url| !url.is_empty()),
            key: Some("my-key".to_owned()),
            secret: Some(SECRET.to_owned()),
            hosts: hosts.to_owned(),
        };
        let mine = "wss://mine.example";
        let at = |url: &str, more: &str| format!("[{{name: a}}, {{name: b, url: '{url}'{more}}}]");
        let stranger = at("wss://stranger.example", "");
        let keys = at("wss://stranger.example", ", api_key: k, api_secret: s");
        let borrowed = format!(", api_key: my-key, api_secret: {SECRET}");
        let borrowed = at("wss://stranger.example", &borrowed);
        let plain = at("ws://mine.example", "");
        let other_port = at("wss://Mine.example:8443", "");
        let one = "[{name: a}]".to_owned();
        let bare = "{kind: livekit}";
        let file = "{kind: livekit, url: 'wss://file.example'}";
        let near = "{kind: livekit, url: 'ws://127.0.0.1:7880'}";
        let whole = "{kind: livekit, url: 'wss://file.example', api_key: k, api_secret: s}";
        for (target, variants, url, hosts, expected) in [
            (bare, &stranger, mine, "", true),
            (bare, &keys, mine, "", false),
            (bare, &borrowed, mine, "", true),
            (bare, &stranger, mine, "other, Stranger.Example", false),
            (bare, &stranger, "wss://stranger.example:444", "", false),
            (bare, &plain, mine, "", true),
            (bare, &plain, "ws://mine.example", "", false),
            (bare, &other_port, mine, "", false),
            (file, &one, "", "", true),
            (file, &one, "", "file.example", false),
            (file, &one, mine, "", false),
            (near, &one, "", "", false),
            // The user's keys would be used in place of those of the file.
            (whole, &one, "", "", true),
        ] {
            let got = refused(&users(url, hosts), target, variants);
            assert_eq!(got, expected, "{target} {variants} {url} {hosts}");
        }
        // If the user has no keys, there is nothing to protect.
        let nothing = Users {
            url: None,
            key: None,
            secret: None,
            hosts: String::new(),
        };
        let two = at("wss://file.example:8443", "");
        assert!(!refused(&nothing, whole, &two));
    }

    #[test]
    fn the_secret_itself_is_never_sent() {
        let users = Users {
            url: Some("wss://mine.example".to_owned()),
            key: Some("my-key".to_owned()),
            secret: Some(SECRET.to_owned()),
            hosts: String::new(),
        };
        let bare = "{kind: livekit}";
        for way in [
            format!("attributes: {{x: 'a {SECRET}'}}"),
            format!("agent_name: x, metadata: {SECRET}"),
            format!("room_metadata: {SECRET}"),
            format!("url: 'wss://{}.example', api_key: k, api_secret: s", SECRET),
        ] {
            assert!(
                refused(&users, bare, &format!("[{{name: a, {way}}}]")),
                "{way}"
            );
        }
        let own_key =
            format!("[{{name: a, url: 'wss://b.example', api_key: {SECRET}, api_secret: s}}]");
        assert!(refused(&users, bare, &own_key), "a token contains its key");
        for target in [
            format!("{{kind: livekit, room_prefix: {SECRET}}}"),
            format!("{{kind: livekit, url: 'wss://{SECRET}.example'}}"),
            format!(
                "{{kind: livekit, url: 'wss://mine.example', api_key: {SECRET}, api_secret: s}}"
            ),
        ] {
            assert!(refused(&users, &target, "[{name: a}]"), "{target}");
        }
        assert!(!refused(&users, bare, "[{name: a, attributes: {x: y}}]"));
    }
}
