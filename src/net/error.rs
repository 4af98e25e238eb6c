//! Errors of the media engine.

/// A failure of one peer's media, or of starting the media threads.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The operating system refused a socket, a thread or a descriptor.
    #[error("the system refused a socket: {0}")]
    Io(#[from] std::io::Error),
    /// The other side's session description cannot be used.
    #[error("unusable session description: {0}")]
    Description(String),
    /// The other side describes more than a call can need.
    #[error("more than {most} {what} in session descriptions")]
    Excess {
        /// The most that are accepted.
        most: usize,
        /// The kind of item, in the plural.
        what: &'static str,
    },
    /// ICE, DTLS or SRTP failed.
    #[error("media transport failed: {0}")]
    Transport(String),
    /// An answer arrived although no offer was outstanding.
    #[error("an answer without an offer")]
    UnexpectedAnswer,
    /// The engine or the peer is gone.
    #[error("the peer is gone")]
    Gone,
}

impl NetError {
    /// A description that cannot be used, and why.
    pub(super) fn description(why: impl std::fmt::Display) -> Self {
        Self::Description(why.to_string())
    }
}
