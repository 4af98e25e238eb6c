//! Small scenarios for tests that are not about the conversation itself.
//!
//! In: the settings that differ from the default. Out: YAML with the repository's fixtures as
//! utterances, by absolute path.

use super::in_repo;
use std::path::Path;

/// A LiveKit scenario of `yes` turns.
#[derive(Debug, Clone)]
pub struct Small {
    /// Number of turns per call.
    pub turns: usize,
    /// Number of calls, all concurrent.
    pub calls: usize,
    /// `expect`, `ignore` or `none`.
    pub greeting: &'static str,
    /// How long a call waits for an agent.
    pub agent_timeout: &'static str,
    /// The sound that the caller plays.
    pub sound: String,
    /// YAML to append.
    pub more: &'static str,
}

impl Default for Small {
    fn default() -> Self {
        Self {
            turns: 1,
            calls: 1,
            greeting: "none",
            agent_timeout: "20s",
            sound: in_repo("fixtures/yes.wav").display().to_string(),
            more: "",
        }
    }
}

impl Small {
    /// Writes `small.yaml` into a folder.
    pub fn write(&self, dir: &Path) {
        std::fs::write(dir.join("small.yaml"), self.yaml()).expect("a writable folder");
    }

    /// The scenario's text.
    pub fn yaml(&self) -> String {
        let anchor = match self.greeting {
            "expect" => "greeting",
            _ => "call_start",
        };
        let first =
            format!("    - {{say: it, start: {{after: {anchor}, delay: 200ms}}, timeout: 4s}}\n");
        let next = "    - {say: it, start: {delay: 200ms}, timeout: 4s}\n";
        format!(
            "version: 1\nname: small\ntarget: {{kind: livekit}}\n\
             utterances:\n  it: {{file: {sound}}}\n\
             call:\n  greeting: {greeting}\n  agent_timeout: {agent_timeout}\n  turns:\n{first}{rest}\
             load: {{calls: {calls}, ramp: 500ms}}\n{more}",
            sound = self.sound,
            greeting = self.greeting,
            agent_timeout = self.agent_timeout,
            rest = next.repeat(self.turns - 1),
            calls = self.calls,
            more = self.more,
        )
    }
}
