//! Negotiates a session's media: offers, answers, candidates, and the track of each section.
//!
//! In: the server's offers, answers and candidates. Out: our offers, answers and candidates.
//! Invariants: at most one of our offers is outstanding; the number of sections that a server can
//! request is bounded.

use super::media_failure::media_failure;
use super::session::{LiveSession, PUBLISHER, SUBSCRIBER};
use super::signal::{self, Request};
use crate::call::Failure;
use crate::net::{Endpoint, Topology, tracks_by_mid};
use crate::targets::examination::{LinkFact, candidates_of};
use livekit_protocol as proto;
use std::collections::HashMap;

/// Maximum number of sections offered at a server's request; one for each track in a room.
const MAX_SECTIONS: u32 = 64;

/// The tracks that a description's sections carry. Current servers list them next to the
/// description, older servers only inside it.
pub(super) fn tracks_of(description: &mut proto::SessionDescription) -> HashMap<String, String> {
    match std::mem::take(&mut description.mid_to_track_id) {
        none if none.is_empty() => tracks_by_mid(&description.sdp),
        told => told,
    }
}

/// The candidate of a trickle message, in the form used in descriptions; empty if there is none.
pub(super) fn candidate_of(t: &proto::TrickleRequest) -> String {
    let init: serde_json::Value = serde_json::from_str(&t.candidate_init).unwrap_or_default();
    init["candidate"].as_str().unwrap_or_default().to_owned()
}

impl<E: Endpoint> LiveSession<'_, E> {
    /// Announces our track and offers it, on the older signalling path.
    pub(super) async fn begin_v0(&mut self, cid: &str) -> Result<(), Failure> {
        self.socket
            .request(Request::AddTrack(signal::microphone(cid)))
            .await?;
        let cid = cid.to_owned();
        let offer = self
            .peer
            .with(move |p, now| {
                p.transport(PUBLISHER, now)?
                    .offer(&cid, Topology::Publisher)
            })
            .await
            .and_then(|r| r)
            .map_err(media_failure)?;
        let offer = signal::description("offer", offer, self.offers);
        self.socket.request(Request::Offer(offer)).await
    }

    pub(super) async fn on_answer(
        &mut self,
        mut answer: proto::SessionDescription,
    ) -> Result<(), Failure> {
        let tracks = tracks_of(&mut answer);
        let sdp = answer.sdp;
        self.learn_candidates(&sdp).await?;
        self.peer
            .with(move |p, now| p.answered(now, &sdp))
            .await
            .and_then(|r| r)
            .map_err(media_failure)?;
        if self.single {
            self.sections(PUBLISHER, tracks).await?;
        }
        if let Some(n) = self.sections_wanted.take() {
            return self.reoffer(n).await;
        }
        match self.track_wanted.take() {
            Some(cid) => self.republish(cid).await,
            None => Ok(()),
        }
    }

    /// Unpublishes our track and publishes it again, with this client id.
    pub(super) async fn republish(&mut self, cid: String) -> Result<(), Failure> {
        let track = cid.clone();
        let offer = self
            .peer
            .with(move |p, now| p.transport(PUBLISHER, now)?.republish(&track))
            .await
            .and_then(|r| r)
            .map_err(media_failure)?;
        let Some(offer) = offer else {
            self.track_wanted = Some(cid);
            return Ok(());
        };
        let announced = Request::AddTrack(signal::microphone(&cid));
        self.socket.request(announced).await?;
        self.offers += 1;
        let offer = signal::description("offer", offer, self.offers);
        self.socket.request(Request::Offer(offer)).await
    }

    /// Answers the server's offer on the subscribing connection.
    pub(super) async fn on_offer(
        &mut self,
        mut offer: proto::SessionDescription,
    ) -> Result<(), Failure> {
        let tracks = tracks_of(&mut offer);
        let sdp = offer.sdp;
        let answer = self
            .peer
            .with(move |p, now| p.transport(SUBSCRIBER, now)?.accept(&sdp))
            .await
            .and_then(|r| r)
            .map_err(media_failure)?;
        let answer = signal::description("answer", answer, offer.id);
        self.socket.request(Request::Answer(answer)).await?;
        self.sections(SUBSCRIBER, tracks).await
    }

    pub(super) async fn on_trickle(&mut self, t: &proto::TrickleRequest) -> Result<(), Failure> {
        let target = proto::SignalTarget::Subscriber as i32;
        let transport = if !self.single && t.target == target {
            SUBSCRIBER
        } else {
            PUBLISHER
        };
        let line = candidate_of(t);
        self.learn_candidates(&line).await?;
        self.peer
            .with(move |p, now| p.transport(transport, now).map(|t| t.candidate(&line)))
            .await
            .and_then(|r| r)
            .map(|_| ())
            .map_err(media_failure)
    }

    /// Reports the candidates of a description, or one by itself, if the owner asks for them.
    async fn learn_candidates(&mut self, text: &str) -> Result<(), Failure> {
        let found = candidates_of(text);
        let found = (!found.is_empty()).then_some(LinkFact::Candidates(found));
        self.learn(found).await
    }

    pub(super) async fn reoffer(&mut self, sections: u32) -> Result<(), Failure> {
        let sections = sections.min(MAX_SECTIONS);
        let offer = self
            .peer
            .with(move |p, now| p.transport(PUBLISHER, now)?.reoffer(sections))
            .await
            .and_then(|r| r)
            .map_err(media_failure)?;
        let Some(offer) = offer else {
            let before = self.sections_wanted.unwrap_or(0);
            self.sections_wanted = Some(before.max(sections));
            return Ok(());
        };
        self.offers += 1;
        let offer = signal::description("offer", offer, self.offers);
        self.socket.request(Request::Offer(offer)).await
    }
}
