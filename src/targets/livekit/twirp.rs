//! Requests to a server's API (Twirp: protobuf messages over HTTP).
//!
//! In: a method, its grants, a request. Out: the response's bytes, or the server's refusal.
//! Invariants: each request has its own token, which is valid for two minutes and grants only what
//! the request needs; the size of a response is bounded; no redirect is followed.

use super::tls;
use super::token::Credentials;
use super::wire;
use crate::vocab::Address;
use livekit_api::access_token::VideoGrants;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use std::time::Duration;

/// Longest refusal that is read, in bytes.
const REFUSAL: usize = 64 << 10;

/// Why a request has no response.
#[derive(Debug, thiserror::Error)]
pub(super) enum TwirpError {
    /// The request cannot be signed.
    #[error("{0}")]
    Unsigned(String),
    /// The server cannot be reached, or does not respond in time.
    #[error("failed to execute the request: {0}")]
    Request(#[from] reqwest::Error),
    /// The server refuses the request.
    #[error("server error: {code}: {message}")]
    Refused {
        /// Twirp's name for the error, or the HTTP status.
        code: String,
        /// The server's message.
        message: String,
    },
    /// The response has more than this number of bytes.
    #[error("an answer of more than {0} bytes")]
    TooLong(usize),
    /// The response does not have the expected form.
    #[error(transparent)]
    Unfit(#[from] wire::Unfit),
}

impl TwirpError {
    /// Whether the object of the request does not exist on the server.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "not_found")
    }
}

/// A Twirp error as servers send it.
#[derive(Deserialize)]
struct Refusal {
    code: String,
    #[serde(default)]
    msg: String,
}

/// One service of a server's API.
pub(super) struct Twirp {
    client: Client,
    base: String,
    credentials: Credentials,
}

impl Twirp {
    /// The service `service` at `address`; `limit`: time limit of one request.
    pub(super) fn new(
        service: &str,
        address: &Address,
        credentials: &Credentials,
        limit: Duration,
    ) -> Self {
        let builder = Client::builder().redirect(Policy::none()).timeout(limit);
        let config = tls::config();
        let builder = builder.tls_backend_preconfigured((*config).clone());
        Self {
            client: builder
                .build()
                .expect("a client with a finished TLS configuration"),
            base: format!("{}/twirp/livekit.{service}", address.http()),
            credentials: credentials.clone(),
        }
    }

    /// Sends a request with a token that allows `grants`; returns the response, which has at most
    /// `most` bytes.
    ///
    /// # Errors
    /// The server cannot be reached, refuses the request, or responds with more bytes.
    pub(super) async fn ask(
        &self,
        method: &str,
        grants: VideoGrants,
        request: &impl prost::Message,
        most: usize,
    ) -> Result<Vec<u8>, TwirpError> {
        let token = self.credentials.sign_request(grants);
        let token = token.map_err(|e| TwirpError::Unsigned(e.to_string()))?;
        let response = self
            .client
            .post(format!("{}/{method}", self.base))
            .header(CONTENT_TYPE, "application/protobuf")
            .bearer_auth(token)
            .body(request.encode_to_vec())
            .send()
            .await?;
        match response.status() {
            StatusCode::OK => body(response, most).await,
            status => Err(refused(status, &body(response, REFUSAL).await?)),
        }
    }
}

/// Reads a body of at most `most` bytes.
async fn body(mut response: Response, most: usize) -> Result<Vec<u8>, TwirpError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > most {
            return Err(TwirpError::TooLong(most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn refused(status: StatusCode, body: &[u8]) -> TwirpError {
    match serde_json::from_slice::<Refusal>(body) {
        Ok(Refusal { code, msg }) => TwirpError::Refused { code, message: msg },
        Err(_) => TwirpError::Refused {
            code: status.to_string(),
            message: String::from_utf8_lossy(body).into_owned(),
        },
    }
}

#[cfg(test)]
mod tests;
