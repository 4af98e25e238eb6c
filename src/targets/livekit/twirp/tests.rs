//! Requests to a server's API, and the responses that are accepted, with a test server on loopback.
//!
//! Invariant: a test server handles one request per connection and passes on the request's head.

use super::super::dispatches::Dispatches;
use super::super::rooms::Rooms;
use super::*;
use livekit_api::access_token::Claims;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

/// Value of the header `name` of a request.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(of, _)| of.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

/// A server that sends `answer` for every request and passes on the request's head.
fn server(answer: impl Fn(&mut TcpStream) + Send + 'static) -> (Address, mpsc::Receiver<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let at = listener.local_addr().expect("bound");
    let (asked, heads) = mpsc::channel();
    // The thread ends with the test process.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            // An empty request may omit its length.
            let length = header(&head, "content-length").and_then(|n| n.parse().ok());
            let _ = stream.read_exact(&mut vec![0; length.unwrap_or(0)]);
            if asked.send(head).is_err() {
                return;
            }
            answer(&mut stream);
        }
    });
    let address = Address::parse(&format!("ws://{at}")).expect("an address");
    (address, heads)
}

fn says(status: &'static str, body: &'static str) -> impl Fn(&mut TcpStream) + Send + 'static {
    move |stream| {
        let _ = write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
    }
}

fn credentials() -> Credentials {
    Credentials::new("key", "not-so-secret-secret-of-these-tests")
}

/// The requested path, and the claims of the request's token.
fn asked(heads: &mpsc::Receiver<String>) -> (String, Claims) {
    let head = heads
        .recv_timeout(Duration::from_secs(20))
        .expect("a request");
    let token = header(&head, "authorization").expect("a token");
    let token = token.strip_prefix("Bearer ").expect("a bearer token");
    let path = head.split(' ').nth(1).expect("a path").to_owned();
    (path, Claims::from_unverified(token).expect("claims"))
}

#[tokio::test]
async fn each_request_has_its_own_two_minute_token() {
    let (address, heads) = server(says("200 OK", ""));
    let rooms = Rooms::new(&address, &credentials());
    let dispatches = Dispatches::new(&address, &credentials());
    assert_eq!(rooms.list("run-1-").await, Ok(Vec::new()));
    assert!(rooms.delete_one("run-1-0").await);
    assert_eq!(dispatches.of("run-1-0").await, Some(Vec::new()));
    let none = VideoGrants::default;
    for (path, grants) in [
        (
            "/twirp/livekit.RoomService/ListRooms",
            VideoGrants {
                room_list: true,
                ..none()
            },
        ),
        (
            "/twirp/livekit.RoomService/DeleteRoom",
            VideoGrants {
                room_create: true,
                ..none()
            },
        ),
        (
            "/twirp/livekit.AgentDispatchService/ListDispatch",
            VideoGrants {
                room_admin: true,
                room: "run-1-0".into(),
                ..none()
            },
        ),
    ] {
        let (asked, claims) = asked(&heads);
        assert_eq!((asked.as_str(), claims.video), (path, grants));
        assert_eq!(claims.exp - claims.nbf, 120, "{path}");
        assert_eq!((claims.iss.as_str(), claims.sub.as_str()), ("key", ""));
    }
}

#[tokio::test]
async fn refusals_are_reported_and_a_missing_room_counts_as_deleted() {
    let gone = r#"{"code":"not_found","msg":"no such room"}"#;
    let (address, _heads) = server(says("404 Not Found", gone));
    assert!(Rooms::new(&address, &credentials()).delete_one("r").await);
    for (status, body, told) in [
        (
            "401 Unauthorized",
            r#"{"code":"unauthenticated","msg":"no permissions"}"#,
            "server error: unauthenticated: no permissions",
        ),
        (
            "404 Not Found",
            "404 page not found",
            "server error: 404 Not Found: 404 page not found",
        ),
        ("302 Found", "", "server error: 302 Found: "),
    ] {
        let (address, _heads) = server(says(status, body));
        let rooms = Rooms::new(&address, &credentials());
        assert!(!rooms.delete_one("r").await, "{status}");
        let refused = rooms.list("run-1-").await.expect_err("refused");
        assert!(refused.to_string().contains(told.trim()), "{refused}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_token() {
    let (elsewhere, strangers) = server(says("200 OK", ""));
    let location = elsewhere.http();
    let (address, heads) = server(move |stream| {
        let _ = write!(
            stream,
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
    });
    let listed = Rooms::new(&address, &credentials()).list("run-1-").await;
    assert!(listed.is_err(), "{listed:?}");
    asked(&heads);
    assert!(
        strangers.try_recv().is_err(),
        "the other server received the request"
    );
}

#[tokio::test]
async fn oversized_answers_are_refused() {
    // A response that would be accepted if it were shorter, and a refusal.
    for status in ["200 OK", "500 Internal Server Error"] {
        let (address, _heads) = server(move |stream| {
            let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes());
            // The client should stop reading and close the connection long before the last write.
            let _ = (0..1_024).try_for_each(|_| stream.write_all(&[0; 1 << 16]));
        });
        let patience = Duration::from_secs(60);
        let twirp = Twirp::new("RoomService", &address, &credentials(), patience);
        let request = livekit_protocol::ListRoomsRequest::default();
        let answer = twirp.ask("ListRooms", VideoGrants::default(), &request, 1 << 20);
        let refused = answer.await.expect_err("too long");
        assert!(matches!(refused, TwirpError::TooLong(_)), "{refused}");
    }
}
