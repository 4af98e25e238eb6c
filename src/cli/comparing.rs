//! Compares runs with a baseline, for `compare` and for `run --baseline`.
//!
//! In: records, the comparison flags. Out: the comparison, an exit code. Invariant: runs made
//! under different conditions are compared only with `--force`.

use super::console;
use super::exit::Exit;
use super::trouble::Trouble;
use crate::record::{
    Conditions, GateResult, MEASUREMENT_VERSION, Metric, RunRecord, changes_between,
};
use crate::report::Screen;
use crate::report::comparison::{self, Compared, Pair};
use crate::stats::compare::{Change, CompareSettings, Noise, Series, compare_pairs};
use clap::Args;
use clap::builder::PossibleValuesParser;

/// How runs are compared.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct HowArgs {
    /// Compare only these metrics
    /// [default: ttfa, stop, hang_up, text_ttft, join, agent_audible, greeting, missed, early, failed]
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = metrics())]
    pub metric: Vec<String>,
    /// Differences that do not matter: a share, a time, or both; anything below either is noise
    /// [default: 5%,20ms]
    #[arg(long, value_name = "SHARE,TIME", value_parser = noise)]
    pub noise_threshold: Option<Noise>,
    /// Exit with 99 if a metric regressed
    #[arg(long)]
    pub fail_on_regression: bool,
    /// Compare even invalid runs and runs under different conditions, and list the differences
    #[arg(long)]
    pub force: bool,
}

impl HowArgs {
    /// Whether any of these flags was given.
    pub(super) fn is_given(&self) -> bool {
        let Self {
            metric,
            noise_threshold,
            fail_on_regression,
            force,
        } = self;
        !metric.is_empty() || noise_threshold.is_some() || *fail_on_regression || *force
    }
}

fn metrics() -> PossibleValuesParser {
    PossibleValuesParser::new(Metric::ALL.iter().map(|m| m.name()))
}

/// Parses `5%`, `20ms`, or both separated by a comma.
fn noise(text: &str) -> Result<Noise, String> {
    let mut noise = CompareSettings::default().noise;
    for part in text.split(',') {
        match part.trim().strip_suffix('%') {
            Some(share) => {
                let share: f64 = share
                    .trim()
                    .parse()
                    .map_err(|_| format!("`{part}` is not a percentage"))?;
                if !(0.0..=1000.0).contains(&share) {
                    return Err(format!("`{part}` is not between 0% and 1000%"));
                }
                noise.share = share / 100.0;
            }
            None => noise.ms = super::duration::parse_duration(part.trim())?.as_secs_f64() * 1e3,
        }
    }
    Ok(noise)
}

/// Prints a comparison as a table. Losing it is not an error: the run folder contains the
/// comparison too.
pub(super) fn show(compared: &Compared, screen: Screen) {
    console::out(&format!("\n{}", comparison::render(compared, screen)));
}

/// 99 if a metric regressed and `--fail-on-regression` was given.
pub(super) fn exit_of(compared: &Compared, how: &HowArgs) -> Exit {
    let all = compared.pairs.iter().flat_map(|p| &p.comparisons);
    match how.fail_on_regression && all.into_iter().any(|c| c.change == Change::Regressed) {
        true => Exit::GateFailed,
        false => Exit::Success,
    }
}

/// Compares records, variant by variant.
///
/// # Errors
/// The metric definitions changed between the records; the records are invalid or were made under
/// different conditions, and `--force` is not given; no variant has values on both sides.
pub(super) fn of_records(
    baseline: (&str, &RunRecord),
    candidates: &[(String, RunRecord)],
    how: &HowArgs,
) -> Result<Compared, Trouble> {
    for (name, candidate) in candidates {
        check(baseline, (name, candidate), how.force)?;
    }
    let metrics: Vec<String> = match how.metric.is_empty() {
        true => Metric::compared().map(|m| m.name().to_owned()).collect(),
        false => how.metric.clone(),
    };
    let mut sides: Vec<(Pair, Vec<Series>, Vec<Series>)> = Vec::new();
    for (name, candidate) in candidates {
        let (differs, listed) = (
            obstacles(baseline, (name, candidate)),
            facts(baseline.1, candidate),
        );
        for (before, after) in variants(baseline.1, candidate) {
            let label =
                |name: &str, record: &RunRecord, variant: &str| match record.variants().len() {
                    0 | 1 => name.to_owned(),
                    _ => format!("{name}, {variant}"),
                };
            let pair = Pair {
                baseline: label(baseline.0, baseline.1, before),
                candidate: label(name, candidate, after),
                differs: differs.clone(),
                listed: listed.clone(),
                comparisons: Vec::new(),
            };
            let (a, b) = (
                baseline.1.series(Some(before), &metrics),
                candidate.series(Some(after), &metrics),
            );
            sides.push((pair, a, b));
        }
    }
    let settings = CompareSettings {
        noise: how
            .noise_threshold
            .unwrap_or(CompareSettings::default().noise),
        seed: baseline.1.summary.run.seed,
        ..CompareSettings::default()
    };
    let pairs: Vec<_> = sides
        .iter()
        .map(|(_, a, b)| (a.as_slice(), b.as_slice()))
        .collect();
    let found = compare_pairs(&pairs, &settings);
    let pairs: Vec<Pair> = sides
        .into_iter()
        .zip(found)
        .map(|((pair, ..), comparisons)| Pair {
            comparisons,
            ..pair
        })
        .collect();
    if pairs.iter().all(|p| p.comparisons.is_empty()) {
        let message =
            "there is nothing to compare: no variant has values of a metric on both sides";
        let hint = "variants are matched by name; `loadgen report` shows what was measured";
        return Err(Trouble::new(Exit::Usage, message, hint));
    }
    Ok(Compared { settings, pairs })
}

/// Pairs of variants to compare: variants of the same name, or, if the baseline has only one
/// variant, that variant paired with every variant of the candidate.
fn variants<'a>(baseline: &'a RunRecord, candidate: &'a RunRecord) -> Vec<(&'a str, &'a str)> {
    let (before, after) = (baseline.variants(), candidate.variants());
    match (before.as_slice(), after.as_slice()) {
        ([one], _) => after.into_iter().map(|v| (*one, v)).collect(),
        (many, [one]) if !many.contains(one) => Vec::new(),
        _ => before
            .into_iter()
            .filter(|v| after.contains(v))
            .map(|v| (v, v))
            .collect(),
    }
}

fn check(
    baseline: (&str, &RunRecord),
    candidate: (&str, &RunRecord),
    force: bool,
) -> Result<(), Trouble> {
    same_measurement(
        (baseline.0, baseline.1.summary.run.measurement_version),
        (candidate.0, candidate.1.summary.run.measurement_version),
    )?;
    if force {
        return Ok(());
    }
    for (name, record) in [baseline, candidate] {
        if let Some(reason) = record.summary.verdict.against_the_run() {
            let message = format!("`{name}` is not a valid run: {reason}");
            let hint = "run it again; or compare anyway with --force";
            return Err(Trouble::new(Exit::InvalidRun, message, hint));
        }
    }
    comparable(obstacles(baseline, candidate), candidate.0, baseline.0)
}

/// An error if the metric definitions changed between the two runs. A difference could then come
/// from the definitions, so `--force` does not override this.
fn same_measurement(baseline: (&str, u32), candidate: (&str, u32)) -> Result<(), Trouble> {
    let Some(changes) = changes_between(baseline.1, candidate.1) else {
        return Ok(());
    };
    let message = format!(
        "`{}` was measured with version {} of the definitions and `{}` with version {}; what changed:\n  - {}",
        baseline.0,
        baseline.1,
        candidate.0,
        candidate.1,
        changes.join("\n  - ")
    );
    let hint = "repeat both runs with the same release of loadgen";
    Err(Trouble::new(Exit::Usage, message, hint))
}

/// An error that lists the obstacles, if there are any.
fn comparable(obstacles: Vec<String>, candidate: &str, baseline: &str) -> Result<(), Trouble> {
    match obstacles.is_empty() {
        true => Ok(()),
        false => {
            let list = obstacles.join("\n  - ");
            let message =
                format!("`{candidate}` cannot be compared with `{baseline}`:\n  - {list}");
            let hint = "use the same scenario for both runs, or compare anyway with --force";
            Err(Trouble::new(Exit::Usage, message, hint))
        }
    }
}

/// Checks before a run that its conditions match those of the baseline.
pub(super) fn check_before(
    baseline: (&str, &RunRecord),
    conditions: &Conditions,
    how: &HowArgs,
) -> Result<(), Trouble> {
    let before = baseline.1.summary.run.measurement_version;
    same_measurement((baseline.0, before), ("this run", MEASUREMENT_VERSION))?;
    if how.force {
        return Ok(());
    }
    if let Some(reason) = baseline.1.summary.verdict.against_the_run() {
        let message = format!("the baseline `{}` is not a valid run: {reason}", baseline.0);
        let hint = "save another one; or compare anyway with --force";
        return Err(Trouble::new(Exit::InvalidRun, message, hint));
    }
    let found = match &baseline.1.summary.conditions {
        Some(before) => before.differences(conditions),
        None => vec![unknown(baseline.0)],
    };
    comparable(found, "this run", baseline.0)
}

fn unknown(name: &str) -> String {
    format!("the conditions of `{name}` are unknown: an earlier version of loadgen recorded it")
}

/// Reasons why the two records are not comparable.
fn obstacles(baseline: (&str, &RunRecord), candidate: (&str, &RunRecord)) -> Vec<String> {
    let of = |record: &'_ RunRecord| record.summary.conditions.clone();
    let mut found = match (of(baseline.1), of(candidate.1)) {
        (Some(before), Some(after)) => before.differences(&after),
        (None, _) => vec![unknown(baseline.0)],
        (_, None) => vec![unknown(candidate.0)],
    };
    for (name, record) in [baseline, candidate] {
        if let Some(reason) = record.summary.verdict.against_the_run() {
            found.push(format!("`{name}` is not a valid run: {reason}"));
        }
    }
    found
}

/// Differences that do not prevent a comparison.
fn facts(baseline: &RunRecord, candidate: &RunRecord) -> Vec<String> {
    let gates = |r: &RunRecord| {
        let gates = r.summary.verdict.gates.iter();
        let gates: Vec<String> = gates.map(GateResult::name).collect();
        if gates.is_empty() {
            "none".to_owned()
        } else {
            gates.join(", ")
        }
    };
    let run = |r: &RunRecord| r.summary.run.clone();
    let (a, b) = (run(baseline), run(candidate));
    let pairs = [
        ("scenario", a.name, b.name),
        ("target", a.target, b.target),
        (
            "variants",
            baseline.variants().join(", "),
            candidate.variants().join(", "),
        ),
        ("seed", a.seed.to_string(), b.seed.to_string()),
        ("thresholds", gates(baseline), gates(candidate)),
        ("loadgen", a.loadgen_version, b.loadgen_version),
    ];
    let differ = pairs.into_iter().filter(|(_, a, b)| a != b);
    differ
        .map(|(what, a, b)| format!("{what}: {a} → {b}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_margins_are_parsed() {
        let default = CompareSettings::default().noise;
        for (text, share, ms) in [
            ("5%,20ms", 0.05, 20.0),
            ("10%", 0.1, default.ms),
            ("1s", default.share, 1_000.0),
            ("0ms, 2.5 %", 0.025, 0.0),
        ] {
            let found = noise(text).unwrap();
            assert!(
                (found.share - share).abs() < 1e-12 && found.ms == ms,
                "{text}: {found:?}"
            );
        }
        for text in ["", "5", "x%", "-1%", "NaN%", "20 apples"] {
            assert!(noise(text).is_err(), "{text}");
        }
    }
}
