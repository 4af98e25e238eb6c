//! Addresses of servers, as typed on the command line or as specified in scenarios.
//!
//! In: text. Properties: WebSockets and HTTP requests go to the host for which the keys are chosen,
//! and to the same port and path; a printed address parses back to the same address; no message
//! repeats user info.

use super::planted::planted;
use crate::plan::is_private;
use crate::vocab::host::bare;
use crate::vocab::{Address, AddressError};
use std::net::{IpAddr, Ipv6Addr};

/// Minimum length of user info that is checked; shorter text could occur in any message by chance.
const SECRET: usize = 12;

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for read in [Address::parse(text), Address::parse_collector(text)] {
        match read {
            Ok(address) => is_one_server(text, &address),
            Err(error) => {
                is_discreet(text, &error.to_string());
                is_discreet(text, error.hint());
            }
        }
    }
    if let Ok(address) = Address::parse(text) {
        let v6 = address.host().parse::<Ipv6Addr>();
        let own_network = is_private(address.host()) && v6 != Ok(Ipv6Addr::LOCALHOST);
        let written = address.websocket();
        let prefix = written.split_once(":7880/");
        let prefixed = prefix.is_some_and(|(_, prefix)| !prefix.is_empty());
        planted([v6.is_ok(), own_network, prefixed]);
    }
}

/// Checks that every connection to an address uses the same host, port and path.
fn is_one_server(text: &str, address: &Address) {
    let written = address.websocket();
    assert_eq!(Address::parse(&written).as_ref(), Ok(address), "{text:?}");
    let of_sockets = written.parse::<hyper::Uri>();
    let of_sockets = of_sockets.unwrap_or_else(|e| panic!("{text:?} for sockets: {e}"));
    let of_requests = address.http().parse::<reqwest::Url>();
    let of_requests = match of_requests {
        Ok(url) => url,
        // Punycode that encodes no character: no request is sent.
        Err(_) if address.host().contains("xn--") => return,
        Err(e) => panic!("{text:?} for requests: {e}"),
    };
    let (socket, request) = (of_sockets.host(), of_requests.host_str());
    assert_eq!(socket.map(bare), Some(address.host()), "{text:?}");
    // An IPv4-mapped IPv6 address has two textual forms.
    let same = |host: &str| match (
        bare(host).parse::<IpAddr>(),
        address.host().parse::<IpAddr>(),
    ) {
        (Ok(one), Ok(other)) => one == other,
        _ => bare(host) == address.host(),
    };
    assert!(request.is_some_and(same), "{text:?}: {request:?}");
    let ports = (of_sockets.port_u16(), of_requests.port_or_known_default());
    assert_eq!(ports, (Some(address.port()), Some(address.port())));
    let plain = |path: &str| path.trim_end_matches('/').to_owned();
    let paths = (plain(of_sockets.path()), plain(of_requests.path()));
    assert_eq!(paths.0, paths.1, "{text:?}");
}

/// Checks that a message repeats no text that precedes an `@`.
fn is_discreet(text: &str, message: &str) {
    assert!(message.chars().count() < 512, "{message}");
    let Some((before, _)) = text.rsplit_once('@') else {
        return;
    };
    let info = before.rsplit_once("://").map_or(before, |(_, info)| info);
    // User info that occurs twice in the text, or also in loadgen's own examples, reveals nothing.
    let examples = [Address::parse(""), Address::parse_collector("")];
    let ours = |read: &Result<Address, AddressError>| {
        read.as_ref().is_err_and(|e| e.hint().contains(info))
    };
    let once = text.matches(info).count() == 1;
    let telling = !info.contains(char::is_whitespace) && once && !examples.iter().any(ours);
    let said = info.len() >= SECRET && telling && message.contains(info);
    assert!(!said, "{message}");
}
