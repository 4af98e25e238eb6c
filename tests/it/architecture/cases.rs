//! Checks that the checker can fail: synthetic files, each with its violations.

use super::{LONGEST_FUNCTION, check};

/// Each violation is found at its line, and nothing else is reported.
#[test]
#[rustfmt::skip]
fn the_checker_finds_every_violation() {
    let body = "    x();\n".repeat(LONGEST_FUNCTION - 2);
    let long = format!("//! h\nfn fits(a: [u8; 2]) {{\n{body}}}");
    let longer = format!("//! h\nfn g();\n\nfn f(a: [u8; 2]) {{\n    x();\n{body}}}\n{}", "// x\n".repeat(600));
    let tests = format!("//! h\n#[cfg(test)]\nmod tests {{\nfn f() {{\n    x();\n{body}}}\n}}");
    let cases: &[(&str, &str, &str, &[&str])] = &[
        (
            "nothing wrong",
            "src/call/x.rs",
            "//! h\nuse crate::audio::RATE;\nuse crate::call::Call;",
            &[],
        ),
        (
            "wrong edge",
            "src/stats/x.rs",
            "//! h\nuse crate::call::Call;",
            &["2: `stats` may not use `call`"],
        ),
        (
            "edge in a path",
            "src/audio/x.rs",
            "//! h\n\nfn f() { crate::run::go() }",
            &["3: `audio` may not use `run`"],
        ),
        (
            "edges in a group",
            "src/net/x.rs",
            "//! h\nuse crate::{vocab::Loss, record::{self, Turn},\n run as r};",
            &[
                "2: `net` may not use `record`",
                "2: `net` may not use `record`",
                "3: `net` may not use `run`",
            ],
        ),
        (
            "glob import of the crate",
            "src/net/x.rs",
            "//! h\nuse crate::*;",
            &["2: `net` may not use `*`"],
        ),
        (
            "edge in test code",
            "src/plan.rs",
            "//! h\n#[cfg(test)]\nmod tests { use crate::net::X; }",
            &["3: `plan` may not use `net`"],
        ),
        (
            "no edge in comments and literals",
            "src/audio/x.rs",
            "//! h crate::run\n/* crate::run /* std::fs */ crate::run */\nconst A: &str = \"\\\"crate::run\"; const B: &str = r#\"\"crate::run\"#;\nfn f<'a>(c: &'a str) -> bool { c == '\"' || c == '\\'' } // crate::run\n",
            &[],
        ),
        (
            "line number after literals",
            "src/audio/x.rs",
            "//! h\nconst A: &str = \"\n\n\";\nuse crate::run;",
            &["5: `audio` may not use `run`"],
        ),
        (
            "unknown module",
            "src/attic/x.rs",
            "//! h",
            &["1: a module that is not in `MODULES`"],
        ),
        (
            "a crate root may use everything",
            "src/main.rs",
            "//! h\nuse crate::cli::x; use std::fs; fn f() { println!() }",
            &[],
        ),
        (
            "no header",
            "tests/x.rs",
            "use std::fs;",
            &["1: no `//!` header"],
        ),
        ("a function of the maximum length", "benches/x.rs", &long, &[]),
        ("a function that is too long", "benches/x.rs", &longer, &["4: `f` has 71 lines, more than 70"]),
        ("a long function in a test module", "src/cli/x.rs", &tests, &[]),
        (
            "stub",
            "src/cli/x.rs",
            "//! h\nfn f() { todo!() }\n// todo!\n",
            &["2: `todo!`"],
        ),
        (
            "file",
            "src/scenario/x.rs",
            "//! h\nuse std::{fs, net::Ipv4Addr};",
            &[
                "2: `std::fs` in the pure module `scenario`",
                "2: `std::net::Ipv4Addr` in the pure module `scenario`",
            ],
        ),
        (
            "file in a module that is not pure",
            "src/run/x.rs",
            "//! h\nuse std::fs;",
            &[],
        ),
        (
            "thread",
            "src/plan/x.rs",
            "//! h\nfn f() { std::thread::sleep(d) }",
            &["2: `std::thread::sleep` in the pure module `plan`"],
        ),
        (
            "clock",
            "src/call/x.rs",
            "//! h\nfn f() { std::time::Instant::now(); t.elapsed() }",
            &[
                "2: `std::time::Instant::now` in the pure module `call`",
                "2: `elapsed` in the pure module `call`",
            ],
        ),
        (
            "wall clock",
            "src/call/x.rs",
            "//! h\nuse std::time::SystemTime;",
            &["2: `std::time::SystemTime` in the pure module `call`"],
        ),
        (
            "an instant in a test module",
            "src/call/x.rs",
            "//! h\n#[cfg(test)]\nmod tests { fn f() { Instant::now() } }",
            &[],
        ),
        (
            "clock after a test module",
            "src/call/x.rs",
            "//! h\n#[cfg(test)]\nmod tests { }\nfn f() { Instant::now() }",
            &["4: `Instant::now` in the pure module `call`"],
        ),
        (
            "clock and file in a test file",
            "src/call/tests/x.rs",
            "//! h\nfn f() { Instant::now(); std::fs::read(p) }",
            &["2: `std::fs::read` in the pure module `call`"],
        ),
        (
            "output",
            "src/stats/x.rs",
            "//! h\nfn f() { println!(\"x\"); let print = 1; }",
            &[
                "2: `println` outside src/cli/console.rs",
                "2: `println` in the pure module `stats`",
            ],
        ),
        (
            "printing outside the console",
            "src/cli/commands/x.rs",
            "//! h\nuse std::io::{self, stderr};\nfn f() { eprintln!(); io::stdout(); tokio::io::stderr() }\nuse indicatif::ProgressBar;\nfn print() { print() }",
            &[
                "2: `std::io::stderr` outside src/cli/console.rs",
                "3: `eprintln` outside src/cli/console.rs",
                "3: `io::stdout` outside src/cli/console.rs",
                "3: `tokio::io::stderr` outside src/cli/console.rs",
                "4: `indicatif::ProgressBar` outside src/cli/console.rs",
            ],
        ),
        (
            "printing in the console",
            "src/cli/console.rs",
            "//! h\nfn f() { println!(); std::io::stdout() }",
            &[],
        ),
        (
            "printing in tests",
            "src/run/x/tests.rs",
            "//! h\nfn f() { println!(); std::io::stdout() }",
            &[],
        ),
        (
            "unsafe code",
            "src/net/x.rs",
            "//! h\n#![allow(unsafe_code)]\nfn f() { unsafe { g() } }\nunsafe impl Send for X {}",
            &["2: `unsafe_code`", "3: `unsafe`", "4: `unsafe`"],
        ),
        (
            "unsafe code in tests",
            "tests/it/x.rs",
            "//! h\n#[unsafe(no_mangle)]\nfn f() {}",
            &["2: `unsafe`"],
        ),
        (
            "unsafe code where it is allowed",
            "src/os/linux/system_calls.rs",
            "//! h\n#![expect(unsafe_code)]\nfn f() { unsafe { g() } }",
            &[],
        ),
        (
            "code for one operating system",
            "src/run/x.rs",
            "//! h\n#[cfg(not(target_os = \"linux\"))]\nuse procfs::process::Process;\nuse nix::sys::{epoll::Epoll, eventfd, prctl};\nfn f() { libc::recvmmsg(); let _ = cfg!(target_os = \"macos\"); std::fs::read(\"/proc/stat\") }",
            &[
                "2: `target_os` outside src/os",
                "3: `procfs::process::Process` outside src/os",
                "4: `nix::sys::epoll::Epoll` outside src/os",
                "4: `nix::sys::eventfd` outside src/os",
                "4: `nix::sys::prctl` outside src/os",
                "5: `libc::recvmmsg` outside src/os",
                "5: `target_os` outside src/os",
                "5: `/proc/` outside src/os",
            ],
        ),
        (
            "direct use of one implementation",
            "src/net/x.rs",
            "//! h\nuse crate::os::portable::Poller;\nuse crate::os::Waker;\nuse mio::Poll;\nuse std::os::linux::fs::MetadataExt;",
            &[
                "2: `crate::os::portable::Poller` outside src/os",
                "4: `mio::Poll` outside src/os",
                "5: `std::os::linux::fs::MetadataExt` outside src/os",
            ],
        ),
        (
            "code for one operating system in src/os",
            "src/os/linux/x.rs",
            "//! h\n#[cfg(target_os = \"linux\")]\nuse procfs::process::Process;\nfn f() { std::fs::read(\"/proc/stat\") }",
            &[],
        ),
        (
            "code for one operating system in tests",
            "tests/it/x.rs",
            "//! h\n#[cfg(target_os = \"linux\")]\nfn f() { std::fs::read(\"/proc/stat\") }",
            &["2: `target_os` outside src/os"],
        ),
        (
            "randomness",
            "src/plan/x.rs",
            "//! h\nfn f() { rand::rng(); rand_chacha::rand_core::seed(); }",
            &["2: `rand::rng` in the pure module `plan`"],
        ),
    ];
    for (name, path, text, expected) in cases {
        let expected: Vec<String> = expected.iter().map(|e| format!("{path}:{e}")).collect();
        assert_eq!(check(path, text), expected, "{name}");
    }
}

/// The compiler reports invalid syntax; the checker only has to terminate.
#[test]
fn arbitrary_source_never_panics() {
    let whole = "//! h\nuse crate::{a::{b as c, *}, d}; fn f<'a>() { r#\"x\"#; '\\''; \"\\\"\" } /* /* */ */ #[cfg(test)] mod t { }";
    for end in (0..whole.len()).filter(|i| whole.is_char_boundary(*i)) {
        check("src/call/x.rs", &whole[..end]);
        check("src/call/x.rs", &whole[end..]);
    }
}
