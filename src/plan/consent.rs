//! Decides whether a run is so large that the user must confirm it.
//!
//! In: a plan and its target host. Out: the reason for the confirmation, if one is needed.

use super::Plan;
use crate::vocab::duration;
use crate::vocab::host::bare;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;
use std::time::Duration;

/// Maximum number of calls that a run may make without `--yes`.
pub(crate) const CALLS_WITHOUT_CONSENT: u64 = 1_000;
/// Maximum number of call-minutes of a run without `--yes`: 50 concurrent calls for 100 minutes.
pub(crate) const CALL_MINUTES_WITHOUT_CONSENT: f64 = 5_000.0;
/// Maximum concurrency that needs no `--yes` on a host that is not private.
pub(crate) const CONCURRENCY_WITHOUT_CONSENT: u64 = 100;

/// Why a run must be confirmed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Consent {
    /// More than [`CALLS_WITHOUT_CONSENT`] calls or [`CALL_MINUTES_WITHOUT_CONSENT`] call-minutes.
    Calls {
        /// Number of calls, warm-up included; estimated if the load is bounded by a duration.
        calls: u64,
        /// Estimated total length of all calls, in minutes.
        call_minutes: f64,
        /// The duration of the load; `None` if the load is bounded by a number of calls.
        duration: Option<Duration>,
    },
    /// More than [`CONCURRENCY_WITHOUT_CONSENT`] calls at once on a host that is not private.
    Concurrency {
        /// Number of calls at once.
        concurrency: u64,
        host: String,
    },
}

impl Consent {
    /// What to do; printed on its own `hint:` line.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Calls { .. } => {
                "pass `--yes` if this is intended; `loadgen plan` shows every call"
            }
            Self::Concurrency { .. } => {
                "pass `--yes` if this load is permitted; `--concurrency 100` needs no confirmation"
            }
        }
    }
}

impl fmt::Display for Consent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calls {
                calls,
                call_minutes,
                duration: None,
            } => {
                write!(
                    f,
                    "this run makes {calls} calls, about {call_minutes:.0} call-minutes"
                )
            }
            Self::Calls {
                calls,
                call_minutes,
                duration: Some(time),
            } => write!(
                f,
                "in {} this run makes about {calls} calls, about {call_minutes:.0} call-minutes",
                duration::format(*time)
            ),
            Self::Concurrency { concurrency, host } => {
                write!(f, "this run makes {concurrency} calls at once to `{host}`")
            }
        }
    }
}

impl Plan {
    /// Why this plan must be confirmed before it runs against `host` (`None`: the embedded
    /// target). Returns `None` if no confirmation is needed.
    pub(crate) fn needs_consent(&self, host: Option<&str>) -> Option<Consent> {
        let (calls, call_minutes) = (self.estimate().calls, self.call_minutes());
        if calls > CALLS_WITHOUT_CONSENT || call_minutes > CALL_MINUTES_WITHOUT_CONSENT {
            let duration = self.duration();
            return Some(Consent::Calls {
                calls,
                call_minutes,
                duration,
            });
        }
        let concurrency = self.concurrency();
        match host.filter(|host| !is_private(host)) {
            Some(host) if concurrency > CONCURRENCY_WITHOUT_CONSENT => Some(Consent::Concurrency {
                concurrency,
                host: host.to_owned(),
            }),
            _ => None,
        }
    }
}

/// Whether a host is on this machine or its local network, judged by its name alone: `localhost`,
/// `*.localhost`, `*.local`, and loopback, unspecified, private (RFC 1918), link-local and unique
/// local (RFC 4193) addresses.
pub(crate) fn is_private(host: &str) -> bool {
    let host = bare(host).trim_end_matches('.').to_ascii_lowercase();
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => is_private_v4(address),
        Ok(IpAddr::V6(address)) => is_private_v6(address),
        Err(_) => host == "localhost" || host.ends_with(".localhost") || host.ends_with(".local"),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_unspecified()
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.to_ipv4_mapped().is_some_and(is_private_v4)
        || address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{LoadedSound, SoundFile};

    #[test]
    fn a_few_calls_of_many_hours_need_consent() {
        let plan = |length: u64, calls: u64| {
            let text = format!(
                "version: 1\nname: test\ntarget: {{kind: embedded}}\n\
                 utterances: {{a: {{file: a.wav}}}}\n\
                 call: {{turns: [{{say: a, start: {{after: call_start}}}}]}}\n\
                 load: {{calls: {calls}, concurrency: 50}}\n"
            );
            let length = move |_: &SoundFile<'_>| {
                let length = Duration::from_secs(length);
                Ok(Some(LoadedSound {
                    length,
                    doubts: Vec::new(),
                }))
            };
            let path = std::path::Path::new("test.yaml");
            let unset = crate::scenario::Unset::Problem;
            let checked = crate::scenario::check(text.as_bytes(), path, &|_| None, unset, &length);
            Plan::new(&checked.expect("a scenario")).needs_consent(None)
        };
        assert!(plan(60, 100).is_none());
        let asked = plan(8 * 3_600, 100).expect("consent is needed").to_string();
        assert!(
            asked.contains("100 calls") && asked.contains("call-minutes"),
            "{asked}"
        );
    }

    #[test]
    fn private_hosts_are_recognised_by_name() {
        let private = [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "printer.local",
            "127.0.0.1",
            "127.8.8.8",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.0.9",
            "0.0.0.0",
            "::1",
            "[::1]",
            "fd12:3456::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ];
        for host in private {
            assert!(is_private(host), "{host}");
        }
        let public = [
            "project.livekit.cloud",
            "local",
            "local.example.org",
            "localhost.example.org",
            "8.8.8.8",
            "172.32.0.1",
            "192.169.0.1",
            "2001:db8::1",
            "::ffff:8.8.8.8",
            "11.0.0.1",
            "",
        ];
        for host in public {
            assert!(!is_private(host), "{host}");
        }
    }
}
