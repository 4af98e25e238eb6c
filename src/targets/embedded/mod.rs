//! The embedded target: the reference agent as a child process, reached over the real media path
//! but without a server.

mod call;
mod child;
mod target;

pub(crate) use target::Embedded;
