//! Resolves the host of a server.
//!
//! In: the server's address. Out: an IP address of its host.

use crate::vocab::Address;
use std::net::IpAddr;

/// The host's IP address; an IPv4 address if the host has one.
///
/// # Errors
/// The host name cannot be resolved.
pub(in crate::targets) async fn resolve(address: &Address) -> std::io::Result<IpAddr> {
    let found = tokio::net::lookup_host((address.host(), address.port())).await?;
    let found: Vec<IpAddr> = found.map(|a| a.ip()).collect();
    let first = found.iter().find(|a| a.is_ipv4()).or(found.first());
    first
        .copied()
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address"))
}
