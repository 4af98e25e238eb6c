//! Exporters: render the record of a run for people and for machines.
//!
//! In: a [`crate::record::RunRecord`]. Out: strings and bytes; nothing here opens a file or
//! looks at a terminal. Invariants: every format is made from the same records, so that they
//! agree; names from outside cannot control a terminal or a spreadsheet.

mod columns;
pub mod comparison;
pub mod console;
mod counts;
pub mod csv;
mod definitions;
pub mod explain;
mod figures;
mod fit;
mod flags;
mod formats;
pub mod hdr;
pub mod html;
pub mod json;
pub mod junit;
pub mod list;
pub mod markdown;
mod needed;
pub mod prometheus;
mod screen;
pub mod spans;
mod style;
mod text;
mod variants;
pub mod words;

pub use definitions::{Definition, definitions};
pub use formats::{File, Format};
pub use screen::Screen;
pub use style::Style;

#[cfg(test)]
mod console_tests;
#[cfg(test)]
mod formats_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
