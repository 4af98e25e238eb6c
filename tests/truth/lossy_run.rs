//! Runs whose callers lose packets.
