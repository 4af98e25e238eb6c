//! Checks `target` and the settings of the embedded agent.
//!
//! In: values that passed the schema. Out: the checked parts, and problems in the [`Checker`].

use super::checker::{Checker, Zero};
use super::file::{AgentFile, TargetFile, TargetKind};
use super::places::{Origin, join};
use super::problem::Code;
use super::types::{AgentSettings, LivekitConfig, Secret, Sound, SoundFile, TargetConfig};
use super::variables::matrix_names;
use crate::vocab::{Address, AgentDelay, DelayError};
use std::time::Duration;

const AGENT_DELAY: AgentDelay = AgentDelay::Fixed(Duration::from_millis(400));
const REPLY_LENGTH: Duration = Duration::from_millis(1500);
const ROOM_PREFIX: &str = "loadgen";

fn default_agent(seed: u64) -> AgentSettings {
    AgentSettings {
        delay: AGENT_DELAY,
        seed,
        reply: Sound::Tone,
        reply_length: REPLY_LENGTH,
        greeting: None,
        capacity: None,
        behaviour: Box::default(),
        truth: None,
    }
}

impl Checker<'_> {
    pub(super) fn target(&mut self, file: &TargetFile, seed: u64) -> Option<TargetConfig> {
        match self.need(file.kind, "/target/kind")? {
            TargetKind::Livekit => {
                if file.agent.is_some() {
                    let message =
                        "`target.agent` sets up the embedded agent, but `kind` is `livekit`";
                    let hint = "leave it out, or set `kind: embedded`";
                    self.problem_at_key("/target/agent", Code::Contradiction, message, hint);
                }
                Some(TargetConfig::Livekit(LivekitConfig {
                    url: file.url.as_deref().map(|url| self.url(url, "/target/url")),
                    api_key: file.api_key.clone(),
                    api_secret: file.api_secret.clone().map(Secret),
                    room_prefix: file.room_prefix.clone().unwrap_or(ROOM_PREFIX.to_owned()),
                }))
            }
            TargetKind::Embedded => {
                let given = [
                    ("url", file.url.is_some()),
                    ("api_key", file.api_key.is_some()),
                    ("api_secret", file.api_secret.is_some()),
                    ("agent_name", file.agent_name.is_some()),
                    ("room_prefix", file.room_prefix.is_some()),
                    ("metadata", file.metadata.is_some()),
                    ("room_metadata", file.room_metadata.is_some()),
                    ("attributes", file.attributes.is_some()),
                ];
                for (key, _) in given.into_iter().filter(|(_, given)| *given) {
                    let message = format!("an embedded target has no `{key}`");
                    let hint = "leave it out, or set `kind: livekit`";
                    self.problem_at_key(&join("/target", key), Code::Contradiction, message, hint);
                }
                let none = AgentFile::default();
                let file = file.agent.as_ref().unwrap_or(&none);
                Some(TargetConfig::Embedded(self.agent(
                    file,
                    "/target/agent",
                    &default_agent(seed),
                )))
            }
        }
    }

    /// Checks the address of a server and returns it without surrounding whitespace.
    pub(super) fn url(&mut self, url: &str, at: &str) -> String {
        if let Err(error) = Address::parse(url) {
            self.problem(at, Code::BadValue, error.to_string(), error.hint());
        }
        url.trim().to_owned()
    }

    /// Settings of the agent at pointer `at`, with those of `base` as defaults.
    pub(super) fn agent(
        &mut self,
        file: &AgentFile,
        at: &str,
        base: &AgentSettings,
    ) -> AgentSettings {
        // References remain only if the matrix is invalid, which has already been reported.
        let at_delay = join(at, "delay");
        let open = matches!(self.places.origin(&at_delay), Some(Origin::Matrix(_)));
        let whole = |text: &&str| !open || matrix_names(text).next().is_none();
        let delay = file.delay.as_deref().filter(whole);
        let delay = delay.map_or(base.delay, |text| {
            text.parse().unwrap_or_else(|error: DelayError| {
                let message = format!("`delay`: {error}");
                self.problem(&at_delay, Code::BadValue, message, error.hint());
                base.delay
            })
        });
        let at_length = join(at, "reply_length");
        let reply_length = self.duration(
            file.reply_length.as_ref(),
            &at_length,
            base.reply_length,
            Zero::Refused,
        );
        let reply = self.sound(file.reply.as_deref(), &join(at, "reply"));
        let reply = reply.unwrap_or_else(|| base.reply.clone());
        if file.reply_length.is_some() && reply != Sound::Tone {
            let message = "`reply_length` is the length of a tone, but `reply` is a sound file";
            self.problem_at_key(&at_length, Code::Contradiction, message, "leave it out");
        }
        let greeting = self.sound(file.greeting.as_deref(), &join(at, "greeting"));
        let at_behaviour = join(at, "behaviour");
        let behaviour = match &file.behaviour {
            Some(file) => {
                self.without_tracks(file, &at_behaviour);
                Box::new(self.behaviour(file, &at_behaviour, &base.behaviour))
            }
            None => base.behaviour.clone(),
        };
        let truth = file.truth.as_ref().map(|path| self.folder.join(path));
        AgentSettings {
            behaviour,
            truth: truth.or_else(|| base.truth.clone()),
            delay,
            capacity: file.capacity.or(base.capacity),
            seed: file.seed.unwrap_or(base.seed),
            reply,
            reply_length,
            greeting: greeting.or_else(|| base.greeting.clone()),
        }
    }

    pub(super) fn sound(&mut self, text: Option<&str>, pointer: &str) -> Option<Sound> {
        let text = text?;
        if text == "tone" {
            return Some(Sound::Tone);
        }
        let file = self.folder.join(text);
        let sound = SoundFile {
            path: &file,
            speech_end: None,
            channel: None,
            annotated: false,
        };
        if let Err(error) = (self.load)(&sound) {
            self.problem(pointer, Code::Audio, error.message, error.hint);
        }
        Some(Sound::File(file))
    }
}
