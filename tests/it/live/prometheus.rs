//! A real Prometheus (`scripts/prometheus`) that scrapes one address twice a second.
//!
//! In: the address, PromQL. Out: values. Invariants: Prometheus listens on loopback, keeps its data
//! in a temporary folder, and ends when the value is dropped.

use crate::support::{Process, free_tcp_port, in_repo, poll};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Maximum wait for values that take several scrapes.
const PATIENCE: Duration = Duration::from_secs(40);

pub(super) struct Prometheus {
    // Declared first, so that the process ends before its folder is deleted.
    _process: Process,
    _dir: TempDir,
    address: String,
}

/// `GET`: the status and the body.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("a listener");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // With HTTP/1.0 the response ends with the connection and is not chunked.
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n").expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    (status.expect("a status"), body.to_owned())
}

fn encoded(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

impl Prometheus {
    pub(super) fn scraping(target: &str) -> Self {
        let fetched = Command::new(in_repo("scripts/prometheus")).output();
        let fetched = fetched.expect("bash");
        assert!(
            fetched.status.success(),
            "{}",
            String::from_utf8_lossy(&fetched.stderr)
        );
        let dir = TempDir::with_prefix("prometheus-").expect("a temporary folder");
        let config = format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}\n\
             scrape_configs:\n  - job_name: loadgen\n    \
             static_configs: [{{targets: ['{target}']}}]\n"
        );
        let file = dir.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("writable");
        let address = format!("127.0.0.1:{}", free_tcp_port());
        let mut command = Command::new(in_repo("target/prometheus"));
        command
            .current_dir(dir.path())
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"));
        let prometheus = Self {
            _process: Process::spawn("prometheus", command, false),
            _dir: dir,
            address,
        };
        let ready = poll(PATIENCE, || {
            TcpStream::connect(&prometheus.address).ok()?;
            (get(&prometheus.address, "/-/ready").0 == 200).then_some(())
        });
        ready.expect("Prometheus starts");
        prometheus
    }

    /// The current values of an expression; panics if it does not parse.
    pub(super) fn query(&self, expression: &str) -> Vec<f64> {
        let path = format!("/api/v1/query?query={}", encoded(expression));
        let (status, body) = get(&self.address, &path);
        assert_eq!(status, 200, "{expression}: {body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(answer["status"], "success", "{expression}: {body}");
        let series = answer["data"]["result"].as_array().expect("a vector");
        series
            .iter()
            .map(|s| {
                s["value"][1]
                    .as_str()
                    .and_then(|v| v.parse().ok())
                    .expect("a value")
            })
            .collect()
    }

    /// Waits until an expression has exactly one value and `good` accepts it.
    pub(super) fn wait_until(&self, expression: &str, good: impl Fn(f64) -> bool) {
        let mut last = Vec::new();
        let met = poll(PATIENCE, || {
            last = self.query(expression);
            (last.len() == 1 && good(last[0])).then_some(())
        });
        met.unwrap_or_else(|| panic!("{expression} stays {last:?}"));
    }
}
