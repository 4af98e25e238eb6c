//! Checks pauses: fixed, between two bounds, or normally distributed.
//!
//! In: a pause of the file. Out: a [`Delay`], and problems in the [`Checker`].

use super::checker::{Checker, Zero};
use super::file::{DelayFile, RandomDelayFile};
use super::places::{join, last, readable};
use super::problem::Code;
use super::types::Delay;
use std::time::Duration;

impl Checker<'_> {
    /// The pause; none, if the file gives none or one that is not valid.
    pub(super) fn delay(&mut self, delay: Option<&DelayFile>, pointer: &str) -> Delay {
        let none = Delay::fixed(Duration::ZERO);
        match delay {
            None => none,
            Some(DelayFile::Fixed(text)) => {
                let zero = Duration::ZERO;
                Delay::fixed(self.duration(Some(text), pointer, zero, Zero::Fine))
            }
            Some(DelayFile::Random(random)) => self.random_delay(random, pointer).unwrap_or(none),
        }
    }

    fn random_delay(&mut self, file: &RandomDelayFile, pointer: &str) -> Option<Delay> {
        let given = |key: &str| self.places.origin(&join(pointer, key)).is_some();
        let is_normal = given("mean") || given("sd");
        if is_normal && (given("min") || given("max")) {
            let message = format!("`{}` has two distributions", last(pointer));
            let hint = "write `{min, max}` for any pause between two, or `{mean, sd}` for a normal distribution";
            self.problem(pointer, Code::Contradiction, message, hint);
            return None;
        }
        if is_normal {
            let [mean, sd] = self.both(["mean", "sd"], [&file.mean, &file.sd], pointer)?;
            return Some(Delay::Normal { mean, sd });
        }
        let [min, max] = self.both(["min", "max"], [&file.min, &file.max], pointer)?;
        if min > max {
            let message = "`min` of the delay is longer than its `max`";
            let at_min = join(pointer, "min");
            self.problem(&at_min, Code::Contradiction, message, "swap the two");
            return Some(Delay::fixed(min));
        }
        Some(Delay::Between { min, max })
    }

    /// Two values, neither of which may be missing.
    fn both(
        &mut self,
        keys: [&str; 2],
        values: [&Option<super::file::DurationText>; 2],
        pointer: &str,
    ) -> Option<[Duration; 2]> {
        let mut read = [None; 2];
        for ((key, value), read) in keys.iter().zip(values).zip(&mut read) {
            let at = join(pointer, key);
            if self.places.origin(&at).is_none() {
                let message = format!("`{key}` is missing in `{}`", readable(pointer));
                let hint = format!(
                    "the two belong together: `{{{}: …, {}: …}}`",
                    keys[0], keys[1]
                );
                self.problem_at_key(&at, Code::MissingKey, message, hint);
            }
            let text = self.need(value.as_ref(), &at);
            *read = text.map(|text| self.duration(Some(text), &at, Duration::ZERO, Zero::Fine));
        }
        let [first, second] = read;
        first.zip(second).map(|(first, second)| [first, second])
    }
}
