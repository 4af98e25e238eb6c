//! The server's room API: lists and deletes rooms.
//!
//! In: room names. Out: what the server says. Invariant: only rooms named by us are deleted.

use super::address::Address;
use super::signal::printable;
use super::token::Credentials;
use livekit_api::services::room::RoomClient;
use livekit_api::services::{ServerError, ServerErrorCode, ServiceError};
use std::time::Duration;

/// Time limit of one API call.
const CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// Maximum concurrent deletions.
const AT_ONCE: usize = 16;

/// The room API cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the room API of {address} refused: {detail}")]
pub(super) struct RoomsError {
    address: String,
    detail: String,
}

/// The rooms of a server.
pub(super) struct Rooms {
    client: RoomClient,
    address: String,
}

impl Rooms {
    /// The rooms of the server at `address`.
    pub(super) fn new(address: &Address, credentials: &Credentials) -> Self {
        let client =
            RoomClient::with_api_key(&address.http(), credentials.key(), credentials.secret())
                .with_failover(false)
                .with_request_timeout(CALL_TIMEOUT);
        Self {
            client,
            address: address.to_string(),
        }
    }

    fn refused(&self, e: &ServiceError) -> RoomsError {
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
        let all = self.client.list_rooms(Vec::new()).await;
        let all = all.map_err(|e| self.refused(&e))?;
        Ok(all
            .into_iter()
            .map(|r| r.name)
            .filter(|n| n.starts_with(prefix))
            .collect())
    }

    /// Deletes rooms, several at a time; a room that is already gone counts as deleted. Returns
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

    /// Deletes one room; returns whether it is gone.
    pub(super) async fn delete_one(&self, room: &str) -> bool {
        match self.client.delete_room(room).await {
            Ok(()) => true,
            Err(ServiceError::Twirp(ServerError::Twirp(e))) => e.code == ServerErrorCode::NOT_FOUND,
            Err(_) => false,
        }
    }
}
