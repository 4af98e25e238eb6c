//! Levels in files: dB, to a tenth.

/// Rounds a level to a tenth of a dB; `None` for digital silence.
pub(super) fn tenth_db(db: f32) -> Option<f64> {
    db.is_finite()
        .then(|| (f64::from(db) * 10.0).round() / 10.0)
}
