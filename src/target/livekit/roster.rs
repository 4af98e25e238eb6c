//! Who is in the room with us, and which of their tracks is the agent's voice.
//!
//! In: the server's participant snapshots and updates. Out: arrivals, departures, tracks.
//! Holds: a participant already there when we join counts like one that comes later.

use livekit_protocol as proto;
use std::collections::{HashMap, HashSet};

/// Track name of LiveKit's ambience and thinking sounds.
const BACKGROUND_AUDIO: &str = "background_audio";
/// Attribute of a participant that publishes for another (an avatar worker).
const ON_BEHALF: &str = "lk.publish_on_behalf";

/// What a participant is, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParticipantKind {
    /// An agent.
    Agent,
    /// Anyone else.
    Other,
}

/// A participant other than ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// Server-given id.
    pub sid: String,
    /// Identity.
    pub identity: String,
    /// Kind.
    pub kind: ParticipantKind,
    /// Identity of the participant it publishes for.
    pub on_behalf_of: Option<String>,
    /// Audio tracks.
    pub tracks: Vec<Track>,
}

/// An audio track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Server-given id.
    pub sid: String,
    /// Name.
    pub name: String,
    /// Source is the microphone.
    pub microphone: bool,
}

impl Participant {
    fn from_proto(p: &proto::ParticipantInfo) -> Self {
        let kind = if p.kind == proto::participant_info::Kind::Agent as i32 {
            ParticipantKind::Agent
        } else {
            ParticipantKind::Other
        };
        let audio = p
            .tracks
            .iter()
            .filter(|t| t.r#type == proto::TrackType::Audio as i32);
        Self {
            sid: p.sid.clone(),
            identity: p.identity.clone(),
            kind,
            on_behalf_of: p.attributes.get(ON_BEHALF).cloned(),
            tracks: audio
                .map(|t| Track {
                    sid: t.sid.clone(),
                    name: t.name.clone(),
                    microphone: t.source == proto::TrackSource::Microphone as i32,
                })
                .collect(),
        }
    }
}

/// Which track is the agent's voice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentTrack {
    /// Track name that is asked for; `None` goes by kind and source.
    pub name: Option<String>,
}

impl AgentTrack {
    /// Whether `track` of `participant` is the agent's voice: the microphone of an agent, or
    /// of one that publishes on another's behalf, and not its background audio.
    pub fn matches(&self, participant: &Participant, track: &Track) -> bool {
        if let Some(name) = &self.name {
            return track.name == *name;
        }
        let speaks =
            participant.kind == ParticipantKind::Agent || participant.on_behalf_of.is_some();
        speaks && track.microphone && track.name != BACKGROUND_AUDIO
    }
}

/// A change in the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// A participant left.
    Left(Participant),
    /// A track's media reaches us in this section.
    Track(Participant, Track, Section),
}

/// Where a track's media arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub transport: usize,
    pub mid: String,
}

/// The room's other participants, and where their tracks arrive.
#[derive(Debug, Default)]
pub(super) struct Roster {
    own_sid: String,
    present: HashMap<String, Participant>,
    sections: HashMap<String, Section>,
    reported: HashSet<String>,
}

impl Roster {
    /// The snapshot that comes with joining.
    pub(super) fn joined(&mut self, join: &proto::JoinResponse) -> Vec<Change> {
        self.own_sid = join
            .participant
            .as_ref()
            .map(|p| p.sid.clone())
            .unwrap_or_default();
        self.update(&join.other_participants)
    }

    /// An update of some participants.
    pub(super) fn update(&mut self, all: &[proto::ParticipantInfo]) -> Vec<Change> {
        let mut changes = Vec::new();
        for p in all.iter().filter(|p| p.sid != self.own_sid) {
            if p.state == proto::participant_info::State::Disconnected as i32 {
                if let Some(gone) = self.present.remove(&p.sid) {
                    changes.push(Change::Left(gone));
                }
            } else {
                self.present
                    .insert(p.sid.clone(), Participant::from_proto(p));
            }
        }
        changes.extend(self.ready());
        changes
    }

    /// Tracks were given sections on a transport.
    pub(super) fn place(
        &mut self,
        transport: usize,
        tracks: impl IntoIterator<Item = (String, String)>,
    ) -> Vec<Change> {
        for (mid, track) in tracks {
            self.sections.insert(track, Section { transport, mid });
        }
        self.ready()
    }

    /// Tracks known by both name and place that were not reported yet.
    fn ready(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for p in self.present.values() {
            for t in &p.tracks {
                if let Some(section) = self.sections.get(&t.sid)
                    && self.reported.insert(t.sid.clone())
                {
                    changes.push(Change::Track(p.clone(), t.clone(), section.clone()));
                }
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(sid: &str, agent: bool, tracks: &[(&str, &str, bool)]) -> proto::ParticipantInfo {
        proto::ParticipantInfo {
            sid: sid.into(),
            identity: format!("id-{sid}"),
            kind: if agent { 4 } else { 0 },
            state: proto::participant_info::State::Active as i32,
            tracks: tracks
                .iter()
                .map(|(sid, name, mic)| proto::TrackInfo {
                    sid: (*sid).into(),
                    name: (*name).into(),
                    r#type: proto::TrackType::Audio as i32,
                    source: if *mic {
                        proto::TrackSource::Microphone as i32
                    } else {
                        0
                    },
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }
    }

    #[test]
    fn an_agent_in_the_snapshot_and_one_that_comes_later_are_found_alike() {
        let agent = info("PA_a", true, &[("TR_1", "agent", true)]);
        let place = || [("1".to_owned(), "TR_1".to_owned())];
        let section = Section {
            transport: 0,
            mid: "1".into(),
        };

        let mut early = Roster::default();
        let join = proto::JoinResponse {
            participant: Some(info("PA_me", false, &[])),
            other_participants: vec![agent.clone()],
            ..Default::default()
        };
        assert!(early.joined(&join).is_empty(), "no section yet");
        let found = early.place(0, place());
        assert!(matches!(&found[..], [Change::Track(_, t, s)] if t.sid == "TR_1" && *s == section));
        assert!(early.place(0, place()).is_empty(), "reported once");

        let mut late = Roster::default();
        assert!(late.place(0, place()).is_empty());
        assert_eq!(late.update(&[agent]).len(), 1);
    }

    #[test]
    fn ourselves_do_not_count_and_departures_are_told_once() {
        let mut r = Roster::default();
        let me = info("PA_me", false, &[("TR_me", "mic", true)]);
        r.joined(&proto::JoinResponse {
            participant: Some(me.clone()),
            ..Default::default()
        });
        r.place(0, [("0".to_owned(), "TR_me".to_owned())]);
        assert!(r.update(&[me]).is_empty());
        r.update(&[info("PA_a", true, &[])]);
        let mut gone = info("PA_a", true, &[]);
        gone.state = proto::participant_info::State::Disconnected as i32;
        assert!(
            matches!(&r.update(&[gone.clone()])[..], [Change::Left(p)] if p.identity == "id-PA_a")
        );
        assert!(r.update(&[gone]).is_empty());
    }

    #[test]
    fn the_agents_voice_is_its_microphone() {
        let table = [
            (true, "agent", true, true),
            (true, BACKGROUND_AUDIO, true, false),
            (true, "screen", false, false),
            (false, "agent", true, false),
        ];
        for (agent, name, mic, want) in table {
            let p = Participant::from_proto(&info("PA", agent, &[("TR", name, mic)]));
            let got = AgentTrack::default().matches(&p, &p.tracks[0]);
            assert_eq!(got, want, "agent {agent}, track {name}, microphone {mic}");
        }
        let mut avatar = info("PA", false, &[("TR", "voice", true)]);
        avatar.attributes.insert(ON_BEHALF.into(), "agent-1".into());
        let p = Participant::from_proto(&avatar);
        assert!(AgentTrack::default().matches(&p, &p.tracks[0]));
        let named = AgentTrack {
            name: Some("voice".into()),
        };
        assert!(named.matches(&p, &p.tracks[0]));
        assert!(
            !AgentTrack {
                name: Some("x".into())
            }
            .matches(&p, &p.tracks[0])
        );
    }
}
