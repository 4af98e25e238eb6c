//! Enforces the rules of docs/ARCHITECTURE.md ("modules"): which module may use which, which paths
//! pure modules must not name, which files may have unsafe code or depend on the operating system,
//! file headers, lengths. `cycles.rs` checks that no files use each other in a cycle.
//!
//! In: path and text of every source file. Out: every violation, with file and line.
//! Invariants: comments and literals do not count as code; test code obeys the same boundaries.
//! Not detected: references through `super::`, and names that a macro builds.

mod cases;
mod cycles;
mod scan;

use scan::{Named, Token, named, tokens};
use std::fmt::Write as _;
use std::path::Path;

/// Which module may use which others. Every module is listed, and nothing else is allowed.
const MODULES: &[(&str, &[&str])] = &[
    ("vocab", &[]),
    ("audio", &["vocab"]),
    ("stats", &[]),
    ("scenario", &["vocab", "audio"]),
    ("plan", &["vocab", "scenario"]),
    ("call", &["vocab", "audio"]),
    ("account", &[]),
    ("record", &["vocab", "call", "account", "stats"]),
    ("os", &[]),
    ("net", &["vocab", "os"]),
    (
        "targets",
        &["vocab", "os", "net", "call", "account", "audio"],
    ),
    (
        "run",
        &[
            "vocab", "targets", "os", "net", "call", "account", "plan", "scenario", "audio",
            "record", "stats",
        ],
    ),
    ("report", &["vocab", "record", "stats"]),
    (
        "cli",
        &[
            "vocab", "audio", "stats", "scenario", "plan", "call", "account", "record", "os",
            "net", "targets", "run", "report",
        ],
    ),
    (
        "fuzz",
        &[
            "vocab", "audio", "stats", "scenario", "plan", "call", "account", "record", "net",
            "targets", "run", "report", "cli",
        ],
    ),
];

/// Modules without a clock, socket, file, thread, global randomness or output.
const PURE: &[&str] = &[
    "vocab", "scenario", "plan", "audio", "call", "account", "stats",
];

/// Paths, or parts of them, that a pure module must not name.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::net",
    "std::thread",
    "std::process",
    "std::env",
    "std::os",
    "fs::File",
    "SystemTime",
    "rand::rng",
    "rand::random",
    "rand::make_rng",
    "thread_rng",
    "ThreadRng",
    "SysRng",
    "OsRng",
    "RandomState",
    "libc",
    "tokio",
];
/// The clock. Tests of a pure module may use it to get an instant to count from.
const CLOCK: &[&str] = &["Instant::now", "elapsed"];
/// Macros that print.
const PRINTS: &[&str] = &["println", "eprintln", "print", "eprint", "dbg"];
/// Paths of the output streams, or parts of them.
const OUTPUTS: &[&str] = &["io::stdout", "io::stderr", "indicatif"];
/// The one file that may print: it handles closed pipes and full disks.
const CONSOLE: &str = "src/cli/console.rs";
/// The files that may have unsafe code: the system calls that no crate wraps and, in tests, the
/// code that runs between fork and exec, and a counting allocator. Each has an `#[expect]` for it.
const UNSAFE: &[&str] = &[
    "src/os/linux/system_calls.rs",
    "tests/support/process.rs",
    "tests/allocations.rs",
];
/// Files that may depend on the operating system: `src/os`, and its counterpart in the tests.
const SYSTEM_FILES: &[&str] = &["src/os/", "tests/support/os.rs"];
/// `cfg` conditions that depend on the operating system.
const SYSTEM_CFGS: &[&str] = &["target_os", "target_vendor", "target_family"];
/// Crates and modules that belong to one operating system or abstract over several: only `src/os`
/// may use them.
const SYSTEM_PATHS: &[&str] = &[
    "procfs",
    "mio",
    "sysinfo",
    "epoll",
    "eventfd",
    "prctl",
    "ppoll",
    "recvmmsg",
    "malloc_trim",
    "os::linux",
    "os::portable",
    "os::macos",
];
/// Folders in which Linux shows its state, as they appear at the start of a string literal.
const SYSTEM_FOLDERS: &[&str] = &["\"/proc/", "\"/sys/"];
/// Macros that stand in for missing code.
const STUBS: &[&str] = &["todo", "unimplemented"];
/// Above this many lines, the test prints a warning: is the file still about one thing?
const LONG_FILE: usize = 600;
/// A function fits on a screen. Tests are exempt: they are tables of cases.
const LONGEST_FUNCTION: usize = 70;

/// Whether `path` contains the segments of `part` in sequence.
fn says(path: &str, part: &str) -> bool {
    format!("::{path}::").contains(&format!("::{part}::"))
}

/// Whether a token is inside `#[cfg(test)] mod … { … }`.
fn in_test_module(tokens: &[Token], token: usize) -> bool {
    let marks = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    let texts = |i: usize| tokens[i..].iter().map(|t| t.text.as_str());
    (0..token)
        .filter(|i| texts(*i).take(8).eq(marks))
        .any(|begin| {
            // After the marks and the name: the body, up to its closing brace.
            let mut depth = 0;
            let body = texts(begin).enumerate().skip(9).take_while(|(_, text)| {
                depth += i32::from(*text == "{") - i32::from(*text == "}");
                depth > 0
            });
            body.last().is_some_and(|(last, _)| token <= begin + last)
        })
}

/// The module of a file: `src/audio/ear.rs` → `audio`; `None` for the crate's two roots, tests
/// and benches.
fn module(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let first = inside.split('/').next()?;
    let module = first.strip_suffix(".rs").unwrap_or(first);
    (!["main", "lib"].contains(&module)).then_some(module)
}

fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("tests.rs")
}

/// Name, first token and number of lines of every function that has a body.
fn functions(tokens: &[Token]) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for first in 0..tokens.len().saturating_sub(1) {
        if tokens[first].text != "fn" {
            continue;
        }
        let (mut depth, mut parentheses) = (0, 0);
        for token in &tokens[first..] {
            match token.text.as_str() {
                "(" | "[" => parentheses += 1,
                ")" | "]" => parentheses -= 1,
                ";" if depth == 0 && parentheses == 0 => break,
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => continue,
            }
            if token.text == "}" && depth == 0 {
                let lines = token.line - tokens[first].line + 1;
                found.push((tokens[first + 1].text.clone(), first, lines));
                break;
            }
        }
    }
    found
}

/// Everything in one file that depends on the operating system; nothing in [`SYSTEM_FILES`].
fn system_dependent(path: &str, text: &str, tokens: &[Token]) -> Vec<String> {
    if SYSTEM_FILES.iter().any(|place| path.starts_with(place)) {
        return Vec::new();
    }
    let mut breaches = Vec::new();
    for name in named(tokens) {
        let depends = SYSTEM_CFGS.contains(&name.path.as_str())
            || (path.starts_with("src/") && SYSTEM_PATHS.iter().any(|p| says(&name.path, p)));
        if depends {
            breaches.push(format!(
                "{path}:{}: `{}` outside src/os",
                name.line, name.path
            ));
        }
    }
    // Tests may name these folders: to inspect processes, or because they cannot be written to.
    if path.starts_with("src/") && !is_test_file(path) {
        for (line, text) in text.lines().enumerate() {
            if let Some(folder) = SYSTEM_FOLDERS.iter().find(|f| text.contains(**f)) {
                let folder = folder.trim_matches('"');
                breaches.push(format!("{path}:{}: `{folder}` outside src/os", line + 1));
            }
        }
    }
    breaches
}

/// Every violation in one file.
fn check(path: &str, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    if !text.starts_with("//!") {
        breaches.push(format!("{path}:1: no `//!` header"));
    }
    let tokens = tokens(text);
    for (name, first, lines) in functions(&tokens) {
        let in_tests = is_test_file(path) || in_test_module(&tokens, first);
        if lines > LONGEST_FUNCTION && !in_tests {
            let line = tokens[first].line;
            breaches.push(format!(
                "{path}:{line}: `{name}` has {lines} lines, more than {LONGEST_FUNCTION}"
            ));
        }
    }
    breaches.extend(system_dependent(path, text, &tokens));
    let is_macro = |n: &Named| tokens.get(n.token + 1).is_some_and(|t| t.text == "!");
    let module = module(path);
    let uses = module.map(|module| MODULES.iter().find(|r| r.0 == module));
    if let Some(None) = uses {
        breaches.push(format!("{path}:1: a module that is not in `MODULES`"));
    }
    for name in named(&tokens) {
        let mut breach = |what: &str| breaches.push(format!("{path}:{}: {what}", name.line));
        if STUBS.contains(&name.path.as_str()) && is_macro(&name) {
            breach(&format!("`{}!`", name.path));
        }
        let lifts = ["unsafe", "unsafe_code"].contains(&name.path.as_str());
        if lifts && !UNSAFE.contains(&path) {
            breach(&format!("`{}`", name.path));
        }
        let in_tests = is_test_file(path) || in_test_module(&tokens, name.token);
        let prints = PRINTS.contains(&name.path.as_str()) && is_macro(&name);
        let Some(Some((module, uses))) = uses else {
            continue;
        };
        let output = prints || OUTPUTS.iter().any(|w| says(&name.path, w));
        if output && path != CONSOLE && !in_tests {
            breach(&format!("`{}` outside {CONSOLE}", name.path));
        }
        if let Some(rest) = name.path.strip_prefix("crate::") {
            let used = rest.split("::").next().unwrap_or_default();
            if used != *module && !uses.contains(&used) {
                breach(&format!("`{module}` may not use `{used}`"));
            }
        }
        if !PURE.contains(module) {
            continue;
        }
        let impure = IMPURE.iter().any(|w| says(&name.path, w));
        let clock = CLOCK.iter().any(|w| says(&name.path, w)) && !in_tests;
        if impure || clock || prints {
            breach(&format!("`{}` in the pure module `{module}`", name.path));
        }
    }
    breaches
}

/// Paths (with `/`) and texts of the Rust files under `folder` of the package.
fn files(folder: &str) -> Vec<(String, String)> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut open, mut found) = (vec![package.join(folder)], Vec::new());
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue; // A package need not have every folder.
        };
        for path in entries.map(|e| e.expect("a readable folder").path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("readable source");
                let relative = path.strip_prefix(package).expect("inside the package");
                found.push((relative.to_string_lossy().replace('\\', "/"), text));
            }
        }
    }
    found
}

#[test]
fn sources_follow_the_architecture() {
    let files = ["src", "tests", "benches"].map(files).concat();
    assert!(
        files.iter().any(|f| f.0 == "src/call/mod.rs"),
        "searched the wrong folder"
    );
    for (path, text) in &files {
        let lines = text.lines().count();
        if lines > LONG_FILE {
            eprintln!("warning: {path} has {lines} lines: is it still about one thing?");
        }
    }
    let mut report = String::new();
    for breach in files.iter().flat_map(|(path, text)| check(path, text)) {
        let _ = writeln!(report, "{breach}");
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn modules_have_no_dependency_cycles() {
    // A module comes after all modules that it uses, so there is no cycle.
    let order = [
        "vocab", "audio", "stats", "scenario", "plan", "call", "account", "record", "os", "net",
        "targets", "run",
    ];
    let order = [&order[..], &["report", "cli", "fuzz"]].concat();
    assert_eq!(order.len(), MODULES.len());
    for (module, uses) in MODULES {
        let place = |r: &str| order.iter().position(|o| *o == r).expect("a listed module");
        assert!(
            uses.iter().all(|used| place(used) < place(module)),
            "{module}"
        );
    }
}
