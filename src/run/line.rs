//! Passes the events of a call's connection on to its caller.
//!
//! In: the events of a connection. Out: the caller's inputs, in the same order; messages to the
//! user. Invariant: the caller is informed of a track before that track's audio arrives.

use super::caller::CallerEnd;
use crate::call::Failure;
use crate::targets::{CallerHandle, Connection, Event};

/// Passes an event on; if the event is a message to the user, returns that message. `None` means
/// that the connection ended without a reason.
pub(super) async fn pass_on(
    handle: &dyn CallerHandle<CallerEnd>,
    connection: &mut dyn Connection,
    event: Option<Event>,
) -> Option<String> {
    let closed = Failure::Dropped {
        detail: "the session ended".into(),
    };
    // A caller that no longer exists needs no events.
    match event.unwrap_or(Event::Closed(closed)) {
        Event::Joined => {
            handle
                .with(|caller, at| caller.joined(at.now, at.slot))
                .await;
        }
        Event::AgentPresent { .. } => {
            handle.with(|caller, at| caller.agent_present(at.now)).await;
        }
        Event::AgentTrack { track, name } => {
            handle.post(Box::new(move |caller, at| {
                caller.agent_track(at.now, track, name);
            }));
            connection.listen(track);
        }
        Event::AgentTrackGone(track) => {
            connection.stop_listening(track);
            handle
                .with(move |caller, at| caller.agent_track_gone(at.now, track))
                .await;
        }
        Event::AgentTrackMuted(track) => {
            handle
                .with(move |caller, at| caller.agent_track_muted(at.now, track))
                .await;
        }
        Event::AgentState(state) => {
            handle
                .with(move |caller, at| caller.agent_state(at.now, state))
                .await;
        }
        Event::TextSent { turn, at: sent } => {
            handle
                .with(move |caller, at| caller.text_sent(at.now, turn, sent))
                .await;
        }
        Event::ReplyText(text) => {
            handle
                .with(move |caller, at| caller.reply_text(at.now, text))
                .await;
        }
        Event::AgentLeft => {
            handle.with(|caller, at| caller.agent_left(at.now)).await;
        }
        Event::Rated(rating) => {
            handle.post(Box::new(move |caller, _| caller.rated(rating)));
        }
        // The caller does not use claims; `CallClaims` matches them to its turns.
        Event::Claim(_) => {}
        Event::Notice(text) => return Some(text),
        Event::Closed(failure) => fail(handle, failure).await,
    }
    None
}

/// Informs the caller that its call has failed.
pub(super) async fn fail(handle: &dyn CallerHandle<CallerEnd>, failure: Failure) {
    handle
        .with(|caller, at| caller.failed(at.now, failure))
        .await;
}
