//! Terminal output for a run: one screen by default, every figure on request.
//!
//! In: a summary, the screen, the report's path. Out: lines that are no wider than the screen,
//! except for tables on a narrow screen, and for the report's path, which is not wrapped so that it
//! can be copied. Invariants: the verdict comes first; the text is the same with and without
//! colour; no figure is truncated.

mod brief;
mod details;
mod head;
mod page;
mod ttfa;
mod wrong;

pub(crate) use brief::render as brief;
pub(crate) use details::render as details;
