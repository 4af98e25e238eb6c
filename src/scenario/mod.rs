//! Checks a scenario file: text → [`Scenario`], or every problem at once, each with its line.
//!
//! In: the bytes of a file, functions that look up variables and read sound files. Out: a
//! scenario with every default filled in, or all [`Problem`]s in the order of the file.
//! Invariants: this module itself uses no files, clock or environment; no setting is accepted and
//! then ignored.
//!
//! ```text
//! text → yaml (tree, places, variables) → validate (JSON Schema) → file (types)
//!      → check_* (names, anchors, bounds, files) → types
//! ```

mod behaviour;
mod behaviour_file;
mod check_behaviour;
mod check_branches;
mod check_call;
mod check_conversation;
mod check_delay;
mod check_kind;
mod check_load;
mod check_network;
mod check_observe;
mod check_say;
mod check_sound;
mod check_target;
mod check_thresholds;
mod check_turns;
mod check_utterances;
mod check_variants;
mod checker;
mod evidence;
mod explain;
mod file;
mod file_network;
mod file_sound;
mod hints;
mod matrix;
mod metric;
mod network;
mod overrides;
mod places;
mod presets;
mod problem;
mod redact;
mod scenes;
mod schema;
mod sentinels;
mod sound;
mod texts;
mod threshold;
mod threshold_parse;
mod tree;
mod turn_file;
mod types;
mod validate;
mod variables;
mod words;
mod yaml;

pub use checker::{FileProblem, LoadedSound};
pub use problem::Problem;
pub use schema::schema_text;
pub use types::{CallConfig, Scenario, SoundFile, TurnConfig};

pub(crate) use behaviour::check_behaviour;
pub(crate) use checker::LoadUtterance;
pub(crate) use evidence::{EvidenceChoice, EvidenceSelection};
pub(crate) use network::{Networks, ONE};
pub(crate) use overrides::Overrides;
pub(crate) use problem::Code;
pub(crate) use redact::redacted;
pub(crate) use sound::{BackgroundConfig, NoiseFrom, Scene, SoundConfig};
pub(crate) use threshold::{Aggregate, Bound, On, Op, Threshold};
#[cfg(any(test, fuzzing))]
pub(crate) use threshold_parse::ThresholdError;
pub(crate) use threshold_parse::{parse_threshold, parse_threshold_line};
pub(crate) use types::{
    AgentSettings, Arrival, Delay, Extent, HealthBounds, LivekitConfig, Load, LoopPass, NextTurn,
    Observed, ObservedSource, Pick, Process, Saying, SentinelPolicy, Shape, Sound, Stage,
    TargetConfig, UnsetVariable, UtteranceConfig, UtteranceSource, Variant,
};
pub(crate) use variables::VariableLookup;

use crate::audio::TONE_HZ;
use crate::vocab::{FillerSound, SpokenFiller};
use check_thresholds::Around;
use checker::Checker;
use file::{LoadFile, ScenarioFile, TargetFile, TargetKind, ThresholdsFile};
use problem::quoted;
use std::path::Path;
use yaml::Document;

/// Largest scenario file, in bytes.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// How an unset variable without a default is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unset {
    /// The value that needs the variable counts as absent (`validate`, `plan`).
    Absent,
    /// The variable is reported as a problem (`run`).
    Problem,
}

/// Checks a scenario.
///
/// `text` is the file's content and `path` its path: paths of sound files are relative to its
/// folder, and its stem is the default name. `load` is called once for every sound file, except
/// one whose path needs an unset variable.
///
/// # Errors
/// Every problem, sorted by place; never an empty list.
pub fn check(
    text: &[u8],
    path: &Path,
    env: VariableLookup<'_>,
    unset: Unset,
    load: LoadUtterance<'_>,
) -> Result<Scenario, Vec<Problem>> {
    let text = decode(text).map_err(|problem| vec![problem])?;
    let (document, mut problems) = yaml::read(text, env);
    let Some(mut document) = document else {
        return Err(problems);
    };
    problems.extend(validate::validate(&mut document));
    let Document { value, places } = document;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut checker = Checker {
        places: &places,
        load,
        env,
        folder,
        embedded: false,
        problems,
        doubts: Vec::new(),
    };
    let scenario = match value {
        // A document that is not a mapping has been reported and removed.
        serde_json::Value::Null => None,
        value => match serde_json::from_value::<ScenarioFile>(value) {
            Ok(file) => scenario(&mut checker, &file, path),
            Err(error) => {
                let hint = "the schema accepted it: this is a bug worth reporting";
                checker.problem("", Code::BadValue, error.to_string(), hint);
                None
            }
        },
    };
    if unset == Unset::Problem {
        report_unset(&mut checker);
    }
    let mut problems = checker.problems;
    problems.sort();
    problems.dedup();
    match scenario {
        Some(scenario) if problems.is_empty() => Ok(scenario),
        None if problems.is_empty() => Err(vec![Problem::of_file(
            Code::BadValue,
            "the scenario is incomplete",
            "this is a bug worth reporting",
        )]),
        _ => Err(problems),
    }
}

fn decode(text: &[u8]) -> Result<&str, Problem> {
    if text.len() > MAX_BYTES {
        let message = format!(
            "the file has {} bytes; the limit is {MAX_BYTES}",
            text.len()
        );
        let hint = "a scenario contains only settings: check that this is the right file";
        return Err(Problem::of_file(Code::TooLarge, message, hint));
    }
    let not_utf8 = |line, hint: &str| {
        let mut problem = Problem::of_file(Code::NotUtf8, "the file is not UTF-8 text", hint);
        problem.place.line = line;
        problem
    };
    if is_utf16(text) {
        return Err(not_utf8(1, "it looks like UTF-16: save it as UTF-8"));
    }
    std::str::from_utf8(text).map_err(|error| {
        let before = &text[..error.valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        not_utf8(line, "save it as UTF-8; is it a scenario at all?")
    })
}

/// Whether `text` looks like UTF-16, by its byte order mark or by ASCII characters at its start.
fn is_utf16(text: &[u8]) -> bool {
    let marked = text.starts_with(&[0xff, 0xfe]) || text.starts_with(&[0xfe, 0xff]);
    let zero = |index: usize| text.get(index) == Some(&0);
    let zeros = [0, 1, 2, 3].map(zero);
    marked || zeros == [true, false, true, false] || zeros == [false, true, false, true]
}

fn scenario(checker: &mut Checker<'_>, file: &ScenarioFile, path: &Path) -> Option<Scenario> {
    checker.need(file.version, "/version");
    let seed = file.seed.unwrap_or(0);
    let none = TargetFile::default();
    let target_file = checker
        .need(file.target.as_ref(), "/target")
        .unwrap_or(&none);
    let points = checker.matrix(file.matrix.as_ref(), target_file);
    // The target is that of the first variant; settings that differ are kept in the variants.
    let target_file = points.first().map_or(target_file, |point| &point.target);
    let target = match file.target.is_some() {
        true => checker.target(target_file, seed),
        false => None,
    };
    checker.embedded = target_file.kind == Some(TargetKind::Embedded);
    // Callers that only send texts need none.
    let utterances = file
        .utterances
        .as_ref()
        .map(|file| checker.utterances(file))
        .unwrap_or_default();
    let call = checker.need(file.call.as_ref(), "/call");
    let mut call = call.and_then(|call| checker.call(call, &utterances));
    checker.kinds(call.as_ref(), &utterances);
    checker.words_of_turns(file.call.as_ref(), call.as_ref(), target.as_ref());
    let load = checker.load(file.load.as_ref().unwrap_or(&LoadFile::default()));
    let warmup = file.warmup.as_ref().and_then(|warmup| warmup.calls);
    let networks = file.network.as_ref().map(|n| checker.networks(n));
    let variants = checker.variants(
        file.variants.as_ref(),
        &points,
        target_file,
        target.as_ref(),
        &check_sound::said(&utterances),
    );
    declare_tone(call.as_mut(), target.as_ref(), &variants);
    let around = Around {
        greeting: call.as_ref().map(|call| call.greeting),
        load: &load,
        variants: &variants,
    };
    let none = ThresholdsFile::default();
    let thresholds = checker.thresholds(file.thresholds.as_ref().unwrap_or(&none), &around);
    let scenario = Scenario {
        name: file.name.clone().unwrap_or_else(|| name_of(path)),
        seed,
        target: target?,
        utterances,
        call: call?,
        load,
        warmup: warmup.unwrap_or(0),
        networks: networks.unwrap_or_default(),
        sentinels: sentinels::policy(file.sentinels),
        evidence: evidence::evidence(file.evidence.as_ref()),
        transcripts: file.transcripts.unwrap_or_default(),
        prices: file.prices.clone(),
        observe: checker.observe(file.observe.as_deref()),
        thresholds,
        health: file
            .health
            .as_ref()
            .map_or_else(Default::default, |h| checker.health(h)),
        variants,
        unset: unset_variables(checker),
        doubts: std::mem::take(&mut checker.doubts),
    };
    checker.mixes(&scenario);
    Some(scenario)
}

/// Declares the tone that embedded agents answer with, if all of them answer with a tone.
fn declare_tone(
    call: Option<&mut CallConfig>,
    target: Option<&TargetConfig>,
    variants: &[Variant],
) {
    if let (Some(call), Some(TargetConfig::Embedded(agent))) = (call, target) {
        let tones = |v: &Variant| {
            let agent = v.agent.as_ref().unwrap_or(agent);
            let filler = agent.behaviour.filler.as_ref();
            let is_tone = |filler: &SpokenFiller| matches!(filler.sound, FillerSound::Tone { .. });
            agent.reply == Sound::Tone && filler.is_none_or(is_tone)
        };
        if variants.iter().all(tones) {
            call.reply_tone.get_or_insert(TONE_HZ as u32);
        }
    }
}

/// The file's stem, converted to a name that is valid for rooms and folders.
fn name_of(path: &Path) -> String {
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy())
        .unwrap_or_default();
    let fits = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            c
        } else {
            '-'
        }
    };
    let name: String = stem.chars().map(fits).take(64).collect();
    match name.trim_start_matches(['.', '_', '-']) {
        "" => "scenario".to_owned(),
        name => name.to_owned(),
    }
}

fn unset_variables(checker: &Checker<'_>) -> Vec<UnsetVariable> {
    let all = checker
        .places
        .all_unset()
        .flat_map(|(pointer, place, names)| {
            names
                .iter()
                .map(move |name| (place, name.clone(), places::readable(pointer)))
        });
    let mut all: Vec<_> = all.collect();
    all.sort();
    all.dedup();
    all.into_iter()
        .map(|(place, name, path)| UnsetVariable { name, path, place })
        .collect()
}

/// Replaces the problems about required values with one problem for each unset value.
fn report_unset(checker: &mut Checker<'_>) {
    checker
        .problems
        .retain(|problem| problem.code != Code::UnsetVariable);
    let places = checker.places;
    for (pointer, _, names) in places.all_unset() {
        let first = names.first().map(String::as_str).unwrap_or_default();
        let verb = if names.len() == 1 { "is" } else { "are" };
        let message = format!(
            "{} {verb} not set",
            quoted(names.iter().map(String::as_str))
        );
        let hint =
            format!("set it in the environment or in `.env`, or write `${{{first}:-default}}`");
        checker.problem(pointer, Code::UnsetVariable, message, hint);
    }
}

#[cfg(test)]
mod tests;
