//! Parses the response of a Prometheus endpoint (the text format, or OpenMetrics).
//!
//! In: the bytes of the response, and the names of the wanted series. Out: one number per name.
//! Invariants: samples of one name with different label sets are added up; numbers are finite;
//! lines that cannot be parsed are skipped; memory grows with the number of wanted names, not with
//! the size of the response.

use crate::vocab::observed::{SeriesKind, known_series};
use std::collections::{BTreeMap, BTreeSet};

/// Values of the wanted series at one instant, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Values {
    /// Values that may rise and fall.
    pub(crate) gauges: BTreeMap<String, f64>,
    /// Values that only rise, except when the observed process restarts.
    pub(crate) counters: BTreeMap<String, f64>,
}

/// Kind of a metric's samples, derived from its declared type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
    /// A distribution: quantiles and buckets cannot be added up, but `_sum` and `_count` can.
    Distribution,
}

/// The wanted series in a response; `None` if the response is not in this format at all.
pub(crate) fn read(bytes: &[u8], wanted: &BTreeSet<String>) -> Option<Values> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (mut kinds, mut sums) = (BTreeMap::new(), BTreeMap::new());
    let mut understood = false;
    for line in text.lines() {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            if let Some((metric, kind)) = declared(comment) {
                understood = true;
                for name in wanted.iter() {
                    if let Some(kind) = of_sample(name, metric, kind) {
                        kinds.insert(name.as_str(), kind);
                    }
                }
            }
        } else if let Some((name, value)) = sample(line) {
            understood = true;
            if let Some(name) = wanted.get(name) {
                *sums.entry(name.as_str()).or_insert(0.0) += value;
            }
        }
    }
    let mut values = Values::default();
    for (name, sum) in sums
        .into_iter()
        .filter(|(_, sum): &(_, f64)| sum.is_finite())
    {
        let into = match kinds.get(name).copied().unwrap_or_else(|| undeclared(name)) {
            Kind::Gauge => &mut values.gauges,
            Kind::Counter => &mut values.counters,
            Kind::Distribution => continue,
        };
        into.insert(name.to_owned(), sum);
    }
    understood.then_some(values)
}

/// The kind of a series whose type is not declared.
fn undeclared(name: &str) -> Kind {
    match known_series(name).map(|known| known.kind) {
        Some(SeriesKind::Gauge) => Kind::Gauge,
        Some(SeriesKind::Counter) => Kind::Counter,
        None if name.ends_with("_total") => Kind::Counter,
        None => Kind::Gauge,
    }
}

/// The kind of the samples called `name` according to the declaration of `metric`; `None` if the
/// declaration does not cover them.
fn of_sample(name: &str, metric: &str, kind: Kind) -> Option<Kind> {
    match name.strip_prefix(metric)? {
        "" => Some(kind),
        "_total" if kind == Kind::Counter => Some(kind),
        "_sum" | "_count" if kind == Kind::Distribution => Some(Kind::Counter),
        _ => None,
    }
}

/// The metric that a comment declares, and its kind. `None` for any other comment, and if the type
/// is `untyped`: the kind of such a metric is derived from its name.
fn declared(comment: &str) -> Option<(&str, Kind)> {
    let mut words = comment.split_whitespace();
    let (word, metric, kind) = (words.next()?, words.next()?, words.next()?);
    let kind = match kind {
        "counter" => Kind::Counter,
        "histogram" | "gaugehistogram" | "summary" => Kind::Distribution,
        "gauge" | "info" | "stateset" => Kind::Gauge,
        _ => return None,
    };
    (word == "TYPE").then_some((metric, kind))
}

/// The name and the value of a sample: `name{label="…"} 12.5 1700000000`.
fn sample(line: &str) -> Option<(&str, f64)> {
    let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, rest) = line.split_at(end);
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(plain)
    {
        return None;
    }
    let rest = match rest.strip_prefix('{') {
        Some(labels) => after_labels(labels)?,
        None => rest,
    };
    let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
    Some((name, value))
}

/// The text after the closing brace of a label set; the values of labels may contain braces.
fn after_labels(labels: &str) -> Option<&str> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in labels.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return Some(&labels[at + 1..]),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str, wanted: &[&str]) -> Option<Values> {
        let wanted = wanted.iter().map(|name| (*name).to_owned()).collect();
        read(text.as_bytes(), &wanted)
    }

    fn values(gauges: &[(&str, f64)], counters: &[(&str, f64)]) -> Option<Values> {
        let map = |pairs: &[(&str, f64)]| {
            let owned = pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value));
            owned.collect()
        };
        Some(Values {
            gauges: map(gauges),
            counters: map(counters),
        })
    }

    #[test]
    fn series_of_an_agent_worker_and_a_server_are_read() {
        let worker = "\
# HELP process_cpu_seconds_total Total user and system CPU time spent in seconds.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 5.42
# TYPE lk_agents_active_job_count gauge
lk_agents_active_job_count{nodename=\"host-1\"} 3.0
# TYPE lk_agents_proc_initialize_duration_seconds histogram
lk_agents_proc_initialize_duration_seconds_bucket{le=\"0.1\",nodename=\"host-1\"} 0.0
lk_agents_proc_initialize_duration_seconds_count{nodename=\"host-1\"} 4.0
lk_agents_proc_initialize_duration_seconds_sum{nodename=\"host-1\"} 2.5
";
        let wanted = [
            "process_cpu_seconds_total",
            "lk_agents_active_job_count",
            "lk_agents_proc_initialize_duration_seconds",
            "lk_agents_proc_initialize_duration_seconds_count",
            "absent",
        ];
        let counters = [
            ("process_cpu_seconds_total", 5.42),
            ("lk_agents_proc_initialize_duration_seconds_count", 4.0),
        ];
        let expected = values(&[("lk_agents_active_job_count", 3.0)], &counters);
        assert_eq!(read_text(worker, &wanted), expected);

        // The server's gauges have names that end in `_total`: the declared type decides, not the
        // name.
        let server = "\
# HELP livekit_room_total 
# TYPE livekit_room_total gauge
livekit_room_total{node_id=\"ND_1\",node_type=\"SERVER\"} 1
livekit_room_total{node_id=\"ND_2\",node_type=\"SERVER\"} 2
livekit_node_messages{status=\"success\"} 1e+03
# TYPE livekit_node_messages counter
";
        let wanted = ["livekit_room_total", "livekit_node_messages"];
        let expected = values(
            &[("livekit_room_total", 3.0)],
            &[("livekit_node_messages", 1000.0)],
        );
        assert_eq!(read_text(server, &wanted), expected);

        // Some proxies remove the types; recognised series then get their known kind.
        let lines = server.lines().filter(|line| !line.starts_with('#'));
        let untyped: Vec<&str> = lines.collect();
        assert_eq!(read_text(&untyped.join("\n"), &wanted), expected);
    }

    #[test]
    fn escapes_types_and_malformed_lines_are_parsed() {
        for (text, expected) in [
            ("x 1", values(&[("x", 1.0)], &[])),
            ("x\t1 1700000000000\r\n", values(&[("x", 1.0)], &[])),
            ("x{a=\"}\",b=\"\\\"} 7\"} 2", values(&[("x", 2.0)], &[])),
            ("x{} -2.5", values(&[("x", -2.5)], &[])),
            ("x{a=\"1\"} 1 # {trace=\"t\"} 9", values(&[("x", 1.0)], &[])),
            ("x_total 1", values(&[], &[("x_total", 1.0)])),
            (
                "# TYPE x counter\nx_total 1",
                values(&[], &[("x_total", 1.0)]),
            ),
            (
                "# TYPE x_total untyped\nx_total 1",
                values(&[], &[("x_total", 1.0)]),
            ),
            ("# TYPE x untyped\nx 1", values(&[("x", 1.0)], &[])),
            (
                "# TYPE x_total gauge\nx_total 1",
                values(&[("x_total", 1.0)], &[]),
            ),
            ("# TYPE x summary\nx{quantile=\"0.5\"} 1", values(&[], &[])),
            // Not a number that JSON can represent.
            ("x NaN", values(&[], &[])),
            ("x +Inf\nx -Inf", values(&[], &[])),
            ("x 1e308\nx 1e308", values(&[], &[])),
            ("y 1", values(&[], &[])),
            ("# EOF\n# TYPE x gauge", values(&[], &[])),
            // Texts in another format.
            ("", None),
            ("# HELP x y", None),
            ("<html>404 not found</html>", None),
            ("x{a=\"1\" 1", None),
            ("x one", None),
            ("1x 1", None),
            ("x", None),
        ] {
            assert_eq!(read_text(text, &["x", "x_total"]), expected, "{text:?}");
        }
        assert_eq!(read(b"x 1\n\xff", &BTreeSet::new()), None);
    }
}
