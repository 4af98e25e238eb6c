//! What the terminal shows for a run: one screen by default, everything on request.
//!
//! In: a summary, the screen, where the report is. Out: lines that are no wider than the screen,
//! except tables on a narrow screen and the report's path, which is not wrapped so that it can be
//! copied. Invariants: the verdict comes first; the text is the same with and without colour; no
//! figure is truncated.

mod brief;
mod details;
mod head;
mod page;
mod ttfa;
mod wrong;

pub(crate) use brief::render as brief;
pub(crate) use details::render as details;
