//! TLS towards servers: one configuration for all connections of the process.
//!
//! In: the system's root certificates, or those of `SSL_CERT_FILE`. Out: a connector. Invariant: the
//! certificates are read once, not for each call: there are hundreds of them, and the thread that
//! would read them is the one that all joins wait for.

use rustls::{ClientConfig, RootCertStore};
use std::sync::{Arc, OnceLock};
use tokio_tungstenite::Connector;

static CONFIG: OnceLock<Option<Arc<ClientConfig>>> = OnceLock::new();

/// The connector for all connections; `None` if there is no root certificate, which the connection
/// itself then reports.
pub(super) fn connector() -> Option<Connector> {
    shared().map(Connector::Rustls)
}

fn shared() -> Option<Arc<ClientConfig>> {
    CONFIG.get_or_init(read).clone()
}

fn read() -> Option<Arc<ClientConfig>> {
    // Certificates that cannot be read are left out: another may be the one that is needed.
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _unreadable) = roots.add_parsable_certificates(found.certs);
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (added > 0).then(|| Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_connections_share_one_configuration() {
        crate::targets::livekit::install_crypto();
        match (shared(), shared()) {
            (Some(first), Some(second)) => assert!(Arc::ptr_eq(&first, &second)),
            (first, second) => assert!(first.is_none() && second.is_none()),
        }
    }
}
