//! What the examination of a server means: a line for each step.
//!
//! In: the findings. Out: lines. Invariant: pure; of steps that depend on each other, only the
//! first that failed is a failure.

use super::check::{Check, Line};
use crate::targets::{Encryption, Examination, HttpFacts, TlsFault, TokenFault};
use std::time::Duration;

/// A difference between the clocks that is worth a warning, in seconds.
const SKEW: f64 = 5.0;
/// A server accepts a token a minute before it becomes valid.
const AHEAD: f64 = 60.0;
/// It accepts a token a minute after it has expired, two minutes after it was signed.
const BEHIND: f64 = 180.0;
/// A certificate that expires within this time is worth a warning, in seconds.
const SOON: i64 = 7 * 86_400;

/// The checks of a server, in order.
const CHECKS: [Check; 5] = [
    Check::Name,
    Check::Port,
    Check::Tls,
    Check::Clock,
    Check::Token,
];

/// The lines of an examination. `now`: seconds since 1970.
pub(super) fn lines(found: &Examination, now: i64) -> Vec<Line> {
    let clock = match &found.http {
        Some(Ok(facts)) => facts.skew,
        _ => None,
    };
    let lines = [
        Some(name(found)),
        found.port_open.as_ref().map(|open| port(found, open)),
        found.tls.as_ref().map(|tls| protection(found, tls, now)),
        found.http.as_ref().map(|http| clocks(found, http)),
        found.token.as_ref().map(|said| token(said, clock)),
    ];
    let failed = lines
        .iter()
        .flatten()
        .find(|line| line.word == super::check::Word::Fail);
    let failed = failed.map(|line| line.check);
    let all = lines.into_iter().zip(CHECKS);
    let filled = all.filter_map(|(line, check)| {
        line.or_else(|| failed.map(|because| Line::skipped(check, because)))
    });
    filled.collect()
}

/// Milliseconds, for a line.
pub(super) fn ms(time: Duration) -> String {
    match time.as_secs_f64() * 1e3 {
        short if short < 10.0 => format!("{short:.1} ms"),
        long => format!("{long:.0} ms"),
    }
}

fn name(found: &Examination) -> Line {
    let host = &found.host;
    match &found.name {
        Ok((ip, took)) => Line::ok(Check::Name, format!("{host} is {ip} ({})", ms(*took))),
        Err(why) => Line::fail(
            Check::Name,
            format!("`{host}` does not resolve: {why}"),
            "check the host in the URL, and this machine's DNS",
        ),
    }
}

fn port(found: &Examination, open: &Result<Duration, String>) -> Line {
    let (host, port) = (&found.host, found.port);
    match open {
        Ok(took) => Line::ok(
            Check::Port,
            format!("{port} accepts connections ({})", ms(*took)),
        ),
        Err(why) => Line::fail(
            Check::Port,
            format!("{host} does not accept connections at port {port}: {why}"),
            "check that the server is running, the port in the URL (LiveKit's own default is 7880; \
             `wss://` without a port means 443), and firewalls",
        ),
    }
}

/// A date, in UTC.
fn date(seconds: i64) -> String {
    let at = jiff::Timestamp::from_second(seconds);
    at.map_or_else(|_| "an unknown date".to_owned(), |at| format!("{at:.0}"))
}

fn protection(found: &Examination, tls: &Result<Encryption, TlsFault>, now: i64) -> Line {
    match tls {
        Ok(Encryption::None) => Line::ok(Check::Tls, "none, as the URL says"),
        Ok(Encryption::Tls { until: None }) => Line::ok(Check::Tls, "the certificate is trusted"),
        Ok(Encryption::Tls { until: Some(end) }) if *end - now < SOON => Line::warn(
            Check::Tls,
            format!("the certificate expires soon, at {}", date(*end)),
            "renew the server's certificate",
        ),
        Ok(Encryption::Tls { until: Some(end) }) => Line::ok(
            Check::Tls,
            format!("the certificate is trusted, and valid until {}", date(*end)),
        ),
        Err(fault) => {
            let (text, hint) = tls_fault(found, fault);
            Line::fail(Check::Tls, text, hint)
        }
    }
}

/// What is wrong with the protection, and what to do.
fn tls_fault(found: &Examination, fault: &TlsFault) -> (String, String) {
    let (host, port) = (&found.host, found.port);
    match fault {
        TlsFault::PortIsPlain => (
            format!("port {port} speaks plain HTTP, but the URL asks for TLS"),
            format!("write ws://{host}:{port} instead of wss://, or use the port that speaks TLS"),
        ),
        TlsFault::PortIsTls => (
            format!("port {port} speaks TLS, but the URL asks for plain HTTP"),
            format!("write wss://{host}:{port} instead of ws://"),
        ),
        TlsFault::UntrustedRoot => (
            "no root certificate of this machine vouches for the server's certificate".to_owned(),
            "for a private CA, set SSL_CERT_FILE to its root certificate; otherwise the server \
             may leave out an intermediate certificate"
                .to_owned(),
        ),
        TlsFault::NoRoots => (
            "this machine has no root certificates, so no server is trusted".to_owned(),
            "install the package `ca-certificates`, or set SSL_CERT_FILE".to_owned(),
        ),
        TlsFault::Expired(end) => {
            let since = end.map_or_else(String::new, |end| format!(" at {}", date(end)));
            (
                format!("the server's certificate expired{since}"),
                "renew it; or is this machine's clock ahead?".to_owned(),
            )
        }
        TlsFault::NotYetValid(start) => {
            let from = start.map_or_else(String::new, |start| format!(" before {}", date(start)));
            (
                format!("the server's certificate is not valid{from}"),
                "set this machine's clock (NTP): it is probably behind".to_owned(),
            )
        }
        TlsFault::OtherName(why) => (
            format!("the server's certificate is for another name: {why}"),
            format!("use a name from the certificate in the URL, or a certificate for `{host}`"),
        ),
        TlsFault::Other(why) => (
            format!("TLS failed: {why}"),
            "check that this is the port of a LiveKit server, or of the proxy in front of it"
                .to_owned(),
        ),
    }
}

fn clocks(found: &Examination, http: &Result<HttpFacts, String>) -> Line {
    let facts = match http {
        Ok(facts) => facts,
        Err(why) => {
            return Line::fail(
                Check::Clock,
                format!("port {} does not answer HTTP: {why}", found.port),
                "check that this is the port of a LiveKit server",
            );
        }
    };
    let Some(skew) = facts.skew else {
        return Line::note(Check::Clock, "the server does not tell its time");
    };
    let text = || {
        let direction = if skew > 0.0 { "behind" } else { "ahead of" };
        format!(
            "this machine's clock is {} {direction} the server's",
            length(skew.abs())
        )
    };
    match skew {
        skew if !(-AHEAD..=BEHIND).contains(&skew) => Line::fail(
            Check::Clock,
            text(),
            "set the clock that is wrong (NTP, chrony): tokens are valid for two minutes, so the \
             server refuses all calls",
        ),
        skew if skew.abs() > SKEW => Line::warn(
            Check::Clock,
            text(),
            "set the clock that is wrong (NTP, chrony): tokens are only valid for two minutes",
        ),
        _ => Line::ok(Check::Clock, "as the server's"),
    }
}

/// A length of time, in the unit that people would use.
fn length(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

fn token(said: &Result<Duration, TokenFault>, clock: Option<f64>) -> Line {
    let fault = match said {
        Ok(took) => return Line::ok(Check::Token, format!("accepted ({})", ms(*took))),
        Err(fault) => fault,
    };
    let off = clock.is_some_and(|skew| skew.abs() > AHEAD);
    let (text, hint) = match fault {
        TokenFault::UnknownKey(said) => (
            format!("the server does not know this API key ({said})"),
            "check LIVEKIT_API_KEY: is it a key of this server, or of another project?",
        ),
        TokenFault::WrongSecret(said) => (
            format!("the secret does not belong to the API key ({said})"),
            "check LIVEKIT_API_SECRET: the server knows the key, but signs with another secret",
        ),
        TokenFault::NotYetValid(said) => (
            format!("for the server, the token is not valid yet ({said})"),
            "this machine's clock is ahead of the server's: set the one that is wrong (NTP)",
        ),
        TokenFault::Expired(said) => (
            format!("for the server, the token has expired ({said})"),
            "this machine's clock is behind the server's: set the one that is wrong (NTP)",
        ),
        TokenFault::Other(said) if off => (
            format!("the server refuses the token ({said})"),
            "set the clock first",
        ),
        TokenFault::Other(said) => (
            format!("the server refuses the token ({said})"),
            "check LIVEKIT_API_KEY and LIVEKIT_API_SECRET, and the path in the URL",
        ),
    };
    Line::fail(Check::Token, text, hint)
}

#[cfg(test)]
mod tests {
    use super::super::check::Word;
    use super::*;

    fn healthy() -> Examination {
        let short = Duration::from_millis(2);
        Examination {
            port_open: Some(Ok(short)),
            tls: Some(Ok(Encryption::Tls {
                until: Some(1_800_000_000),
            })),
            http: Some(Ok(HttpFacts {
                round_trip: short,
                skew: Some(0.0),
            })),
            token: Some(Ok(short)),
            ..Examination::begun("lk.test", 443, Ok(([127, 0, 0, 1].into(), short)))
        }
    }

    fn failing(found: &Examination) -> Vec<(Check, String)> {
        let lines = lines(found, 1_700_000_000);
        assert_eq!(lines.len(), CHECKS.len(), "{lines:?}");
        let bad = lines.into_iter().filter(|l| l.word >= Word::Warn);
        bad.map(|l| {
            let hint = l.hint.expect("every failure has a hint");
            (l.check, format!("{}: {} | {hint}", l.word.name(), l.text))
        })
        .collect()
    }

    #[test]
    fn a_healthy_server_has_no_warning() {
        assert_eq!(failing(&healthy()), []);
        let words = lines(&healthy(), 0).into_iter().map(|l| l.word);
        assert!(words.into_iter().all(|word| word == Word::Ok));
    }

    #[test]
    fn each_fault_of_a_server_is_named_with_a_hint() {
        let broken = |change: &dyn Fn(&mut Examination)| {
            let mut found = healthy();
            change(&mut found);
            found
        };
        let tls = |fault: &TlsFault| {
            broken(&|f| {
                f.tls = Some(Err(fault.clone()));
                (f.http, f.token) = (None, None);
            })
        };
        let token = |fault: &TokenFault| broken(&|f| f.token = Some(Err(fault.clone())));
        let skew = |seconds: f64| {
            broken(&|f| {
                f.http = Some(Ok(HttpFacts {
                    round_trip: Duration::ZERO,
                    skew: Some(seconds),
                }));
            })
        };
        let no = || "no".to_owned();
        let soon = broken(&|f| {
            f.tls = Some(Ok(Encryption::Tls {
                until: Some(1_700_000_001),
            }));
        });
        let cases = [
            (
                broken(&|f| f.name = Err(no())),
                "name",
                "`lk.test` does not resolve",
            ),
            (
                broken(&|f| f.port_open = Some(Err(no()))),
                "port",
                "does not accept connections at port 443",
            ),
            (tls(&TlsFault::PortIsPlain), "tls", "speaks plain HTTP, but"),
            (tls(&TlsFault::PortIsTls), "tls", "write wss://lk.test:443"),
            (tls(&TlsFault::UntrustedRoot), "tls", "SSL_CERT_FILE"),
            (tls(&TlsFault::NoRoots), "tls", "ca-certificates"),
            (
                tls(&TlsFault::Expired(Some(1_600_000_000))),
                "tls",
                "expired at 2020-09-13",
            ),
            (tls(&TlsFault::NotYetValid(None)), "tls", "is not valid"),
            (tls(&TlsFault::OtherName(no())), "tls", "another name: no"),
            (tls(&TlsFault::Other(no())), "tls", "TLS failed: no"),
            (soon, "tls", "warn: the certificate expires soon"),
            (
                broken(&|f| f.http = Some(Err(no()))),
                "clock",
                "does not answer HTTP",
            ),
            (
                skew(-86_400.0),
                "clock",
                "fail: this machine's clock is 24.0 h ahead of",
            ),
            (
                skew(86_400.0),
                "clock",
                "fail: this machine's clock is 24.0 h behind",
            ),
            (
                skew(100.0),
                "clock",
                "warn: this machine's clock is 100 s behind",
            ),
            (
                skew(10.0),
                "clock",
                "warn: this machine's clock is 10 s behind",
            ),
            (
                token(&TokenFault::UnknownKey(no())),
                "token",
                "LIVEKIT_API_KEY",
            ),
            (
                token(&TokenFault::WrongSecret(no())),
                "token",
                "LIVEKIT_API_SECRET",
            ),
            (
                token(&TokenFault::NotYetValid(no())),
                "token",
                "clock is ahead",
            ),
            (
                token(&TokenFault::Expired(no())),
                "token",
                "clock is behind",
            ),
            (
                token(&TokenFault::Other(no())),
                "token",
                "refuses the token (no)",
            ),
        ];
        for (found, check, text) in cases {
            let bad = failing(&found);
            assert_eq!(bad.len(), 1, "{text}: {bad:?}");
            let (named, told) = &bad[0];
            assert!(
                named.name() == check && told.contains(text),
                "{text}: {bad:?}"
            );
        }
    }

    #[test]
    fn steps_after_a_failure_are_skipped() {
        let found = Examination::begun("lk.test", 443, Err("no".into()));
        let words: Vec<Word> = lines(&found, 0).iter().map(|l| l.word).collect();
        assert_eq!(words[0], Word::Fail);
        assert!(
            words[1..].iter().all(|word| *word == Word::Skipped),
            "{words:?}"
        );
    }
}
