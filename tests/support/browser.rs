//! A headless Chromium, driven over its DevTools protocol.
//!
//! In: the address of a page. Out: the results of scripts in it, and its errors and warnings.
//! Invariants: the browser has its own profile and no network but loopback; it ends when dropped.

use super::process::Stream;
use super::{Process, poll};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::stream::MaybeTlsStream;
use tokio_tungstenite::tungstenite::{Message, WebSocket, connect};

/// Maximum time for a page to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Maximum time for the browser to start: its files may have to be read from disk while the machine
/// is compiling.
const START: Duration = Duration::from_secs(90);

/// A browser with one page.
pub struct Browser {
    // Declared first, so that the process ends before its profile is deleted.
    _process: Process,
    _profile: TempDir,
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    session: Option<String>,
    asked: u64,
    complaints: Vec<String>,
}

impl Browser {
    /// Starts the browser, which `scripts/setup` installs.
    pub fn start() -> Self {
        let profile = TempDir::with_prefix("chromium-").expect("a temporary directory");
        let mut command = Command::new("chromium");
        command.args([
            "--headless",
            // Without this flag, Chromium does not run as root in a container.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--mute-audio",
            "--autoplay-policy=no-user-gesture-required",
            "--window-size=1360,1000",
            "--remote-debugging-port=0",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        let mut process = Process::spawn("chromium", command, false);
        let line = process.wait_for_line(Stream::Err, "DevTools listening on", START);
        let address = line.split_whitespace().last().expect("an address");
        let (socket, _) = connect(address).expect("the printed address");
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream
                .set_read_timeout(Some(PATIENCE))
                .expect("a timeout above zero");
        }
        let mut browser = Self {
            _process: process,
            _profile: profile,
            socket,
            session: None,
            asked: 0,
            complaints: vec![],
        };
        let page = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Calls a method of the DevTools protocol.
    #[track_caller]
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let mut order = json!({"id": self.asked, "method": method, "params": params});
        if let Some(session) = &self.session {
            order["sessionId"] = json!(session);
        }
        let order = Message::text(order.to_string());
        self.socket.send(order).expect("an open connection");
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no answer to {method}");
            let message = self.socket.read().expect("an answer in time");
            let Ok(text) = message.to_text() else {
                continue;
            };
            let Ok(message) = serde_json::from_str::<Value>(text) else {
                continue;
            };
            if message["id"] == json!(self.asked) {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.note(&message);
        }
    }

    /// Records errors and warnings of the page.
    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        let bad = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => {
                matches!(
                    params["type"].as_str(),
                    Some("error" | "warning" | "assert")
                )
            }
            Some("Log.entryAdded") => {
                matches!(params["entry"]["level"].as_str(), Some("error" | "warning"))
            }
            _ => false,
        };
        if bad {
            self.complaints.push(params.to_string());
        }
    }

    /// Opens a file and waits until it has loaded completely.
    pub fn open(&mut self, file: &Path) {
        let url = format!("file://{}", file.display());
        self.call("Page.navigate", json!({"url": url}));
        self.wait_for("location.protocol === 'file:' && document.readyState === 'complete'");
    }

    /// The value of an expression evaluated in the page.
    #[track_caller]
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", params);
        let thrown = &answer["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {thrown}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn wait_for(&mut self, expression: &str) {
        let truth = poll(PATIENCE, || {
            (self.evaluate(expression) == json!(true)).then_some(())
        });
        assert!(truth.is_some(), "never true: {expression}");
    }

    /// Scrolls to the element that a selector matches and moves the pointer to its middle.
    #[track_caller]
    pub fn point_at(&mut self, selector: &str) {
        let at = self.evaluate(&format!(
            "(() => {{ const e = document.querySelector({selector:?});
               e.scrollIntoView({{block: 'center', behavior: 'instant'}});
               const b = e.getBoundingClientRect();
               return [b.x + b.width / 2, b.y + b.height / 2]; }})()"
        ));
        let params = json!({"type": "mouseMoved", "x": at[0], "y": at[1]});
        self.call("Input.dispatchMouseEvent", params);
    }

    /// Presses a key on the focused element.
    pub fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.call(
                "Input.dispatchKeyEvent",
                json!({"type": kind, "key": key, "code": key}),
            );
        }
    }

    /// Emulates a medium (paper or screen) and a colour scheme (light or dark).
    pub fn show_as(&mut self, media: &str, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call(
            "Emulation.setEmulatedMedia",
            json!({"media": media, "features": features}),
        );
    }

    /// Sets the size of the window, in CSS pixels.
    pub fn resize(&mut self, width: u32, height: u32) {
        let params =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", params);
    }

    /// Errors and warnings so far: exceptions, console output, violations of the page's policy.
    pub fn complaints(&mut self) -> &[String] {
        // Once this call is answered, everything reported before it has arrived.
        self.evaluate("0");
        &self.complaints
    }
}
