//! Parses thresholds: `p(95)<1500ms` of a metric, and whole lines `ttfa{variant:fast}: med<1s`.
//!
//! In: untrusted text. Out: a [`Threshold`], or an error that points at a character.
//! Invariants: whitespace between the parts is ignored; a printed threshold parses to itself.

use super::metric;
use super::problem::{clip, did_you_mean};
use super::threshold::{Aggregate, Bound, On, Op, Threshold};
use crate::vocab::duration::{self, DurationError};
use crate::vocab::number;
use crate::vocab::{Metric, acts};

/// Maximum length of the text, in bytes.
const LONGEST: usize = 512;
/// Number of characters of the text that an error shows.
const SHOWN: usize = 72;
/// Maximum number of characters shown before the one at fault.
const BEFORE: usize = 48;

/// A threshold that cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ThresholdError {
    message: String,
    hint: String,
    /// The text, and the index of the character at fault, from 0.
    text: String,
    at: usize,
}

impl ThresholdError {
    /// What to write instead; printed on its own `hint:` line.
    pub(crate) fn hint(&self) -> &str {
        &self.hint
    }

    /// The text, and a line that points at the character at fault. Neither contains characters that
    /// would control a terminal.
    pub(crate) fn excerpt(&self) -> [String; 2] {
        let plain = |c: char| match c {
            c if c.is_whitespace() => ' ',
            c if acts(c) => '?',
            c => c,
        };
        let skip = self.at.saturating_sub(BEFORE);
        let dots = if skip > 0 { "…" } else { "" };
        let text: String = self
            .text
            .chars()
            .skip(skip)
            .take(SHOWN)
            .map(plain)
            .collect();
        let before = dots.chars().count() + self.at - skip;
        [format!("{dots}{text}"), format!("{:before$}^", "")]
    }
}

/// The left-hand side of a threshold: a metric, of one variant or of all.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Subject {
    pub(super) metric: Metric,
    pub(super) variant: Option<String>,
}

/// Parses `text` as a threshold on `metric`.
///
/// # Errors
/// [`ThresholdError`] with what to write instead.
pub(crate) fn parse_threshold(metric: Metric, text: &str) -> Result<Threshold, ThresholdError> {
    let subject = Subject {
        metric,
        variant: None,
    };
    let mut reader = Reader::new(text)?;
    reader.expression(subject)
}

/// Parses a whole line, as from the command line: `ttfa{variant:fast}: p(95)<1500ms`.
///
/// # Errors
/// [`ThresholdError`] with what to write instead.
pub(crate) fn parse_threshold_line(text: &str) -> Result<Threshold, ThresholdError> {
    let mut reader = Reader::new(text)?;
    let subject = reader.subject(None)?;
    if !reader.takes(':') {
        let example = metric::example(subject.metric).trim_matches('`');
        let hint = format!("write it like `{}: {example}`", subject.metric.name());
        return Err(reader.wrong("a `:` and an expression are missing", hint));
    }
    reader.expression(subject)
}

/// Parses a key under `thresholds`, such as `ttfa{variant:fast}`; `variants` are the known ones.
///
/// # Errors
/// [`ThresholdError`] with what to write instead.
pub(super) fn parse_subject(text: &str, variants: &[&str]) -> Result<Subject, ThresholdError> {
    let mut reader = Reader::new(text)?;
    let subject = reader.subject(Some(variants))?;
    match reader.rest() {
        "" => Ok(subject),
        _ => Err(reader.wrong(
            "nothing may follow the metric",
            "write it like `ttfa` or `ttfa{variant:fast}`",
        )),
    }
}

/// A text and how far it has been read.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Result<Self, ThresholdError> {
        let mut reader = Self { text, at: 0 };
        if text.len() > LONGEST {
            // The character that exceeds the limit.
            reader.at = (0..=LONGEST)
                .rev()
                .find(|at| text.is_char_boundary(*at))
                .unwrap_or(0);
            let message = format!("an expression has at most {LONGEST} bytes");
            return Err(reader.wrong(message, "write it like `p(95)<1500ms`"));
        }
        reader.blanks();
        Ok(reader)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Consumes `c` and the whitespace after it, if `c` comes next.
    fn takes(&mut self, c: char) -> bool {
        let found = self.rest().starts_with(c);
        if found {
            self.at += c.len_utf8();
            self.blanks();
        }
        found
    }

    /// Consumes the characters up to the first that does not satisfy `belongs`, and the whitespace
    /// after them; returns the index of the first one, and the characters.
    fn word(&mut self, belongs: impl Fn(char) -> bool) -> (usize, &'a str) {
        let (from, rest) = (self.at, self.rest());
        let word = &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())];
        self.at += word.len();
        self.blanks();
        (from, word)
    }

    /// An error at the next character.
    fn wrong(&self, message: impl Into<String>, hint: impl Into<String>) -> ThresholdError {
        self.wrong_at(self.at, message, hint)
    }

    fn wrong_at(
        &self,
        at: usize,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> ThresholdError {
        ThresholdError {
            message: message.into(),
            hint: hint.into(),
            text: self.text.to_owned(),
            at: self.text[..at].chars().count(),
        }
    }

    fn subject(&mut self, variants: Option<&[&str]>) -> Result<Subject, ThresholdError> {
        let (at, name) = self.word(|c| c.is_alphanumeric() || c == '_' || c == '-');
        let Some(metric) = Metric::named(name) else {
            let message = match name {
                "" => "a metric is missing".to_owned(),
                name => format!("unknown metric `{}`", clip(name)),
            };
            return Err(self.wrong_at(at, message, metric::known(name)));
        };
        let mut subject = Subject {
            metric,
            variant: None,
        };
        if !self.takes('{') {
            return Ok(subject);
        }
        loop {
            self.filter(&mut subject, variants)?;
            if self.takes('}') {
                return Ok(subject);
            }
            if !self.takes(',') {
                return Err(self.wrong("`{` is not closed", "end the filter with `}`"));
            }
        }
    }

    fn filter(
        &mut self,
        subject: &mut Subject,
        variants: Option<&[&str]>,
    ) -> Result<(), ThresholdError> {
        let like = "write it like `{variant:fast}`";
        let (at, key) = self.word(|c| !":=,{}".contains(c) && !c.is_whitespace());
        if key != "variant" {
            let message = match key {
                "" => "a filter is missing".to_owned(),
                key => format!("there is no filter `{}`", clip(key)),
            };
            return Err(self.wrong_at(at, message, like));
        }
        if subject.variant.is_some() {
            return Err(self.wrong_at(at, "a call has only one variant", "leave one of them out"));
        }
        if !self.takes(':') {
            return Err(self.wrong("a `:` is missing after `variant`", like));
        }
        let (at, value) = self.word(|c| !",{}".contains(c) && !c.is_whitespace());
        if value.is_empty() {
            return Err(self.wrong_at(at, "the name of a variant is missing", like));
        }
        if let Some(known) = variants.filter(|known| !known.contains(&value)) {
            let message = format!("there is no variant `{}`", clip(value));
            let hint = did_you_mean(value, known.iter().copied(), "variants");
            return Err(self.wrong_at(at, message, hint));
        }
        subject.variant = Some(value.to_owned());
        Ok(())
    }

    fn expression(&mut self, subject: Subject) -> Result<Threshold, ThresholdError> {
        let Subject { metric, variant } = subject;
        let aggregate = self.aggregate(metric)?;
        let op = self.op(metric)?;
        let bound = match metric.is_share() {
            true => self.share()?,
            false => self.time()?,
        };
        Ok(Threshold {
            metric,
            variant,
            aggregate,
            op,
            bound,
            on: On::All,
            abort_after: None,
        })
    }

    fn aggregate(&mut self, metric: Metric) -> Result<Aggregate, ThresholdError> {
        let (name, like) = (
            metric.name(),
            format!("write it like {}", metric::example(metric)),
        );
        let (at, word) = self.word(|c| c.is_alphanumeric() || c == '_' || c == '.');
        let aggregate = match word {
            "avg" => Aggregate::Avg,
            "min" => Aggregate::Min,
            "max" => Aggregate::Max,
            "med" => Aggregate::Med,
            "rate" => Aggregate::Rate,
            "p" => self.percentile()?,
            "" => {
                return Err(self.wrong(format!("the aggregate of `{name}` is missing"), like));
            }
            _ => {
                let hint = match known_as(word) {
                    Some(meant) => format!("write `{meant}`"),
                    None => {
                        "use `p(95)`, `avg`, `min`, `max` or `med`; shares have `rate`".to_owned()
                    }
                };
                let word = clip(word);
                let message = format!("`{word}` is not an aggregate of `{name}`");
                return Err(self.wrong_at(at, message, hint));
            }
        };
        match (metric.is_share(), aggregate == Aggregate::Rate) {
            (true, false) => {
                let message = format!("`{name}` is a share of turns and has only `rate`");
                Err(self.wrong_at(at, message, like))
            }
            (false, true) => {
                let message = format!("`{name}` is a latency and has no `rate`");
                Err(self.wrong_at(at, message, like))
            }
            _ => Ok(aggregate),
        }
    }

    /// Parses what follows `p`.
    fn percentile(&mut self) -> Result<Aggregate, ThresholdError> {
        let hint = "percentiles are from 0.001 to 99.999, or 100, such as `p(95)`";
        if !self.takes('(') {
            return Err(self.wrong("a `(` is missing after `p`", hint));
        }
        let (at, text) = self.word(|c| !"()<>=".contains(c) && !c.is_whitespace());
        let number = match plain_number(text) {
            Some(number) if (0.001..=99.999).contains(&number) || number == 100.0 => number,
            _ => {
                let message = match text {
                    "" => "a number is missing".to_owned(),
                    text => format!("there is no percentile `{}`", clip(text)),
                };
                let number = text.trim_end_matches(['%', '％']);
                let number = number::meant(number, true).unwrap_or_else(|| number.to_owned());
                let known = plain_number(&number).is_some_and(|n| (1.0..=99.999).contains(&n));
                return Err(match known && number != text {
                    true => self.wrong_at(at, message, format!("write `p({number})`")),
                    false => self.wrong_at(at, message, hint),
                });
            }
        };
        match self.takes(')') {
            true => Ok(Aggregate::Percentile(number)),
            false => Err(self.wrong("a `)` is missing", hint)),
        }
    }

    fn op(&mut self, metric: Metric) -> Result<Op, ThresholdError> {
        let hint = "compare with `<`, `<=`, `>` or `>=`";
        let at = self.at;
        let less = match self.rest().chars().next() {
            Some('<') => true,
            Some('>') => false,
            Some(first) => {
                let second = self.rest().chars().nth(1);
                let meant = match (first, second) {
                    ('=', Some('<')) | ('≤' | '⩽', _) => Some("write `<=`"),
                    ('=', Some('>')) | ('≥' | '⩾', _) => Some("write `>=`"),
                    _ => None,
                };
                return Err(match (first, meant) {
                    ('=', None) => self.wrong("equality is not supported", hint),
                    (_, meant) => self.wrong("expected a comparison here", meant.unwrap_or(hint)),
                });
            }
            None => {
                let like = format!("write it like {}", metric::example(metric));
                return Err(self.wrong("the comparison is missing", like));
            }
        };
        self.at = at + 1;
        let equal = self.rest().starts_with('=');
        self.at += usize::from(equal);
        self.blanks();
        Ok(match (less, equal) {
            (true, false) => Op::Less,
            (true, true) => Op::LessOrEqual,
            (false, false) => Op::Greater,
            (false, true) => Op::GreaterOrEqual,
        })
    }

    fn time(&mut self) -> Result<Bound, ThresholdError> {
        let text = self.rest().trim_end();
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        duration::parse(&compact).map(Bound::Time).map_err(|error| {
            let within = match &error {
                DurationError::NoUnit { .. } => text.len(),
                DurationError::UnknownUnit { unit, .. } => text.find(unit.as_str()).unwrap_or(0),
                _ => 0,
            };
            self.wrong_at(self.at + within, error.to_string(), error.hint())
        })
    }

    fn share(&mut self) -> Result<Bound, ThresholdError> {
        let text = self.rest().trim_end();
        if let Some(hint) = percent_hint(text) {
            let sign = text.chars().next_back().map_or(0, char::len_utf8);
            let at = self.at + text.len() - sign;
            return Err(self.wrong_at(at, "shares are numbers from 0 to 1", hint));
        }
        match plain_number(text) {
            Some(share) if share <= 1.0 => Ok(Bound::Share(share)),
            _ => {
                let message = match text {
                    "" => "a share is missing".to_owned(),
                    text => format!("`{}` is not a share of turns", clip(text)),
                };
                Err(self.wrong(message, share_hint(text)))
            }
        }
    }
}

/// The aggregate that was meant by a word from other tools or in another letter case.
fn known_as(word: &str) -> Option<String> {
    let word = word.to_lowercase();
    if let Some(number) = word.strip_prefix('p')
        && plain_number(number).is_some()
    {
        return Some(format!("p({number})"));
    }
    let meant = match word.as_str() {
        "p" => "p(95)",
        "avg" | "mean" | "average" => "avg",
        "med" | "median" => "med",
        "min" | "minimum" => "min",
        "max" | "maximum" => "max",
        "rate" | "share" | "ratio" => "rate",
        _ => return None,
    };
    Some(meant.to_owned())
}

/// The hint for a share in percent.
fn percent_hint(text: &str) -> Option<String> {
    let percent = text.strip_suffix(['%', '％'])?;
    let plain = number::meant(percent, true).unwrap_or_else(|| percent.to_owned());
    let share = plain_number(&plain)? / 100.0;
    Some(match share {
        0.0..=1.0 => format!("write `{}`", (share * 1e9).round() / 1e9),
        _ => "they are from 0 to 1, as in `rate<0.01`".to_owned(),
    })
}

/// The hint for a value that is not a share.
fn share_hint(text: &str) -> String {
    let about = "shares are numbers from 0 to 1, as in `rate<0.01`";
    let plain = number::meant(text, true).unwrap_or_else(|| text.to_owned());
    match plain.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => format!("write `{share}`"),
        Ok(percent) if (1.0..=100.0).contains(&percent) => {
            format!("{about}; {plain} percent is `{}`", percent / 100.0)
        }
        _ => about.to_owned(),
    }
}

/// Digits with at most one point: no sign, no exponent, no `inf`.
fn plain_number(text: &str) -> Option<f64> {
    let plain = !text.is_empty()
        && text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
#[path = "threshold_tests.rs"]
mod tests;
