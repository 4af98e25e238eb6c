//! Evidence: the audio of both sides in some turns, so that anyone can hear what was measured.
//!
//! In: packets and frames as callers receive and send them; how each turn ended. Out: WAV files
//! and their index. Invariants: a media thread only copies bytes and hands them over (it never
//! waits, decodes or writes); memory and disk use are bounded, and what was left out is reported.

mod capture;
mod desk;
mod queue;
mod select;
mod take;

pub(super) use capture::Capture;
pub(super) use desk::Desk;
pub(super) use queue::EvidenceResult;
