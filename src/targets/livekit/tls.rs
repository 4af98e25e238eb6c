//! TLS to servers: one configuration for all connections of the process.
//!
//! In: the system's root certificates, or those of `SSL_CERT_FILE`. Out: a connector for
//! signalling, a configuration for the server's API. Invariant: the certificates are read once, not
//! for each call. There are hundreds of them, and reading them would block the thread that handles
//! all joins.

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use std::sync::{Arc, OnceLock};
use tokio_tungstenite::Connector;

/// The process's TLS configuration, and the root certificates in it.
struct Trust {
    config: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
}

static TRUST: OnceLock<Trust> = OnceLock::new();

/// The connector for all connections; `None` if there is no root certificate, in which case the
/// connection attempt reports that.
pub(super) fn connector() -> Option<Connector> {
    let Trust { config, roots } = TRUST.get_or_init(read);
    (!roots.is_empty()).then(|| Connector::Rustls(config.clone()))
}

/// The configuration for all connections. Without a root certificate, no server is trusted.
pub(crate) fn config() -> Arc<ClientConfig> {
    TRUST.get_or_init(read).config.clone()
}

/// The root certificates that this process trusts.
pub(super) fn roots() -> Arc<RootCertStore> {
    TRUST.get_or_init(read).roots.clone()
}

fn read() -> Trust {
    // Unreadable certificates are skipped, because the needed certificate may be among the others.
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let _unreadable = roots.add_parsable_certificates(found.certs);
    let roots = Arc::new(roots);
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs supports the default versions of TLS")
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    Trust {
        config: Arc::new(config),
        roots,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_connections_share_one_configuration() {
        assert!(Arc::ptr_eq(&config(), &config()));
        if let Some(Connector::Rustls(of_signalling)) = connector() {
            assert!(Arc::ptr_eq(&of_signalling, &config()));
        }
    }
}
