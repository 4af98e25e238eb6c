//! Reads the values of a Prometheus endpoint.
//!
//! In: a URL, and the names of the wanted series. Out: their values, or why there are none.
//! Invariants: no redirect is followed and no proxy is used; the size of a response is bounded; no
//! message contains the URL.

use super::exposition::{self, Values};
use super::source::{LONGEST, Source, TOO_SLOW};
use crate::targets::livekit::tls_config;
use reqwest::header::ACCEPT;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use std::collections::BTreeSet;

/// Largest response that is read, in bytes.
const LARGEST: usize = 1 << 20;
/// The accepted formats; every endpoint offers the first one.
const FORMATS: &str = "text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0;q=0.5";

pub(super) struct Endpoint<'a> {
    client: Client,
    url: &'a str,
    wanted: &'a BTreeSet<String>,
}

impl<'a> Endpoint<'a> {
    pub(super) fn new(url: &'a str, wanted: &'a BTreeSet<String>) -> Self {
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(LONGEST)
            .tls_backend_preconfigured((*tls_config()).clone())
            .build()
            .expect("a client with a finished TLS configuration");
        Self {
            client,
            url,
            wanted,
        }
    }
}

impl Source for Endpoint<'_> {
    async fn read(&mut self) -> Result<Values, String> {
        let request = self.client.get(self.url).header(ACCEPT, FORMATS);
        let response = request.send().await.map_err(|e| why(&e))?;
        if response.status() != StatusCode::OK {
            return Err(format!("HTTP status {}", response.status().as_u16()));
        }
        let body = body(response).await?;
        let read = exposition::read(&body, self.wanted);
        read.ok_or_else(|| "the answer is not in Prometheus's text format".to_owned())
    }
}

async fn body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| why(&e))? {
        if body.len() + chunk.len() > LARGEST {
            return Err(format!("an answer of more than {} MiB", LARGEST >> 20));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Why a request failed. The error's own text is not used because it contains the URL.
fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        TOO_SLOW.to_owned()
    } else if error.is_connect() {
        "no connection".to_owned()
    } else {
        "the connection was closed before the answer was complete".to_owned()
    }
}
