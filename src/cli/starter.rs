//! The starter scenario for the user's own agent, and the CI job that runs it.
//!
//! In: the kind of agent. Out: the text of each file. Invariant: the scenario is valid without
//! editing, whatever the agent's name is.

use clap::ValueEnum;

/// Path of the scenario.
pub(super) const PATH: &str = "scenarios/my-agent.yaml";

/// The agent to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Agent {
    /// The reference agent on this machine.
    Embedded,
    /// The agent that the LiveKit server dispatches, or the one of this name.
    Livekit { name: Option<String> },
    /// A bot that joins the room by itself.
    Pipecat,
}

/// The CI system that runs the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ci {
    /// GitHub Actions
    Github,
    /// GitLab CI
    Gitlab,
}

impl Ci {
    /// Path and text of the job's file.
    pub(super) fn job(self) -> (&'static str, &'static str) {
        match self {
            Self::Github => (
                ".github/workflows/voice-agent.yml",
                include_str!("../../deploy/ci/github.yml"),
            ),
            Self::Gitlab => (".gitlab-ci.yml", include_str!("../../deploy/ci/gitlab.yml")),
        }
    }
}

const COMMON: &str = "\
utterances:                      # your recordings; `loadgen fixtures inspect FILE` checks one
  help: {file: ../fixtures/help.wav}
  opening-hours: {file: ../fixtures/opening-hours.wav}
  thanks: {file: ../fixtures/thanks.wav}

call:
  greeting: ignore               # if the agent speaks first, let it finish
  turns:
    - {say: help, start: {after: greeting, delay: 500ms}}
    - {say: opening-hours, start: {after: agent_speech_end, delay: {min: 300ms, max: 900ms}}}
    - {say: thanks, start: {after: agent_speech_end, delay: {min: 300ms, max: 900ms}}}

load: {calls: 10, concurrency: 5, ramp: 5s}

thresholds:                      # if one is not met, the exit code is 99
  ttfa: [\"p(50)<1500ms\"]
  missed: [\"rate<0.1\"]
";

/// The scenario that calls this agent.
pub(super) fn scenario(agent: &Agent) -> String {
    let (about, steps) = match agent {
        Agent::Embedded => (
            "The reference agent on this machine, which answers 400 ms after the caller stops.",
            [
                "loadgen run scenarios/my-agent.yaml",
                "loadgen explain ttfa",
                "loadgen init --livekit my-agent    # for an agent of your own",
            ],
        ),
        Agent::Livekit { .. } | Agent::Pipecat => (
            "Your agent. Set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET, here or in `.env`.",
            [
                "loadgen validate scenarios/my-agent.yaml",
                "loadgen run scenarios/my-agent.yaml --rooms 1",
                "loadgen run scenarios/my-agent.yaml",
            ],
        ),
    };
    let [first, second, third] = steps;
    format!(
        "# yaml-language-server: $schema=schema.json\n#\n# {about} Next:\n#\n\
         #   {first}\n#   {second}\n#   {third}\n\
         version: 1\nname: my-agent\nseed: 1\n\n{}\n{COMMON}",
        target(agent)
    )
}

fn target(agent: &Agent) -> String {
    let livekit = "target:\n  kind: livekit                  # address and keys from the environment or `.env`\n";
    match agent {
        Agent::Embedded => "target:\n  kind: embedded\n  agent: {delay: 400ms}\n".to_owned(),
        Agent::Livekit { name: None } => {
            format!(
                "{livekit}  # agent_name: NAME             # else whichever the server dispatches\n"
            )
        }
        Agent::Livekit { name: Some(name) } => {
            // A JSON string is also a YAML string; `$${` is a literal `${`.
            let quoted = serde_json::Value::from(name.replace("${", "$${"));
            format!("{livekit}  agent_name: {quoted}\n")
        }
        Agent::Pipecat => format!(
            "{livekit}  # No `agent_name`: the bot joins each room by itself as soon as it exists.\n"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Unset, check};
    use std::path::Path;

    #[test]
    fn the_scenario_is_valid_for_every_agent() {
        let livekit = |name: &str| Agent::Livekit {
            name: Some(name.to_owned()),
        };
        let names = ["support", "a: b # c", "\"quoted\"", "${HOME}", "näme"];
        let named = names.map(livekit);
        let others = [
            Agent::Embedded,
            Agent::Livekit { name: None },
            Agent::Pipecat,
        ];
        for agent in named.iter().chain(&others) {
            let text = scenario(agent);
            let env = |name: &str| (name == "LIVEKIT_URL").then(|| "ws://127.0.0.1".to_owned());
            let made = check(
                text.as_bytes(),
                Path::new(PATH),
                &env,
                Unset::Problem,
                &|_| Ok(None),
            );
            let made = made.unwrap_or_else(|problems| panic!("{text}\n{problems:?}"));
            let name = made.variants[0].agent_name.clone();
            let asked = match agent {
                Agent::Livekit { name } => name.clone(),
                Agent::Embedded | Agent::Pipecat => None,
            };
            assert_eq!(name, asked, "{text}");
        }
    }

    #[test]
    fn jobs_run_the_scenario() {
        for ci in Ci::value_variants() {
            assert!(ci.job().1.contains(PATH), "{ci:?}");
        }
    }
}
