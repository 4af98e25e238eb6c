//! Fuzz targets: each gives arbitrary bytes to a reader of outside input and checks what must hold.
//!
//! In: a target's name and an input. Out: nothing; a property that does not hold is a panic.
//! Invariants: no target depends on the clock's reading or on another input; only tests and
//! builds with `--cfg fuzzing` contain this module. `scripts/fuzz` runs the targets, and
//! `tests.rs` replays their corpora; docs/testing.md has the details.

mod address;
mod annotation;
mod audio;
mod datagrams;
mod dotenv;
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
mod words;

pub use planted::plant;
pub use words::change_word;

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Runs it on one input.
    pub run: fn(&[u8]),
    /// How many mutations of its corpus the unit tests try: some tenths of a second's worth.
    pub mutations: u64,
}

/// Every target, in the order of the nightly workflow.
pub const TARGETS: &[Target] = &[
    Target {
        name: "address",
        run: address::run,
        mutations: 20_000,
    },
    Target {
        name: "annotation",
        run: annotation::run,
        mutations: 20_000,
    },
    Target {
        name: "audio",
        run: audio::run,
        mutations: 100,
    },
    Target {
        name: "datagrams",
        run: datagrams::run,
        mutations: 40,
    },
    Target {
        name: "dotenv",
        run: dotenv::run,
        mutations: 20_000,
    },
    Target {
        name: "duration",
        run: durations::run,
        mutations: 20_000,
    },
    Target {
        name: "folder",
        run: folder::run,
        mutations: 40,
    },
    Target {
        name: "http",
        run: http::run,
        mutations: 5_000,
    },
    Target {
        name: "journal",
        run: journal::run,
        mutations: 500,
    },
    Target {
        name: "opus",
        run: opus::run,
        mutations: 100,
    },
    Target {
        name: "pipe",
        run: pipe::run,
        mutations: 2_000,
    },
    Target {
        name: "redact",
        run: redact::run,
        mutations: 4_000,
    },
    Target {
        name: "rtp",
        run: rtp::run,
        mutations: 3_000,
    },
    Target {
        name: "scenario",
        run: scenario::run,
        mutations: 200,
    },
    Target {
        name: "sdp",
        run: sdp::run,
        mutations: 200,
    },
    Target {
        name: "signalling",
        run: signalling::run,
        mutations: 2_000,
    },
    Target {
        name: "srtp",
        run: srtp::run,
        mutations: 2_000,
    },
    Target {
        name: "threshold",
        run: threshold::run,
        mutations: 20_000,
    },
];
