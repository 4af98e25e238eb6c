//! Integration tests that can run in parallel, in one binary: the built program against real
//! servers and agents.
//!
//! Tests whose results depend on the machine's load are in other binaries, next to this folder.

#[path = "../support/mod.rs"]
pub mod support;

#[path = "../support/in_process.rs"]
pub mod in_process;

mod absent;
mod account;
mod architecture;
mod bad_input;
mod behaviour;
mod cli;
mod compare;
mod conformance;
mod docs;
mod doctor;
mod embedded;
mod endings;
mod evidence;
mod github_action;
mod hanging;
mod hostile;
mod kills;
mod limits;
mod live;
mod livekit;
mod observe;
mod records;
mod report_html;
mod schema;
mod sentinels;
mod server;
mod simulation;
mod telemetry;
mod upstream_loss;
mod variants;
mod virtual_time;
