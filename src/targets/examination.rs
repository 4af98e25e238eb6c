//! What an examination of the way to a target finds: before any call, and during one.
//!
//! In: nothing. Out: these types. Invariants: text that comes from outside is bounded and
//! printable; nothing contains a secret; `None` means that a step was not taken.

use crate::net::Candidate;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Findings about a server before any call, in the order in which they were made.
#[derive(Debug, Clone)]
pub(crate) struct Examination {
    pub host: String,
    pub port: u16,
    /// The address that calls use, and how long its resolution took; or why there is none.
    pub name: Result<(IpAddr, Duration), String>,
    /// How long it took to connect to the port.
    pub port_open: Option<Result<Duration, String>>,
    pub tls: Option<Result<Encryption, TlsFault>>,
    pub http: Option<Result<HttpFacts, String>>,
    /// How long the server took to accept a caller's token.
    pub token: Option<Result<Duration, TokenFault>>,
}

impl Examination {
    /// An examination of which no step has been taken but the first.
    pub(crate) fn begun(host: &str, port: u16, name: Result<(IpAddr, Duration), String>) -> Self {
        Self {
            host: host.to_owned(),
            port,
            name,
            port_open: None,
            tls: None,
            http: None,
            token: None,
        }
    }
}

/// How a connection to the server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// It is not, as the URL says.
    None,
    /// By TLS; `until`: the end of the certificate, in seconds since 1970, if it is known.
    Tls { until: Option<i64> },
}

/// Why a connection cannot be protected as the URL says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TlsFault {
    /// The URL asks for TLS, but the port speaks plain HTTP.
    PortIsPlain,
    /// The URL asks for plain HTTP, but the port speaks TLS.
    PortIsTls,
    /// No root certificate of this machine vouches for the server's certificate.
    UntrustedRoot,
    /// This machine has no root certificates.
    NoRoots,
    /// The certificate has expired; its end, in seconds since 1970, if it is known.
    Expired(Option<i64>),
    /// The certificate is not valid yet; its start, in seconds since 1970, if it is known.
    NotYetValid(Option<i64>),
    /// The certificate is for other names.
    OtherName(String),
    /// Any other failure of the handshake.
    Other(String),
}

/// What a few plain requests to the server showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct HttpFacts {
    /// Shortest time from a request to its response, on an open connection.
    pub round_trip: Duration,
    /// The server's clock minus this machine's, in seconds, as far as they certainly differ (a
    /// server gives its time in whole seconds); `None` if the server does not tell its time.
    pub skew: Option<f64>,
}

/// Why the server does not accept a caller's token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenFault {
    UnknownKey(String),
    WrongSecret(String),
    NotYetValid(String),
    Expired(String),
    /// Any other answer.
    Other(String),
}

/// What a connection has learned about its way to the target.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Link {
    /// Version and region of the server.
    pub server: Option<String>,
    pub permissions: Option<Permissions>,
    /// The candidates that the server offered, without repetitions.
    pub candidates: Vec<Candidate>,
    /// The address with which media is exchanged.
    pub remote: Option<SocketAddr>,
    /// Shortest time from a ping over signalling to its answer.
    pub round_trip: Option<Duration>,
}

/// Maximum number of candidates of a server that are kept.
const CANDIDATES: usize = 16;

impl Link {
    /// Adds what was learned.
    pub(crate) fn learn(&mut self, fact: LinkFact) {
        match fact {
            LinkFact::Server(server) => self.server = Some(server),
            LinkFact::Permissions(permissions) => self.permissions = Some(permissions),
            LinkFact::Candidates(all) => {
                for candidate in all {
                    if self.candidates.len() < CANDIDATES && !self.candidates.contains(&candidate) {
                        self.candidates.push(candidate);
                    }
                }
            }
            LinkFact::RoundTrip(took) => {
                let least = self.round_trip.map_or(took, |known| known.min(took));
                self.round_trip = Some(least);
            }
        }
    }
}

/// One thing that a connection learned about its way to the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinkFact {
    Server(String),
    Permissions(Permissions),
    Candidates(Vec<Candidate>),
    RoundTrip(Duration),
}

/// What the server allows a caller to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permissions {
    /// To publish a microphone.
    pub publish: bool,
    pub subscribe: bool,
    pub data: bool,
}

/// The candidates of a session description, for the first component.
pub(crate) fn candidates_of(description: &str) -> Vec<Candidate> {
    let lines = description
        .lines()
        .filter(|line| line.contains("candidate:"));
    let mut found = Vec::new();
    for candidate in lines.filter_map(Candidate::parse) {
        let is_new = candidate.is_first_component && !found.contains(&candidate);
        if found.len() < CANDIDATES && is_new {
            found.push(candidate);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_of_a_description_are_read_once_each() {
        let sdp = "v=0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 7882 typ host\r\n\
                   a=candidate:1 2 udp 2130706431 127.0.0.1 7882 typ host\r\n\
                   a=candidate:1 1 udp 2130706431 127.0.0.1 7882 typ host\r\n\
                   a=candidate:2 1 TCP 1671430143 10.0.0.1 7881 typ host tcptype passive\r\n\
                   a=candidate:3 1 udp 1 name.local 7882 typ host\r\na=candidate:4 1 udp 1\r\n";
        let found = candidates_of(sdp);
        let shown: Vec<String> = found
            .iter()
            .map(|c| format!("{} {} {}", c.over_tcp, c.kind.name(), c.address))
            .collect();
        assert_eq!(
            shown,
            ["false host 127.0.0.1:7882", "true host 10.0.0.1:7881"]
        );
        let many: String = (0..100)
            .map(|n| format!("candidate:1 1 udp 1 127.0.0.1 {} typ relay\n", 1_000 + n))
            .collect();
        assert_eq!(candidates_of(&many).len(), CANDIDATES);
    }

    #[test]
    fn a_link_keeps_the_shortest_round_trip_and_each_candidate_once() {
        let mut link = Link::default();
        let candidates = candidates_of("candidate:1 1 udp 1 127.0.0.1 5 typ host");
        for ms in [30, 20, 40] {
            link.learn(LinkFact::RoundTrip(Duration::from_millis(ms)));
            link.learn(LinkFact::Candidates(candidates.clone()));
        }
        assert_eq!(link.round_trip, Some(Duration::from_millis(20)));
        assert_eq!(link.candidates, candidates);
    }
}
