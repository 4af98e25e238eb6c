//! The address of a LiveKit server.
//!
//! In: a URL as people write it. Out: the signalling address, and the host's IP address.
//! Invariants: `http` and `https` are read as `ws` and `wss`; no user info, no query.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use tokio_tungstenite::tungstenite::http::Uri;

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    secure: bool,
    host: String,
    port: u16,
    path: String,
}

/// A URL that is not the address of a LiveKit server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` is not the URL of a LiveKit server: {why}")]
pub struct AddressError {
    url: String,
    why: &'static str,
}

impl AddressError {
    /// What to try next.
    pub fn hint(&self) -> &'static str {
        "a LiveKit URL looks like wss://my-project.livekit.cloud or ws://127.0.0.1:7880"
    }
}

/// Longest URL accepted.
const MAX_URL: usize = 2_000;

impl Address {
    /// Parses a URL.
    ///
    /// # Errors
    /// The URL is too long, has no host, an unknown scheme, user info or a query.
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        // User info may hold a secret, so no part of such a URL is repeated.
        let shown = if url.contains('@') { "…" } else { url };
        let no = |why| AddressError {
            url: shown.chars().take(200).collect(),
            why,
        };
        if url.len() > MAX_URL {
            return Err(no("too long"));
        }
        let url = url.trim();
        if url.contains(char::is_whitespace) {
            return Err(no("it has a blank in it"));
        }
        let uri: Uri = url.parse().map_err(|_| no("not a URL"))?;
        let secure = match uri.scheme_str() {
            Some("ws" | "http") => false,
            Some("wss" | "https") => true,
            Some(_) => return Err(no("the scheme is not ws or wss")),
            None => return Err(no("it has no scheme")),
        };
        let authority = uri.authority().ok_or_else(|| no("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(no("it has a user name or password"));
        }
        if uri.query().is_some() {
            return Err(no("it has a query"));
        }
        let host = host(authority.host()).ok_or_else(|| no("it has no valid host"))?;
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => Some(if secure { 443 } else { 80 }),
            Some(port) => port.strip_prefix(':').and_then(|port| port.parse().ok()),
            None => None,
        };
        Ok(Self {
            secure,
            host,
            port: port
                .filter(|port| *port > 0)
                .ok_or_else(|| no("its port is not a number from 1 to 65535"))?,
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Whether connections to it use TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }

    /// Host name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Scheme, host, port and path for a WebSocket.
    pub fn websocket(&self) -> String {
        self.with_scheme(if self.secure { "wss" } else { "ws" })
    }

    /// Scheme, host, port and path for the server API.
    pub fn http(&self) -> String {
        self.with_scheme(if self.secure { "https" } else { "http" })
    }

    fn with_scheme(&self, scheme: &str) -> String {
        let Self {
            host, port, path, ..
        } = self;
        if host.contains(':') {
            format!("{scheme}://[{host}]:{port}{path}")
        } else {
            format!("{scheme}://{host}:{port}{path}")
        }
    }
    /// The host's IP address; IPv4 if it has one.
    ///
    /// # Errors
    /// The host name cannot be resolved.
    pub async fn resolve(&self) -> std::io::Result<IpAddr> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
        let found: Vec<IpAddr> = found.map(|a| a.ip()).collect();
        let first = found.iter().find(|a| a.is_ipv4()).or(found.first());
        first.copied().ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address")
        })
    }
}

/// The host of an authority, without the brackets around an IPv6 address.
fn host(host: &str) -> Option<String> {
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    match inner {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok().then(|| v6.to_owned()),
        None if host.is_empty() || host.contains(['[', ']', ':', '%']) => None,
        None => Some(host.to_owned()),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.websocket())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_as_people_write_them() {
        for (url, want) in [
            ("ws://127.0.0.1:7880", "ws://127.0.0.1:7880"),
            ("http://localhost:7880/", "ws://localhost:7880"),
            ("https://x.livekit.cloud", "wss://x.livekit.cloud:443"),
            ("wss://h/prefix/", "wss://h:443/prefix"),
            ("ws://[::1]:7880", "ws://[::1]:7880"),
        ] {
            assert_eq!(Address::parse(url).expect(url).websocket(), want, "{url}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_secrets() {
        for url in [
            "",
            "127.0.0.1",
            "ftp://h",
            "ws://",
            "ws://h?x=1",
            "ws://key:hunter2@h",
            "ws://h:99999",
            "ws://h:0",
            "ws://h:",
            "ws://[::1]8:.n",
            "ws://[%2e]",
            "ws://[::1",
            "ws://h/a\u{2028}/",
        ] {
            let e = Address::parse(url).expect_err(url).to_string();
            assert!(!e.contains("hunter2"), "{e}");
        }
        assert!(Address::parse(&format!("ws://{}", "h".repeat(3_000))).is_err());
    }
}
