//! What a call reached: a line for each step on its way to an agent's reply.
//!
//! In: one or two attempts. Out: lines. Invariant: pure; only the first step that failed is a
//! failure, and the steps after it are skipped.

use super::attempt::{Attempt, Goal, Reply};
use super::check::{Check, Line};
use super::server::ms;
use crate::call::Failure;
use crate::net::Candidate;
use crate::targets::Permissions;
use crate::vocab::CandidateKind;
use std::time::Duration;

/// A round-trip time up to this is good.
const GOOD: Duration = Duration::from_millis(50);
/// The cause of a call that joined, but whose media did not connect.
const NO_MEDIA: &str = "media_not_connected";

/// The lines of a call. `again`: a second call to the same agent; `http`: round-trip time of plain
/// requests to the server, if it has been measured.
pub(super) fn lines(
    goal: Goal,
    first: &Attempt,
    again: Option<&Attempt>,
    http: Option<Duration>,
) -> Vec<Line> {
    let mut lines = vec![join(first)];
    lines.extend(first.link.permissions.map(permissions));
    let joined = first.joined.is_some();
    let media = first
        .failure
        .as_ref()
        .is_some_and(|f| f.cause() == NO_MEDIA);
    if joined || media {
        lines.push(candidates(first));
    }
    lines.extend(first.link.round_trip.or(http).map(round_trip));
    let failed = lines.iter().find(|l| l.word == super::check::Word::Fail);
    let because = failed.map(|line| line.check);
    let wanted = [Check::Agent, Check::Audio, Check::States, Check::Session];
    match (goal, because) {
        (Goal::Room, _) => lines.push(Line::note(
            Check::Agent,
            "no agent was called: name a scenario, or use --agent-name",
        )),
        (_, Some(because)) if first.agent.is_none() || because == Check::Permissions => {
            lines.extend(wanted.map(|check| Line::skipped(check, because)));
        }
        _ => lines.extend(of_agent(goal, first, again)),
    }
    lines
}

fn failed(check: Check, failure: &Failure) -> Line {
    Line::fail(check, failure.to_string(), failure.hint())
}

fn join(first: &Attempt) -> Line {
    let server = match &first.link.server {
        Some(version) => format!(", livekit-server {version}"),
        None => String::new(),
    };
    match (&first.joined, &first.failure) {
        (Some(took), _) => Line::ok(Check::Join, format!("after {}{server}", ms(*took))),
        (None, Some(failure)) if failure.cause() == NO_MEDIA => {
            Line::ok(Check::Join, format!("signalling joined{server}"))
        }
        (None, Some(failure)) => failed(Check::Join, failure),
        (None, None) => Line::fail(Check::Join, "the call ended before it joined", "try again"),
    }
}

fn permissions(allowed: Permissions) -> Line {
    let Permissions {
        publish,
        subscribe,
        data,
    } = allowed;
    let parts = [
        (publish, "publish"),
        (subscribe, "subscribe"),
        (data, "send data"),
    ];
    let named = |wanted: bool| {
        let those = parts.iter().filter(|(has, _)| *has == wanted);
        those.map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
    };
    let hint = "loadgen asks for all three in its tokens, so something between it and the server \
                takes them away: a gateway that replaces tokens, or a service that changes \
                permissions when a participant joins";
    let text = format!("the caller may not {}", named(false).replace(", ", " or "));
    match (publish && subscribe, data) {
        (true, true) => Line::ok(Check::Permissions, named(true)),
        (false, _) => Line::fail(Check::Permissions, text, hint),
        (true, false) => Line::warn(Check::Permissions, text, hint),
    }
}

fn listed(candidates: &[&Candidate]) -> String {
    let each = candidates
        .iter()
        .map(|c| format!("{} ({})", c.address, c.kind.name()));
    each.collect::<Vec<_>>().join(", ")
}

fn candidates(first: &Attempt) -> Line {
    let offered = &first.link.candidates;
    let udp: Vec<&Candidate> = offered.iter().filter(|c| !c.over_tcp).collect();
    let tcp = first.over_tcp.iter().map(|(address, took)| match took {
        Some(took) => format!("; TCP {address} accepts connections ({})", ms(*took)),
        None => format!("; TCP {address} does not accept connections"),
    });
    let tcp: String = tcp.collect();
    if first.joined.is_none() {
        let text = match udp.is_empty() {
            true => format!("the server offers no address for media over UDP{tcp}"),
            false => format!(
                "media did not connect: no answer over UDP from {}{tcp}",
                listed(&udp)
            ),
        };
        return Line::fail(
            Check::Candidates,
            text,
            "open these UDP ports in firewalls, and check the address that the server announces \
             (`rtc.node_ip`, `rtc.use_external_ip`); loadgen sends media over UDP only",
        );
    }
    let Some(remote) = first.link.remote else {
        return Line::ok(Check::Candidates, format!("media flows{tcp}"));
    };
    let kind = udp
        .iter()
        .find(|c| c.address == remote)
        .map_or(CandidateKind::Prflx.name(), |c| c.kind.name());
    let rest: Vec<&Candidate> = udp.into_iter().filter(|c| c.address != remote).collect();
    let rest = match rest.is_empty() {
        true => String::new(),
        false => format!("; also offered: UDP {}", listed(&rest)),
    };
    let text = format!("media flows over UDP with {remote} ({kind}){rest}{tcp}");
    Line::ok(Check::Candidates, text)
}

fn round_trip(took: Duration) -> Line {
    match took <= GOOD {
        true => Line::ok(Check::RoundTrip, ms(took)),
        false => Line::warn(
            Check::RoundTrip,
            format!("{}, more than {}", ms(took), ms(GOOD)),
            "it is part of every figure: run loadgen where your callers are, or near the server \
             to measure the agent alone",
        ),
    }
}

/// The lines about the agent.
fn of_agent(goal: Goal, first: &Attempt, again: Option<&Attempt>) -> Vec<Line> {
    let Some(took) = first.agent else {
        let line = match &first.failure {
            Some(failure) => failed(Check::Agent, failure),
            None => Line::fail(
                Check::Agent,
                "no agent came into the room",
                "is an agent worker running on this server?",
            ),
        };
        let rest = [Check::Audio, Check::States, Check::Session];
        let skipped = rest.map(|check| Line::skipped(check, Check::Agent));
        return std::iter::once(line).chain(skipped).collect();
    };
    let mut lines = vec![
        Line::ok(
            Check::Agent,
            format!("in the room {} after the caller", ms(took)),
        ),
        audio(goal, first),
        match first.states {
            true => Line::ok(Check::States, "the agent tells its state"),
            false => Line::note(
                Check::States,
                "the agent tells no state, so `agent_turn_end` means the end of its speech",
            ),
        },
        match first.session {
            true => Line::ok(Check::Session, "the agent describes its session"),
            false => Line::note(
                Check::Session,
                "the agent did not describe its session, so reports will not have its account",
            ),
        },
    ];
    lines.extend(again.map(warm));
    lines
}

fn audio(goal: Goal, first: &Attempt) -> Line {
    if let Some(failure) = &first.failure {
        return failed(Check::Audio, failure);
    }
    let after = |took: Duration| format!("a reply {} after the end of speech", ms(took));
    match first.reply {
        Some(Reply::After(Some(took))) => Line::ok(Check::Audio, after(took)),
        Some(Reply::After(None)) => Line::ok(Check::Audio, "a reply"),
        Some(Reply::Early) => Line::ok(
            Check::Audio,
            "the agent spoke before the caller had finished",
        ),
        Some(Reply::Missed(limit)) => Line::fail(
            Check::Audio,
            format!(
                "the agent is silent: the caller spoke, and heard nothing for {}",
                crate::vocab::duration::format(limit)
            ),
            "look at the agent's log: does its speech recognition hear the caller, and do its \
             models and its voice work?",
        ),
        None if goal == Goal::Reply => Line::note(
            Check::Audio,
            "not checked: the scenario's callers do not speak",
        ),
        None => Line::note(Check::Audio, "not checked"),
    }
}

fn warm(again: &Attempt) -> Line {
    match (&again.agent, &again.failure) {
        (Some(took), _) => Line::ok(
            Check::Again,
            format!("in the room {} after the caller", ms(*took)),
        ),
        (None, Some(failure)) => failed(Check::Again, failure),
        (None, None) => Line::warn(
            Check::Again,
            "no agent took a second call",
            "does the worker take several calls at once?",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Word;
    use super::*;
    use crate::targets::Link;

    const SHORT: Duration = Duration::from_millis(12);

    fn target_failure(cause: &'static str) -> Failure {
        Failure::Target(crate::call::TargetFailure {
            cause,
            message: format!("{cause} happened"),
            hint: "do something",
            unreached: false,
        })
    }

    fn healthy() -> Attempt {
        let udp = Candidate::parse("candidate:1 1 udp 1 127.0.0.1 7882 typ host");
        Attempt {
            joined: Some(SHORT),
            agent: Some(SHORT),
            reply: Some(Reply::After(Some(SHORT))),
            states: true,
            session: true,
            link: Link {
                server: Some("1.13.5".into()),
                permissions: Some(Permissions {
                    publish: true,
                    subscribe: true,
                    data: true,
                }),
                remote: udp.map(|c| c.address),
                candidates: udp.into_iter().collect(),
                round_trip: Some(SHORT),
            },
            over_tcp: Vec::new(),
            failure: None,
        }
    }

    fn shown(lines: &[Line]) -> String {
        let each = lines.iter().map(|l| {
            let hint = l.hint.as_ref().map_or(String::new(), |h| format!(" | {h}"));
            format!("  {} {}: {}{hint}\n", l.word.name(), l.check.name(), l.text)
        });
        each.collect()
    }

    #[test]
    fn a_healthy_call_has_no_warning() {
        let lines = lines(Goal::Reply, &healthy(), Some(&healthy()), None);
        assert!(lines.iter().all(|l| l.word == Word::Ok), "{lines:?}");
        assert_eq!(lines.len(), 9);
    }

    #[test]
    fn each_fault_of_a_call_is_named_with_a_hint() {
        let broken = |change: &dyn Fn(&mut Attempt)| {
            let mut found = healthy();
            change(&mut found);
            found
        };
        let before = |change: &dyn Fn(&mut Attempt)| {
            broken(&|f| {
                (f.joined, f.agent, f.reply) = (None, None, None);
                (f.states, f.session) = (false, false);
                change(f);
            })
        };
        let may = |publish, data| {
            broken(&|f| {
                f.link.permissions = Some(Permissions {
                    publish,
                    subscribe: true,
                    data,
                });
                f.reply = Some(Reply::Missed(PATIENCE));
            })
        };
        const PATIENCE: Duration = Duration::from_secs(15);
        let dropped = before(&|f| {
            f.failure = Some(target_failure(NO_MEDIA));
            f.over_tcp = vec![(([127, 0, 0, 1], 7881).into(), Some(SHORT))];
        });
        let nowhere = before(&|f| {
            f.failure = Some(target_failure(NO_MEDIA));
            f.link.candidates.clear();
        });
        let absent = broken(&|f| {
            f.agent = None;
            f.failure = Some(target_failure("agent_no_worker"));
        });
        let cases = [
            (
                before(&|f| f.failure = Some(target_failure("quota"))),
                Check::Join,
                "quota happened",
            ),
            (
                dropped,
                Check::Candidates,
                "no answer over UDP from 127.0.0.1:7882 (host); TCP 127.0.0.1:7881 accepts",
            ),
            (
                nowhere,
                Check::Candidates,
                "offers no address for media over UDP",
            ),
            (
                may(false, true),
                Check::Permissions,
                "the caller may not publish",
            ),
            (
                broken(&|f| f.link.round_trip = Some(Duration::from_millis(300))),
                Check::RoundTrip,
                "300 ms, more than 50 ms",
            ),
            (absent, Check::Agent, "agent_no_worker happened"),
            (
                broken(&|f| f.reply = Some(Reply::Missed(PATIENCE))),
                Check::Audio,
                "the agent is silent",
            ),
            (
                broken(&|f| f.failure = Some(target_failure("agent_left"))),
                Check::Audio,
                "agent_left happened",
            ),
        ];
        for (found, check, text) in cases {
            let lines = lines(Goal::Reply, &found, None, None);
            let bad: Vec<&Line> = lines.iter().filter(|l| l.word >= Word::Warn).collect();
            assert_eq!(bad.len(), 1, "{text}\n{}", shown(&lines));
            let named = bad[0].check == check && bad[0].text.contains(text);
            assert!(named && bad[0].hint.is_some(), "{text}\n{}", shown(&lines));
        }
        let lines = lines(Goal::Reply, &may(true, false), None, None);
        let warned = lines
            .iter()
            .any(|l| l.check == Check::Permissions && l.word == Word::Warn);
        assert!(warned, "{}", shown(&lines));
    }

    #[test]
    fn a_second_call_without_an_agent_is_a_failure_of_its_own() {
        let mut again = healthy();
        again.agent = None;
        again.failure = Some(target_failure("agent_no_worker"));
        let lines = lines(Goal::Reply, &healthy(), Some(&again), None);
        let bad: Vec<Check> = lines
            .iter()
            .filter(|l| l.word == Word::Fail)
            .map(|l| l.check)
            .collect();
        assert_eq!(bad, [Check::Again]);
    }

    #[test]
    fn without_an_agent_only_the_way_to_the_room_is_checked() {
        let mut found = healthy();
        (found.agent, found.reply, found.link.round_trip) = (None, None, None);
        let lines = lines(Goal::Room, &found, None, Some(SHORT));
        assert!(
            lines.iter().all(|l| l.word <= Word::Note),
            "{}",
            shown(&lines)
        );
        assert!(lines.iter().any(|l| l.check == Check::RoundTrip));
    }
}
