//! Maps errors of the media engine to failures of a call through a LiveKit room.

use super::cause::Cause;
use super::signal;
use crate::call::Failure;
use crate::net::NetError;

/// The failure of the call that a media error causes.
pub(super) fn media_failure(e: NetError) -> Failure {
    match e {
        NetError::Description(_) | NetError::UnexpectedAnswer => Failure::from(Cause::NotLiveKit {
            detail: signal::printable(&e.to_string()),
        }),
        NetError::Excess { .. } => Failure::from(Cause::TooMuch {
            detail: e.to_string(),
        }),
        other => Failure::Generator {
            detail: other.to_string(),
        },
    }
}
