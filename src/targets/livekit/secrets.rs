//! Removes secrets from text that servers send.
//!
//! In: the credentials of this process, text from servers. Out: the text without the credentials.
//! Invariant: no secret is shown, even if a server repeats text that it received, such as a secret
//! in place of a key.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Shortest secret that is removed; a shorter one could be part of any word.
const SHORTEST_SECRET: usize = 8;
/// API keys are shorter than this: a key of at least this length is a secret in the wrong place.
const LONGEST_KEY: usize = 20;

/// Text that must not be shown; a process has only a few credentials.
static KNOWN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Remembers a secret, so that it is removed from all text from servers. The key may be shown,
/// because it helps to find a mistake, unless it is long enough to be a secret.
pub(super) fn remember(key: &str, secret: &str) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if secret.len() >= SHORTEST_SECRET {
        known.insert(secret.to_owned());
    }
    if key.len() >= LONGEST_KEY {
        known.insert(key.to_owned());
    }
}

/// The text without the secrets of this process.
pub(super) fn hidden(text: &str) -> String {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut clean = text.to_owned();
    // The longest are removed first, because one secret may be part of another.
    let mut longest_first: Vec<&String> = known.iter().collect();
    longest_first.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    for secret in longest_first {
        if clean.contains(secret.as_str()) {
            clean = clean.replace(secret.as_str(), "…");
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_wherever_a_server_repeats_them() {
        let secret = "0123456789-this-is-the-secret-of-a-test";
        remember("APIofatest", secret);
        remember("this-is-a-secret-in-place-of-a-key", "APIswapped");
        for (text, shown) in [
            (format!("invalid API key: {secret}"), "invalid API key: …"),
            (format!("{secret}{secret}"), "……"),
            (
                "invalid API key: APIofatest".into(),
                "invalid API key: APIofatest",
            ),
            ("no this-is-a-secret-in-place-of-a-key".into(), "no …"),
            ("nothing".into(), "nothing"),
        ] {
            assert_eq!(hidden(&text), shown);
        }
    }
}
