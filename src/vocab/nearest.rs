//! Finds the name that was probably meant.
//!
//! In: the name as written, and the known names. Out: the nearest known name, or none.

use strsim::osa_distance;

/// Maximum length of a name that is looked up, in characters.
const LONGEST: usize = 64;

/// The known name nearest to `wrong`, if it is near enough to have been meant.
///
/// Optimal string alignment distance (one transposition counts 1), at most a third of the
/// longer name, rounded up.
pub(crate) fn nearest<'a>(
    wrong: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    let length = wrong.chars().count();
    if length > LONGEST {
        return None;
    }
    known
        .into_iter()
        .map(|name| (osa_distance(&wrong, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= length.max(name.chars().count()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let known = ["turns", "greeting", "agent_timeout", "agent_track"];
        let cases = [
            ("turn", Some("turns")),
            ("trun", Some("turns")),
            ("Turns", Some("turns")),
            ("agent-timeout", Some("agent_timeout")),
            ("colour", None),
            ("", None),
        ];
        for (wrong, meant) in cases {
            assert_eq!(nearest(wrong, known), meant, "{wrong}");
        }
        let long = "turns".repeat(13);
        assert_eq!(nearest(&long, [long.as_str()]), None);
    }
}
