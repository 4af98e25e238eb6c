//! What the terminal shows of a run: a screen by default, everything on request.
//!
//! In: a summary, the screen, where the report is. Out: lines that are no wider than the screen,
//! but for tables on a narrow one and for the report's path, which has to stay whole to be copied.
//! Invariants: the verdict comes first; the text is the same with and without colour; no figure is
//! cut.

mod brief;
mod details;
mod head;
mod page;
mod ttfa;
mod wrong;

pub(crate) use brief::render as brief;
pub(crate) use details::render as details;
