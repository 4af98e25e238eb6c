//! Decides which participants are the agent, and which of their tracks may carry its voice.
//!
//! In: changes in the room, the scenario's choice of the agent. Out: events for the call.
//! Invariants: an agent that joined before us is reported like one that joins later. A track is
//! reported once for each section in which it arrives, and its end once. Our own tracks are never
//! reported.

use super::roster::{Participant, ParticipantKind, Presence, Roster, Section, Track, TrackSource};
use super::signal::printable;
use crate::call::AgentState;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// Name of the track with LiveKit's ambience and thinking sounds.
const BACKGROUND_AUDIO: &str = "background_audio";
/// Maximum number of tracks that a notice lists.
const NAMED: usize = 8;

/// An event in the room that concerns the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RoomEvent {
    /// An agent participant is in the room, perhaps since before we joined. Reported once for each
    /// arrival of each agent participant, with its identity.
    AgentPresent(String),
    /// A track that may be the agent's voice arrives in this section. Reported for every matching
    /// track, including tracks that are republished or published later.
    Track(AgentStream, Section),
    /// The reported track with this id has ended: it was unpublished or moved to another section,
    /// its participant left, or a better candidate replaced it.
    TrackGone(String),
    /// The publisher muted the reported track with this id.
    TrackMuted(String),
    /// The state that the agent reports: at its arrival, and on every change. With several agents,
    /// the state of the busiest one.
    AgentState(AgentState),
    /// The last agent participant left.
    AgentLeft,
}

/// An audio track that may be the agent's voice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AgentStream {
    /// Server-assigned id.
    pub sid: String,
    /// Name that the publisher gave to the track.
    pub name: String,
    /// Identity of the publisher.
    pub identity: String,
    /// The publisher's kind, by its name in LiveKit's protocol.
    pub kind: &'static str,
    /// The track's source, by its name in LiveKit's protocol.
    pub source: &'static str,
    /// Whether the publisher has muted the track.
    pub muted: bool,
}

impl AgentStream {
    /// A description of the track. The publisher's text is not sanitized.
    pub(super) fn label(&self) -> String {
        format!(
            "`{}` of `{}` (kind {}, source {})",
            self.name, self.identity, self.kind, self.source
        )
    }
}

/// The scenario's choice of the agent. Without a choice, kinds and sources decide.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AgentChoice {
    /// Name (or server-assigned id) of the agent's track.
    pub track: Option<String>,
    /// The agent's participant identity.
    pub identity: Option<String>,
}

/// An agent that left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Departed {
    pub identity: String,
    /// How long the agent was in the room while we were there.
    pub stayed: Duration,
    /// LiveKit's name for the reason.
    pub reason: &'static str,
}

/// The state of the room, used to explain why no agent audio is received.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Identities of the agents in the room.
    pub agents: Vec<String>,
    /// The agents' audio tracks, including those that cannot be a voice. If the scenario specifies
    /// a track and no identity, the audio tracks of all participants.
    pub tracks: Vec<AgentStream>,
    /// Tracks that may be the agent's voice but to which the server has assigned no section.
    pub unplaced: Vec<AgentStream>,
    /// Participants that are not agents, with their kinds.
    pub others: Vec<(String, &'static str)>,
    /// The most recently departed agent.
    pub departed: Option<Departed>,
}

/// An agent that has been reported.
#[derive(Debug)]
struct Agent {
    sid: String,
    state: Option<AgentState>,
    since: Instant,
}

/// Tracks the state of a room and reports changes that concern the agent.
#[derive(Debug)]
pub(super) struct Voices {
    choice: AgentChoice,
    roster: Roster,
    /// Participants of kind STANDARD that were present alongside an agent: they do not count as the
    /// agent after it has left.
    bystanders: HashSet<String>,
    agents: Vec<Agent>,
    /// The last reported combined state of all agents.
    state: Option<AgentState>,
    streams: Vec<(AgentStream, Section)>,
    /// Sections that carry a track other than the agent's voice.
    ignored: HashSet<Section>,
    departed: Option<Departed>,
    notice: Option<String>,
    noticed: bool,
}

impl Voices {
    pub(super) fn new(choice: AgentChoice) -> Self {
        Self {
            choice,
            roster: Roster::default(),
            bystanders: HashSet::new(),
            agents: Vec::new(),
            state: None,
            streams: Vec::new(),
            ignored: HashSet::new(),
            departed: None,
            notice: None,
            noticed: false,
        }
    }

    /// All participants kept, for the fuzz targets.
    #[cfg(any(test, fuzzing))]
    pub(super) fn present(&self) -> &[Participant] {
        self.roster.present()
    }

    /// Handles participants that arrived, changed or left.
    pub(super) fn participants(&mut self, all: Vec<Presence>, now: Instant) -> Vec<RoomEvent> {
        for presence in all {
            let reason = match &presence {
                Presence::Left { reason, .. } => *reason,
                Presence::Here(_) => "",
            };
            let Some(gone) = self.roster.update(presence) else {
                continue;
            };
            self.bystanders.remove(&gone.sid);
            if let Some(agent) = self.agents.iter().find(|a| a.sid == gone.sid) {
                self.departed = Some(Departed {
                    stayed: now.saturating_duration_since(agent.since),
                    identity: gone.identity,
                    reason,
                });
            }
        }
        self.look(now)
    }

    /// Handles the tracks that the sections of a transport currently carry, by section.
    pub(super) fn sections(
        &mut self,
        transport: usize,
        tracks: HashMap<String, String>,
        now: Instant,
    ) -> Vec<RoomEvent> {
        self.roster.place(transport, tracks);
        self.look(now)
    }

    /// Sections that have newly been found to carry a track other than the agent's voice.
    pub(super) fn newly_ignored(&mut self) -> Vec<Section> {
        let wanted = |s: &Section| self.streams.iter().any(|(_, section)| section == s);
        let placed = self.roster.placed().map(|(.., section)| section);
        let ignored: HashSet<Section> = placed.filter(|s| !wanted(s)).cloned().collect();
        let new = ignored.difference(&self.ignored).cloned().collect();
        self.ignored = ignored;
        new
    }

    /// Takes the notice that several tracks may be the agent's voice; there is at most one.
    pub(super) fn take_notice(&mut self) -> Option<String> {
        self.notice.take()
    }

    /// The current state of the room.
    pub(super) fn seen(&self) -> Seen {
        let agents = self.agents();
        let is_agent = |p: &Participant| agents.iter().any(|a| a.sid == p.sid);
        let present = self.roster.present();
        let everybody = self.choice.track.is_some() && self.choice.identity.is_none();
        let shown = present.iter().filter(|p| everybody || is_agent(p));
        let voices = self.voices().into_iter();
        let unplaced = voices.filter(|(_, t)| self.roster.section(&t.sid).is_none());
        Seen {
            agents: agents.iter().map(|a| a.identity.clone()).collect(),
            tracks: shown
                .flat_map(|p| p.tracks.iter().map(move |t| stream(p, t)))
                .collect(),
            unplaced: unplaced.map(|(p, t)| stream(p, t)).collect(),
            others: present
                .iter()
                .filter(|p| !is_agent(p))
                .map(|p| (p.identity.clone(), p.kind.label()))
                .collect(),
            departed: self.departed.clone(),
        }
    }

    /// The participants that currently count as agents, in order of arrival.
    fn agents(&self) -> Vec<&Participant> {
        let present = self.roster.present().iter();
        if let Some(identity) = &self.choice.identity {
            return present.filter(|p| p.identity == *identity).collect();
        }
        let certain = self.roster.present().iter().any(is_agent_by_kind);
        let may_be = |p: &Participant| {
            p.kind == ParticipantKind::Standard && !self.bystanders.contains(&p.sid)
        };
        let is_agent = |p: &&Participant| {
            let by_kind = if certain {
                is_agent_by_kind(p)
            } else {
                may_be(p)
            };
            by_kind || p.tracks.iter().any(|t| self.is_chosen(t))
        };
        present.filter(is_agent).collect()
    }

    /// Whether the participant with this identity currently counts as an agent.
    pub(super) fn is_agent(&self, identity: &str) -> bool {
        self.agents().iter().any(|agent| agent.identity == identity)
    }

    /// Whether the scenario specifies this track.
    fn is_chosen(&self, track: &Track) -> bool {
        let chosen = self.choice.track.as_ref();
        chosen.is_some_and(|name| track.name == *name || track.sid == *name)
    }

    /// The tracks that may be the agent's voice, with their publishers.
    fn voices(&self) -> Vec<(&Participant, &Track)> {
        let agents = self.agents().into_iter();
        let of = |p| {
            let tracks = match self.choice.track {
                Some(_) => self.chosen(p),
                None => spoken(p),
            };
            tracks.into_iter().map(move |t| (p, t))
        };
        agents.flat_map(of).collect()
    }

    fn chosen<'a>(&self, p: &'a Participant) -> Vec<&'a Track> {
        p.tracks.iter().filter(|t| self.is_chosen(t)).collect()
    }

    /// Reports what has changed since `look` was last called.
    fn look(&mut self, now: Instant) -> Vec<RoomEvent> {
        let mut events = Vec::new();
        self.look_at_tracks(&mut events);
        self.look_at_agents(now, &mut events);
        self.note_bystanders();
        // An agent is reported before its tracks, and the end of its tracks before its departure.
        events.sort_by_key(|event| match event {
            RoomEvent::TrackGone(_) | RoomEvent::TrackMuted(_) => 0,
            RoomEvent::Track(..) => 2,
            _ => 1,
        });
        events
    }

    fn look_at_tracks(&mut self, events: &mut Vec<RoomEvent>) {
        let voices = self.voices().into_iter();
        // A server may list a track twice, or under two participants; the track still counts once.
        let mut seen = HashSet::new();
        let wanted: Vec<(AgentStream, Section)> = voices
            .filter_map(|(p, t)| Some((stream(p, t), self.roster.section(&t.sid)?.clone())))
            .filter(|(stream, _)| seen.insert(stream.sid.clone()))
            .collect();
        let is_same = |a: &(AgentStream, Section), b: &(AgentStream, Section)| {
            a.0.sid == b.0.sid && a.1 == b.1
        };
        for told in &self.streams {
            let sid = told.0.sid.clone();
            match wanted.iter().find(|w| is_same(w, told)) {
                None => events.push(RoomEvent::TrackGone(sid)),
                Some((now, _)) if now.muted && !told.0.muted => {
                    events.push(RoomEvent::TrackMuted(sid));
                }
                Some(_) => {}
            }
        }
        for new in &wanted {
            if !self.streams.iter().any(|told| is_same(told, new)) {
                let (stream, section) = new.clone();
                events.push(RoomEvent::Track(stream, section));
            }
        }
        // A republished track has the same name as the track that it replaces, so the two count
        // once.
        let labels: HashSet<_> = wanted.iter().map(|(s, _)| (&s.identity, &s.name)).collect();
        if labels.len() > 1 && !self.noticed {
            self.noticed = true;
            self.notice = Some(several(wanted.iter().map(|(stream, _)| stream)));
        }
        self.streams = wanted;
    }

    fn look_at_agents(&mut self, now: Instant, events: &mut Vec<RoomEvent>) {
        let found: Vec<(String, String, Option<AgentState>)> = self
            .agents()
            .into_iter()
            .map(|p| (p.sid.clone(), p.identity.clone(), p.state))
            .collect();
        let before = std::mem::take(&mut self.agents);
        if !before.is_empty() && found.is_empty() {
            events.push(RoomEvent::AgentLeft);
        }
        for (sid, identity, state) in found {
            let known = before.iter().find(|a| a.sid == sid);
            if known.is_none() {
                events.push(RoomEvent::AgentPresent(identity));
            }
            // If the state is no longer reported, keep the last reported state.
            let last = known.and_then(|a| a.state);
            self.agents.push(Agent {
                sid,
                state: state.or(last),
                since: known.map_or(now, |a| a.since),
            });
        }
        let state = busiest(self.agents.iter().filter_map(|a| a.state));
        if let Some(state) = state.filter(|state| Some(*state) != self.state) {
            events.push(RoomEvent::AgentState(state));
        }
        self.state = state;
    }

    fn note_bystanders(&mut self) {
        let present = self.roster.present().iter();
        if self.agents().iter().any(|p| is_agent_by_kind(p)) {
            let standard = present.filter(|p| p.kind == ParticipantKind::Standard && !p.on_behalf);
            let sids: Vec<String> = standard.map(|p| p.sid.clone()).collect();
            self.bystanders.extend(sids);
        }
    }
}

/// The combined state of several agents, as perceived by a caller that hears all of them: speaking
/// outranks thinking, and thinking outranks listening.
fn busiest(states: impl Iterator<Item = AgentState>) -> Option<AgentState> {
    states.max_by_key(|state| match state {
        AgentState::Initializing => 0,
        AgentState::Idle => 1,
        AgentState::Listening => 2,
        AgentState::Thinking => 3,
        AgentState::Speaking => 4,
    })
}

fn is_agent_by_kind(p: &Participant) -> bool {
    p.kind == ParticipantKind::Agent || p.on_behalf
}

/// The tracks of an agent that may be its voice: its microphones or, if there are none, its tracks
/// of unknown source.
fn spoken(p: &Participant) -> Vec<&Track> {
    let of = |source: TrackSource| -> Vec<&Track> {
        let voices = p.tracks.iter().filter(|t| t.name != BACKGROUND_AUDIO);
        voices.filter(|t| t.source == source).collect()
    };
    match of(TrackSource::Microphone) {
        none if none.is_empty() => of(TrackSource::Unknown),
        microphones => microphones,
    }
}

fn stream(p: &Participant, t: &Track) -> AgentStream {
    AgentStream {
        sid: t.sid.clone(),
        name: t.name.clone(),
        identity: p.identity.clone(),
        kind: p.kind.label(),
        source: t.source.label(),
        muted: t.muted,
    }
}

/// The notice that there are several tracks, with advice on how to choose one.
fn several<'a>(streams: impl ExactSizeIterator<Item = &'a AgentStream>) -> String {
    let count = streams.len();
    let named: Vec<String> = streams.take(NAMED).map(|s| printable(&s.label())).collect();
    format!(
        "{count} audio tracks may be the agent's voice: {}; `call.agent_track` or `call.agent_identity` chooses one",
        named.join(", ")
    )
}

#[cfg(test)]
mod tests;
