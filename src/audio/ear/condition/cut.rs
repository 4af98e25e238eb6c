//! Tells cut speech from speech.
//!
//! In: edges of sounds. Out: whether a sound was cut off, and whether a silence was inserted.
//! Invariants: a cut lies in voiced sound; a share of found cuts was given up so that hardly any
//! word that begins or ends hard counts as cut (docs/accuracy.md has both shares).

use super::edge::{Edge, FEATURES, likeness};
use super::weights::{HEAD, HEAD_FROM, INSERTED, INSERTED_FROM, TAIL, TAIL_FROM, Tree};

/// A cut begins or ends in voiced sound, at this autocorrelation at least.
const VOICED: f32 = 0.4;
/// The level of a tone stays this close to its level in the middle, in dB, once the codec has
/// settled.
const STEADY_DB: f32 = 0.7;
/// What remains of a tone beside its sine is the codec's noise, at most this share of its energy.
const SINE: f32 = 0.001;
/// Features of a silence: those of its edges, and how they differ.
pub(super) const BOTH: usize = 2 * FEATURES + 5;
/// A feature counts as at most so many standard deviations from its mean.
const FAR: f32 = 4.0;

/// Whether a sound that begins like this was cut at its beginning.
pub(super) fn is_head(edge: &Edge) -> bool {
    is_voice(edge) && sum(HEAD, edge) >= HEAD_FROM
}

/// Whether a sound that ends like this was cut at its end.
pub(super) fn is_tail(edge: &Edge) -> bool {
    is_voice(edge) && sum(TAIL, edge) >= TAIL_FROM
}

/// Whether the sound is voiced, and no tone.
fn is_voice(edge: &Edge) -> bool {
    edge.voicing() >= VOICED && !is_tone(edge)
}

/// Whether the sound is a tone: one sine with a steady level. The active level says nothing here,
/// because it counts the silence around a short tone in.
fn is_tone(edge: &Edge) -> bool {
    let levels = edge.levels();
    let steady = |level: &f32| (level - levels[1]).abs() <= STEADY_DB;
    edge.beside_sine <= SINE && levels.iter().all(steady)
}

/// Whether a silence between these edges was inserted; `samples`: its length.
pub(super) fn is_inserted(before: &Edge, behind: &Edge, samples: u64) -> bool {
    if before.voicing().min(behind.voicing()) < VOICED {
        return false;
    }
    let features = of_both(before, behind, samples);
    let score: f32 = features
        .iter()
        .zip(INSERTED)
        .map(|(x, (mean, deviation, weight))| ((x - mean) / deviation).clamp(-FAR, FAR) * weight)
        .sum();
    score >= INSERTED_FROM
}

/// The features of a silence: the edge behind it, the edge before it, how alike the sounds around
/// it are at once and 5 ms away from it, the difference of their levels in dB and of their periods
/// as a logarithm, and the logarithm of the length in ms.
pub(super) fn of_both(before: &Edge, behind: &Edge, samples: u64) -> [f32; BOTH] {
    let mut all = [0f32; BOTH];
    all[..FEATURES].copy_from_slice(&behind.features);
    all[FEATURES..2 * FEATURES].copy_from_slice(&before.features);
    all[2 * FEATURES..].copy_from_slice(&[
        likeness(before, behind, 0),
        likeness(before, behind, 40),
        (before.first() - behind.first()).abs(),
        ((before.period() + 1.0) / (behind.period() + 1.0))
            .ln()
            .abs(),
        (samples.max(1) as f32 / 48.0).ln(),
    ]);
    all
}

/// The sum of the trees' leaves for an edge.
fn sum(trees: &[Tree], edge: &Edge) -> f32 {
    let leaf = |tree: &Tree| {
        let (splits, leaves) = tree;
        let mut at = 0;
        for _ in 0..3 {
            let (feature, threshold) = splits[at];
            at = 2 * at + 1 + usize::from(edge.features[usize::from(feature)] > threshold);
        }
        leaves[at - splits.len()]
    };
    trees.iter().map(leaf).sum()
}
