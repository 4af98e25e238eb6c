//! Checks `variants`, or derives them from `matrix`; the target's settings are their defaults.
//!
//! In: values that passed the schema. Out: at least one variant, each with a unique name;
//! problems in the [`Checker`].

use super::checker::Checker;
use super::file::{TargetFile, TargetKind, VariantFile};
use super::matrix::Point;
use super::places::join;
use super::problem::Code;
use super::sound::SoundConfig;
use super::types::{AgentSettings, Secret, ServerConfig, TargetConfig, Variant};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Name of the only variant if the file has none.
const ONLY_VARIANT: &str = "default";

pub(super) type Attributes = Option<BTreeMap<String, Option<String>>>;

/// Gives a variant's agent, which is a process of its own, a truth file of its own: the target's
/// `truth.jsonl` becomes `truth-NAME.jsonl`.
fn with_own_truth(agent: AgentSettings, base: &AgentSettings, name: &str) -> AgentSettings {
    let inherited = agent.truth.as_ref().filter(|_| agent.truth == base.truth);
    let Some(path) = inherited.filter(|_| agent != *base) else {
        return agent;
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let file = match path.extension() {
        Some(extension) => format!("{stem}-{name}.{}", extension.to_string_lossy()),
        None => format!("{stem}-{name}"),
    };
    let truth = Some(path.with_file_name(file));
    AgentSettings { truth, ..agent }
}

impl Checker<'_> {
    pub(super) fn variants(
        &mut self,
        file: Option<&Vec<Option<VariantFile>>>,
        points: &[Point],
        target_file: &TargetFile,
        target: Option<&TargetConfig>,
        said: &[(String, Option<PathBuf>)],
    ) -> Vec<Variant> {
        let Some(file) = file else {
            return match points {
                [] => vec![self.of_target(ONLY_VARIANT, target_file, None)],
                points => points
                    .iter()
                    .map(|point| self.of_target(&point.name, &point.target, target))
                    .collect(),
            };
        };
        if self.places.origin("/matrix").is_some() {
            let message = "`variants` and `matrix` cannot be used together";
            let hint = "leave one of them out";
            self.problem_at_key("/matrix", Code::Contradiction, message, hint);
        }
        let common = self.of_target(ONLY_VARIANT, target_file, None);
        let (mut variants, mut names) = (Vec::new(), BTreeSet::new());
        for (index, entry) in file.iter().enumerate() {
            let at = format!("/variants/{index}");
            let Some(entry) = self.need(entry.as_ref(), &at) else {
                continue;
            };
            self.fits_target(entry, &at, target_file.kind);
            let variant = Variant {
                sound: self.effects(entry.sound.as_ref(), &join(&at, "sound"), said),
                background: self.background(entry.background.as_ref(), &join(&at, "background")),
                network: self.variant_network(entry.network.as_ref(), &join(&at, "network")),
                ..self.variant(entry, &at, &common, target)
            };
            let at_name = join(&at, "name");
            let Some(name) = self.need(entry.name.clone(), &at_name) else {
                continue;
            };
            if !names.insert(name.clone()) {
                let message = format!("two variants are named `{name}`");
                self.problem(&at_name, Code::Contradiction, message, "rename one of them");
            }
            let agent = match (variant.agent, target) {
                (Some(agent), Some(TargetConfig::Embedded(base))) => {
                    Some(with_own_truth(agent, base, &name))
                }
                (agent, _) => agent,
            };
            variants.push(Variant {
                name,
                agent,
                ..variant
            });
        }
        variants
    }

    /// A variant with the settings in `file`. If `target` is embedded, `file.agent` configures the
    /// variant's agent.
    fn of_target(
        &mut self,
        name: &str,
        file: &TargetFile,
        target: Option<&TargetConfig>,
    ) -> Variant {
        let agent = match (&file.agent, target) {
            (Some(agent), Some(TargetConfig::Embedded(base))) => {
                let agent = self.agent(agent, "/target/agent", base);
                Some(with_own_truth(agent, base, name))
            }
            _ => None,
        };
        Variant {
            name: name.to_owned(),
            agent_name: file.agent_name.clone(),
            metadata: file.metadata.clone(),
            room_metadata: file.room_metadata.clone(),
            attributes: self.attributes(&file.attributes, "/target/attributes"),
            server: None,
            agent,
            sound: SoundConfig::default(),
            background: None,
            network: None,
        }
    }

    /// A variant whose name has not been filled in yet.
    fn variant(
        &mut self,
        file: &VariantFile,
        at: &str,
        common: &Variant,
        target: Option<&TargetConfig>,
    ) -> Variant {
        let mut attributes = common.attributes.clone();
        attributes.extend(self.attributes(&file.attributes, &join(at, "attributes")));
        let agent = match (&file.agent, target) {
            (Some(agent), Some(TargetConfig::Embedded(base))) => {
                Some(self.agent(agent, &join(at, "agent"), base))
            }
            _ => None,
        };
        Variant {
            name: String::new(),
            agent_name: file.agent_name.clone().or(common.agent_name.clone()),
            metadata: file.metadata.clone().or(common.metadata.clone()),
            room_metadata: file.room_metadata.clone().or(common.room_metadata.clone()),
            attributes,
            server: self.server(file, at),
            agent,
            sound: SoundConfig::default(),
            background: None,
            network: None,
        }
    }

    fn server(&mut self, file: &VariantFile, at: &str) -> Option<ServerConfig> {
        let Some(address) = &file.url else {
            let keys = [
                ("api_key", file.api_key.is_some()),
                ("api_secret", file.api_secret.is_some()),
            ];
            // If `url` is only absent because its variable is unset, the keys are valid.
            let unset = self.is_unset(&join(at, "url"));
            for (key, _) in keys.iter().filter(|(_, given)| *given && !unset) {
                let message = format!("a variant that sets `{key}` must also set `url`");
                let hint = "set `url` too, or remove this setting to use the target's";
                self.problem_at_key(&join(at, key), Code::Contradiction, message, hint);
            }
            return None;
        };
        Some(ServerConfig {
            url: self.url(address, &join(at, "url")),
            api_key: file.api_key.clone(),
            api_secret: file.api_secret.clone().map(Secret),
        })
    }

    /// Reports the settings that do not apply to this kind of target.
    fn fits_target(&mut self, file: &VariantFile, at: &str, kind: Option<TargetKind>) {
        let (given, message, hint): (Vec<(&str, bool)>, _, _) = match kind {
            None => return,
            Some(TargetKind::Livekit) => (
                vec![("agent", file.agent.is_some())],
                "is for an embedded agent, but `target.kind` is `livekit`",
                "leave it out, or set `kind: embedded`",
            ),
            Some(TargetKind::Embedded) => (
                vec![
                    ("agent_name", file.agent_name.is_some()),
                    ("metadata", file.metadata.is_some()),
                    ("room_metadata", file.room_metadata.is_some()),
                    ("attributes", file.attributes.is_some()),
                    ("url", file.url.is_some()),
                    ("api_key", file.api_key.is_some()),
                    ("api_secret", file.api_secret.is_some()),
                ],
                "is for LiveKit rooms, but `target.kind` is `embedded`",
                "variants of an embedded target can set only `agent`, `sound` and `background`, \
                 for example `agent: {delay: 600ms}`",
            ),
        };
        for (key, _) in given.into_iter().filter(|(_, given)| *given) {
            let message = format!("`{key}` {message}");
            self.problem_at_key(&join(at, key), Code::Contradiction, message, hint);
        }
    }

    pub(super) fn attributes(
        &mut self,
        file: &Attributes,
        pointer: &str,
    ) -> BTreeMap<String, String> {
        let mut attributes = BTreeMap::new();
        for (name, value) in file.iter().flatten() {
            let value = self.need(value.clone(), &join(pointer, name));
            attributes.extend(value.map(|value| (name.clone(), value)));
        }
        attributes
    }
}
