//! Describes a run for the live outputs: its names and its plan.
//!
//! In: the checked scenario, its target and its plan. Out: [`RunLabels`].

use crate::plan::Plan;

/// Description of the run, for labels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunLabels<'a> {
    /// The scenario's name.
    pub(crate) scenario: &'a str,
    /// Kind and address, without secrets.
    pub(crate) target: &'a str,
    /// Names of the variants.
    pub(crate) variants: &'a [&'a str],
    pub(crate) plan: &'a Plan,
}

#[cfg(test)]
pub(super) mod tests {
    use crate::cli::sources::ScenarioSource;
    use crate::plan::Plan;
    use crate::scenario::Unset;

    /// The plan of the built-in quickstart with another load.
    pub(crate) fn plan(load: &str) -> Plan {
        let known = ScenarioSource::open("quickstart").expect("quickstart is built in");
        let text = String::from_utf8_lossy(known.text()).into_owned();
        let (before, _) = text.split_once("\nload:").expect("quickstart has a load");
        let other = ScenarioSource::made("other", format!("{before}\nload: {load}\n"), &[]);
        let scenario = other.and_then(|s| s.check(&|_| Ok(None), Unset::Problem));
        Plan::new(&scenario.expect("a valid scenario"))
    }
}
