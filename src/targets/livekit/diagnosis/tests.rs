//! Why no agent audio is received: one case for each cause, and for each cause that hides
//! another.

use super::super::voices::Departed;
use super::*;

fn track(name: &str, source: &'static str) -> AgentStream {
    AgentStream {
        sid: format!("TR_{name}"),
        name: name.into(),
        identity: "agent-1".into(),
        kind: "AGENT",
        source,
        muted: false,
    }
}

fn agent() -> Seen {
    Seen {
        agents: vec!["agent-1".into()],
        ..Seen::default()
    }
}

fn others(kind: &'static str) -> Seen {
    Seen {
        others: vec![("somebody".into(), kind)],
        ..Seen::default()
    }
}

fn dispatch(agent_name: &str, jobs: &[Job]) -> Vec<Dispatched> {
    vec![Dispatched {
        agent_name: agent_name.into(),
        jobs: jobs.to_vec(),
    }]
}

struct Case {
    name: &'static str,
    agent_name: Option<&'static str>,
    choice: AgentChoice,
    seen: Seen,
    dispatches: Option<Vec<Dispatched>>,
    cause: Option<&'static str>,
}

impl Case {
    /// Agent `support` was requested, and the server reports `jobs` for it.
    fn asked(name: &'static str, seen: Seen, jobs: &[Job], cause: &'static str) -> Self {
        Self {
            name,
            agent_name: Some("support"),
            choice: AgentChoice::default(),
            seen,
            dispatches: Some(dispatch("support", jobs)),
            cause: Some(cause),
        }
    }

    /// No agent was requested by name, and the server reports `dispatches`.
    fn automatic(
        name: &'static str,
        seen: Seen,
        dispatches: Option<Vec<Dispatched>>,
        cause: Option<&'static str>,
    ) -> Self {
        Self {
            name,
            agent_name: None,
            choice: AgentChoice::default(),
            seen,
            dispatches,
            cause,
        }
    }

    fn choosing(mut self, track: Option<&str>, identity: Option<&str>) -> Self {
        self.choice = AgentChoice {
            track: track.map(str::to_owned),
            identity: identity.map(str::to_owned),
        };
        self
    }
}

fn of_jobs() -> Vec<Case> {
    use Job::{Ended, Failed, Rejected, Running};
    let nobody = Seen::default;
    let failed = || Failed("no key".into());
    vec![
        Case::asked("no job", nobody(), &[], "agent_no_worker"),
        Case::asked(
            "no job, a recorder",
            others("EGRESS"),
            &[],
            "agent_no_worker",
        ),
        Case::asked("failed", nobody(), &[failed()], "agent_job_failed"),
        Case::asked(
            "failed, a recorder",
            others("EGRESS"),
            &[failed()],
            "agent_job_failed",
        ),
        Case::asked("rejected", nobody(), &[Rejected], "agent_job_rejected"),
        Case::asked("ended", nobody(), &[Ended], "agent_job_ended"),
        Case::asked(
            "one of two ended",
            nobody(),
            &[Rejected, Ended],
            "agent_job_ended",
        ),
        Case::asked("running", nobody(), &[Running], "agent_not_joined"),
        Case::asked(
            "one of two running",
            nobody(),
            &[failed(), Running],
            "agent_not_joined",
        ),
        Case::asked(
            "running, another participant present",
            others("SIP"),
            &[Running],
            "agent_other_kind",
        ),
    ]
}

fn of_the_room() -> Vec<Case> {
    let silent = agent;
    let screen = || Seen {
        tracks: vec![track("screen", "SCREEN_SHARE_AUDIO")],
        ..agent()
    };
    let voice = || Seen {
        tracks: vec![track("voice", "MICROPHONE")],
        ..agent()
    };
    let unplaced = || Seen {
        unplaced: vec![track("voice", "MICROPHONE")],
        ..voice()
    };
    let left = || Seen {
        departed: Some(Departed {
            identity: "agent-1".into(),
            stayed: Duration::from_millis(1_040),
            reason: "CLIENT_INITIATED",
        }),
        ..others("EGRESS")
    };
    let running = &[Job::Running];
    vec![
        Case::asked("no track", silent(), running, "agent_silent"),
        Case::asked("screen share", screen(), running, "agent_other_source"),
        Case::asked("no section", unplaced(), running, "agent_no_media"),
        Case::asked("left again", left(), running, "agent_left_early"),
        Case::asked("another name", voice(), running, "agent_other_track")
            .choosing(Some("speech"), None),
        Case::asked(
            "another identity",
            others("AGENT"),
            running,
            "agent_other_identity",
        )
        .choosing(None, Some("agent-2")),
        Case::asked(
            "chosen identity, empty room",
            Seen::default(),
            &[],
            "agent_no_worker",
        )
        .choosing(None, Some("agent-2")),
    ]
}

fn of_the_server() -> Vec<Case> {
    let nobody = Seen::default;
    let automatic = || Some(dispatch("", &[]));
    vec![
        Case::automatic("no worker", nobody(), automatic(), Some("agent_no_worker")),
        Case::automatic(
            "recorder",
            others("EGRESS"),
            automatic(),
            Some("agent_other_kind"),
        ),
        Case::automatic("no report from the server", nobody(), None, None),
        Case::automatic(
            "recorder, no report from the server",
            others("EGRESS"),
            None,
            Some("agent_other_kind"),
        ),
        Case::automatic("none dispatched", nobody(), Some(vec![]), None),
        Case::automatic(
            "others dispatched",
            nobody(),
            Some(dispatch("x", &[])),
            None,
        ),
    ]
}

#[test]
fn each_cause_has_a_name_a_message_and_a_hint() {
    let cases = [of_jobs(), of_the_room(), of_the_server()];
    let mut told = String::new();
    for case in cases.into_iter().flatten() {
        let wanted = Wanted {
            agent_name: case.agent_name,
            choice: &case.choice,
            waited: Duration::from_secs(30),
        };
        let why = diagnose(wanted, &case.seen, case.dispatches.as_deref());
        let cause = why.as_ref().map(Absence::cause);
        assert_eq!(cause, case.cause, "{}: {why:?}", case.name);
        let Some(why) = why else { continue };
        let (cause, hint) = (why.cause(), why.hint());
        told += &format!("{}\n  {cause}: {why}\n  hint: {hint}\n", case.name);
    }
    insta::assert_snapshot!(told);
}

#[test]
fn quoted_names_are_bounded() {
    let seen = Seen {
        others: vec![("x\n".repeat(100_000), "EGRESS"); 1_000],
        ..Seen::default()
    };
    let choice = AgentChoice::default();
    let wanted = Wanted {
        agent_name: None,
        choice: &choice,
        waited: Duration::ZERO,
    };
    let why = diagnose(wanted, &seen, None).expect("a cause").to_string();
    assert!(why.len() < 2_000 && !why.contains('\n'), "{}", why.len());
    assert!(why.ends_with("and 992 more"), "{why}");
}
