//! A comparison as text for people.
//!
//! In: a comparison, the screen. Out: at most as many lines as the screen has. Invariants: each
//! pair of runs shows its most important differences and counts the others; a row is no wider than
//! the screen: figures that do not fit side by side are listed one after another.

use super::{Compared, Pair};
use crate::record::LagNeeded;
use crate::report::columns::Columns;
use crate::report::fit::{Item, Part, fit};
use crate::report::text::{beside, clean, indented, joined, wrap};
use crate::report::{Screen, Style, needed};
use crate::stats::compare::{Change, CompareSettings, Difference, Figure};
use crate::vocab::Metric;

/// Width of the verdict column.
const KEY: usize = 14;
/// Maximum length of a displayed name, in characters.
const LONGEST_NAME: usize = 120;
/// Maximum length of a displayed difference between the settings of two runs.
const LONGEST: usize = 240;
/// Number of figures shown for each pair when a pair is reduced to one sentence.
const TOLD: usize = 2;

/// Renders the comparison, with a final newline; in full if the screen has [`Screen::ALL`] lines.
pub(crate) fn render(compared: &Compared, screen: Screen) -> String {
    let columns = columns(compared, screen.width);
    let mut parts = Vec::new();
    for (nth, pair) in compared.pairs.iter().enumerate() {
        let gap = if nth == 0 {
            vec![]
        } else {
            vec![String::new()]
        };
        parts.push(Part::whole(gap));
        parts.extend(of_pair(pair, columns.as_ref(), screen));
    }
    parts.push(Part::whole(footer(compared.settings, screen)));
    let mut lines = fit(parts, screen.lines, screen.width);
    if lines.len() > screen.lines && compared.pairs.len() > 1 {
        let parts = vec![
            overview(compared, screen),
            Part::whole(footer(compared.settings, screen)),
        ];
        lines = fit(parts, screen.lines, screen.width);
    }
    joined(&lines)
}

/// The verdict on a pair and the names of its runs, followed by `further`.
fn head(pair: &Pair, further: &str, screen: Screen) -> Vec<String> {
    let change = pair.change();
    let word = format!("{:<KEY$}", change.name().to_uppercase());
    let names = format!(
        "{} against {}{further}",
        clean(&pair.candidate, LONGEST_NAME),
        clean(&pair.baseline, LONGEST_NAME)
    );
    let word = dressed(change, &word, screen.style);
    beside(&word, &names, KEY, screen.width)
}

fn of_pair(pair: &Pair, columns: Option<&Columns<8>>, screen: Screen) -> Vec<Part> {
    let below = |text: &str, style: fn(Style, &str) -> String| {
        let lines = wrap(text, screen.width - KEY);
        let line = |line: String| format!("{:KEY$}{}", "", style(screen.style, &line));
        Item {
            lines: lines.into_iter().map(line).collect(),
            kind: "",
        }
    };
    let differs = pair.differs.iter().map(|text| {
        let text = format!("not the same: {}", clean(text, LONGEST));
        below(&text, Style::doubtful)
    });
    let listed = pair.listed.iter();
    let listed = listed.map(|text| below(&clean(text, LONGEST), |_, text| text.to_owned()));
    let mut rows: Vec<(usize, &str, &Difference)> = figures(pair)
        .enumerate()
        .map(|(place, (metric, difference))| (place, metric, difference))
        .collect();
    rows.sort_by_key(|(_, metric, difference)| weight(metric, difference.change));
    let rows = rows.into_iter().map(|(place, metric, difference)| {
        let row = Row::of(metric, difference);
        let item = Item {
            lines: row.lines(difference.change, columns, screen),
            kind: difference.change.name(),
        };
        (place, item)
    });
    let head_of_table = columns.map(|columns| columns.line(&Row::heads().0));
    let head_of_table = head_of_table.map(|line| screen.style.head(&line));
    let title = std::iter::once(String::new()).chain(head_of_table);
    let needed = figures(pair).filter_map(|(_, d)| d.needed.map(LagNeeded::from));
    let needed = needed::once(needed.map(|n| needed::sentence(&n)));
    let needed = needed.into_iter().map(|text| Item {
        lines: wrap(&format!("inconclusive: {text}"), screen.width),
        kind: "",
    });
    vec![
        Part::whole(head(pair, "", screen)),
        Part::of(Vec::new(), differs.chain(listed).collect()).after(KEY),
        Part::placed(title.collect(), rows.collect()),
        Part::of(vec![String::new()], needed.collect()),
    ]
}

/// Every figure with its metric, in the order of the comparison.
fn figures(pair: &Pair) -> impl Iterator<Item = (&str, &Difference)> {
    let all = pair.comparisons.iter();
    all.flat_map(|c| c.differences.iter().map(|d| (c.metric.as_str(), d)))
}

/// Rank by importance; the figures with the largest rank are left out first.
fn weight(metric: &str, change: Change) -> usize {
    match change {
        Change::Regressed => 0,
        Change::Improved => 1,
        _ if metric == Metric::Ttfa.name() => 2,
        Change::Inconclusive => 3,
        Change::Unchanged => 4,
    }
}

/// One sentence for each pair, for when there are too many pairs for tables.
fn overview(compared: &Compared, screen: Screen) -> Part {
    let mut pairs: Vec<&Pair> = compared.pairs.iter().collect();
    pairs.sort_by_key(|pair| weight("", pair.change()));
    let items = pairs.into_iter().map(|pair| {
        let change = pair.change();
        let decisive: Vec<_> = figures(pair).filter(|(_, d)| d.change == change).collect();
        let told = decisive.iter().take(TOLD).map(|(metric, d)| {
            let row = Row::of(metric, d);
            format!("{metric} {} {} {}", row.0[1], row.0[4], row.0[5])
        });
        let told: Vec<String> = told.collect();
        let more = match decisive.len().saturating_sub(TOLD) {
            0 => String::new(),
            more => format!(", and {more} more figures {}", change.name()),
        };
        let further = format!(": {}{more}", told.join(", "));
        Item {
            lines: head(pair, &further, screen),
            kind: change.name(),
        }
    });
    Part::of(Vec::new(), items.collect())
}

fn footer(settings: CompareSettings, screen: Screen) -> Vec<String> {
    let CompareSettings { noise, level, .. } = settings;
    let text = format!(
        "noise: under {} % or {} ms; for rates, under {} % or {} points; \
         chance of any false alarm: {:.0} % (permutation of calls, Holm)",
        plain(noise.share * 100.0),
        plain(noise.ms),
        plain(noise.share * 100.0),
        plain(noise.rate * 100.0),
        (1.0 - level) * 100.0
    );
    let lines = wrap(&text, screen.width);
    [String::new()].into_iter().chain(lines).collect()
}

/// Rounds to three decimals, so that no trailing zeros are printed: 2.5, 20.
fn plain(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// Metric, figure, baseline, candidate, difference, interval, p, verdict.
struct Row([String; 8]);

impl Row {
    fn heads() -> Self {
        let heads = [
            "",
            "",
            "baseline",
            "candidate",
            "difference",
            "95 % interval",
            "p",
            "verdict",
        ];
        Self(heads.map(str::to_owned))
    }

    fn of(metric: &str, d: &Difference) -> Self {
        let interval = d.interval.map_or_else(
            || "(too few calls)".to_owned(),
            |(lower, upper)| format!("[{}, {}]", signed(lower, d.figure), signed(upper, d.figure)),
        );
        Self([
            clean(metric, LONGEST_NAME),
            d.figure.name().to_owned(),
            figure(d.baseline, d.figure),
            figure(d.candidate, d.figure),
            signed(d.by, d.figure),
            interval,
            probability(d.p_adjusted),
            d.change.name().to_owned(),
        ])
    }

    fn lines(&self, change: Change, columns: Option<&Columns<8>>, screen: Screen) -> Vec<String> {
        let word = dressed(change, change.name(), screen.style);
        match columns {
            Some(columns) => {
                let line = columns.line(&self.0);
                let before = line.strip_suffix(change.name()).unwrap_or(&line);
                vec![format!("{before}{word}")]
            }
            None => {
                let [metric, of, baseline, candidate, by, interval, p, verdict] = &self.0;
                let text = format!(
                    "{metric} {of}: {baseline} → {candidate}, {by} {interval}, p {p}: {verdict}"
                );
                indented(&text, 2, screen.width)
            }
        }
    }
}

/// The columns of all rows; `None` if they do not fit in `width`.
fn columns(compared: &Compared, width: usize) -> Option<Columns<8>> {
    let rows = compared.pairs.iter().flat_map(figures);
    let rows = rows.map(|(metric, difference)| Row::of(metric, difference).0);
    let rows: Vec<_> = rows.chain([Row::heads().0]).collect();
    let right = std::array::from_fn(|nth| matches!(nth, 2..=4 | 6));
    let columns = Columns::of(&rows, right);
    (columns.width() <= width).then_some(columns)
}

/// Formats a time in ms, a rate in percent.
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

/// `text` in the colour of a change.
fn dressed(change: Change, text: &str, style: Style) -> String {
    match change {
        Change::Improved => style.good(text),
        Change::Regressed => style.bad(text),
        Change::Unchanged => text.to_owned(),
        Change::Inconclusive => style.doubtful(text),
    }
}
