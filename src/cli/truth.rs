//! The reference agent as a child of a command, and what it says of its turns.
//!
//! In: a server, an agent name. Out: a registered worker; its truth by room and turn.
//! Holds: the child ends when this end of its pipe is dropped; secrets go through its
//! environment, never its arguments.

use super::exit::Exit;
use super::say::Trouble;
use crate::target::livekit::{Address, Credentials};
use serde::Deserialize;
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long the agent may take to register.
const PATIENCE: Duration = Duration::from_secs(15);

/// A reference agent that this process started.
pub(super) struct ChildAgent(Child);

fn no_agent(detail: impl std::fmt::Display) -> Trouble {
    Trouble::new(
        Exit::Error,
        format!("the reference agent does not start: {detail}"),
        "try `loadgen agent` with the same server by hand",
    )
}

impl ChildAgent {
    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Starts one under `name` and waits until the server has taken it.
    pub(super) fn start(
        address: &Address,
        credentials: &Credentials,
        name: &str,
        more: &[String],
    ) -> Result<Self, Trouble> {
        use std::os::unix::process::CommandExt as _;
        let program = std::env::current_exe().map_err(no_agent)?;
        let mut command = Command::new(program);
        command
            .args(["agent", "--until-eof"])
            .arg(format!("--url={address}"))
            .arg(format!("--agent-name={name}"))
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0);
        credentials.to_environment(&mut command);
        let mut child = Self(command.spawn().map_err(no_agent)?);
        let stderr = child.0.stderr.take().ok_or_else(|| no_agent("no pipe"))?;
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // Read on when nobody listens any more, so that the child is not held up.
                let _ = tell.send(line);
            }
        });
        let mut said = String::new();
        loop {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains("registered") => return Ok(child),
                Ok(line) => said = line,
                Err(_) => return Err(no_agent(if said.is_empty() { "no answer" } else { &said })),
            }
        }
    }
}

impl Drop for ChildAgent {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        for _ in 0..100 {
            if matches!(self.0.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // It had five seconds.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is needed of a line of the truth file.
#[derive(Debug, Deserialize)]
struct Line {
    room: String,
    turn: usize,
    speech_end_ns: u64,
    reply_packet_ns: u64,
    onset_offset_ms: f64,
}

/// True `ttfa_wire` in ms, by room and turn.
pub(super) fn read(path: &Path) -> Result<HashMap<(String, usize), f64>, Trouble> {
    let unreadable = |e: std::io::Error| no_agent(format!("its truth cannot be read: {e}"));
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let lines = text
        .lines()
        .filter_map(|l| serde_json::from_str::<Line>(l).ok());
    Ok(lines
        .map(|l| ((l.room.clone(), l.turn), true_wire_ms(&l)))
        .collect())
}

fn true_wire_ms(line: &Line) -> f64 {
    let packet = line.reply_packet_ns as i64 - line.speech_end_ns as i64;
    packet as f64 / 1e6 + line.onset_offset_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_truth_is_read_by_room_and_turn() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("truth.jsonl");
        let line = r#"{"room":"r","turn":2,"last_speech_packet_ns":1,"speech_end_ns":1000000000,"reply_packet_ns":1393500000,"onset_offset_ms":6.5,"delay_ms":400.0}"#;
        std::fs::write(&path, format!("{line}\nnot a line\n")).expect("write");
        let truth = read(&path).map_err(|t| format!("{t:?}")).expect("truth");
        assert_eq!(truth.len(), 1);
        assert!((truth[&("r".to_owned(), 2)] - 400.0).abs() < 1e-9);
        assert!(read(&dir.path().join("none")).is_err());
    }
}
