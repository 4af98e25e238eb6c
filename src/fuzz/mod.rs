//! Fuzz targets: each gives arbitrary bytes to a reader of outside input and checks what must hold.
//!
//! In: a target's name and an input. Out: nothing; a property that does not hold is a panic.
//! Invariants: no target depends on the clock's reading or on another input; only tests and
//! builds with `--cfg fuzzing` contain this module. `scripts/fuzz` runs the targets, and
//! `tests.rs` replays their corpora; docs/testing.md has the details.

mod address;
mod audio;
mod datagrams;
mod durations;
mod folder;
mod http;
mod input;
mod journal;
mod opus;
mod pipe;
mod planted;
mod redact;
mod rtp;
mod scenario;
mod scratch;
mod sdp;
mod signalling;
mod srtp;
#[cfg(test)]
mod tests;
mod threshold;

pub use planted::plant;

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Runs it on one input.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "address",
        run: address::run,
    },
    Target {
        name: "audio",
        run: audio::run,
    },
    Target {
        name: "datagrams",
        run: datagrams::run,
    },
    Target {
        name: "duration",
        run: durations::run,
    },
    Target {
        name: "folder",
        run: folder::run,
    },
    Target {
        name: "http",
        run: http::run,
    },
    Target {
        name: "journal",
        run: journal::run,
    },
    Target {
        name: "opus",
        run: opus::run,
    },
    Target {
        name: "pipe",
        run: pipe::run,
    },
    Target {
        name: "redact",
        run: redact::run,
    },
    Target {
        name: "rtp",
        run: rtp::run,
    },
    Target {
        name: "scenario",
        run: scenario::run,
    },
    Target {
        name: "sdp",
        run: sdp::run,
    },
    Target {
        name: "signalling",
        run: signalling::run,
    },
    Target {
        name: "srtp",
        run: srtp::run,
    },
    Target {
        name: "threshold",
        run: threshold::run,
    },
];
