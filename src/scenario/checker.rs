//! State shared by the checks: reads optional values, collects problems with their places.
//!
//! Invariants: a value that the schema rejected is not reported a second time; a required value
//! whose variable is unset is reported.

use super::file::{DurationText, PercentText};
use super::places::{Places, last, readable};
use super::problem::{Code, Problem, quoted};
use super::types::{Doubtful, SoundFile};
use super::variables::VariableLookup;
use crate::vocab::duration;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

/// Why a sound file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FileProblem {
    /// What is wrong, with the file's name.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) hint: String,
}

/// The properties of a sound file that has been read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadedSound {
    /// Length of the sound.
    pub length: Duration,
    /// Likely mistakes in the file, although it can be used.
    pub doubts: Vec<FileProblem>,
}

/// Reads a sound file (`None` if it exists but has not been read).
pub(crate) type LoadUtterance<'a> =
    &'a dyn Fn(&SoundFile<'_>) -> Result<Option<LoadedSound>, FileProblem>;

pub(super) struct Checker<'a> {
    pub(super) places: &'a Places,
    pub(super) load: LoadUtterance<'a>,
    pub(super) env: VariableLookup<'a>,
    /// The scenario's folder.
    pub(super) folder: &'a Path,
    /// Whether the target is our own reference agent.
    pub(super) embedded: bool,
    pub(super) problems: Vec<Problem>,
    /// Valid values that are likely to be mistakes.
    pub(super) doubts: Vec<Doubtful>,
}

impl Checker<'_> {
    pub(super) fn problem(
        &mut self,
        pointer: &str,
        code: Code,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.problems.push(Problem {
            place: self.places.value(pointer),
            path: readable(pointer),
            code,
            message: message.into(),
            excerpt: Vec::new(),
            hint: hint.into(),
        });
    }

    /// Like [`Self::problem`], but placed at the key.
    pub(super) fn problem_at_key(
        &mut self,
        pointer: &str,
        code: Code,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.problem(pointer, code, message, hint);
        if let Some(problem) = self.problems.last_mut() {
            problem.place = self.places.key(pointer);
        }
    }

    /// Notes that a valid value is likely to be a mistake.
    pub(super) fn doubt(
        &mut self,
        pointer: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.doubts.push(Doubtful {
            path: readable(pointer),
            place: self.places.value(pointer),
            message: message.into(),
            hint: hint.into(),
        });
    }

    /// Returns a required value; reports a missing one unless the schema already has.
    pub(super) fn need<T>(&mut self, value: Option<T>, pointer: &str) -> Option<T> {
        if value.is_none() && self.is_unset(pointer) {
            let names = self.places.unset(pointer).iter().map(String::as_str);
            let first = names.clone().next().unwrap_or_default().to_owned();
            let what = readable(pointer);
            let message = format!(
                "{} is not set, and `{what}` must have a value",
                quoted(names)
            );
            let hint = format!("set it, or give it a default: `${{{first}:-…}}`");
            self.problem(pointer, Code::UnsetVariable, message, hint);
        }
        value
    }

    /// Whether the value is absent because a variable is unset.
    pub(super) fn is_unset(&self, pointer: &str) -> bool {
        !self.places.unset(pointer).is_empty()
    }

    /// Reads a duration, or returns `default` if there is none; with [`Zero::Refused`], zero is a
    /// problem.
    pub(super) fn duration(
        &mut self,
        text: Option<&DurationText>,
        pointer: &str,
        default: Duration,
        zero: Zero,
    ) -> Duration {
        let Some(DurationText(text)) = text else {
            return default;
        };
        match duration::parse(text) {
            Ok(Duration::ZERO) if zero == Zero::Refused => {
                let name = last(pointer);
                let message = format!("`{name}` must be greater than 0");
                let hint = format!("leave it out for {}", duration::format(default));
                let hint = if default.is_zero() {
                    "leave it out".to_owned()
                } else {
                    hint
                };
                self.problem(pointer, Code::BadValue, message, hint);
                default
            }
            Ok(value) => value,
            Err(error) => {
                let name = last(pointer);
                let message = format!("`{name}`: {error}");
                self.problem(pointer, Code::BadValue, message, error.hint());
                default
            }
        }
    }

    /// A duration within `range`; `None` if it is reported to be outside. A text that is no
    /// duration is reported, and replaced by `default`.
    pub(super) fn duration_within(
        &mut self,
        text: Option<&DurationText>,
        pointer: &str,
        default: Duration,
        range: &RangeInclusive<Duration>,
        hint: &str,
    ) -> Option<Duration> {
        let value = self.duration(text, pointer, default, Zero::Fine);
        if range.contains(&value) {
            return Some(value);
        }
        let [least, most] = [range.start(), range.end()].map(|bound| duration::format(*bound));
        let message = format!("`{}` must be between {least} and {most}", last(pointer));
        self.problem(pointer, Code::BadValue, message, hint);
        None
    }

    /// Parses a duration that must be set, and checks its range.
    pub(super) fn needed_duration(
        &mut self,
        text: Option<&DurationText>,
        pointer: &str,
        range: &RangeInclusive<Duration>,
        hint: &str,
    ) -> Option<Duration> {
        let text = self.need(text, pointer)?;
        self.duration_within(Some(text), pointer, Duration::ZERO, range, hint)
    }

    /// A share from 0 to 1, written in percent; `None` if it is reported to be too large.
    pub(super) fn share(
        &mut self,
        PercentText(text): &PercentText,
        pointer: &str,
        hint: &str,
    ) -> Option<f64> {
        // The schema accepts only digits, a decimal point and a percent sign.
        let percent = text.trim_end_matches('%').parse::<f64>().unwrap_or(0.0);
        if percent > 100.0 {
            let message = format!("`{}` is at most 100%, not {text}", last(pointer));
            self.problem(pointer, Code::BadValue, message, hint);
            return None;
        }
        Some(percent / 100.0)
    }
}

/// Whether a duration of zero is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zero {
    Fine,
    Refused,
}
