//! Requests to the live metrics server.
//!
//! In: the bytes that a client sends. Properties: at most one response, which is complete and has a
//! status that the server uses; only the path of the metrics returns metrics.

use super::planted::planted;
use crate::cli::live::{Site, answered};
use crate::report::prometheus::PrometheusMetrics;
use std::cell::LazyCell;
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static SERVER: LazyCell<(Runtime, Site)> = const { LazyCell::new(|| {
        let runtime = Builder::new_current_thread().enable_time().build();
        let metrics = PrometheusMetrics::new("scenario", "target", "0", &["default"]);
        (runtime.expect("a runtime"), Site::Metrics(metrics.into()))
    }) };
}

/// The statuses that the server and its library use.
const STATUSES: [&str; 7] = ["200", "400", "404", "405", "414", "421", "431"];

pub(super) fn run(bytes: &[u8]) {
    let answer = SERVER.with(|server| {
        let (runtime, site) = &**server;
        runtime.block_on(answered(bytes, site))
    });
    if answer.is_empty() {
        return;
    }
    let answer = String::from_utf8(answer).expect("our texts are UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).unwrap_or_default();
    let known = STATUSES.contains(&status) || status == "100" && body.starts_with("HTTP/1.1 ");
    assert!(known, "{head}");
    assert!(
        !body.contains("HTTP/1.") || status == "100",
        "a second answer: {answer}"
    );
    let metrics = body.ends_with("# EOF\n");
    let asked = bytes.windows(8).any(|part| part == b"/metrics");
    assert!(!metrics || asked, "the metrics were not requested");
    let declared = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    if let Some(declared) = declared {
        let head_only = bytes.windows(4).any(|part| part == b"HEAD");
        let whole = declared.parse() == Ok(body.len());
        assert!(
            whole || head_only && body.is_empty(),
            "{declared} of {}",
            body.len()
        );
    }
    planted([metrics, head.starts_with("HTTP/1.0")]);
}
