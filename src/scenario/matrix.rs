//! Expands `matrix`: lists of values → a target for each combination.
//!
//! In: `matrix` and `target` as written. Out: the targets, named like `deepgram/gpt-4o/cartesia`,
//! in the order of the file, the last list changing fastest. Invariants: at most [`MAX_VARIANTS`]
//! targets; every list is referred to, so that no two targets are the same by mistake.

use super::checker::Checker;
use super::file::{AgentFile, AxisFile, MatrixFile, TargetFile, ValueFile};
use super::places::{Origin, join};
use super::problem::{Code, clip, quoted};
use super::variables::{Substituted, matrix_names, substitute_at};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of variants in a scenario.
pub(super) const MAX_VARIANTS: usize = 100;

/// A list: its name, and pairs of a value's name and the value.
struct Axis {
    name: String,
    values: Vec<(String, String)>,
}

/// A combination of values: its name, and the resulting target.
pub(super) struct Point {
    pub(super) name: String,
    pub(super) target: TargetFile,
}

impl Checker<'_> {
    /// The targets of all combinations; empty if there is no matrix, or if it is invalid.
    pub(super) fn matrix(&mut self, file: Option<&MatrixFile>, target: &TargetFile) -> Vec<Point> {
        let axes = file.map(|file| self.axes(file)).unwrap_or_default();
        let before = self.problems.len();
        self.references(&axes, file.is_some());
        let count = axes.iter().try_fold(1_usize, |product, axis| {
            product.checked_mul(axis.values.len())
        });
        if count.is_none_or(|count| count > MAX_VARIANTS) {
            let lengths: Vec<String> = axes.iter().map(|a| a.values.len().to_string()).collect();
            let lengths = lengths.join(" × ");
            let message =
                format!("{lengths} combinations exceed the limit of {MAX_VARIANTS} variants");
            let hint = "compare fewer at once; list only the ones you want in `variants`";
            self.problem_at_key("/matrix", Code::BadValue, message, hint);
        }
        if file.is_none() || self.problems.len() > before {
            return Vec::new();
        }
        let mut points = vec![Vec::new()];
        for axis in &axes {
            let longer = |point: &Vec<usize>| {
                let indices = 0..axis.values.len();
                let point = point.clone();
                indices.map(move |i| [point.clone(), vec![i]].concat())
            };
            points = points.iter().flat_map(longer).collect();
        }
        points
            .iter()
            .map(|point| self.point(&axes, point, target))
            .collect()
    }

    /// The lists, in the order of the file.
    fn axes(&mut self, file: &MatrixFile) -> Vec<Axis> {
        let mut axes: Vec<(String, Axis)> = Vec::new();
        for (name, values) in file {
            let at = join("/matrix", name);
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if !name.chars().all(is_name) || name.starts_with(|c: char| c.is_ascii_digit()) {
                let message = format!("`{name}` cannot be referred to as `${{matrix.{name}}}`");
                let hint = "letters, digits and `_`, no digit first";
                self.problem_at_key(&at, Code::BadValue, message, hint);
            }
            let Some(values) = self.need(values.as_ref(), &at) else {
                continue;
            };
            let values = self.values(values, &at);
            axes.push((
                at,
                Axis {
                    name: name.clone(),
                    values,
                },
            ));
        }
        axes.sort_by_key(|(at, _)| self.places.key(at));
        axes.into_iter().map(|(_, axis)| axis).collect()
    }

    /// The values of a list with their names, in the order of the file.
    fn values(&mut self, file: &AxisFile, at: &str) -> Vec<(String, String)> {
        let entries: Vec<(String, Option<&ValueFile>)> = match file {
            AxisFile::List(values) => {
                let entries = values.iter().enumerate();
                entries.map(|(i, v)| (i.to_string(), v.as_ref())).collect()
            }
            AxisFile::Named(values) => {
                let mut entries: Vec<_> = values
                    .iter()
                    .map(|(k, v)| (k.clone(), v.as_ref()))
                    .collect();
                entries.sort_by_key(|(key, _)| self.places.key(&join(at, key)));
                entries
            }
        };
        let mut values = Vec::new();
        let mut names = BTreeSet::new();
        for (key, value) in entries {
            let at = join(at, &key);
            let Some(value) = self.need(value, &at) else {
                continue;
            };
            let spelling = self.places.spelling(&at);
            let value = spelling.map_or_else(|| value.text(), str::to_owned);
            let name = match file {
                AxisFile::List(_) => value.clone(),
                AxisFile::Named(_) => key,
            };
            if !is_fit(&name) {
                let message = format!("`{}` cannot be part of a variant's name", clip(&name));
                let hint = "letters, digits, `.`, `_` and `-`, at most 64, a letter or digit first; \
                            give other values a name: `{fast: openai/gpt-4o-mini}`";
                self.problem(&at, Code::BadValue, message, hint);
            } else if !names.insert(name.clone()) {
                let message = format!("`{name}` is listed twice");
                self.problem(&at, Code::Contradiction, message, "remove one of them");
            }
            values.push((name, value));
        }
        values
    }

    /// Checks that every reference is to an existing list and in a supported place, and that every
    /// list is referred to.
    fn references(&mut self, axes: &[Axis], any: bool) {
        let mut unused: BTreeSet<&str> = axes.iter().map(|a| a.name.as_str()).collect();
        let known = quoted(axes.iter().map(|a| a.name.as_str()));
        let places = self.places;
        for (pointer, text) in places.all_matrix() {
            if !is_template(pointer) {
                let message = "`${matrix.…}` is not supported here";
                let hint = "it is supported in `target`: in `agent_name`, `metadata`, \
                            `room_metadata`, `attributes` and `agent.delay`";
                self.problem(pointer, Code::BadValue, message, hint);
                continue;
            }
            for name in matrix_names(text) {
                if unused.contains(name) || axes.iter().any(|a| a.name == name) {
                    unused.remove(name);
                } else {
                    let message = format!("there is no list `{name}` in `matrix`");
                    let hint = match any {
                        true => format!("lists: {known}"),
                        false => "`matrix: {llm: [a, b]}` makes two variants".to_owned(),
                    };
                    self.problem(pointer, Code::UnknownName, message, hint);
                }
            }
        }
        // A value with an unset variable is absent, and so are its references to lists.
        let gone = |pointer: &str| pointer.starts_with("/target/");
        if self.places.all_unset().any(|(pointer, _, _)| gone(pointer)) {
            return;
        }
        for name in unused {
            let message = format!("nothing refers to `{name}`: its variants would be identical");
            let hint = format!("write `${{matrix.{name}}}` in `target`, or remove the list");
            self.problem_at_key(&join("/matrix", name), Code::Contradiction, message, hint);
        }
    }

    fn point(&mut self, axes: &[Axis], point: &[usize], target: &TargetFile) -> Point {
        let picked = || {
            axes.iter()
                .zip(point)
                .map(|(axis, i)| (axis, &axis.values[*i]))
        };
        let values: BTreeMap<String, String> = picked()
            .map(|(axis, (_, value))| (format!("matrix.{}", axis.name), value.clone()))
            .collect();
        let fill =
            |pointer: &str, text: &Option<String>| self.fill(pointer, text.as_deref(), &values);
        let mut attributes = target.attributes.clone();
        for (key, value) in attributes.iter_mut().flatten() {
            *value = fill(&join("/target/attributes", key), value);
        }
        let agent = target.agent.as_ref().map(|agent| AgentFile {
            delay: fill("/target/agent/delay", &agent.delay),
            ..agent.clone()
        });
        let names: Vec<&str> = picked().map(|(_, (name, _))| name.as_str()).collect();
        Point {
            name: names.join("/"),
            target: TargetFile {
                agent_name: fill("/target/agent_name", &target.agent_name),
                metadata: fill("/target/metadata", &target.metadata),
                room_metadata: fill("/target/room_metadata", &target.room_metadata),
                attributes,
                agent,
                ..target.clone()
            },
        }
    }

    /// Replaces the references in one of the target's strings with the values of a combination.
    fn fill(
        &self,
        pointer: &str,
        text: Option<&str>,
        values: &BTreeMap<String, String>,
    ) -> Option<String> {
        let text = text?;
        if !matches!(self.places.origin(pointer), Some(Origin::Matrix(_))) {
            return Some(text.to_owned());
        }
        let lookup = |name: &str| values.get(name).cloned().or_else(|| (self.env)(name));
        match substitute_at(text, &lookup) {
            Ok(Substituted::Text(text)) => Some(text),
            // Every reference and variable has been looked up before.
            _ => Some(text.to_owned()),
        }
    }
}

/// Whether references to the matrix are supported at `pointer`.
fn is_template(pointer: &str) -> bool {
    let fields = [
        "/target/agent_name",
        "/target/metadata",
        "/target/room_metadata",
        "/target/agent/delay",
    ];
    let attribute = pointer.strip_prefix("/target/attributes/");
    fields.contains(&pointer) || attribute.is_some_and(|name| !name.contains('/'))
}

/// Whether `name` matches `NAME_PATTERN`.
fn is_fit(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(fits)
}
