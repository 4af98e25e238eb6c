//! Tables of which participants count as the agent, and of which tracks are reported.

use super::*;

/// A participant `sid` of this kind with tracks (sid, name, source).
fn here(
    sid: &str,
    kind: ParticipantKind,
    tracks: &[(&str, &str, TrackSource)],
    state: Option<AgentState>,
) -> Presence {
    let track = |(sid, name, source): &(&str, &str, TrackSource)| Track {
        sid: (*sid).to_owned(),
        name: (*name).to_owned(),
        source: *source,
        muted: false,
    };
    Presence::Here(Participant {
        sid: sid.to_owned(),
        identity: format!("id-{sid}"),
        kind,
        on_behalf: false,
        state,
        tracks: tracks.iter().map(track).collect(),
    })
}

fn left(sid: &str) -> Presence {
    Presence::Left {
        sid: sid.to_owned(),
        reason: "CLIENT_INITIATED",
    }
}

fn on_behalf(presence: Presence) -> Presence {
    match presence {
        Presence::Here(p) => Presence::Here(Participant {
            on_behalf: true,
            ..p
        }),
        left @ Presence::Left { .. } => left,
    }
}

const AGENT: ParticipantKind = ParticipantKind::Agent;
const STANDARD: ParticipantKind = ParticipantKind::Standard;
const SIP: ParticipantKind = ParticipantKind::Other("SIP");
const MIC: TrackSource = TrackSource::Microphone;
const UNKNOWN: TrackSource = TrackSource::Unknown;
const SCREEN: TrackSource = TrackSource::Other("SCREEN_SHARE_AUDIO");

/// The events in short form: `+a` an agent, `T1@0` a track and its section, `-T1` the track's end,
/// `=…` a state, `left`.
fn short(events: &[RoomEvent]) -> String {
    let words = events.iter().map(|event| match event {
        RoomEvent::AgentPresent(identity) => format!("+{}", identity.replace("id-", "")),
        RoomEvent::Track(stream, section) => format!("{}@{}", stream.sid, section.mid),
        RoomEvent::TrackGone(sid) => format!("-{sid}"),
        RoomEvent::TrackMuted(sid) => format!("muted {sid}"),
        RoomEvent::AgentState(state) => format!("={state:?}"),
        RoomEvent::AgentLeft => "left".to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Sections `0`, `1`, … of transport 0 for these tracks.
fn sections(tracks: &[&str]) -> HashMap<String, String> {
    let sections = tracks.iter().enumerate();
    sections
        .map(|(mid, track)| (mid.to_string(), (*track).to_owned()))
        .collect()
}

/// The events reported for a room whose tracks already have sections.
fn told(choice: &AgentChoice, all: Vec<Presence>, placed: &[&str]) -> String {
    let mut voices = Voices::new(choice.clone());
    let now = Instant::now();
    assert_eq!(voices.sections(0, sections(placed), now), []);
    short(&voices.participants(all, now))
}

#[test]
fn agents_and_their_voices_are_found_by_kind_and_source() {
    let any = AgentChoice::default();
    let voice = &[("T1", "agent", MIC)][..];
    for (name, room, expected) in [
        ("an agent", vec![here("a", AGENT, voice, None)], "+a T1@0"),
        (
            "a bot with a plain token",
            vec![here("b", STANDARD, voice, None)],
            "+b T1@0",
        ),
        (
            "an agent and a person",
            vec![
                here("p", STANDARD, &[("T2", "mic", MIC)], None),
                here("a", AGENT, voice, None),
            ],
            "+a T1@0",
        ),
        ("a telephone", vec![here("s", SIP, voice, None)], ""),
        (
            "an avatar publishes for an agent",
            vec![
                here("a", AGENT, &[], None),
                on_behalf(here("v", STANDARD, voice, None)),
            ],
            "+a +v T1@0",
        ),
        (
            "background audio is not a voice",
            vec![here(
                "a",
                AGENT,
                &[
                    ("T2", BACKGROUND_AUDIO, UNKNOWN),
                    ("T3", BACKGROUND_AUDIO, MIC),
                    ("T1", "agent", MIC),
                ],
                None,
            )],
            "+a T1@0",
        ),
        (
            "a track of unknown source",
            vec![here(
                "a",
                AGENT,
                &[("T2", BACKGROUND_AUDIO, UNKNOWN), ("T1", "", UNKNOWN)],
                None,
            )],
            "+a T1@0",
        ),
        (
            "a microphone takes precedence",
            vec![here(
                "a",
                AGENT,
                &[("T2", "x", UNKNOWN), ("T1", "agent", MIC)],
                None,
            )],
            "+a T1@0",
        ),
        (
            "a shared screen",
            vec![here("a", AGENT, &[("T1", "screen", SCREEN)], None)],
            "+a",
        ),
        (
            "two microphones",
            vec![here(
                "a",
                AGENT,
                &[("T1", "agent", MIC), ("T2", "music", MIC)],
                None,
            )],
            "+a T1@0 T2@1",
        ),
        ("no track yet", vec![here("a", AGENT, &[], None)], "+a"),
    ] {
        assert_eq!(told(&any, room, &["T1", "T2", "T3"]), expected, "{name}");
    }
}

#[test]
fn the_scenario_can_choose_the_agents_track() {
    let choice = |track: Option<&str>, identity: Option<&str>| AgentChoice {
        track: track.map(str::to_owned),
        identity: identity.map(str::to_owned),
    };
    let room = || {
        vec![
            here(
                "a",
                AGENT,
                &[("T1", "agent", MIC), ("T2", BACKGROUND_AUDIO, UNKNOWN)],
                None,
            ),
            here("b", STANDARD, &[("T3", "pipecat-audio", MIC)], None),
            here("s", SIP, &[("T4", "line", MIC)], None),
        ]
    };
    for (track, identity, expected) in [
        (None, None, "+a T1@0"),
        (Some("pipecat-audio"), None, "+a +b T3@2"),
        (Some("T3"), None, "+a +b T3@2"),
        (Some(BACKGROUND_AUDIO), None, "+a T2@1"),
        (Some("nothing"), None, "+a"),
        (None, Some("id-b"), "+b T3@2"),
        (None, Some("id-s"), "+s T4@3"),
        (None, Some("id-x"), ""),
        (Some("agent"), Some("id-b"), "+b"),
        (Some("line"), Some("id-s"), "+s T4@3"),
    ] {
        let got = told(&choice(track, identity), room(), &["T1", "T2", "T3", "T4"]);
        assert_eq!(got, expected, "track {track:?}, identity {identity:?}");
    }
}

/// A change in a room.
enum Step {
    Here(Vec<Presence>),
    Placed(&'static [&'static str]),
}

#[test]
fn room_changes_become_events() {
    use Step::{Here, Placed};
    let agent = |tracks: &[(&str, &str, TrackSource)]| here("a", AGENT, tracks, None);
    let says = |state| here("a", AGENT, &[], Some(state));
    let (voice, other) = (("T1", "agent", MIC), ("T2", "agent", MIC));
    let standard = |tracks: &[(&str, &str, TrackSource)]| here("b", STANDARD, tracks, None);
    let cases: Vec<(&str, Vec<(Step, &str)>)> = vec![
        (
            "sections before and after the track",
            vec![
                (Here(vec![agent(&[])]), "+a"),
                (Here(vec![agent(&[voice])]), ""),
                (Placed(&["T1"]), "T1@0"),
                (Placed(&["T1"]), ""),
                (Here(vec![agent(&[voice])]), ""),
            ],
        ),
        (
            "republished in the same section",
            vec![
                (Here(vec![agent(&[voice])]), "+a"),
                (Placed(&["T1"]), "T1@0"),
                (Here(vec![agent(&[])]), "-T1"),
                (Here(vec![agent(&[other])]), ""),
                (Placed(&["T2"]), "T2@0"),
            ],
        ),
        (
            "the section moves first",
            vec![
                (Here(vec![agent(&[voice])]), "+a"),
                (Placed(&["T1"]), "T1@0"),
                (Placed(&["T2"]), "-T1"),
                (Here(vec![agent(&[other])]), "T2@0"),
            ],
        ),
        (
            "the track moves to another section",
            vec![
                (Here(vec![agent(&[voice])]), "+a"),
                (Placed(&["T1"]), "T1@0"),
                (Placed(&["", "T1"]), "-T1 T1@1"),
            ],
        ),
        (
            "a microphone replaces an unknown source",
            vec![
                (Placed(&["T1", "T2"]), ""),
                (Here(vec![agent(&[("T1", "", UNKNOWN)])]), "+a T1@0"),
                (Here(vec![agent(&[("T1", "", UNKNOWN), other])]), "-T1 T2@1"),
            ],
        ),
        (
            "hand-over to another agent",
            vec![
                (Placed(&["T1", "T2"]), ""),
                (Here(vec![agent(&[voice])]), "+a T1@0"),
                (Here(vec![here("c", AGENT, &[other], None)]), "+c T2@1"),
                (Here(vec![left("a")]), "-T1"),
                (Here(vec![left("c")]), "-T2 left"),
                (Here(vec![left("c")]), ""),
            ],
        ),
        (
            "an agent leaves and rejoins",
            vec![
                (Placed(&["T1", "T2"]), ""),
                (Here(vec![agent(&[voice])]), "+a T1@0"),
                (Here(vec![left("a")]), "-T1 left"),
                (Here(vec![here("a2", AGENT, &[other], None)]), "+a2 T2@1"),
            ],
        ),
        (
            "an agent takes over from a plain participant, which stays a bystander",
            vec![
                (Placed(&["T1", "T2"]), ""),
                (Here(vec![standard(&[other])]), "+b T2@1"),
                (Here(vec![agent(&[voice])]), "-T2 +a T1@0"),
                (Here(vec![left("a")]), "-T1 left"),
                (Here(vec![standard(&[other])]), ""),
                (Here(vec![left("b")]), ""),
                (Here(vec![standard(&[other])]), "+b T2@1"),
            ],
        ),
        (
            "states",
            vec![
                (Here(vec![says(AgentState::Listening)]), "+a =Listening"),
                (Here(vec![says(AgentState::Listening)]), ""),
                (Here(vec![says(AgentState::Thinking)]), "=Thinking"),
                (Here(vec![agent(&[])]), ""),
                (Here(vec![says(AgentState::Thinking)]), ""),
                (Here(vec![says(AgentState::Speaking)]), "=Speaking"),
            ],
        ),
        (
            "the busier of two agents counts, and the state of one that left does not",
            vec![
                (Here(vec![says(AgentState::Speaking)]), "+a =Speaking"),
                (
                    Here(vec![here("b", AGENT, &[], Some(AgentState::Listening))]),
                    "+b",
                ),
                (Here(vec![says(AgentState::Listening)]), "=Listening"),
                (Here(vec![says(AgentState::Thinking)]), "=Thinking"),
                (Here(vec![left("a")]), "=Listening"),
                (Here(vec![left("b")]), "left"),
            ],
        ),
    ];
    for (name, steps) in cases {
        let mut voices = Voices::new(AgentChoice::default());
        let now = Instant::now();
        for (n, (step, expected)) in steps.into_iter().enumerate() {
            let events = match step {
                Here(all) => voices.participants(all, now),
                Placed(tracks) => voices.sections(0, sections(tracks), now),
            };
            assert_eq!(short(&events), expected, "{name}, step {n}");
        }
    }
}

#[test]
fn sections_of_other_tracks_are_reported_as_ignored_once() {
    let mut voices = Voices::new(AgentChoice::default());
    let now = Instant::now();
    let mids = |voices: &mut Voices| {
        let mut mids: Vec<String> = voices.newly_ignored().into_iter().map(|s| s.mid).collect();
        mids.sort();
        mids
    };
    let agent = here(
        "a",
        AGENT,
        &[("T1", "agent", MIC), ("T2", BACKGROUND_AUDIO, UNKNOWN)],
        None,
    );
    let person = here("p", STANDARD, &[("T3", "mic", MIC)], None);
    voices.sections(0, sections(&["T1", "T2", "T3", "T4"]), now);
    assert!(mids(&mut voices).is_empty(), "no participant is known yet");
    voices.participants(vec![agent, person], now);
    assert_eq!(mids(&mut voices), ["1", "2"], "T4 has no publisher yet");
    assert!(mids(&mut voices).is_empty(), "reported once");
    // The section of the background audio is reused for the voice, then for background audio
    // again.
    let agent = here("a", AGENT, &[("T5", "agent", MIC)], None);
    voices.participants(vec![agent], now);
    voices.sections(0, sections(&["", "T5", "T3"]), now);
    assert!(mids(&mut voices).is_empty());
    let agent = here("a", AGENT, &[("T6", BACKGROUND_AUDIO, UNKNOWN)], None);
    voices.participants(vec![agent], now);
    voices.sections(0, sections(&["", "T6", "T3"]), now);
    assert_eq!(mids(&mut voices), ["1"]);
}

#[test]
fn several_voices_are_reported_once_with_escaped_names() {
    let mut voices = Voices::new(AgentChoice::default());
    let now = Instant::now();
    voices.sections(0, sections(&["T1", "T2"]), now);
    let tracks = [("T1", "agent", MIC), ("T2", "mu\u{1b}[31msic", MIC)];
    voices.participants(vec![here("a", AGENT, &tracks[..1], None)], now);
    assert_eq!(voices.take_notice(), None, "one track is unambiguous");
    let anew = [tracks[0], ("T2", "agent", MIC)];
    voices.participants(vec![here("a", AGENT, &anew, None)], now);
    assert_eq!(voices.take_notice(), None, "a track that is republished");
    voices.participants(vec![here("a", AGENT, &tracks, None)], now);
    let notice = voices.take_notice().expect("two tracks");
    for part in [
        "2 audio tracks",
        "`agent` of `id-a` (kind AGENT, source MICROPHONE)",
        "`call.agent_track` or `call.agent_identity`",
    ] {
        assert!(notice.contains(part), "{notice}");
    }
    assert!(!notice.contains('\u{1b}'), "{notice}");
    voices.participants(vec![here("a", AGENT, &tracks[..1], None)], now);
    voices.participants(vec![here("a", AGENT, &tracks, None)], now);
    assert_eq!(voices.take_notice(), None, "once");
}

#[test]
fn seen_participants_are_kept_to_explain_a_missing_agent() {
    let mut voices = Voices::new(AgentChoice::default());
    let now = Instant::now();
    let tracks = [("T1", "agent", MIC), ("T2", "screen", SCREEN)];
    voices.participants(
        vec![here("a", AGENT, &tracks, None), here("s", SIP, &[], None)],
        now,
    );
    let seen = voices.seen();
    assert_eq!(seen.agents, ["id-a"]);
    assert_eq!(seen.tracks.len(), 2);
    assert_eq!(seen.unplaced.len(), 1, "screen audio is not a voice");
    assert_eq!(seen.others, [("id-s".to_owned(), "SIP")]);
    assert_eq!(seen.departed, None);
    voices.participants(vec![left("a")], now + Duration::from_millis(1_200));
    let seen = voices.seen();
    let departed = seen.departed.expect("the agent left");
    assert_eq!(departed.stayed, Duration::from_millis(1_200));
    assert_eq!(
        (departed.identity.as_str(), departed.reason),
        ("id-a", "CLIENT_INITIATED")
    );
    assert!(seen.agents.is_empty());
}

#[test]
fn a_muted_track_is_reported_once() {
    let mut voices = Voices::new(AgentChoice::default());
    let now = Instant::now();
    voices.sections(0, sections(&["T1"]), now);
    let agent = |muted| match here("a", AGENT, &[("T1", "agent", MIC)], None) {
        Presence::Here(mut p) => {
            p.tracks[0].muted = muted;
            vec![Presence::Here(p)]
        }
        left @ Presence::Left { .. } => vec![left],
    };
    let told = [false, true, true, false, true].map(|muted| {
        let events = voices.participants(agent(muted), now);
        short(&events)
    });
    assert_eq!(told, ["+a T1@0", "muted T1", "", "", "muted T1"]);
}

#[test]
fn a_track_listed_twice_is_reported_once() {
    let twice = [("T1", "mic", MIC), ("T1", "mic", MIC)];
    let all = vec![
        here("a", AGENT, &twice, None),
        here("b", AGENT, &twice, None),
    ];
    assert_eq!(told(&AgentChoice::default(), all, &["T1"]), "+a +b T1@0");
}
