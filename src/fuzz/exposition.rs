//! The response of a Prometheus endpoint.
//!
//! In: text. Properties: only wanted series are read, each once and with a finite number; comments
//! and samples of other series change nothing; a name's value does not depend on which other names
//! are wanted.

use super::planted::planted;
use crate::run::observe::exposition::{Values, read};
use std::collections::BTreeSet;

/// The names that inputs can contain.
const NAMES: [&str; 4] = ["g", "c_total", "h_count", "process_cpu_seconds_total"];

pub(super) fn run(bytes: &[u8]) {
    let wanted = |names: &[&str]| -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    };
    let all = wanted(&NAMES);
    let Some(values) = read(bytes, &all) else {
        return;
    };
    let both = || values.gauges.iter().chain(&values.counters);
    assert!(both().count() <= NAMES.len(), "{values:?}");
    for (name, value) in both() {
        assert!(all.contains(name) && value.is_finite(), "{values:?}");
        let once = values.gauges.contains_key(name) != values.counters.contains_key(name);
        assert!(once, "{name} is a gauge and a counter");
    }
    let longer = [bytes, b"\n# a comment\nother{a=\"}\"} 1\n"].concat();
    assert_eq!(read(&longer, &all).as_ref(), Some(&values));
    let mut parts = Values::default();
    for name in NAMES {
        let part = read(bytes, &wanted(&[name])).expect("the same text");
        parts.gauges.extend(part.gauges);
        parts.counters.extend(part.counters);
    }
    assert_eq!(parts, values);
    let sums = both().any(|(_, value)| *value > 1e18);
    planted([
        sums,
        values.counters.contains_key("h_count"),
        values.gauges.contains_key("c_total"),
    ]);
}
