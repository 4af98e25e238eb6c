//! Evidence: the audio of both sides in selected turns and calls, so that anyone can listen to what
//! was measured.
//!
//! In: packets and frames as callers receive and send them, and the outcome of each turn. Out: WAV
//! files and their index. Invariants: a media thread only copies bytes and queues them (it never
//! blocks, decodes or writes); memory and disk use are bounded, and turns and calls that were left
//! out are reported.

mod calls;
mod capture;
mod desk;
mod piece;
mod queue;
mod recorder;
mod recording;
mod select;
mod take;

pub(super) use capture::Capture;
pub(super) use desk::Desk;
pub(super) use queue::EvidenceResult;
