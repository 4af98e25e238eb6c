//! ICE candidates, as session descriptions and signalling write them.
//!
//! In: a line of text. Out: the candidate. Invariant: works on text only; a candidate whose address
//! is a name is none, because nobody resolves it.

use crate::vocab::CandidateKind;
use std::net::SocketAddr;

/// An address at which a party offers to exchange media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Whether it is for the first component, the only one if RTP and RTCP share a port.
    pub is_first_component: bool,
    /// Whether media go over TCP.
    pub over_tcp: bool,
    /// How the party learned of the address.
    pub kind: CandidateKind,
    /// The address.
    pub address: SocketAddr,
}

impl Candidate {
    /// Reads `FOUNDATION COMPONENT PROTOCOL PRIORITY ADDRESS PORT typ KIND …` (RFC 8839, 5.1), with
    /// or without `candidate:` or `a=candidate:` before it.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        let line = line.strip_prefix("a=").unwrap_or(line);
        let line = line.strip_prefix("candidate:").unwrap_or(line);
        let mut words = line.split_ascii_whitespace();
        let (_foundation, component) = (words.next()?, words.next()?);
        let (protocol, _priority) = (words.next()?, words.next()?);
        let (ip, port) = (words.next()?, words.next()?);
        let name = words.skip_while(|word| *word != "typ").nth(1)?;
        let kind = CandidateKind::ALL.iter().find(|kind| kind.name() == name)?;
        Some(Self {
            is_first_component: component == "1",
            over_tcp: protocol.eq_ignore_ascii_case("tcp"),
            kind: *kind,
            address: SocketAddr::new(ip.parse().ok()?, port.parse().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_read_in_each_form_and_names_are_none() {
        let relay = Candidate {
            is_first_component: true,
            over_tcp: false,
            kind: CandidateKind::Relay,
            address: ([192, 0, 2, 1], 7_882).into(),
        };
        let rest = "2 1 UDP 16777215 192.0.2.1 7882 typ relay raddr 10.0.0.1 rport 9";
        for before in ["", "candidate:", "a=candidate:", " a=candidate:"] {
            let line = format!("{before}{rest}\r\n");
            assert_eq!(Candidate::parse(&line), Some(relay), "{line}");
        }
        let second = Candidate::parse("candidate:1 2 tcp 1 ::1 7881 typ host tcptype passive");
        let second = second.expect("a candidate");
        assert_eq!((second.is_first_component, second.over_tcp), (false, true));
        for wrong in [
            "1 1 udp 1 name.local 7882 typ host",
            "1 1 udp 1 192.0.2.1 7882 typ",
            "1 1 udp 1 192.0.2.1 7882 typ other",
            "1 1 udp 1 192.0.2.1 70000 typ host",
            "1 1 udp 1",
            "",
        ] {
            assert_eq!(Candidate::parse(wrong), None, "{wrong}");
        }
    }
}
