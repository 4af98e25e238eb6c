//! loadgen: a load tester for voice agents.
//!
//! The modules of the crate; `docs/ARCHITECTURE.md` states which may use which, and why.
//!
//! ```text
//! vocab     types that several modules share, each defined once          (pure)
//! scenario  the file as written → a checked Scenario                     (pure)
//! plan      Scenario + seed → every call with its instants               (pure)
//! audio     PCM, levels, onsets, resampling, Opus                        (pure)
//! call      sans-IO state machines: a call, its turns, their outcomes    (pure)
//! stats     exact quantiles and the statistics derived from them         (pure)
//! record    the record of a run: versioned types, journal
//! net       the media engine: sockets, timers, ICE/DTLS/SRTP
//! target    connections to agents: livekit, the embedded reference agent
//! run       threads, dispatcher, clock, shutdown
//! report    record → console, JSON, CSV
//! cli       arguments → settings; one file per command; progress, live metrics
//! ```

pub mod audio;
pub mod call;
pub mod cli;
pub mod net;
pub mod plan;
pub mod record;
pub mod report;
pub mod run;
pub mod scenario;
pub mod stats;
pub mod target;
pub mod vocab;
