//! A child process whose output is captured.
//!
//! In: a `Command`. Out: a [`Process`] to wait for, inspect and signal; a [`Finished`].
//! Invariants: the child leads its own process group; the whole group is killed when the value is
//! dropped, and on Linux the kernel kills the child when the test process dies.

use super::os::{die_with_parent, is_zombie};
use super::poll;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// One of a child's output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A running child and its output so far.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    /// Set once the child has been reaped: from then on its id may belong to another process.
    status: Option<ExitStatus>,
    started: Instant,
    out: Arc<Mutex<String>>,
    err: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

/// The exit status and the output of a child that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Exit code; `None` if a signal ended the child.
    pub code: Option<i32>,
    /// The signal that ended the child.
    pub signal: Option<i32>,
    /// Whether the child was killed because its deadline had passed.
    pub timed_out: bool,
    /// Time from the child's start to its end.
    pub took: Duration,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Process {
    /// Starts `command` in its own process group, with its input closed unless `keep_stdin`; panics
    /// with `name` if it cannot be started.
    pub fn spawn(name: &str, mut command: Command, keep_stdin: bool) -> Self {
        command
            .stdin(if keep_stdin {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        before_exec(&mut command, die_with_parent);
        let started = Instant::now();
        let mut child = spawn_from_a_lasting_thread(command)
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let (out, err) = (Arc::default(), Arc::default());
        let readers = vec![
            collect(child.stdout.take().expect("piped"), Arc::clone(&out)),
            collect(child.stderr.take().expect("piped"), Arc::clone(&err)),
        ];
        Self {
            name: name.to_owned(),
            child,
            status: None,
            started,
            out,
            err,
            readers,
        }
    }

    /// The child's process id, which is also its process group id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The child's output on `stream` so far.
    pub fn output(&self, stream: Stream) -> String {
        let text = match stream {
            Stream::Out => &self.out,
            Stream::Err => &self.err,
        };
        text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The child's exit status, if it has ended; the rest of its group is then killed.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() && self.is_zombie() {
            self.kill_group_and_reap();
        }
        self.status
    }

    /// The first complete line of `stream` that contains `text`; panics, with all output,
    /// if the child ends without it or `patience` runs out.
    pub fn wait_for_line(&mut self, stream: Stream, text: &str, patience: Duration) -> String {
        let found = poll(patience, || {
            // Check this before reading the output: a child that has ended writes no more.
            let ended = self.try_wait().is_some();
            if ended {
                self.join_readers(Duration::from_secs(1));
            }
            let output = self.output(stream);
            let line = output
                .split_inclusive('\n')
                .find(|line| line.contains(text) && line.ends_with('\n'));
            match line {
                Some(line) => Some(Some(line.trim_end().to_owned())),
                None if ended => Some(None),
                None => None,
            }
        });
        found.flatten().unwrap_or_else(|| {
            panic!(
                "{}: no line with {text:?} within {patience:?}\n{}",
                self.name,
                self.transcript()
            )
        })
    }

    /// Sends a signal, such as `libc::SIGINT`, to the child (not to its group); does nothing if the
    /// child has ended.
    pub fn send_signal(&self, signal: libc::c_int) {
        // The PID of a child that has not been reaped cannot have been reused.
        if self.status.is_none() {
            let signal = Signal::try_from(signal).expect("a signal");
            let sent = kill(self.unix_pid(), signal);
            sent.unwrap_or_else(|e| panic!("{}: kill: {e}", self.name));
        }
    }

    fn unix_pid(&self) -> Pid {
        Pid::from_raw(self.pid().cast_signed())
    }

    /// Closes the child's standard input.
    pub fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits until the child ends; kills its group after `patience`.
    pub fn finish(mut self, patience: Duration) -> Finished {
        let timed_out = poll(patience, || self.try_wait()).is_none();
        let took = self.started.elapsed();
        let status = self.kill_group_and_reap();
        self.join_readers(Duration::from_secs(5));
        Finished {
            code: status.code(),
            signal: status.signal(),
            timed_out,
            took,
            stdout: self.output(Stream::Out),
            stderr: self.output(Stream::Err),
        }
    }

    fn transcript(&self) -> String {
        let (out, err) = (self.output(Stream::Out), self.output(Stream::Err));
        format!(
            "--- stdout of {0}\n{out}--- stderr of {0}\n{err}",
            self.name
        )
    }

    /// Whether the child has ended but has not been reaped; does not reap it.
    fn is_zombie(&self) -> bool {
        is_zombie(self.pid()).unwrap_or_else(|e| panic!("{}: waiting: {e}", self.name))
    }

    /// Kills the rest of the group, then reaps the child. The order matters: only an unreaped
    /// leader keeps the group's id from being reused.
    fn kill_group_and_reap(&mut self) -> ExitStatus {
        if let Some(status) = self.status {
            return status;
        }
        // The child leads this group and has not been reaped.
        let _ = killpg(self.unix_pid(), Signal::SIGKILL);
        let status = self.child.wait().expect("our own child");
        *self.status.insert(status)
    }

    fn join_readers(&mut self, patience: Duration) {
        // A grandchild may keep the pipe open, so do not wait forever.
        poll(patience, || {
            self.readers
                .iter()
                .all(JoinHandle::is_finished)
                .then_some(())
        });
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_group_and_reap();
        if std::thread::panicking() {
            eprintln!("{}", self.transcript());
        }
    }
}

impl Finished {
    /// Panics, with all output, unless the exit code is `expected`.
    #[track_caller]
    pub fn assert_code(&self, expected: i32) -> &Self {
        assert!(
            self.code == Some(expected) && !self.timed_out,
            "exit code {:?} (signal {:?}, timed out: {}) instead of {expected} after {:?}\n--- stdout\n{}--- stderr\n{}",
            self.code,
            self.signal,
            self.timed_out,
            self.took,
            self.stdout,
            self.stderr
        );
        self
    }
}

fn collect(from: impl Read + Send + 'static, into: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let mut text = into.lock().unwrap_or_else(PoisonError::into_inner);
            text.push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}

/// Runs `step` in the child, between fork and exec. It may make system calls, but must not allocate
/// or take a lock: another thread may have held the allocator's lock at the fork.
#[expect(
    unsafe_code,
    reason = "the compiler cannot check what runs after a fork"
)]
pub fn before_exec(
    command: &mut Command,
    step: impl Fn() -> io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: every caller's step makes one system call, which is async-signal-safe, and allocates
    // nothing.
    unsafe { command.pre_exec(step) };
}

/// Starts a child from a thread that never ends. "Parent death" is the death of the *thread* that
/// forked, and each test has its own thread, but a child may outlive its test function.
fn spawn_from_a_lasting_thread(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, incoming) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in incoming {
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    let (reply, child) = mpsc::channel();
    let orders = spawner.lock().unwrap_or_else(PoisonError::into_inner);
    orders
        .send((command, reply))
        .expect("the spawner never ends");
    drop(orders);
    child.recv().expect("the spawner answers every order")
}
