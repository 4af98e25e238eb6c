//! Removes the API secret from a scenario's text before the text is stored.
//!
//! In: the text as written, the secret as parsed. Out: the text with a variable in place of the
//! secret, so that it still runs. Invariant: only the value of `api_secret` changes.

use std::borrow::Cow;

const KEY: &[u8] = b"api_secret";
const VARIABLE: &[u8] = b"${LIVEKIT_API_SECRET}";

/// `text` without the literal `secret`; unchanged if the secret comes from a variable.
pub(super) fn without_secret<'a>(text: &'a [u8], secret: Option<&str>) -> Cow<'a, [u8]> {
    let Some(secret) = secret.map(str::as_bytes).filter(|s| !s.is_empty()) else {
        return Cow::Borrowed(text);
    };
    let mut kept = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(value) = value_of_key(rest) {
        let (before, after) = rest.split_at(value);
        kept.extend_from_slice(before);
        rest = match after.strip_prefix(secret) {
            Some(behind) => {
                kept.extend_from_slice(VARIABLE);
                behind
            }
            None => after,
        };
    }
    kept.extend_from_slice(rest);
    Cow::Owned(kept)
}

/// Offset of the value of the next `api_secret`.
fn value_of_key(text: &[u8]) -> Option<usize> {
    let key = text.windows(KEY.len()).position(|w| w == KEY)? + KEY.len();
    let filler = |b: &&u8| b.is_ascii_whitespace() || matches!(**b, b':' | b'"' | b'\'');
    Some(key + text[key..].iter().take_while(filler).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_value_of_the_key_is_taken_out() {
        for (text, kept) in [
            ("api_secret: secret", "api_secret: ${LIVEKIT_API_SECRET}"),
            (
                "{\"api_secret\": \"secret\", name: secret}",
                "{\"api_secret\": \"${LIVEKIT_API_SECRET}\", name: secret}",
            ),
            (
                "# api_secret: secret\napi_secret:\n  'secret'\n",
                "# api_secret: ${LIVEKIT_API_SECRET}\napi_secret:\n  '${LIVEKIT_API_SECRET}'\n",
            ),
            ("api_secret: ${SECRET}", "api_secret: ${SECRET}"),
            (
                "name: secret\nüber: api_secret",
                "name: secret\nüber: api_secret",
            ),
        ] {
            let got = without_secret(text.as_bytes(), Some("secret"));
            assert_eq!(String::from_utf8_lossy(&got), kept);
            assert_eq!(*without_secret(text.as_bytes(), None), *text.as_bytes());
        }
    }
}
