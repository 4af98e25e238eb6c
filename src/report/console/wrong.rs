//! What looks wrong with a run, and what to do about it.
//!
//! In: a summary. Out: findings, the most serious first, each with a hint if there is something to
//! do. Invariant: a reason that is shown with a gate is not repeated.

use super::page::{LONGEST_MESSAGE, LONGEST_NAME};
use crate::record::{FailureGroup, ReasonKind, Summary};
use crate::report::flags;
use crate::report::text::{clean, grouped, indented, plural};
use crate::report::{Screen, needed};

/// The title above the findings.
pub(super) const TITLE: &str = "what looks wrong";

/// A problem of a run, and what to do about it.
pub(super) struct Finding {
    pub(super) text: String,
    /// What to try next.
    pub(super) hint: Option<String>,
}

impl Finding {
    /// The lines of the finding, indented by `indent` columns, with its hint below.
    pub(super) fn lines(&self, indent: usize, screen: Screen) -> Vec<String> {
        let mut lines = indented(&self.text, indent, screen.width);
        if let Some(hint) = &self.hint {
            let hint = format!("hint: {hint}");
            lines.extend(indented(&hint, indent + 2, screen.width));
        }
        lines
    }
}

fn finding(text: impl Into<String>, hint: &str) -> Finding {
    Finding {
        text: text.into(),
        hint: (!hint.is_empty()).then(|| hint.to_owned()),
    }
}

/// The reasons for the verdict, except those shown with gates; a hint that several reasons share is
/// given once.
pub(super) fn reasons(summary: &Summary) -> Vec<Finding> {
    let mut given: Vec<&str> = Vec::new();
    let reasons = summary.verdict.reasons_of_the_run();
    let reasons = reasons.map(|reason| {
        let mut hint = ReasonKind::of(reason).map_or("", what_to_do);
        if given.contains(&hint) {
            hint = "";
        }
        given.push(hint);
        finding(clean(reason, LONGEST_MESSAGE), hint)
    });
    reasons.collect()
}

fn what_to_do(kind: ReasonKind) -> &'static str {
    match kind {
        ReasonKind::Unasked => {
            "add `thresholds:` to the scenario, or pass --threshold 'ttfa: p(95)<1500ms'"
        }
        ReasonKind::Generator => {
            "make fewer calls at once from this machine, or give it more cores; `loadgen calibrate` measures how many calls it can carry"
        }
        ReasonKind::Hung => {
            "look at this machine's memory and disks; a warning above shows the part"
        }
        ReasonKind::Machine => {
            "look at this machine's limits: open files (`ulimit -n`), memory, ports"
        }
        ReasonKind::Refused => {
            "look at this machine's network: its firewall, its routes, its send buffers"
        }
        ReasonKind::Unheard => {
            "loadgen should know every track that it receives: please report this, with the run folder"
        }
        ReasonKind::Useless => {
            "look at the network between here and the server: something on the way repeats, delays or forges packets"
        }
        ReasonKind::Dropped => {
            "calls took longer than the load allows for: raise `max_concurrent`, or lower the rate"
        }
    }
}

/// Everything else that looks wrong.
pub(super) fn findings(summary: &Summary) -> Vec<Finding> {
    let failures = summary.failures.iter().map(failure);
    let mut findings: Vec<Finding> = failures.collect();
    findings.extend(sentinels(summary));
    findings.extend(outcomes(summary));
    findings.extend(doubts(summary));
    if summary.echoes > 0 {
        let times = plural(summary.echoes, "time");
        let text =
            format!("the caller's own voice came back {times} and was not taken for a reply");
        findings.push(finding(text, ""));
    }
    let needed = needed::of_variants(&summary.variants).into_iter();
    findings.extend(needed.map(|text| finding(text, "")));
    findings
}

fn failure(failure: &FailureGroup) -> Finding {
    let calls = plural(failure.count, "call");
    let cause = clean(&failure.cause, LONGEST_NAME);
    let message = clean(&failure.message, LONGEST_MESSAGE);
    let text = format!("{calls} failed, {cause}: {message}");
    finding(text, &clean(&failure.hint, LONGEST_MESSAGE))
}

fn sentinels(summary: &Summary) -> Option<Finding> {
    let sentinels = summary.sentinels.filter(|s| s.moved)?;
    let shift = sentinels
        .shift_ms
        .map_or_else(String::new, |shift| format!(" (later half {shift:+.1} ms)"));
    let text = format!(
        "the error of the sentinel calls moved by more than 5 ms{shift}: the generator or the path is the bottleneck, not the agent"
    );
    let hint = "make fewer calls at once, or look at the network from here to the server";
    Some(finding(text, hint))
}

fn outcomes(summary: &Summary) -> Vec<Finding> {
    let turns = &summary.outcomes;
    let ended = grouped(turns.ended() as u64);
    let mut findings = Vec::new();
    if turns.missed > 0 {
        let late = match summary.late_replies {
            0 => String::new(),
            n => format!("; {} answered after the timeout", grouped(n as u64)),
        };
        let missed = grouped(turns.missed as u64);
        let text = format!("{missed} of {ended} turns were missed{late}");
        let hint = "the report lists them, and plays those kept with --evidence";
        findings.push(finding(text, hint));
    }
    if turns.early > 0 {
        let early = grouped(turns.early as u64);
        let text = format!("{early} of {ended} turns were answered before the caller had finished");
        let hint = "look at the agent's turn detection: it mistakes pauses for turn ends";
        findings.push(finding(text, hint));
    }
    findings
}

/// Flagged turns, by flag; a flag introduced by a later release is shown by name only.
fn doubts(summary: &Summary) -> Vec<Finding> {
    let flagged = flags::found(&summary.flags).into_iter();
    let flagged = flagged.map(|(name, turns, meaning)| {
        let turns = plural(turns, "turn");
        let name = clean(name, LONGEST_NAME);
        match meaning {
            Some(meaning) => finding(
                format!("{turns} flagged {name}: {}", meaning.text),
                meaning.hint.unwrap_or_default(),
            ),
            None => finding(format!("{turns} flagged {name}"), ""),
        }
    });
    flagged.collect()
}
