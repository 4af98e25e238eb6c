//! Renders a comparison of runs as text for people and as JSON for machines.
//!
//! In: the baseline, the candidates and the results of `stats::compare`. Out: text, JSON.
//! Invariant: every verdict is shown together with its interval and its p value.

use super::Style;
use super::needed;
use super::text::clean;
use crate::record::LagNeeded;
use crate::stats::compare::{Change, Comparison, Difference, Figure, Settings};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Version of the JSON format.
const VERSION: u32 = 1;
/// Maximum length of a displayed name, in characters.
const LONGEST: usize = 60;

/// The result of comparing runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// Settings of the comparison: noise margins, level and seed.
    pub settings: Settings,
    /// Each candidate with its baseline.
    pub pairs: Vec<Pair>,
}

/// A candidate and the baseline it was compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// Name of the baseline.
    pub baseline: String,
    /// Name of the candidate.
    pub candidate: String,
    /// Differences that make the two not comparable, such as another load.
    pub differs: Vec<String>,
    /// Differences that do not prevent a comparison, such as another seed.
    pub listed: Vec<String>,
    /// Results, one per metric.
    pub comparisons: Vec<Comparison>,
}

impl Pair {
    /// The overall change across all metrics.
    pub fn change(&self) -> Change {
        Change::of_all(self.comparisons.iter().map(|c| c.change))
    }
}

/// Renders the comparison as text for people.
pub fn render(compared: &Compared, style: Style) -> String {
    let mut out = String::new();
    for (nth, pair) in compared.pairs.iter().enumerate() {
        if nth > 0 {
            out.push('\n');
        }
        one(&mut out, pair, style);
    }
    let Settings { noise, level, .. } = compared.settings;
    let _ = write!(
        out,
        "\nnoise: under {} % or {} ms; of rates, under {} % or {} points\n\
         chance of any false alarm: {:.0} % (permutation of calls, Holm)\n",
        plain(noise.share * 100.0),
        plain(noise.ms),
        plain(noise.share * 100.0),
        plain(noise.rate * 100.0),
        (1.0 - level) * 100.0
    );
    out
}

/// Rounds to three decimals, so that no trailing zeros are printed: 2.5, 20.
fn plain(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn one(out: &mut String, pair: &Pair, style: Style) {
    let _ = writeln!(out, "baseline   {}", clean(&pair.baseline, LONGEST));
    let _ = writeln!(out, "candidate  {}", clean(&pair.candidate, LONGEST));
    for text in &pair.listed {
        let _ = writeln!(out, "           {}", clean(text, 2 * LONGEST));
    }
    for text in &pair.differs {
        let text = format!("not the same: {}", clean(text, 2 * LONGEST));
        let _ = writeln!(out, "           {}", style.doubtful(&text));
    }
    let head = format!(
        "{:<14}{:<6}{:>11}{:>11}{:>11}  {:<20}{:>8}  verdict",
        "", "", "baseline", "candidate", "difference", "95 % interval", "p"
    );
    let _ = writeln!(out, "\n{}", style.head(&head));
    for comparison in &pair.comparisons {
        let mut name = clean(&comparison.metric, 13);
        for difference in &comparison.differences {
            let _ = writeln!(out, "{}", line(&name, difference, style));
            name.clear();
        }
    }
    let figures = pair.comparisons.iter().flat_map(|c| &c.differences);
    let needed = figures.filter_map(|d| d.needed.map(LagNeeded::from));
    let needed = needed::once(needed.map(|n| needed::sentence(&n)));
    for (nth, text) in needed.iter().enumerate() {
        let gap = if nth == 0 { "\n" } else { "" };
        let _ = writeln!(out, "{gap}inconclusive: {text}");
    }
    let _ = writeln!(out, "\n{}", word(pair.change(), style));
}

fn line(name: &str, d: &Difference, style: Style) -> String {
    let figure = |v: f64| figure(v, d.figure);
    let interval = d.interval.map_or_else(
        || "(too few calls)".to_owned(),
        |(lower, upper)| format!("[{}, {}]", signed(lower, d.figure), signed(upper, d.figure)),
    );
    format!(
        "{name:<14}{:<6}{:>11}{:>11}{:>11}  {interval:<20}{:>8}  {}",
        d.figure.name(),
        figure(d.baseline),
        figure(d.candidate),
        signed(d.by, d.figure),
        probability(d.p_adjusted),
        word(d.change, style)
    )
}

/// Times in ms, rates in percent.
fn figure(value: f64, figure: Figure) -> String {
    match figure {
        _ if value.is_infinite() => if value > 0.0 { "∞" } else { "-∞" }.to_owned(),
        Figure::Rate => format!("{:.2} %", value * 100.0),
        Figure::P50 | Figure::P95 => format!("{value:.1}"),
    }
}

fn signed(value: f64, of: Figure) -> String {
    let sign = if value > 0.0 { "+" } else { "" };
    format!("{sign}{}", figure(value, of))
}

fn probability(p: f64) -> String {
    match p < 0.001 {
        true => "<0.001".to_owned(),
        false => format!("{p:.3}"),
    }
}

fn word(change: Change, style: Style) -> String {
    match change {
        Change::Improved => style.good(change.name()),
        Change::Regressed => style.bad(change.name()),
        Change::Unchanged => change.name().to_owned(),
        Change::Inconclusive => style.doubtful(change.name()),
    }
}

/// Renders the comparison as JSON; an infinite value becomes `null`.
pub fn json(compared: &Compared) -> String {
    let Settings { noise, level, seed } = compared.settings;
    let value = json!({
        "version": VERSION,
        "level": level,
        "seed": seed,
        "noise": {"share": noise.share, "ms": noise.ms, "rate": noise.rate},
        "pairs": compared.pairs.iter().map(pair_json).collect::<Vec<_>>(),
    });
    // Serialization cannot fail: names are strings, and numbers are finite or null.
    format!("{value:#}\n")
}

fn pair_json(pair: &Pair) -> Value {
    let metric = |c: &Comparison| {
        json!({
            "metric": c.metric,
            "change": c.change.name(),
            "figures": c.differences.iter().map(difference_json).collect::<Vec<_>>(),
        })
    };
    json!({
        "baseline": pair.baseline,
        "candidate": pair.candidate,
        "comparable": pair.differs.is_empty(),
        "differs": pair.differs,
        "listed": pair.listed,
        "change": pair.change().name(),
        "metrics": pair.comparisons.iter().map(metric).collect::<Vec<_>>(),
    })
}

fn difference_json(d: &Difference) -> Value {
    // Round times to the microsecond, as in every other file, and rates to a millionth.
    let digits = match d.figure {
        Figure::Rate => 1e6,
        Figure::P50 | Figure::P95 => 1e3,
    };
    let finite = |v: f64| v.is_finite().then(|| (v * digits).round() / digits);
    let unit = match d.figure {
        Figure::Rate => "share",
        Figure::P50 | Figure::P95 => "ms",
    };
    json!({
        "figure": d.figure.name(),
        "unit": unit,
        "baseline": finite(d.baseline),
        "candidate": finite(d.candidate),
        "difference": finite(d.by),
        "interval": d.interval.map(|(l, u)| json!({"lower": finite(l), "upper": finite(u)})),
        "p": d.p,
        "p_adjusted": d.p_adjusted,
        "needed": d.needed.map(LagNeeded::from),
        "change": d.change.name(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::compare::{Needed, Noise};

    fn difference(figure: Figure, baseline: f64, candidate: f64, change: Change) -> Difference {
        let by = if baseline == candidate {
            0.0
        } else {
            candidate - baseline
        };
        let reach = if figure == Figure::Rate { 0.004 } else { 12.25 };
        Difference {
            figure,
            baseline,
            candidate,
            by,
            interval: by.is_finite().then_some((by - reach, by + reach)),
            tested: by,
            p: 0.0002,
            p_adjusted: if change == Change::Regressed {
                0.0006
            } else {
                0.25
            },
            change,
            needed: (change == Change::Inconclusive).then_some(Needed {
                best_p: 0.4,
                have: [3, 3],
                calls: [7, 7],
                blocks: None,
            }),
        }
    }

    fn compared() -> Compared {
        use Change::{Inconclusive, Regressed, Unchanged};
        let never = f64::INFINITY;
        let comparison = |metric: &str, differences: Vec<Difference>| Comparison {
            metric: metric.to_owned(),
            change: Change::of_all(differences.iter().map(|d| d.change)),
            differences,
        };
        let pair = Pair {
            baseline: "main".to_owned(),
            candidate: "reports/\u{1b}[31mnew, fast".to_owned(),
            differs: vec!["load: 100 calls → 9 calls".to_owned()],
            listed: vec!["seed: 7 → 8".to_owned()],
            comparisons: vec![
                comparison(
                    "ttfa",
                    vec![
                        difference(Figure::P50, 612.04, 663.2, Regressed),
                        difference(Figure::P95, never, never, Unchanged),
                    ],
                ),
                comparison(
                    "join",
                    vec![difference(Figure::P50, 80.0, never, Inconclusive)],
                ),
                comparison(
                    "missed",
                    vec![difference(Figure::Rate, 0.01, 0.012, Unchanged)],
                ),
            ],
        };
        let all = vec![comparison(
            "ttfa",
            vec![difference(Figure::P50, 600.0, 601.0, Unchanged)],
        )];
        let plain = Pair {
            comparisons: all,
            differs: vec![],
            listed: vec![],
            candidate: "next".to_owned(),
            ..pair.clone()
        };
        Compared {
            settings: Settings::default(),
            pairs: vec![pair, plain],
        }
    }

    #[test]
    fn for_people() {
        insta::assert_snapshot!("comparison", render(&compared(), Style::Plain));
        let mut fine = compared();
        fine.settings.noise = Noise {
            share: 0.025,
            ms: 0.5,
            ..fine.settings.noise
        };
        let told = render(&fine, Style::Plain);
        assert!(told.contains("under 2.5 % or 0.5 ms;"), "{told}");
        let dressed = render(&compared(), Style::Colour);
        assert!(dressed.contains("\u{1b}[31mregressed"), "{dressed}");
    }

    #[test]
    fn for_machines() {
        insta::assert_snapshot!("comparison_json", json(&compared()));
    }
}
