//! Tests of the call in virtual time, with a simulated agent.

mod anchors;
mod conversations;
mod course;
mod failures;
mod outcomes;
mod props;
mod sim;
mod streams;
mod texts;
