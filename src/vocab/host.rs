//! Hosts and ports as written in addresses.
//!
//! In: `host`, `host:port`, `[v6]`, `[v6]:port`. Out: the host without brackets, the port's text.
//! Invariant: the brackets of an IPv6 address are removed here and nowhere else.

/// Splits an authority without user info into the host, without brackets, and the text of its
/// port. `None` if the brackets are wrong, or if colons in a host without brackets make it
/// ambiguous where the port begins.
pub(crate) fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return match port.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => port.is_empty().then_some((host, None)),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}

/// A host without brackets around it.
pub(crate) fn bare(host: &str) -> &str {
    match split_port(host) {
        Some((bare, None)) => bare,
        _ => host,
    }
}

/// A port: digits only, 0 to 65535.
pub(crate) fn port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_split() {
        for (text, split, host) in [
            ("host", Some(("host", None)), "host"),
            ("host:80", Some(("host", Some("80"))), "host:80"),
            ("host:", Some(("host", Some(""))), "host:"),
            ("[::1]", Some(("::1", None)), "::1"),
            ("[::1]:80", Some(("::1", Some("80"))), "[::1]:80"),
            ("[::1]:", Some(("::1", Some(""))), "[::1]:"),
            ("::1", None, "::1"),
            ("[::1", None, "[::1"),
            ("[::1]80", None, "[::1]80"),
            ("::1:80", None, "::1:80"),
            ("", Some(("", None)), ""),
        ] {
            assert_eq!(split_port(text), split, "{text:?}");
            assert_eq!(bare(text), host, "{text:?}");
        }
    }

    #[test]
    fn a_port_is_digits_up_to_65535() {
        for (text, number) in [
            ("0", Some(0)),
            ("080", Some(80)),
            ("65535", Some(65535)),
            ("65536", None),
            ("78800", None),
            ("+80", None),
            ("-1", None),
            ("", None),
            ("８０", None),
            (" 80", None),
        ] {
            assert_eq!(port(text), number, "{text:?}");
        }
    }
}
