//! Addresses of servers, as typed or as scenarios give them.
//!
//! In: text. Properties: the host that is connected to is the host by which keys are given out; an
//! address that is written reads the same; no message repeats user info.

use super::planted::planted;
use crate::plan::is_private;
use crate::scenario::host_of;
use crate::targets::livekit::Address;

/// A shorter piece of user info could be a part of any message.
const SECRET: usize = 12;

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let read = Address::parse(text);
    let host = host_of(text);
    if let Err(error) = &read {
        is_discreet(text, &error.to_string());
    }
    if let Err(error) = &host {
        is_discreet(text, &error.to_string());
    }
    let Ok(address) = read else {
        return;
    };
    for written in [address.websocket(), address.http()] {
        let again = Address::parse(&written);
        let again = again.unwrap_or_else(|e| panic!("{text:?} is written as one: {e}"));
        assert_eq!(again.websocket(), address.websocket(), "{text:?}");
        let again = host_of(&written);
        assert!(
            again.is_err() || again == Ok(address.host()),
            "{text:?}: {again:?}"
        );
    }
    if let Ok(host) = host {
        let same = host.eq_ignore_ascii_case(address.host());
        assert!(
            same,
            "{text:?}: keys for {host}, calls to {}",
            address.host()
        );
        let numeric = host.parse::<std::net::Ipv6Addr>().is_ok();
        let path = address.websocket().ends_with(":7880/a");
        planted([numeric, is_private(host), path]);
    }
}

/// Checks that a message repeats nothing from before an `@`.
fn is_discreet(text: &str, message: &str) {
    assert!(message.chars().count() < 512, "{message}");
    let Some((before, after)) = text.rsplit_once('@') else {
        return;
    };
    let info = before.rsplit_once("://").map_or(before, |(_, info)| info);
    // What stands behind the `@` too, or is like our own words, tells nothing.
    let telling = !info.contains(char::is_whitespace) && !after.contains(info);
    let said = info.len() >= SECRET && telling && message.contains(info);
    assert!(!said, "{message}");
}
