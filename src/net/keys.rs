//! Obtains the SRTP keys of a connection from its DTLS handshake.
//!
//! In: str0m's DTLS, observed while it is polled. Out: the keying material of a handshake, once.
//! Invariants: keying material stays on the thread that polls the connection until it is taken
//! there, right after the poll; it is never printed.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion,
    SrtpProfile,
};
use str0m::crypto::{CryptoError, CryptoProvider, from_feature_flags};

/// Keying material exported by a handshake for SRTP (RFC 5764, 4.2).
pub(super) struct Keys {
    pub(super) profile: SrtpProfile,
    /// Client's key, server's key, client's salt, server's salt.
    pub(super) material: Vec<u8>,
    /// Whether we were the DTLS client.
    pub(super) client: bool,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

thread_local! {
    static LAST: RefCell<Option<Keys>> = const { RefCell::new(None) };
}

/// Takes the keys of the handshake that finished on this thread since the last call, if any.
pub(super) fn take() -> Option<Keys> {
    LAST.take()
}

/// The crypto provider of every connection: str0m's own, wrapped to record each handshake's keys.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let made = || {
        Arc::new(CryptoProvider {
            dtls_provider: &Watched,
            ..plain()
        })
    };
    PROVIDER.get_or_init(made).clone()
}

fn plain() -> CryptoProvider {
    from_feature_flags()
}

#[derive(Debug)]
struct Watched;

impl DtlsProvider for Watched {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        plain().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let inner = plain().dtls_provider.new_dtls(cert, now, version, mtu)?;
        Ok(Box::new(Watching(inner)))
    }
}

#[derive(Debug)]
struct Watching(Box<dyn DtlsInstance>);

impl DtlsInstance for Watching {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        let output = self.0.poll_output(buf);
        if let DtlsOutput::KeyingMaterial(material, profile) = &output {
            LAST.set(Some(Keys {
                profile: *profile,
                material: material.to_vec(),
                client: self.0.is_active(),
            }));
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.0.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}
