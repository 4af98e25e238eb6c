//! Checks `observe`.
//!
//! In: values that passed the schema. Out: the endpoints and processes to observe, with unique
//! names; problems in the [`Checker`]. Invariants: an entry has exactly one of `url` and `pid`; no
//! URL has user info or a query, where a password or a token could be.

use super::checker::Checker;
use super::file::ObservedFile;
use super::places::join;
use super::problem::Code;
use super::types::{Observed, ObservedSource};
use crate::vocab::Address;
use crate::vocab::observed::KNOWN_SERIES;
use std::collections::BTreeSet;

/// Path of an endpoint whose URL has none.
const USUAL_PATH: &str = "/metrics";

impl Checker<'_> {
    pub(super) fn observe(&mut self, file: Option<&[Option<ObservedFile>]>) -> Vec<Observed> {
        let (mut observed, mut names) = (Vec::new(), BTreeSet::new());
        for (index, entry) in file.unwrap_or_default().iter().enumerate() {
            let at = format!("/observe/{index}");
            let Some(entry) = self.need(entry.as_ref(), &at) else {
                continue;
            };
            let source = self.source(entry, &at);
            let at_name = join(&at, "name");
            let Some(name) = self.need(entry.name.clone(), &at_name) else {
                continue;
            };
            if !names.insert(name.clone()) {
                let message = format!("two entries are named `{name}`");
                self.problem(&at_name, Code::Contradiction, message, "rename one of them");
            }
            observed.extend(source.map(|source| Observed { name, source }));
        }
        observed
    }

    /// The source of an entry; `None` if the entry has a problem or needs an unset variable.
    fn source(&mut self, file: &ObservedFile, at: &str) -> Option<ObservedSource> {
        let stray = match (file.url.is_some(), file.pid.is_some()) {
            (true, true) => Some((
                "pid",
                "`url` and `pid` cannot be used together",
                "make two entries",
            )),
            (true, false) if file.children.is_some() => {
                let why = "`children` is about processes, but this entry has a `url`";
                Some(("children", why, "leave it out, or give a `pid` instead"))
            }
            (false, true) if file.series.is_some() => {
                let why = "`series` is about endpoints, but this entry has a `pid`";
                Some(("series", why, "leave it out, or give a `url` instead"))
            }
            _ => None,
        };
        if let Some((key, why, hint)) = stray {
            self.problem_at_key(&join(at, key), Code::Contradiction, why, hint);
            return None;
        }
        if let Some(pid) = file.pid {
            let children = file.children.unwrap_or(false);
            return Some(ObservedSource::Process { pid, children });
        }
        let Some(url) = &file.url else {
            let known = |key: &str| self.places.origin(&join(at, key)).is_some();
            // An invalid or unset value is reported separately.
            if !known("url") && !known("pid") {
                let message = "this entry has neither `url` nor `pid`";
                let hint = "give the `url` of a Prometheus endpoint, or the `pid` of a process";
                self.problem(at, Code::MissingKey, message, hint);
            }
            return None;
        };
        let at_url = join(at, "url");
        let address = match Address::parse_metrics(url) {
            Ok(address) => address,
            Err(error) => {
                self.problem(&at_url, Code::BadValue, error.to_string(), error.hint());
                return None;
            }
        };
        let mut url = address.http();
        if address.is_bare() {
            url.push_str(USUAL_PATH);
        }
        let known = KNOWN_SERIES.iter().map(|known| known.name.to_owned());
        let named = file
            .series
            .iter()
            .flatten()
            .flatten()
            .map(|text| text.0.clone());
        let series = known.chain(named).collect();
        Some(ObservedSource::Endpoint { url, series })
    }
}
