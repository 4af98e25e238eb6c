//! Extracts the host from a server's address.
//!
//! In: `wss://host:port/path`. Out: the host, without brackets. Invariant: no name is resolved.

/// An address that is not valid for a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// No scheme, or not one of LiveKit's.
    #[error("`{0}` is not an address of a LiveKit server")]
    Scheme(String),
    /// The host is missing or invalid.
    #[error("`{0}` names no host")]
    Host(String),
    /// The part after the host is not a port.
    #[error("`{0}` has no valid port")]
    Port(String),
}

impl UrlError {
    /// What to write instead; printed on its own `hint:` line.
    pub fn hint(&self) -> &'static str {
        "addresses look like `wss://project.livekit.cloud` or `ws://localhost:7880`"
    }
}

/// The host of a `ws`, `wss`, `http` or `https` address.
///
/// # Errors
/// [`UrlError`] if the address is not valid; its message omits everything before an `@`.
pub fn host_of(url: &str) -> Result<&str, UrlError> {
    let shown = || match url.rsplit_once('@') {
        Some((_, host)) => format!("…@{}", host.chars().take(64).collect::<String>()),
        None => url.chars().take(64).collect(),
    };
    let (scheme, rest) = url
        .split_once("://")
        .ok_or_else(|| UrlError::Scheme(shown()))?;
    if !["ws", "wss", "http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return Err(UrlError::Scheme(shown()));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest
            .split_once(']')
            .ok_or_else(|| UrlError::Host(shown()))?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(UrlError::Host(shown()));
    }
    match port.strip_prefix(':').map(str::parse::<u16>) {
        None if port.is_empty() => Ok(host),
        Some(Ok(1..)) => Ok(host),
        _ => Err(UrlError::Port(shown())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_host() {
        let cases = [
            ("wss://project.livekit.cloud", Ok("project.livekit.cloud")),
            ("ws://localhost:7880", Ok("localhost")),
            ("http://10.0.0.1:7880/rtc?x=1", Ok("10.0.0.1")),
            ("WS://[::1]:7880", Ok("::1")),
            ("wss://user:pw@host/x", Ok("host")),
            (
                "localhost:7880",
                Err(UrlError::Scheme("localhost:7880".to_owned())),
            ),
            ("ftp://host", Err(UrlError::Scheme("ftp://host".to_owned()))),
            ("", Err(UrlError::Scheme(String::new()))),
            ("ws://", Err(UrlError::Host("ws://".to_owned()))),
            ("ws://:7880", Err(UrlError::Host("ws://:7880".to_owned()))),
            ("ws://[::1", Err(UrlError::Host("ws://[::1".to_owned()))),
            ("ws://a b", Err(UrlError::Host("ws://a b".to_owned()))),
            ("ws://host:0", Err(UrlError::Port("ws://host:0".to_owned()))),
            (
                "ws://host:99999",
                Err(UrlError::Port("ws://host:99999".to_owned())),
            ),
            (
                "ftp://me:pw@host",
                Err(UrlError::Scheme("…@host".to_owned())),
            ),
        ];
        for (url, host) in cases {
            assert_eq!(host_of(url), host, "{url}");
        }
    }
}
