//! Records the other participants in the room, and the sections in which their audio tracks arrive.
//!
//! In: the server's participants, and the sections that it assigned to their tracks. Out: both, in
//! order of arrival. Invariants: a participant that joined before us is treated like one that joins
//! later; the memory that a server can make us use is bounded.

use super::state;
use crate::call::AgentState;
use livekit_protocol as proto;
use proto::participant_info::{Kind, State};
use std::collections::HashMap;

/// Attribute of a participant that publishes for another (an avatar worker).
pub(super) const ON_BEHALF: &str = "lk.publish_on_behalf";
/// Maximum number of participants kept.
const PARTICIPANTS: usize = 1_000;
/// Maximum number of audio tracks kept per participant, and for all participants together.
const TRACKS: usize = 64;
const ALL_TRACKS: usize = 1_000;
/// Maximum number of sections kept per transport.
const SECTIONS: usize = 256;
/// Maximum length of a name or identity, in characters; LiveKit allows identities of 256.
const NAME: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParticipantKind {
    /// An agent, according to the token that the server issued to its worker.
    Agent,
    /// A participant that joined with a plain token: a person, or a bot of another framework.
    Standard,
    /// A recorder, a phone line, or another of the server's own kinds, by name.
    Other(&'static str),
}

impl ParticipantKind {
    /// The kind's name in LiveKit's protocol.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Agent => Kind::Agent.as_str_name(),
            Self::Standard => Kind::Standard.as_str_name(),
            Self::Other(name) => name,
        }
    }
}

/// The source of an audio track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrackSource {
    /// A microphone, so the track carries a voice.
    Microphone,
    /// Not stated by the publisher.
    Unknown,
    /// The audio of a shared screen, or another of LiveKit's sources, by name.
    Other(&'static str),
}

impl TrackSource {
    /// The source's name in LiveKit's protocol.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Microphone => proto::TrackSource::Microphone.as_str_name(),
            Self::Unknown => proto::TrackSource::Unknown.as_str_name(),
            Self::Other(name) => name,
        }
    }
}

/// A participant other than ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Participant {
    /// Server-assigned id of the participant.
    pub sid: String,
    pub identity: String,
    pub kind: ParticipantKind,
    /// Whether the participant publishes on behalf of another participant.
    pub on_behalf: bool,
    /// The agent state that the participant reports.
    pub state: Option<AgentState>,
    /// The participant's audio tracks.
    pub tracks: Vec<Track>,
}

/// An audio track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Track {
    /// Server-assigned id of the track.
    pub sid: String,
    pub name: String,
    pub source: TrackSource,
    /// Whether the publisher has muted it.
    pub muted: bool,
}

/// The server's report on a participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presence {
    /// The participant is in the room, with these properties.
    Here(Participant),
    Left {
        /// Server-assigned id.
        sid: String,
        /// LiveKit's name for the reason.
        reason: &'static str,
    },
}

fn clipped(text: &str) -> String {
    text.chars().take(NAME).collect()
}

fn kind(p: &proto::ParticipantInfo) -> ParticipantKind {
    #[expect(deprecated, reason = "older servers mark recorders only by this field")]
    let recorder = p.permission.as_ref().is_some_and(|p| p.recorder);
    match Kind::try_from(p.kind) {
        Ok(Kind::Agent) => ParticipantKind::Agent,
        Ok(Kind::Standard) if recorder => ParticipantKind::Other("recorder"),
        Ok(Kind::Standard) => ParticipantKind::Standard,
        Ok(other) => ParticipantKind::Other(other.as_str_name()),
        Err(_) => ParticipantKind::Other("unknown"),
    }
}

fn track(t: &proto::TrackInfo) -> Track {
    Track {
        sid: clipped(&t.sid),
        name: clipped(&t.name),
        source: match proto::TrackSource::try_from(t.source) {
            Ok(proto::TrackSource::Microphone) => TrackSource::Microphone,
            Ok(proto::TrackSource::Unknown) | Err(_) => TrackSource::Unknown,
            Ok(other) => TrackSource::Other(other.as_str_name()),
        },
        muted: t.muted,
    }
}

impl Presence {
    /// Extracts the needed parts of a participant's update.
    pub(super) fn of(p: &proto::ParticipantInfo) -> Self {
        if p.state == State::Disconnected as i32 {
            let reason = proto::DisconnectReason::try_from(p.disconnect_reason);
            return Self::Left {
                sid: clipped(&p.sid),
                reason: reason.unwrap_or_default().as_str_name(),
            };
        }
        let is_audio = |t: &&proto::TrackInfo| t.r#type == proto::TrackType::Audio as i32;
        let tracks = p.tracks.iter().filter(is_audio).take(TRACKS);
        let said = p.attributes.get(state::ATTRIBUTE);
        Self::Here(Participant {
            sid: clipped(&p.sid),
            identity: clipped(&p.identity),
            kind: kind(p),
            on_behalf: p.attributes.get(ON_BEHALF).is_some_and(|of| !of.is_empty()),
            state: said.and_then(|value| state::parse(value)),
            tracks: tracks.map(track).collect(),
        })
    }
}

/// The media section in which a track arrives.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Section {
    pub transport: usize,
    /// Id of the media section.
    pub mid: String,
}

/// The room's other participants, and the sections in which their tracks arrive.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    present: Vec<Participant>,
    /// Keyed by track id.
    sections: HashMap<String, Section>,
}

impl Roster {
    /// Applies the server's report on a participant; returns the participant if it left.
    pub(crate) fn update(&mut self, presence: Presence) -> Option<Participant> {
        match presence {
            Presence::Here(mut new) => {
                let others = self.present.iter().filter(|p| p.sid != new.sid);
                let tracks: usize = others.map(|p| p.tracks.len()).sum();
                new.tracks.truncate(ALL_TRACKS.saturating_sub(tracks));
                let has_room = self.present.len() < PARTICIPANTS;
                match self.present.iter_mut().find(|p| p.sid == new.sid) {
                    Some(known) => *known = new,
                    None if has_room => self.present.push(new),
                    None => {}
                }
                None
            }
            Presence::Left { sid, .. } => {
                let at = self.present.iter().position(|p| p.sid == sid)?;
                Some(self.present.remove(at))
            }
        }
    }

    /// Applies the list of a transport's sections and the tracks that they currently carry. A
    /// section that is missing from the list no longer carries a track.
    pub(crate) fn place(&mut self, transport: usize, tracks: HashMap<String, String>) {
        self.sections.retain(|_, s| s.transport != transport);
        let is_short = |(mid, track): &(String, String)| mid.len().max(track.len()) <= NAME;
        let placed = tracks.into_iter().filter(is_short).take(SECTIONS);
        self.sections
            .extend(placed.map(|(mid, track)| (track, Section { transport, mid })));
    }

    /// The other participants in the room, in order of arrival.
    pub(crate) fn present(&self) -> &[Participant] {
        &self.present
    }

    /// The section in which a track arrives.
    pub(crate) fn section(&self, track: &str) -> Option<&Section> {
        self.sections.get(track)
    }

    /// The tracks that have a section, with their publishers, in order of arrival.
    pub(crate) fn placed(&self) -> impl Iterator<Item = (&Participant, &Track, &Section)> {
        self.present.iter().flat_map(move |p| {
            let tracks = p.tracks.iter();
            tracks.filter_map(move |t| Some((p, t, self.section(&t.sid)?)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(sid: &str, kind: Kind) -> proto::ParticipantInfo {
        proto::ParticipantInfo {
            sid: sid.into(),
            identity: format!("id-{sid}"),
            kind: kind as i32,
            state: State::Active as i32,
            tracks: vec![
                proto::TrackInfo {
                    sid: format!("TR_{sid}"),
                    r#type: proto::TrackType::Audio as i32,
                    source: proto::TrackSource::Microphone as i32,
                    ..Default::default()
                },
                proto::TrackInfo {
                    sid: format!("TR_video_{sid}"),
                    r#type: proto::TrackType::Video as i32,
                    ..Default::default()
                },
            ],
            ..Default::default()
        }
    }

    fn here(info: &proto::ParticipantInfo) -> Participant {
        match Presence::of(info) {
            Presence::Here(p) => p,
            left @ Presence::Left { .. } => panic!("{left:?}"),
        }
    }

    #[test]
    fn participant_info_is_interpreted() {
        let mut agent = info("a", Kind::Agent);
        agent
            .attributes
            .insert(state::ATTRIBUTE.into(), "thinking".into());
        agent.attributes.insert(ON_BEHALF.into(), "agent-1".into());
        let read = here(&agent);
        assert_eq!(read.kind, ParticipantKind::Agent);
        assert_eq!(read.state, Some(AgentState::Thinking));
        assert!(read.on_behalf);
        assert_eq!(read.tracks.len(), 1, "video is ignored");
        for (kind, label) in [
            (Kind::Standard, "STANDARD"),
            (Kind::Sip, "SIP"),
            (Kind::Egress, "EGRESS"),
        ] {
            assert_eq!(here(&info("a", kind)).kind.label(), label);
        }
        let mut recorder = info("r", Kind::Standard);
        #[expect(deprecated, reason = "older servers send this field")]
        let permission = proto::ParticipantPermission {
            recorder: true,
            ..Default::default()
        };
        recorder.permission = Some(permission);
        assert_eq!(here(&recorder).kind, ParticipantKind::Other("recorder"));
    }

    #[test]
    fn a_departure_is_reported_once_with_its_reason() {
        let mut roster = Roster::default();
        let mut a = info("a", Kind::Agent);
        assert_eq!(roster.update(Presence::of(&a)), None);
        a.state = State::Disconnected as i32;
        a.disconnect_reason = proto::DisconnectReason::ClientInitiated as i32;
        let left = Presence::of(&a);
        assert!(
            matches!(&left, Presence::Left { reason, .. } if *reason == "CLIENT_INITIATED"),
            "{left:?}"
        );
        let gone = roster
            .update(left.clone())
            .expect("the participant was in the room");
        assert_eq!(gone.identity, "id-a");
        assert_eq!(roster.update(left), None);
    }

    #[test]
    fn sections_and_tracks_are_matched_in_any_order() {
        let mut roster = Roster::default();
        let place = |track: &str| HashMap::from([("1".to_owned(), track.to_owned())]);
        roster.place(0, place("TR_a"));
        assert_eq!(
            roster.placed().count(),
            0,
            "no participant has published the track yet"
        );
        roster.update(Presence::of(&info("a", Kind::Agent)));
        let placed: Vec<_> = roster.placed().map(|(_, t, s)| (&t.sid, s)).collect();
        let section = Section {
            transport: 0,
            mid: "1".into(),
        };
        assert_eq!(placed, [(&"TR_a".to_owned(), &section)]);
        // The section is reused, so its previous track no longer has a section.
        roster.place(0, place("TR_b"));
        assert_eq!(roster.section("TR_a"), None);
        assert_eq!(roster.section("TR_b"), Some(&section));
        // The sections of another transport are independent.
        roster.place(1, place("TR_c"));
        assert_eq!(roster.section("TR_b"), Some(&section));
    }

    #[test]
    fn kept_participants_tracks_and_sections_are_bounded() {
        let mut roster = Roster::default();
        for n in 0..2 * PARTICIPANTS {
            let mut p = info(&n.to_string(), Kind::Standard);
            p.identity = "x".repeat(10_000);
            p.tracks = vec![p.tracks[0].clone(); 2 * TRACKS];
            roster.update(Presence::of(&p));
        }
        assert_eq!(roster.present().len(), PARTICIPANTS);
        let first = &roster.present()[0];
        assert_eq!((first.identity.len(), first.tracks.len()), (NAME, TRACKS));
        let tracks: usize = roster.present().iter().map(|p| p.tracks.len()).sum();
        assert_eq!(tracks, ALL_TRACKS);
        // A known participant keeps its tracks when it is updated.
        let again = roster.present()[0].clone();
        roster.update(Presence::Here(again));
        assert_eq!(roster.present()[0].tracks.len(), TRACKS);

        let long = |n: usize| (n.to_string(), "x".repeat(NAME + 1));
        roster.place(0, (0..10).map(long).collect());
        let many = |n: usize| (n.to_string(), format!("TR_{n}"));
        roster.place(1, (0..2 * SECTIONS).map(many).collect());
        assert_eq!(roster.sections.len(), SECTIONS);
    }
}
