//! The address of a server.
//!
//! In: a URL as people type it. Out: its host, port and path, and the URLs for WebSockets and for
//! HTTP. Invariants: this is the only parser of such URLs, so the code that checks one and the code
//! that connects to it agree on the host; user info and queries are refused, and no message repeats
//! them; no name is resolved.

use super::acts;
use super::host::{port, split_port};
use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt;

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    secure: bool,
    host: String,
    port: u16,
    path: String,
}

/// A URL that is not the address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` is not the URL of {of}: {why}")]
pub(crate) struct AddressError {
    url: String,
    of: &'static str,
    why: &'static str,
    hint: String,
}

impl AddressError {
    /// What to write instead; printed on its own `hint:` line.
    pub(crate) fn hint(&self) -> &str {
        &self.hint
    }
}

/// The kind of server that a URL is for.
struct Kind {
    of: &'static str,
    /// Schemes in lower case, and whether they use TLS.
    schemes: &'static [(&'static str, bool)],
    wrong_scheme: &'static str,
    like: &'static str,
}

const LIVEKIT: Kind = Kind {
    of: "a LiveKit server",
    schemes: &[
        ("ws", false),
        ("wss", true),
        ("http", false),
        ("https", true),
    ],
    wrong_scheme: "the scheme is not ws or wss",
    like: "a LiveKit URL looks like wss://my-project.livekit.cloud or ws://127.0.0.1:7880",
};

const COLLECTOR: Kind = Kind {
    of: "a collector",
    schemes: &[("http", false), ("https", true)],
    wrong_scheme: "the scheme is not http or https",
    like: "use the collector's OTLP/HTTP port: http://127.0.0.1:4318",
};

const METRICS: Kind = Kind {
    of: "a metrics endpoint",
    schemes: &[("http", false), ("https", true)],
    wrong_scheme: "the scheme is not http or https",
    like: "the URL of a Prometheus endpoint looks like http://127.0.0.1:8081/metrics",
};

/// Longest URL accepted, in bytes.
const MAX_URL: usize = 2_000;
/// Longest part of a URL that a message repeats, in characters.
const SHOWN: usize = 200;
/// Longest URL that a hint suggests, in bytes.
const SUGGESTED: usize = 100;

/// Why a URL is refused: the reason, and a hint if there is a better one than an example.
type Fault = (&'static str, Option<String>);

impl Address {
    /// Parses the URL of a LiveKit server: `ws`, `wss`, `http` or `https`.
    ///
    /// # Errors
    /// The URL is too long, has no host, an unknown scheme, an invalid port, user info, a query or
    /// a fragment.
    pub(crate) fn parse(url: &str) -> Result<Self, AddressError> {
        Self::of_kind(url, &LIVEKIT)
    }

    /// Parses the URL of a collector: `http` or `https`.
    ///
    /// # Errors
    /// Those of [`Self::parse`].
    pub(crate) fn parse_collector(url: &str) -> Result<Self, AddressError> {
        Self::of_kind(url, &COLLECTOR)
    }

    /// Parses the URL of a Prometheus endpoint: `http` or `https`.
    ///
    /// # Errors
    /// Those of [`Self::parse`].
    pub(crate) fn parse_metrics(url: &str) -> Result<Self, AddressError> {
        Self::of_kind(url, &METRICS)
    }

    fn of_kind(url: &str, kind: &Kind) -> Result<Self, AddressError> {
        Self::read(url.trim(), kind).map_err(|(why, hint)| AddressError {
            url: shown(url),
            of: kind.of,
            why,
            hint: hint.map_or_else(
                || kind.like.to_owned(),
                |hint| format!("{hint}; {}", kind.like),
            ),
        })
    }

    fn read(url: &str, kind: &Kind) -> Result<Self, Fault> {
        if url.is_empty() {
            return Err(("it is empty", None));
        }
        if url.len() > MAX_URL {
            return Err(("it is too long", None));
        }
        if url.contains(|c: char| c.is_whitespace() || acts(c)) {
            let why = "it contains a space or an invisible character";
            return Err((why, Some("remove it".to_owned())));
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(("it has no scheme", with_scheme(url, kind)));
        };
        let scheme = scheme.to_ascii_lowercase();
        let known = kind.schemes.iter().find(|(known, _)| *known == scheme);
        let (_, secure) = *known.ok_or((kind.wrong_scheme, None))?;
        let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(("it has a user name or password", None));
        }
        let (host, port) = host_and_port(authority, &scheme)?;
        for (mark, why) in [('?', "it has a query"), ('#', "it has a fragment")] {
            if let Some(at) = path.find(mark) {
                // The text after the mark may be a token; the text before may look like user info.
                let plain = !path.contains('@');
                let without = plain.then(|| &url[..url.len() - path.len() + at]);
                return Err((why, without.and_then(write)));
            }
        }
        let address = Self {
            secure,
            host,
            port: port.unwrap_or(if secure { 443 } else { 80 }),
            path: path_of(path)?,
        };
        // The scheme's default port is added, so the result can be longer than the text.
        if address.http().len() > MAX_URL {
            return Err(("it is too long", None));
        }
        Ok(address)
    }

    /// Whether connections to the server use TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }

    /// Host name or address in lower case, without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The port: the URL's, or else the scheme's default.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Scheme, host, port and path for a WebSocket.
    pub(crate) fn websocket(&self) -> String {
        self.with_scheme(if self.secure { "wss" } else { "ws" })
    }

    /// Scheme, host, port and path for HTTP.
    pub(crate) fn http(&self) -> String {
        self.with_scheme(if self.secure { "https" } else { "http" })
    }

    /// Whether the URL has no path.
    pub(crate) fn is_bare(&self) -> bool {
        self.path.is_empty()
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
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.websocket())
    }
}

/// The part of a URL that a message may repeat. User info, a query and a fragment may contain a
/// secret: no part of a URL with user info is repeated, and nothing after the start of a query or
/// fragment.
fn shown(url: &str) -> String {
    if url.contains('@') {
        return "…".to_owned();
    }
    let end = url.find(['?', '#']);
    let plain: String = url[..end.unwrap_or(url.len())]
        .trim()
        .chars()
        .take(SHOWN)
        .collect();
    match end {
        Some(end) => format!("{plain}{}…", &url[end..end + 1]),
        None => plain,
    }
}

/// The hint for a URL without a scheme: the same URL with one, if that would be valid.
fn with_scheme(url: &str, kind: &Kind) -> Option<String> {
    let host = url.trim_start_matches('/');
    let host = host.split(['/', ':']).next().unwrap_or_default();
    // Names without a dot, and IP addresses, probably belong to this machine or a local network.
    let near = !host.contains('.') || host.starts_with(|c: char| c.is_ascii_digit());
    let (scheme, _) = kind.schemes.iter().find(|(_, secure)| *secure != near)?;
    let whole = format!("{scheme}://{}", url.trim_start_matches('/'));
    let good = !url.contains('@') && Address::read(&whole, kind).is_ok();
    write(&whole).filter(|_| good)
}

/// The hint to write this URL.
fn write(url: &str) -> Option<String> {
    (url.len() <= SUGGESTED).then(|| format!("write `{url}`"))
}

fn host_and_port(authority: &str, scheme: &str) -> Result<(String, Option<u16>), Fault> {
    let Some((host, port)) = split_port(authority) else {
        let is_v6 = |text: &str| text.parse::<Ipv6Addr>().is_ok();
        let is_port = |text: &str| text.len() >= 4 && port(text).is_some();
        let hint = match authority.rsplit_once(':') {
            Some((address, port)) if is_v6(address) && is_port(port) => {
                write(&format!("{scheme}://[{address}]:{port}"))
            }
            _ if is_v6(authority) => write(&format!("{scheme}://[{authority}]")),
            _ => None,
        };
        let why = match hint {
            Some(_) => "an IPv6 address must be in brackets",
            None => "it has no valid host",
        };
        return Err((why, hint));
    };
    let port = match port {
        None => None,
        Some("") => {
            let without = format!("{scheme}://{}", authority.trim_end_matches(':'));
            return Err(("no port follows the `:`", write(&without)));
        }
        Some(text) => {
            let number = self::port(text).filter(|number| *number > 0);
            Some(number.ok_or(("its port is not a number from 1 to 65535", None))?)
        }
    };
    Ok((host_of(host, authority.starts_with('['))?, port))
}

/// The host in lower case; `bracketed`: the host was in brackets.
fn host_of(host: &str, bracketed: bool) -> Result<String, Fault> {
    if host.is_empty() {
        return Err(("it has no host", None));
    }
    if bracketed {
        if host.contains('%') {
            let hint = "use an address without a zone".to_owned();
            return Err(("an IPv6 address with a zone is not supported", Some(hint)));
        }
        let address = host.parse::<Ipv6Addr>();
        return match address {
            Ok(address) => Ok(address.to_string()),
            Err(_) => Err(("the text in brackets is not an IPv6 address", None)),
        };
    }
    if !host.is_ascii() {
        let hint = "write the name in its ASCII form, which begins with xn--".to_owned();
        return Err(("its host contains non-ASCII characters", Some(hint)));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if let Some(other) = host.chars().find(|c| !fits(*c)) {
        let hint = format!("remove the `{other}` from the host");
        return Err(("it has no valid host", Some(hint)));
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.split('.').any(str::is_empty) {
        return Err(("it has no valid host", None));
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|b| b.is_ascii_digit()) || last.to_lowercase().starts_with("0x");
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        let hint = "an IPv4 address has four numbers from 0 to 255".to_owned();
        return Err(("it has no valid host", Some(hint)));
    }
    Ok(host.to_ascii_lowercase())
}

/// The prefix of the requests' paths, without a trailing slash.
fn path_of(path: &str) -> Result<String, Fault> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/%".contains(c);
    if let Some(other) = path.chars().find(|c| !fits(*c)) {
        let hint = match other {
            '\\' => "write `/` in place of `\\`".to_owned(),
            other => format!("remove the `{other}`, or write its bytes as `%…`"),
        };
        return Err(("its path is not valid", Some(hint)));
    }
    let encoded = path.split('%').skip(1).all(|rest| {
        let code = rest.as_bytes().get(..2);
        code.is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit))
    });
    if !encoded {
        let hint = "a `%` must be followed by two hexadecimal digits; write a literal `%` as `%25`"
            .to_owned();
        return Err(("its path is not valid", Some(hint)));
    }
    // Some programs resolve such parts before they send a request; others do not.
    let plain = path.to_ascii_lowercase().replace("%2e", ".");
    if plain.split('/').any(|part| part == "." || part == "..") {
        return Err(("its path contains a `.` or `..` segment", None));
    }
    Ok(path.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_accepted_addresses_round_trip() {
        for length in MAX_URL - 20..=MAX_URL {
            for (start, filler) in [("ws://", "a"), ("wss://h/", "p"), ("http://[::1]/", "p")] {
                let url = format!("{start}{}", filler.repeat(length - start.len()));
                let Ok(address) = Address::parse(&url) else {
                    assert!(
                        length > MAX_URL - 10,
                        "{length} bytes of {start}… are refused"
                    );
                    continue;
                };
                for written in [address.websocket(), address.http()] {
                    assert_eq!(Address::parse(&written).as_ref(), Ok(&address), "{length}");
                }
            }
        }
    }

    #[test]
    fn urls_are_normalised() {
        for (url, want) in [
            ("ws://127.0.0.1:7880", "ws://127.0.0.1:7880"),
            (" ws://127.0.0.1:7880\n", "ws://127.0.0.1:7880"),
            ("WS://Host", "ws://host:80"),
            ("Wss://HOST:08443/Lk", "wss://host:8443/Lk"),
            ("http://localhost:7880/", "ws://localhost:7880"),
            ("HTTPS://x.livekit.cloud", "wss://x.livekit.cloud:443"),
            ("wss://h/prefix/", "wss://h:443/prefix"),
            ("ws://h/lk/sfu", "ws://h:80/lk/sfu"),
            ("ws://h/lk/sfu//", "ws://h:80/lk/sfu"),
            ("ws://h/a%20b/@x:y", "ws://h:80/a%20b/@x:y"),
            ("ws://[::1]:7880", "ws://[::1]:7880"),
            ("ws://[0:0::1]", "ws://[::1]:80"),
            ("ws://[::ffff:1.2.3.4]:1", "ws://[::ffff:1.2.3.4]:1"),
            ("ws://ho_st.", "ws://ho_st.:80"),
            ("ws://1.example", "ws://1.example:80"),
        ] {
            let address = Address::parse(url).expect(url);
            assert_eq!(address.websocket(), want, "{url}");
            assert_eq!(address.http(), want.replacen("ws", "http", 1), "{url}");
            assert_eq!(Address::parse(want).as_ref(), Ok(&address), "{url}");
        }
    }

    #[test]
    fn invalid_urls_are_refused_with_a_hint() {
        for (url, why, hint) in [
            ("", "it is empty", ""),
            ("  ", "it is empty", ""),
            ("127.0.0.1", "it has no scheme", "write `ws://127.0.0.1`; "),
            (
                "localhost:7880",
                "it has no scheme",
                "write `ws://localhost:7880`; ",
            ),
            (
                "//x.livekit.cloud/",
                "it has no scheme",
                "write `wss://x.livekit.cloud/`; ",
            ),
            ("ws:/h", "it has no scheme", ""),
            ("ws:h", "it has no scheme", ""),
            ("ftp://h", "the scheme is not ws or wss", ""),
            ("ws://", "it has no host", ""),
            ("ws:///x", "it has no host", ""),
            ("ws://:80", "it has no host", ""),
            ("ws://?x", "it has no host", ""),
            ("ws://h?x=1", "it has a query", "write `ws://h`; "),
            ("ws://h/p/?x=1", "it has a query", "write `ws://h/p/`; "),
            ("ws://h/#x", "it has a fragment", "write `ws://h/`; "),
            (
                "ws://h:78800",
                "its port is not a number from 1 to 65535",
                "",
            ),
            ("ws://h:0", "its port is not a number from 1 to 65535", ""),
            ("ws://h:+80", "its port is not a number from 1 to 65535", ""),
            ("ws://h:-1", "its port is not a number from 1 to 65535", ""),
            (
                "ws://h:http",
                "its port is not a number from 1 to 65535",
                "",
            ),
            (
                "ws://h:８０",
                "its port is not a number from 1 to 65535",
                "",
            ),
            ("ws://h:", "no port follows the `:`", "write `ws://h`; "),
            ("ws://h:/x", "no port follows the `:`", "write `ws://h`; "),
            (
                "ws://::1",
                "an IPv6 address must be in brackets",
                "write `ws://[::1]`; ",
            ),
            (
                "ws://fe80::1ff:7880",
                "an IPv6 address must be in brackets",
                "write `ws://[fe80::1ff]:7880`; ",
            ),
            ("ws://h:80:81", "it has no valid host", ""),
            ("ws://[::1]8:.n", "it has no valid host", ""),
            ("ws://[::1", "it has no valid host", ""),
            (
                "ws://[%2e]",
                "an IPv6 address with a zone is not supported",
                "use an address without a zone; ",
            ),
            (
                "ws://[fe80::1%eth0]:7880",
                "an IPv6 address with a zone is not supported",
                "use an address without a zone; ",
            ),
            (
                "ws://[127.0.0.1]",
                "the text in brackets is not an IPv6 address",
                "",
            ),
            (
                "ws://hóst",
                "its host contains non-ASCII characters",
                "write the name in its ASCII form, which begins with xn--; ",
            ),
            (
                "ws://a,b",
                "it has no valid host",
                "remove the `,` from the host; ",
            ),
            ("ws://a..b", "it has no valid host", ""),
            (
                "ws://1.2.3",
                "it has no valid host",
                "an IPv4 address has four numbers from 0 to 255; ",
            ),
            (
                "ws://127.0.0.256:80",
                "it has no valid host",
                "an IPv4 address has four numbers from 0 to 255; ",
            ),
            (
                "ws://0x7f.0x1",
                "it has no valid host",
                "an IPv4 address has four numbers from 0 to 255; ",
            ),
            (
                "ws://h\\p",
                "its path is not valid",
                "write `/` in place of `\\`; ",
            ),
            (
                "ws://h/é",
                "its path is not valid",
                "remove the `é`, or write its bytes as `%…`; ",
            ),
            (
                "ws://h/%zz",
                "its path is not valid",
                "a `%` must be followed by two hexadecimal digits; write a literal `%` as `%25`; ",
            ),
            (
                "ws://h/a/../b",
                "its path contains a `.` or `..` segment",
                "",
            ),
            (
                "ws://h/%2E%2e",
                "its path contains a `.` or `..` segment",
                "",
            ),
            (
                "ws://a b",
                "it contains a space or an invisible character",
                "remove it; ",
            ),
            (
                "ws://h/a\u{2028}/",
                "it contains a space or an invisible character",
                "remove it; ",
            ),
            (
                "ws://h\u{200b}",
                "it contains a space or an invisible character",
                "remove it; ",
            ),
        ] {
            let error = Address::parse(url).expect_err(url);
            let message = format!("`{}` is not the URL of a LiveKit server: {why}", shown(url));
            assert_eq!(error.to_string(), message);
            assert_eq!(error.hint(), format!("{hint}{}", LIVEKIT.like), "{url}");
        }
        assert!(Address::parse(&format!("ws://{}", "h".repeat(3_000))).is_err());
    }

    #[test]
    fn possible_secrets_are_not_repeated_in_errors() {
        for url in [
            "ws://key:hunter2@h",
            "ws://hunter2@h:78800",
            "key:hunter2@h",
            "ftp://hunter2@h",
            "ws://h/hunter2@x?y",
            "ws://h#hunter2@x",
            "ws://a b:hunter2@h",
            "ws://h?access_token=hunter2",
            "ws://h/p#hunter2",
            "h?hunter2",
            "ws://h:x?hunter2",
        ] {
            let error = Address::parse(url).expect_err(url);
            let told = format!("{error} {}", error.hint());
            assert!(!told.contains("hunter2"), "{told}");
        }
        let error = Address::parse("ws://h/?a=1").expect_err("a URL with a query is refused");
        assert!(
            error.to_string().starts_with("`ws://h/?…` is not"),
            "{error}"
        );
    }

    #[test]
    fn a_metrics_endpoint_needs_an_http_url_without_secrets() {
        let parse = Address::parse_metrics;
        let address = parse("http://127.0.0.1:8081/metrics/").expect("a metrics endpoint");
        assert_eq!(address.http(), "http://127.0.0.1:8081/metrics");
        assert!(!address.is_bare() && parse("https://h:9100").expect("a server").is_bare());
        for url in [
            "ws://h/metrics",
            "http://user:hunter2@h/metrics",
            "http://h/metrics?token=hunter2",
        ] {
            let error = parse(url).expect_err(url);
            assert!(error.to_string().contains("the URL of a metrics endpoint"));
            let told = format!("{error} {}", error.hint());
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn a_collector_needs_an_http_url() {
        let http = |url| Address::parse_collector(url).map(|address| address.http());
        let good = Ok("http://c:4318/x".to_owned());
        assert_eq!(http("HTTP://C:4318/x/"), good);
        for (url, hint) in [
            ("ws://c", "use the collector's"),
            ("grpc://c:4317", "use the collector's"),
            ("c:4318", "write `http://c:4318`; use the collector's"),
            (
                "127.0.0.1:4318",
                "write `http://127.0.0.1:4318`; use the collector's",
            ),
            ("http://c:78800", "use the collector's"),
        ] {
            let error = Address::parse_collector(url).expect_err(url);
            assert!(error.to_string().contains("the URL of a collector"));
            assert!(error.hint().starts_with(hint), "{}", error.hint());
        }
    }
}
