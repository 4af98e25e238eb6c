//! How many calls a comparison needs to be conclusive, in the same words in every report.
//!
//! In: the calls needed, for variants or for two runs. Out: sentences without a full stop and
//! without duplicates.

use crate::record::{LagNeeded, VariantSummary};

/// `with 6 blocks, p is 0.062 at best; 7 blocks (7 calls each) are enough`.
pub(super) fn sentence(needed: &LagNeeded) -> String {
    let p = format!("p is {:.3} at best", needed.best_p);
    let calls = match needed.calls {
        [a, b] if a == b => format!("{a} calls each"),
        [a, b] => format!("{a} and {b} calls"),
    };
    let have = match needed.have_calls {
        [a, b] if a == b => format!("{a} calls each"),
        [a, b] => format!("{a} and {b} calls"),
    };
    match (needed.have_blocks, needed.blocks) {
        (Some(have), Some(blocks)) => {
            format!("with {have} blocks, {p}; {blocks} blocks ({calls}) are enough")
        }
        _ => format!("with {have}, {p}; {calls} are enough"),
    }
}

/// The numbers of calls needed to decide the comparisons of medians that are still unclear.
pub(super) fn of_variants(variants: &[VariantSummary]) -> Vec<String> {
    let needed = variants.iter().filter_map(|v| {
        let lag = v.behind.as_ref()?.p50.as_ref()?;
        lag.needed.as_ref()
    });
    once(needed.map(|n| format!("unclear: {}", sentence(n))))
}

/// Removes duplicate sentences, keeping the order of first occurrence.
pub(super) fn once(sentences: impl Iterator<Item = String>) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    for sentence in sentences {
        if !said.contains(&sentence) {
            said.push(sentence);
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_state_how_many_calls_are_needed() {
        let needed = |have_calls, calls, have_blocks, blocks| LagNeeded {
            best_p: 0.0625,
            have_calls,
            calls,
            have_blocks,
            blocks,
        };
        for (needed, said) in [
            (
                needed([6, 6], [7, 7], Some(6), Some(7)),
                "with 6 blocks, p is 0.062 at best; 7 blocks (7 calls each) are enough",
            ),
            (
                needed([3, 3], [5, 5], None, None),
                "with 3 calls each, p is 0.062 at best; 5 calls each are enough",
            ),
            (
                needed([1, 9], [6, 54], None, None),
                "with 1 and 9 calls, p is 0.062 at best; 6 and 54 calls are enough",
            ),
        ] {
            assert_eq!(sentence(&needed), said);
        }
        let twice = ["a", "b", "a"].map(str::to_owned);
        assert_eq!(once(twice.into_iter()), ["a", "b"]);
    }
}
