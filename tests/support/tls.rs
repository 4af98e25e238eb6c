//! A TLS proxy for a server without TLS, with a certificate authority of its own.
//!
//! In: the upstream's address. Out: a `wss://` URL and the root certificate to trust.
//! Invariants: loopback only; each proxy has its own root, which no machine trusts.

use super::server::runtime;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// A proxy that terminates TLS and passes bytes on to `upstream`. Stops when dropped.
#[derive(Debug)]
pub struct TlsProxy {
    port: u16,
    dir: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TlsProxy {
    /// Starts a proxy in front of `upstream`, such as `127.0.0.1:7880`.
    pub fn start(upstream: &str) -> Self {
        Self::valid_until(upstream, (4096, 1, 1))
    }

    /// Like [`Self::start`], with a certificate that has expired.
    pub fn expired(upstream: &str) -> Self {
        Self::valid_until(upstream, (2001, 2, 3))
    }

    /// `until`: year, month and day on which the certificate expires.
    fn valid_until(upstream: &str, until: (i32, u8, u8)) -> Self {
        let dir = TempDir::with_prefix("tls-proxy-").expect("a temporary directory");
        let (config, root_pem) = certificates(until);
        std::fs::write(dir.path().join("root.pem"), root_pem).expect("writable");
        let listener =
            std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
        listener.set_nonblocking(true).expect("an ordinary socket");
        let port = listener.local_addr().expect("a bound socket").port();
        let (stop, stopped) = oneshot::channel();
        let upstream = upstream.to_owned();
        let thread = std::thread::spawn(move || {
            let runtime = runtime();
            let acceptor = TlsAcceptor::from(config);
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listening socket");
                tokio::select! {
                    () = serve(&listener, &acceptor, &upstream) => {}
                    _ = stopped => {}
                }
            });
            // Open connections end with the runtime.
        });
        Self {
            port,
            dir,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// `wss://localhost:PORT`.
    pub fn url(&self) -> String {
        format!("wss://localhost:{}", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The root certificate, for `SSL_CERT_FILE`.
    pub fn root_pem_path(&self) -> PathBuf {
        self.dir.path().join("root.pem")
    }

    /// The directory of the root certificate.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for TlsProxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: &TcpListener, acceptor: &TlsAcceptor, upstream: &str) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        let (acceptor, upstream) = (acceptor.clone(), upstream.to_owned());
        tokio::spawn(async move {
            // If the client does not trust the certificate or the upstream is gone, only this
            // connection ends; the test detects that at its own end.
            let Ok(mut client) = acceptor.accept(client).await else {
                return;
            };
            let Ok(mut server) = TcpStream::connect(&upstream).await else {
                return;
            };
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

/// The server's TLS configuration for localhost and 127.0.0.1, with a certificate that expires on
/// this day, and its root as PEM.
fn certificates((year, month, day): (i32, u8, u8)) -> (Arc<ServerConfig>, String) {
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name
        .push(DnType::CommonName, "loadgen test root");
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let root_key = KeyPair::generate().expect("a key of the default kind");
    let root_pem = root
        .self_signed(&root_key)
        .expect("a root signs itself")
        .pem();
    let issuer = Issuer::new(root, root_key);

    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut leaf = CertificateParams::new(names).expect("valid names");
    leaf.distinguished_name
        .push(DnType::CommonName, "localhost");
    leaf.not_after = rcgen::date_time_ymd(year, month, day);
    leaf.use_authority_key_identifier_extension = true;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let leaf_key = KeyPair::generate().expect("a key of the default kind");
    let leaf = leaf
        .signed_by(&leaf_key, &issuer)
        .expect("the root may sign");

    // The provider is explicit: several are linked in, and rustls would not choose one.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::Pkcs8(leaf_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("the key belongs to the certificate");
    (Arc::new(config), root_pem)
}
