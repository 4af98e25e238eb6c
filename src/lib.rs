//! loadgen: a load tester for voice agents.
//!
//! The modules of the crate; `docs/ARCHITECTURE.md` states which may use which, and why.
//!
//! Checking a scenario's text and planning its calls needs no files, clock or network:
//!
//! ```
//! use loadgen::plan::{Plan, Start};
//! use loadgen::scenario::{Unset, check};
//! use std::path::Path;
//! use std::time::Duration;
//!
//! let text = "
//! version: 1
//! seed: 7
//! target: {kind: embedded}
//! utterances: {order: {file: order.wav}}
//! call: {turns: [{say: order, expect: respond, timeout: 5s}]}
//! load: {calls: 3, ramp: 3s}
//! ";
//! let path = Path::new("order.yaml");
//! // No variables are set, and no sound file is read.
//! let scenario = check(text.as_bytes(), path, &|_| None, Unset::Problem, &|_| Ok(None));
//! let plan = Plan::new(&scenario.expect("a valid scenario"));
//! let starts: Vec<Start> = plan.calls().map(|call| call.start).collect();
//! assert_eq!(starts, [0, 1, 2].map(|s| Start::At(Duration::from_secs(s))));
//! ```
//!
//! [`cli::Cli`] is the command line; [`record::RunRecord::read`] reads the folder of a run.
//!
//! ```text
//! vocab     types that several modules share, each defined once          (pure)
//! scenario  the file as written → a checked Scenario                     (pure)
//! plan      Scenario + seed → every call and when it starts              (pure)
//! audio     PCM, levels, onsets, resampling, Opus                        (pure)
//! call      sans-IO state machines: a call, its turns, their outcomes    (pure)
//! account   what the agent says about itself, matched to turns           (pure)
//! stats     exact quantiles and the statistics derived from them         (pure)
//! record    the record of a run: versioned types, journal
//! os        what differs between operating systems; the only unsafe code
//! net       the media engine: sockets, timers, ICE/DTLS/SRTP
//! targets   ways to reach an agent: LiveKit, embedded, in-process; the reference agent
//! run       threads, dispatcher, clock, shutdown
//! report    record → console, HTML, JSON, CSV, …
//! cli       arguments → settings; one file per command; progress, live metrics
//! ```

mod account;
pub mod audio;
pub mod call;
pub mod cli;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod net;
mod os;
pub mod plan;
pub mod record;
pub mod report;
pub mod run;
pub mod scenario;
pub mod stats;
pub mod targets;
pub mod vocab;
