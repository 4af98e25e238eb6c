//! The comparison of runs: its types and its JSON.
//!
//! In: the baseline, the candidates and the results of `stats::compare`. Out: JSON here, text in
//! `text.rs`. Invariant: every figure shown has its interval, and its p-value unless there are too
//! many pairs for tables.

mod text;

use crate::record::LagNeeded;
use crate::stats::compare::{Change, CompareSettings, Comparison, Difference, Figure};
use serde_json::{Value, json};
pub(crate) use text::render;

/// Version of the JSON format.
const VERSION: u32 = 1;

/// The result of comparing runs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Compared {
    /// Settings of the comparison: noise margins, level and seed.
    pub settings: CompareSettings,
    /// Each candidate with its baseline.
    pub pairs: Vec<Pair>,
}

/// A candidate and the baseline it was compared with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pair {
    pub baseline: String,
    pub candidate: String,
    /// Differences that make the two runs incomparable, such as a different load.
    pub differs: Vec<String>,
    /// Differences that do not prevent a comparison, such as a different seed.
    pub listed: Vec<String>,
    /// Results, one per metric.
    pub comparisons: Vec<Comparison>,
}

impl Pair {
    /// The overall change across all metrics.
    pub(crate) fn change(&self) -> Change {
        Change::of_all(self.comparisons.iter().map(|c| c.change))
    }
}

/// Renders the comparison as JSON; an infinite value becomes `null`.
pub(crate) fn json(compared: &Compared) -> String {
    let CompareSettings { noise, level, seed } = compared.settings;
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
    // Round times to the microsecond, as in every other file, and rates to six decimals.
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
    use crate::report::{Screen, Style};
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
            settings: CompareSettings::default(),
            pairs: vec![pair, plain],
        }
    }

    #[test]
    fn comparison_as_text() {
        insta::assert_snapshot!("comparison", render(&compared(), Screen::default()));
        let mut fine = compared();
        fine.settings.noise = Noise {
            share: 0.025,
            ms: 0.5,
            ..fine.settings.noise
        };
        let told = render(&fine, Screen::default());
        assert!(told.contains("under 2.5 % or 0.5 ms;"), "{told}");
        let dressed = render(&compared(), Screen::new(Style::Colour, None));
        assert!(dressed.contains("\u{1b}[31mregressed"), "{dressed}");
    }

    /// Pairs with every metric that is compared by default.
    fn many(pairs: usize) -> Compared {
        let mut all = compared();
        let pair = all.pairs[0].clone();
        let metrics = [
            "ttfa",
            "stop",
            "join",
            "agent_audible",
            "greeting",
            "missed",
            "early",
        ];
        let comparisons = metrics.iter().enumerate().map(|(nth, metric)| Comparison {
            metric: (*metric).to_owned(),
            ..pair.comparisons[nth % 2].clone()
        });
        let comparisons: Vec<Comparison> = comparisons.collect();
        let named = |nth| Pair {
            candidate: format!("reports/20260131T120000Z-candidate-{nth}"),
            comparisons: comparisons.clone(),
            listed: vec!["thresholds: ttfa p(95)<1s → none".to_owned(); 6],
            ..pair.clone()
        };
        all.pairs = (0..pairs).map(named).collect();
        all
    }

    #[test]
    fn a_comparison_of_any_number_of_pairs_fits_on_a_screen() {
        for pairs in [1, 2, 3, 5, 9, 50] {
            for width in [80, 100, 120] {
                let screen = Screen::new(Style::Plain, Some(width));
                let text = render(&many(pairs), screen);
                assert!(text.lines().count() <= 40, "{pairs} at {width}:\n{text}");
                let widest = text.lines().map(|line| line.chars().count()).max();
                assert!(widest <= Some(width), "{pairs} at {width}:\n{text}");
                assert!(
                    text.contains("ttfa p50") || text.contains("ttfa           p50"),
                    "{text}"
                );
                let whole = render(&many(pairs), screen.with_lines(Screen::ALL));
                assert!(!whole.contains("--details"), "{whole}");
            }
        }
        let text = render(&many(1), Screen::default().with_lines(14));
        assert!(text.lines().count() <= 14, "{text}");
        insta::assert_snapshot!(
            "comparison_of_two_at_100",
            render(&many(2), Screen::default())
        );
        let narrow = Screen::new(Style::Plain, Some(80));
        insta::assert_snapshot!("comparison_of_nine_at_80", render(&many(9), narrow));
        insta::assert_snapshot!("comparison_of_one_at_80", render(&many(1), narrow));
    }

    #[test]
    fn comparison_as_json() {
        insta::assert_snapshot!("comparison_json", json(&compared()));
    }

    #[test]
    fn every_field_of_the_json_is_documented() {
        fn names(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                    found.push(name.clone());
                    names(value, found);
                }),
                Value::Array(items) => items.iter().for_each(|item| names(item, found)),
                _ => {}
            }
        }
        let docs = include_str!("../../docs/formats.md");
        let section = docs
            .split("\n## ")
            .find(|s| s.starts_with("`comparison.json`"));
        let section = section.expect("docs/formats.md has a section on comparison.json");
        let mut found = Vec::new();
        let written =
            serde_json::from_str(&json(&compared())).expect("the comparison is valid JSON");
        names(&written, &mut found);
        for name in found {
            assert!(section.contains(&format!("`{name}`")), "{name}");
        }
    }
}
