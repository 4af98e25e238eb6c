//! Exporters: render the record of a run for people and for machines.
//!
//! In: a [`crate::record::RunRecord`]. Out: strings and bytes; nothing here opens a file or
//! inspects a terminal. Invariants: every format is made from the same records, so that they agree;
//! names from outside cannot control a terminal or a spreadsheet.

mod columns;
pub(crate) mod comparison;
pub(crate) mod console;
mod counts;
pub mod csv;
mod definitions;
pub mod explain;
mod figures;
mod fit;
mod flags;
mod formats;
pub(crate) mod hdr;
pub(crate) mod html;
pub mod json;
pub(crate) mod junit;
pub(crate) mod list;
pub(crate) mod markdown;
mod needed;
pub(crate) mod observed;
pub(crate) mod prometheus;
mod screen;
pub(crate) mod spans;
mod style;
mod talk;
mod text;
mod told;
mod variants;
pub(crate) mod words;

pub use formats::{File, Format};

pub(crate) use definitions::definitions;
pub(crate) use screen::Screen;
pub(crate) use style::Style;

#[cfg(test)]
mod console_tests;
#[cfg(test)]
mod formats_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
