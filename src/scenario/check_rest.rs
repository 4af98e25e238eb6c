//! Checks `target`, `thresholds` and `variants`.
//!
//! In: what the schema let through. Out: the checked parts, and problems on the desk.

use super::agent_delay::AgentDelay;
use super::checker::{Checker, Zero};
use super::file::{AgentFile, Kind, TargetFile, ThresholdsFile, VariantFile};
use super::file_network::HealthFile;
use super::places::join;
use super::problem::Code;
use super::threshold::{self, Metric, Threshold};
use super::types::{
    AgentSettings, GreetingPolicy, Health, Livekit, Secret, Sound, Target, Variant,
};
use super::url;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const AGENT_DELAY: AgentDelay = AgentDelay::Fixed(Duration::from_millis(400));
const REPLY_LENGTH: Duration = Duration::from_millis(1500);
/// Room prefix, and the name of the only variant where the file gives none.
const ROOM_PREFIX: &str = "loadgen";
const ONLY_VARIANT: &str = "default";

type Attributes = Option<BTreeMap<String, Option<String>>>;

impl Checker<'_> {
    pub(super) fn target(&mut self, file: &TargetFile, seed: u64) -> Option<Target> {
        match self.need(file.kind, "/target/kind")? {
            Kind::Livekit => {
                if file.agent.is_some() {
                    let message =
                        "`target.agent` sets up the embedded agent, and `kind` is `livekit`";
                    let hint = "leave it out, or set `kind: embedded`";
                    self.problem_at_key("/target/agent", Code::Contradiction, message, hint);
                }
                if let Some(Err(error)) = file.url.as_deref().map(url::host_of) {
                    self.problem(
                        "/target/url",
                        Code::BadValue,
                        error.to_string(),
                        error.hint(),
                    );
                }
                Some(Target::Livekit(Livekit {
                    url: file.url.clone(),
                    api_key: file.api_key.clone(),
                    api_secret: file.api_secret.clone().map(Secret),
                    room_prefix: file.room_prefix.clone().unwrap_or(ROOM_PREFIX.to_owned()),
                }))
            }
            Kind::Embedded => {
                let given = [
                    ("url", file.url.is_some()),
                    ("api_key", file.api_key.is_some()),
                    ("api_secret", file.api_secret.is_some()),
                    ("agent_name", file.agent_name.is_some()),
                    ("room_prefix", file.room_prefix.is_some()),
                    ("metadata", file.metadata.is_some()),
                    ("attributes", file.attributes.is_some()),
                ];
                for (key, _) in given.into_iter().filter(|(_, given)| *given) {
                    let message = format!("an embedded target has no `{key}`");
                    let hint = "leave it out, or set `kind: livekit`";
                    self.problem_at_key(&join("/target", key), Code::Contradiction, message, hint);
                }
                let none = AgentFile::default();
                Some(Target::Embedded(
                    self.agent(file.agent.as_ref().unwrap_or(&none), seed),
                ))
            }
        }
    }

    fn agent(&mut self, file: &AgentFile, seed: u64) -> AgentSettings {
        let delay = file.delay.as_deref().map_or(AGENT_DELAY, |text| {
            text.parse().unwrap_or_else(|error: super::DelayError| {
                let message = format!("`delay`: {error}");
                self.problem("/target/agent/delay", Code::BadValue, message, error.hint());
                AGENT_DELAY
            })
        });
        let reply_length = self.duration(
            file.reply_length.as_ref(),
            "/target/agent/reply_length",
            REPLY_LENGTH,
            Zero::Refused,
        );
        if file.reply_length.is_some() && file.reply.as_deref().is_some_and(|r| r != "tone") {
            let message = "`reply_length` is the length of a tone, and `reply` is a sound file";
            let at = "/target/agent/reply_length";
            self.problem_at_key(at, Code::Contradiction, message, "leave it out");
        }
        let reply = self.sound(file.reply.as_deref(), "/target/agent/reply");
        AgentSettings {
            delay,
            capacity: file.capacity,
            seed: file.seed.unwrap_or(seed),
            reply: reply.unwrap_or(Sound::Tone),
            reply_length,
            greeting: self.sound(file.greeting.as_deref(), "/target/agent/greeting"),
        }
    }

    fn sound(&mut self, text: Option<&str>, pointer: &str) -> Option<Sound> {
        let text = text?;
        if text == "tone" {
            return Some(Sound::Tone);
        }
        let file = self.folder.join(text);
        if let Err(error) = (self.load)(&file, None) {
            self.problem(pointer, Code::Audio, error.message, error.hint);
        }
        Some(Sound::File(file))
    }

    pub(super) fn thresholds(
        &mut self,
        file: &ThresholdsFile,
        greeting: Option<GreetingPolicy>,
    ) -> Vec<Threshold> {
        let mut thresholds = Vec::new();
        for metric in Metric::ALL {
            let expressions = match metric {
                Metric::Ttfa => &file.ttfa,
                Metric::TtfaWire => &file.ttfa_wire,
                Metric::Join => &file.join,
                Metric::AgentJoin => &file.agent_join,
                Metric::Greeting => &file.greeting,
                Metric::Missed => &file.missed,
                Metric::Early => &file.early,
                Metric::Failed => &file.failed,
            };
            let at_metric = join("/thresholds", metric.name());
            let unmeasured = metric == Metric::Greeting
                && greeting.is_some_and(|policy| policy != GreetingPolicy::Expect);
            if expressions.is_some() && unmeasured {
                let message = "greetings are measured with `call.greeting: expect` only";
                let hint = "set it, or leave this threshold out";
                self.problem_at_key(&at_metric, Code::Contradiction, message, hint);
            }
            for (index, text) in expressions.iter().flatten().enumerate() {
                // Absent here means refused by the schema, or unset and fine for now.
                let Some(text) = text else { continue };
                match threshold::parse(metric, text) {
                    Ok(threshold) => thresholds.push(threshold),
                    Err(error) => {
                        let pointer = join(&at_metric, &index.to_string());
                        self.problem(&pointer, Code::BadValue, error.to_string(), error.hint());
                    }
                }
            }
        }
        thresholds
    }

    pub(super) fn health(&mut self, file: &HealthFile) -> Health {
        let default = Health::default();
        Health {
            tick_lateness: self.duration(
                file.tick_lateness.as_ref(),
                "/health/tick_lateness",
                default.tick_lateness,
                Zero::Refused,
            ),
            own_drops: file.own_drops.unwrap_or(default.own_drops),
        }
    }

    pub(super) fn variants(
        &mut self,
        file: Option<&Vec<Option<VariantFile>>>,
        target: &TargetFile,
    ) -> Vec<Variant> {
        let common = Variant {
            name: ONLY_VARIANT.to_owned(),
            agent_name: target.agent_name.clone(),
            metadata: target.metadata.clone(),
            attributes: self.attributes(&target.attributes, "/target/attributes"),
        };
        let Some(file) = file else {
            return vec![common];
        };
        if target.kind == Some(Kind::Embedded) {
            let message = "an embedded target has no variants: there is one agent";
            let hint = "leave them out, or set `kind: livekit`";
            self.problem_at_key("/variants", Code::Contradiction, message, hint);
        }
        let (mut variants, mut names) = (Vec::new(), BTreeSet::new());
        for (index, entry) in file.iter().enumerate() {
            let pointer = format!("/variants/{index}");
            let Some(entry) = self.need(entry.as_ref(), &pointer) else {
                continue;
            };
            let own = self.attributes(&entry.attributes, &join(&pointer, "attributes"));
            let at_name = join(&pointer, "name");
            let Some(name) = self.need(entry.name.clone(), &at_name) else {
                continue;
            };
            if !names.insert(name.clone()) {
                let message = format!("there are two variants `{name}`");
                self.problem(&at_name, Code::Contradiction, message, "rename one of them");
            }
            let mut attributes = common.attributes.clone();
            attributes.extend(own);
            variants.push(Variant {
                name,
                agent_name: entry
                    .agent_name
                    .clone()
                    .or_else(|| common.agent_name.clone()),
                metadata: entry.metadata.clone().or_else(|| common.metadata.clone()),
                attributes,
            });
        }
        variants
    }

    fn attributes(&mut self, file: &Attributes, pointer: &str) -> BTreeMap<String, String> {
        let mut attributes = BTreeMap::new();
        for (name, value) in file.iter().flatten() {
            let value = self.need(value.clone(), &join(pointer, name));
            attributes.extend(value.map(|value| (name.clone(), value)));
        }
        attributes
    }
}
