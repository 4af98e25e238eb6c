//! Tests that both implementations of the common interface must pass.

use super::*;
use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

/// On some systems a datagram arrives on loopback a moment after it was sent.
fn settle() {
    std::thread::sleep(Duration::from_millis(20));
}

#[test]
fn the_poller_wakes_for_timeouts_sockets_and_the_waker() {
    let mut p = Poller::new().expect("a poller");
    let t = Instant::now();
    p.wait(Duration::from_micros(1_500));
    assert!(t.elapsed() >= Duration::from_micros(1_000));
    assert_eq!(p.readable().count(), 0);

    let s = UdpSocket::bind("127.0.0.1:0").expect("bind");
    p.watch(s.as_fd(), 7).expect("watch");
    s.send_to(b"x", s.local_addr().expect("addr"))
        .expect("send");
    p.wait(Duration::from_secs(5));
    assert_eq!(p.readable().collect::<Vec<_>>(), [7]);
    let mut b = [0; 1];
    s.recv(&mut b).expect("recv");

    p.waker().wake();
    p.wait(Duration::from_secs(5));
    assert_eq!(p.readable().count(), 0, "the waker is not a socket");
    assert!(
        t.elapsed() < Duration::from_secs(5),
        "the wait was woken, not timed out"
    );
}

#[test]
fn an_arrival_is_reported_once_and_not_while_notifications_are_off() {
    let mut p = Poller::new().expect("a poller");
    let s = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let send = || {
        let sent = s.send_to(b"x", s.local_addr().expect("addr"));
        settle();
        sent
    };
    let reported = |p: &mut Poller| {
        p.wait(Duration::ZERO);
        p.readable().collect::<Vec<_>>()
    };
    p.watch(s.as_fd(), 7).expect("watch");
    send().expect("send");
    assert_eq!(reported(&mut p), [7]);
    assert_eq!(reported(&mut p), [0; 0], "edge-triggered");
    p.tell(s.as_fd(), 7, false).expect("off");
    send().expect("send");
    assert_eq!(reported(&mut p), [0; 0]);
    p.tell(s.as_fd(), 7, true).expect("on");
    assert_eq!(reported(&mut p), [7], "data that arrived in the meantime");
    drop(s);
    assert_eq!(reported(&mut p), [0; 0], "a closed socket is not reported");
}

#[test]
fn queued_datagrams_are_read_in_batches() {
    for bind in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(to) = UdpSocket::bind(bind) else {
            continue; // a machine without IPv6
        };
        let from = UdpSocket::bind(bind).expect("bind");
        let mut batch = Batch::new();
        assert_eq!(batch.fill(to.as_fd()).expect("empty"), 0);
        let at = to.local_addr().expect("address");
        for k in 0..BATCH as u8 + 2 {
            from.send_to(&vec![k; 1 + usize::from(k)], at)
                .expect("send");
        }
        settle();
        assert_eq!(batch.fill(to.as_fd()).expect("read"), BATCH);
        for k in 0..BATCH {
            let d = batch.get(k).expect("a datagram");
            assert_eq!(d.bytes, vec![k as u8; 1 + k]);
            assert_eq!(d.from, from.local_addr().expect("address"));
            assert_eq!(d.wall_ns, None, "no timestamps were requested");
        }
        assert_eq!(batch.fill(to.as_fd()).expect("read"), 2);
    }
}

#[test]
fn datagrams_are_truncated_to_the_maximum_length() {
    let to = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let from = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let at = to.local_addr().expect("address");
    let lengths = [0, 1, DATAGRAM, DATAGRAM + 1, 9_000, 7];
    for (k, length) in lengths.iter().enumerate() {
        from.send_to(&vec![k as u8 + 1; *length], at).expect("send");
    }
    settle();
    let mut batch = Batch::new();
    assert_eq!(batch.fill(to.as_fd()).expect("read"), lengths.len());
    for (k, length) in lengths.iter().enumerate() {
        let d = batch.get(k).expect("a datagram");
        assert_eq!(d.bytes, vec![k as u8 + 1; (*length).min(DATAGRAM)]);
    }
}

#[test]
fn stamps_come_from_the_wall_clock() {
    let to = UdpSocket::bind("127.0.0.1:0").expect("bind");
    request_stamps(&to);
    // The first socket that requests timestamps enables them kernel-wide, a moment later.
    std::thread::sleep(Duration::from_millis(100));
    let before = wall_ns();
    to.send_to(b"x", to.local_addr().expect("address"))
        .expect("send");
    let after = wall_ns();
    settle();
    let mut batch = Batch::new();
    assert_eq!(batch.fill(to.as_fd()).expect("read"), 1);
    let stamp = batch.get(0).expect("a datagram").wall_ns;
    let slack = 5_000_000;
    let near = (before - slack)..=(after + slack);
    assert!(stamp.is_some_and(|ns| near.contains(&ns)), "{stamp:?}");
}

/// A refused datagram leaves an error pending on the socket, while received datagrams wait.
#[test]
fn a_pending_socket_error_does_not_hide_waiting_datagrams() {
    let socket = || UdpSocket::bind("127.0.0.1:0").expect("bind");
    let (a, b) = (socket(), socket());
    a.connect(b.local_addr().expect("address"))
        .expect("connect");
    b.connect(a.local_addr().expect("address"))
        .expect("connect");
    b.send(b"before").expect("send");
    settle();
    drop(b);
    a.send(b"refused").expect("send");
    settle();
    let mut batch = Batch::new();
    let read = batch.fill(a.as_fd()).or_else(|_| batch.fill(a.as_fd()));
    assert_eq!(read.expect("the datagram"), 1);
    assert_eq!(batch.get(0).expect("a datagram").bytes, b"before");
}

#[test]
fn the_monotonic_clock_is_the_clock_of_instant() {
    let (start, ns) = (Instant::now(), monotonic_ns_now());
    std::thread::sleep(Duration::from_millis(30));
    let apart = Duration::from_nanos(monotonic_ns_now() - ns);
    assert!(apart.abs_diff(start.elapsed()) < Duration::from_millis(10));
}

#[test]
fn processor_time_and_memory_of_processes_are_reported() {
    let before = own_cpu_time().expect("known");
    let begun = thread_cpu_time();
    while thread_cpu_time() - begun < Duration::from_millis(50) {
        std::hint::spin_loop();
    }
    let after = own_cpu_time().expect("known");
    assert!(after - before >= Duration::from_millis(20));
    let usage = usage(std::process::id()).expect("this process is alive");
    assert!(usage.cpu.as_secs_f64() >= after.as_secs_f64() * 0.5);
    assert!(usage.rss_bytes > 1 << 20);
    assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    assert!(free_memory().is_some_and(|bytes| bytes > 1 << 20));
}

#[test]
fn threads_are_found_by_their_names() {
    let mut p = Poller::new().expect("a poller");
    let waker = p.waker();
    let (tell, ready) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().name("found-by-name".into());
    let thread = thread.spawn(move || {
        while thread_cpu_time() < Duration::from_millis(30) {
            std::hint::spin_loop();
        }
        p.wait(Duration::ZERO);
        tell.send(()).expect("a receiver");
        p.wait(Duration::from_secs(60));
    });
    ready.recv().expect("the thread has started");
    let found = threads("found-by-");
    assert_eq!(found.len(), 1);
    let used = found.values().next().map(|times| times.used);
    assert!(used >= Some(Duration::from_millis(10)), "{used:?}");
    waker.wake();
    thread.expect("a thread").join().expect("no panic");
    assert!(threads("found-by-").is_empty());
}

#[test]
fn a_process_is_identified_by_its_start() {
    let own = process_start(std::process::id());
    assert!(own.is_some());
    assert_eq!(own, process_start(std::process::id()), "it does not change");
    let mut sleeper = std::process::Command::new("sleep");
    let mut sleeper = sleeper.arg("60").spawn().expect("sleep");
    let started = process_start(sleeper.id());
    let found = child_of(std::process::id());
    let _ = sleeper.kill();
    let _ = sleeper.wait();
    assert!(started >= own, "{started:?} {own:?}");
    assert!(found.is_some());
    assert_eq!(process_start(sleeper.id()), None);
    let boot_now = boot().expect("known");
    assert_eq!(boot(), Some(boot_now));
}

#[test]
fn releasing_free_memory_keeps_memory_in_use() {
    let kept: Vec<Vec<u8>> = (0..1_000).map(|k| vec![k as u8; 10_000]).collect();
    release_free_memory();
    assert!(kept.iter().enumerate().all(|(k, v)| v[9_999] == k as u8));
}

#[test]
fn a_process_is_read_with_its_descendants() {
    let own = std::process::id();
    let mut shell = std::process::Command::new("/bin/sh")
        .args(["-c", "/bin/sh -c 'read _'; read _"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("a shell");
    let pids = |root, children| {
        let found = family(root, children);
        found.iter().map(|p| p.pid).collect::<Vec<_>>()
    };
    let mut both = Vec::new();
    for _ in 0..250 {
        both = pids(shell.id(), true);
        if both.len() == 2 {
            break;
        }
        settle();
    }
    let alone = pids(shell.id(), false);
    let mine = family(own, true);
    drop(shell.stdin.take());
    let _ = shell.wait();
    assert_eq!(
        (both.len(), both[0], &alone[..]),
        (2, shell.id(), &both[..1])
    );
    let used = mine.iter().find(|p| p.pid == own).map(|p| p.usage);
    assert!(used.is_some_and(|used| used.rss_bytes > 0));
    assert!(both.iter().all(|pid| mine.iter().any(|p| p.pid == *pid)));
    assert_eq!(pids(shell.id(), true), [0; 0], "it has ended");
}

#[test]
fn only_descendants_are_found_even_if_parents_form_a_cycle() {
    let process = |pid, parent| {
        let usage = Usage {
            cpu: Duration::ZERO,
            rss_bytes: 0,
        };
        let start = u64::from(pid);
        (ProcessUsage { pid, start, usage }, parent)
    };
    let all = [(1, 0), (2, 1), (3, 2), (4, 3), (5, 1), (6, 7), (7, 6)];
    for (root, expected) in [
        (2, vec![2, 3, 4]),
        (1, vec![1, 2, 5, 3, 4]),
        (6, vec![6, 7]),
        (9, vec![]),
    ] {
        let all = all.map(|(pid, parent)| process(pid, parent)).to_vec();
        let found = facts::descendants(root, all);
        let found: Vec<u32> = found.iter().map(|p| p.pid).collect();
        assert_eq!(found, expected, "{root}");
    }
}
