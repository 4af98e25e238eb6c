//! Simulated packet loss.

/// Packet loss, independent or in bursts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss {
    /// Share of the packets that are lost, 0 to 1.
    pub share: f64,
    /// Mean number of packets lost in a row, at least 1; `None`: losses are independent.
    pub burst: Option<f64>,
}
