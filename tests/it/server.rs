//! Tests of the test harness: its servers and processes work, and end when they are dropped.

use crate::support::os::members_of_group;
use crate::support::process::Stream;
use crate::support::server::http_status;
use crate::support::{HttpServer404, LivekitServer, PipelineAgent, Process, SilentPort, TlsProxy};
use crate::support::{is_running, poll};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(5);

#[test]
fn the_server_listens_on_loopback_only_and_ends_when_dropped() {
    let server = LivekitServer::start();
    assert_eq!(server.rooms().len(), 0);
    assert!(server.secret().len() >= 32);
    assert_eq!(
        addresses_other_than_loopback(server.pid()),
        Vec::<String>::new()
    );

    let (pid, address) = (server.pid(), server.address());
    assert!(is_running(pid));
    drop(server);
    assert!(!is_running(pid));
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn servers_do_not_share_ports_or_secrets() {
    let (one, other) = (LivekitServer::start(), LivekitServer::start());
    assert_ne!(one.url(), other.url());
    assert_ne!(one.secret(), other.secret());
}

#[test]
fn a_panic_in_a_test_ends_its_server() {
    let pid = std::thread::spawn(|| {
        let server = LivekitServer::start();
        std::panic::panic_any(server.pid());
    })
    .join()
    .expect_err("the thread panics");
    let pid = *pid.downcast::<u32>().expect("the pid it panicked with");
    assert!(!is_running(pid));
}

#[test]
fn tls_proxy_passes_a_request_through() {
    let server = LivekitServer::start();
    let proxy = TlsProxy::start(&server.address());
    let root = CertificateDer::from_pem_file(proxy.root_pem_path()).expect("a root certificate");

    let answer = tls_get(proxy.port(), "localhost", Some(root.clone())).expect("trusted");
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("OK"),
        "{answer}"
    );
    tls_get(proxy.port(), "127.0.0.1", Some(root)).expect("the address is in the certificate");
    let refused = tls_get(proxy.port(), "localhost", None).expect_err("an unknown root");
    assert!(refused.contains("UnknownIssuer"), "{refused}");

    let (port, root) = (proxy.port(), proxy.root_pem_path().to_owned());
    let root = CertificateDer::from_pem_file(root).expect("a root certificate");
    drop(proxy);
    // Another test may listen on the port by now, but not with this certificate.
    tls_get(port, "localhost", Some(root)).expect_err("the proxy is gone");
}

#[test]
fn the_404_server_and_the_silent_port_behave_as_documented() {
    let server = HttpServer404::start();
    assert_eq!(http_status(server.port()), Some(404));
    let port = server.port();
    drop(server);
    // Another test may use the port by now; if so, a different server answers.
    assert_ne!(http_status(port), Some(404));

    let silent = SilentPort::start();
    let address = silent.url().replace("ws://", "");
    let mut stream = TcpStream::connect(address).expect("the port accepts");
    stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .expect("a socket");
    stream
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .expect("the port takes the request");
    let error = stream.read(&mut [0]).expect_err("the port never answers");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn processes_can_be_awaited_signalled_and_killed() {
    let sh = |script: &str| {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script]);
        Process::spawn("sh", command, false)
    };

    let done = sh("echo out; echo err >&2; exit 7").finish(SOON);
    assert_eq!(
        (done.code, done.signal, done.timed_out),
        (Some(7), None, false)
    );
    assert_eq!(
        (done.stdout.as_str(), done.stderr.as_str()),
        ("out\n", "err\n")
    );

    let late = sh("sleep 60").finish(Duration::from_millis(100));
    assert_eq!(
        (late.code, late.signal, late.timed_out),
        (None, Some(libc::SIGKILL), true)
    );

    let mut trap = sh("trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done");
    trap.wait_for_line(Stream::Out, "ready", SOON);
    trap.send_signal(libc::SIGTERM);
    assert_eq!(trap.finish(SOON).code, Some(3));

    // A grandchild is killed with its group.
    let mut family = sh("sleep 60 & echo $!; wait");
    let grandchild = family
        .wait_for_line(Stream::Out, "", SOON)
        .parse()
        .expect("a pid");
    assert!(is_running(grandchild));
    drop(family);
    poll(SOON, || (!is_running(grandchild)).then_some(())).expect("the grandchild is gone");
}

#[test]
fn pipeline_agent_registers_and_ends_with_its_processes() {
    let server = LivekitServer::start();
    let agent = PipelineAgent::start(&server);
    assert_eq!(agent.turns().len(), 0);
    let group = agent.pid();
    assert!(!members_of_group(group).is_empty());

    drop(agent);
    let started = Instant::now();
    poll(SOON, || members_of_group(group).is_empty().then_some(())).unwrap_or_else(|| {
        panic!(
            "after {:?}: {:?}",
            started.elapsed(),
            members_of_group(group)
        )
    });
}

/// `GET /` over TLS: the whole answer, or the error.
fn tls_get(port: u16, name: &str, root: Option<CertificateDer<'static>>) -> Result<String, String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(root);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerName::try_from(name.to_owned()).expect("a valid name");
    let connection = rustls::ClientConnection::new(Arc::new(config), server)
        .map_err(|error| error.to_string())?;
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(|error| error.to_string())?;
    tcp.set_read_timeout(Some(Duration::from_secs(10)))
        .map_err(|error| error.to_string())?;
    let mut stream = rustls::StreamOwned::new(connection, tcp);
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
    )
    .map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // The proxy ends the stream without a TLS close_notify.
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error.to_string()),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

/// Local addresses other than 127.0.0.1, as /proc shows them, to which sockets of `pid` are bound.
fn addresses_other_than_loopback(pid: u32) -> Vec<String> {
    let links = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("our own child");
    let inodes: Vec<String> = links
        .flatten()
        .filter_map(|link| {
            std::fs::read_link(link.path())
                .ok()?
                .to_str()
                .map(str::to_owned)
        })
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let mut others = Vec::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (local, inode) = (fields[1], fields[9]);
            // 127.0.0.1 in network order, read as a little-endian number; IPv4 or mapped into IPv6.
            let loopback = local
                .split(':')
                .next()
                .is_some_and(|address| address.ends_with("0100007F"));
            if !loopback && inodes.iter().any(|own| own == inode) {
                others.push(local.to_owned());
            }
        }
    }
    others
}
