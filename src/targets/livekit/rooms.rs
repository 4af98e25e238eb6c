//! The server's room API: lists and deletes rooms.
//!
//! In: room names. Out: the server's responses. Invariant: only rooms with our own prefixes are
//! deleted.

use super::signal::printable;
use super::token::Credentials;
use super::twirp::{Twirp, TwirpError};
use super::wire;
use crate::vocab::Address;
use livekit_api::access_token::VideoGrants;
use livekit_protocol as proto;
use std::time::Duration;

/// Time limit of one API call.
const CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// Longest room list that is read, in bytes: enough for tens of thousands of rooms.
const LIST: usize = 16 << 20;
/// Maximum number of our rooms taken from one list; later lists contain the others.
const AT_MOST: usize = 10_000;
/// Maximum number of concurrent deletions.
const AT_ONCE: usize = 16;

/// Field numbers: a room in the list, and the room's name.
const ROOM: u32 = 1;
const NAME: u32 = 2;

/// The room API cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the room API of {address} refused: {detail}")]
pub(super) struct RoomsError {
    address: String,
    detail: String,
}

/// The rooms of a server.
pub(super) struct Rooms {
    client: Twirp,
    address: String,
}

impl Rooms {
    /// The rooms of the server at `address`.
    pub(super) fn new(address: &Address, credentials: &Credentials) -> Self {
        Self {
            client: Twirp::new("RoomService", address, credentials, CALL_TIMEOUT),
            address: address.to_string(),
        }
    }

    fn refused(&self, e: &TwirpError) -> RoomsError {
        RoomsError {
            address: self.address.clone(),
            detail: printable(&e.to_string()),
        }
    }

    /// Names of the rooms whose name begins with `prefix`.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<String>, RoomsError> {
        let grants = VideoGrants {
            room_list: true,
            ..Default::default()
        };
        let request = proto::ListRoomsRequest::default();
        let all = self.client.ask("ListRooms", grants, &request, LIST).await;
        let all = all.map_err(|e| self.refused(&e))?;
        names(&all, prefix).map_err(|e| self.refused(&e.into()))
    }

    /// Deletes rooms, several at a time. A room that no longer exists counts as deleted. Returns
    /// the names of the rooms that could not be deleted.
    pub(super) async fn delete(&self, rooms: &[String]) -> Vec<String> {
        let mut left = Vec::new();
        for batch in rooms.chunks(AT_ONCE) {
            let done = batch.iter().map(|room| self.delete_one(room));
            let done = futures_util::future::join_all(done).await;
            let failed = batch.iter().zip(done).filter(|(_, deleted)| !deleted);
            left.extend(failed.map(|(room, _)| room.clone()));
        }
        left
    }

    /// Deletes one room; returns whether the room no longer exists.
    pub(super) async fn delete_one(&self, room: &str) -> bool {
        let grants = VideoGrants {
            room_create: true,
            ..Default::default()
        };
        let request = proto::DeleteRoomRequest {
            room: room.to_owned(),
        };
        match self.client.ask("DeleteRoom", grants, &request, LIST).await {
            Ok(_) => true,
            Err(e) => e.is_not_found(),
        }
    }
}

/// The room names in a server's list that begin with `prefix`. The list is not decoded, because it
/// has all rooms of the server with all of their properties.
fn names(list: &[u8], prefix: &str) -> Result<Vec<String>, wire::Unfit> {
    let mut ours = Vec::new();
    for room in wire::contents(list, ROOM) {
        let name = wire::contents(room?, NAME).last().transpose()?;
        let name = String::from_utf8_lossy(name.unwrap_or_default());
        if name.starts_with(prefix) && ours.len() < AT_MOST {
            ours.push(name.into_owned());
        }
    }
    Ok(ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    #[test]
    fn a_room_list_yields_a_bounded_number_of_our_rooms() {
        let room = |name: String| proto::Room {
            sid: "RM_1".into(),
            metadata: "run-1".into(),
            name,
            ..Default::default()
        };
        let list = |count: usize| {
            let ours = (0..count).map(|n| room(format!("run-1-{n}")));
            let rooms = ours.chain([room("run-2-0".into()), room(String::new())]);
            let all = proto::ListRoomsResponse {
                rooms: rooms.collect(),
            };
            all.encode_to_vec()
        };
        let found = names(&list(2), "run-1-").expect("a list");
        assert_eq!(found, ["run-1-0", "run-1-1"]);
        let found = names(&list(AT_MOST + 1), "run-1-").expect("a list");
        assert_eq!(found.len(), AT_MOST);
        assert_eq!(names(&[], "run-1-"), Ok(Vec::new()));
        // A truncated list is not mistaken for a short one.
        let whole = list(2);
        let cut = names(&whole[..whole.len() - 1], "run-1-");
        assert_eq!(cut, Err(wire::Unfit::Malformed));
    }
}
