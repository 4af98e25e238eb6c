//! Aligns the cells of a table.
//!
//! In: rows of cells. Out: lines. Invariants: columns are two spaces apart; lines have no trailing
//! spaces.

use super::text::{padded, padded_left, width};

/// Spaces between two cells.
const GAP: usize = 2;

/// The widths of a table's columns, and which of them are right-aligned.
pub(super) struct Columns<const N: usize> {
    widths: [usize; N],
    right: [bool; N],
}

impl<const N: usize> Columns<N> {
    /// Columns as wide as their widest cells.
    pub(super) fn of<'a>(
        rows: impl IntoIterator<Item = &'a [String; N]>,
        right: [bool; N],
    ) -> Self {
        let mut widths = [0; N];
        for row in rows {
            for (wide, cell) in widths.iter_mut().zip(row) {
                *wide = width(cell).max(*wide);
            }
        }
        Self { widths, right }
    }

    /// The width of the widest line.
    pub(super) fn width(&self) -> usize {
        self.widths.iter().sum::<usize>() + GAP * N.saturating_sub(1)
    }

    pub(super) fn line(&self, row: &[String; N]) -> String {
        let cells = row.iter().zip(self.widths).zip(self.right);
        let cells = cells.map(|((cell, wide), right)| match right {
            true => padded_left(cell, wide),
            false => padded(cell, wide),
        });
        let line = cells.collect::<Vec<_>>().join(&" ".repeat(GAP));
        line.trim_end().to_owned()
    }
}
