//! Fuzz targets: each passes arbitrary bytes to a parser of external input and checks its
//! properties.
//!
//! In: a target's name and an input. Out: nothing; a violated property is a panic.
//! Invariants: no target depends on the current time or on another input; only tests and
//! builds with `--cfg fuzzing` contain this module. `scripts/fuzz` runs the targets, and
//! `tests.rs` replays their corpora; docs/testing.md has the details.

mod address;
mod annotation;
mod audio;
mod data;
mod datagrams;
mod dotenv;
mod durations;
mod exposition;
mod fields;
mod folder;
mod http;
mod input;
mod items;
mod journal;
mod mutation;
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
mod telemetry;
#[cfg(test)]
mod tests;
mod threshold;
mod words;

pub use mutation::Format;
pub use planted::plant;

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct FuzzTarget {
    /// The target's name, and the name of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Runs the target on one input.
    pub run: fn(&[u8]),
    /// The format of the target's inputs, for mutations.
    pub format: Format,
    /// Number of mutations of the corpus that the unit tests try, which takes a few tenths of a
    /// second.
    pub mutations: u64,
}

/// All targets, in the order of the nightly workflow.
pub const TARGETS: &[FuzzTarget] = &[
    FuzzTarget {
        name: "address",
        run: address::run,
        format: Format::Text,
        mutations: 20_000,
    },
    FuzzTarget {
        name: "annotation",
        run: annotation::run,
        format: Format::Text,
        mutations: 20_000,
    },
    FuzzTarget {
        name: "audio",
        run: audio::run,
        format: Format::Bytes,
        mutations: 100,
    },
    FuzzTarget {
        name: "data",
        run: data::run,
        format: Format::Messages(0),
        mutations: 5_000,
    },
    FuzzTarget {
        name: "datagrams",
        run: datagrams::run,
        format: Format::Bytes,
        mutations: 40,
    },
    FuzzTarget {
        name: "dotenv",
        run: dotenv::run,
        format: Format::Text,
        mutations: 20_000,
    },
    FuzzTarget {
        name: "duration",
        run: durations::run,
        format: Format::Text,
        mutations: 20_000,
    },
    FuzzTarget {
        name: "exposition",
        run: exposition::run,
        format: Format::Text,
        mutations: 10_000,
    },
    FuzzTarget {
        name: "folder",
        run: folder::run,
        format: Format::Text,
        mutations: 40,
    },
    FuzzTarget {
        name: "http",
        run: http::run,
        format: Format::Text,
        mutations: 5_000,
    },
    FuzzTarget {
        name: "journal",
        run: journal::run,
        format: Format::Text,
        mutations: 500,
    },
    FuzzTarget {
        name: "opus",
        run: opus::run,
        format: Format::Bytes,
        mutations: 100,
    },
    FuzzTarget {
        name: "pipe",
        run: pipe::run,
        format: Format::Text,
        mutations: 2_000,
    },
    FuzzTarget {
        name: "redact",
        run: redact::run,
        format: Format::Text,
        mutations: 4_000,
    },
    FuzzTarget {
        name: "rtp",
        run: rtp::run,
        format: Format::Bytes,
        mutations: 3_000,
    },
    FuzzTarget {
        name: "scenario",
        run: scenario::run,
        format: Format::Text,
        mutations: 200,
    },
    FuzzTarget {
        name: "sdp",
        run: sdp::run,
        format: Format::Text,
        mutations: 200,
    },
    FuzzTarget {
        name: "signalling",
        run: signalling::run,
        format: Format::Messages(1),
        mutations: 2_000,
    },
    FuzzTarget {
        name: "srtp",
        run: srtp::run,
        format: Format::Bytes,
        mutations: 2_000,
    },
    FuzzTarget {
        name: "telemetry",
        run: telemetry::run,
        format: Format::Messages(0),
        mutations: 3_000,
    },
    FuzzTarget {
        name: "threshold",
        run: threshold::run,
        format: Format::Text,
        mutations: 20_000,
    },
];
