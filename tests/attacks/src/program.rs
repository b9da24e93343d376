//! Running a program, with and without the guard, within a limit of time.

use crate::outcome::Outcome;
use crate::record;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a run may take before it is killed.
const LIMIT: Duration = Duration::from_secs(30);

/// A program to be run.
#[derive(Clone, Debug)]
pub struct Program {
    words: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    limit: Duration,
    directory: Option<PathBuf>,
    /// Descriptors that the program inherits: ours, and its number there.
    inherited: Vec<(RawFd, RawFd)>,
    /// Whether the guard is there, so that its records are looked at.
    guarded: bool,
}

impl Program {
    /// A program and its arguments.
    pub fn new<I: AsRef<OsStr>>(words: impl IntoIterator<Item = I>) -> Self {
        Program {
            words: words.into_iter().map(|word| word.as_ref().to_owned()).collect(),
            variables: Vec::new(),
            limit: LIMIT,
            directory: None,
            inherited: Vec::new(),
            guarded: false,
        }
    }

    /// More arguments.
    #[must_use]
    pub fn arguments<I: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = I>) -> Self {
        self.words.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Sets a variable of its environment, which else holds PATH only.
    #[must_use]
    pub fn variable(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets how long it may run.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets its working directory.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Hands down one of our descriptors under a number of its own.
    #[must_use]
    pub fn inherit(mut self, ours: RawFd, theirs: RawFd) -> Self {
        self.inherited.push((ours, theirs));
        self
    }

    /// The same program, started by another.
    #[must_use]
    pub fn under<I: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = I>) -> Self {
        let mut all: Vec<OsString> = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
        all.append(&mut self.words);
        self.words = all;
        self
    }

    /// The same program under the guard. `launcher` is the program `guarded`.
    #[must_use]
    pub fn guarded(mut self, launcher: &str, policy: &Policy) -> Self {
        self.guarded = true;
        let words = [OsStr::new(launcher), policy.path.as_os_str()].map(OsStr::to_owned);
        self.under(words)
    }

    /// The same program as the first of a pid namespace of its own, which ends with it: what it
    /// does to other processes can reach only those below.
    #[must_use]
    pub fn in_pid_namespace(self) -> Self {
        // SAFETY: getuid(2) always succeeds.
        let root = unsafe { libc::getuid() } == 0;
        let user: &[&str] = if root { &[] } else { &["-U", "--map-current-user"] };
        let words: Vec<&str> = ["unshare"]
            .into_iter()
            .chain(user.iter().copied())
            .chain(["-p", "-f", "-m", "--mount-proc", "--kill-child=KILL"])
            .collect();
        self.under(words)
    }

    /// Runs it to its end, or to the end of its time.
    ///
    /// # Panics
    ///
    /// If it can't be started.
    pub fn run(&self) -> Outcome {
        self.start().finish()
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// If it can't be started.
    pub fn start(&self) -> Running {
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let inherited = self.inherited.clone();
        // SAFETY: dup2(2) and fcntl(2) only, which are async-signal-safe.
        unsafe {
            command.pre_exec(move || {
                for &(ours, theirs) in &inherited {
                    if ours == theirs {
                        libc::fcntl(ours, libc::F_SETFD, 0);
                    } else if libc::dup2(ours, theirs) < 0 {
                        return Err(std::io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        let began = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", self.words));
        // SAFETY: pidfd_open(2) makes a descriptor, or fails.
        let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) } as RawFd;
        assert!(pidfd >= 0, "pidfd_open failed");
        // SAFETY: the descriptor was just made.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        let collect = |mut from: Box<dyn Read + Send>| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = from.read_to_end(&mut bytes);
                bytes
            })
        };
        let stdout = collect(Box::new(child.stdout.take().expect("stdout is a pipe")));
        let stderr = collect(Box::new(child.stderr.take().expect("stderr is a pipe")));
        Running { child, pidfd, began, limit: self.limit, guarded: self.guarded, stdout, stderr }
    }
}

/// A program that runs.
pub struct Running {
    child: std::process::Child,
    pidfd: OwnedFd,
    began: Instant,
    limit: Duration,
    guarded: bool,
    stdout: std::thread::JoinHandle<Vec<u8>>,
    stderr: std::thread::JoinHandle<Vec<u8>>,
}

impl Running {
    /// Its process id; under the guard, the arbiter's.
    pub fn id(&self) -> i32 {
        self.child.id() as i32
    }

    /// Sends it a signal.
    pub fn signal(&self, number: i32) {
        // SAFETY: the child has not been waited for, so the id is its own.
        unsafe { libc::kill(self.id(), number) };
    }

    /// Waits for its end, or ends it when its time is over.
    ///
    /// # Panics
    ///
    /// If it can't be waited for, and if the guard wrote a record that is none by the schema.
    pub fn finish(mut self) -> Outcome {
        let left = self.limit.saturating_sub(self.began.elapsed());
        let mut entry = libc::pollfd { fd: self.pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry.
        let ended = unsafe { libc::poll(&mut entry, 1, left.as_millis() as i32) } == 1;
        if !ended {
            // SAFETY: its own process group, which it leads; it has not been waited for.
            unsafe { libc::kill(-self.id(), libc::SIGKILL) };
        }
        let status = self.child.wait().expect("the child can be waited for");
        let took = self.began.elapsed();
        let outcome = Outcome {
            status: status.code(),
            signal: status.signal(),
            timed_out: !ended,
            took,
            stdout: self.stdout.join().expect("a reader"),
            stderr: self.stderr.join().expect("a reader"),
        };
        if self.guarded {
            record::in_log(&outcome.stdout);
            record::in_log(&outcome.stderr);
        }
        outcome
    }
}

/// A policy in a file.
#[derive(Clone, Debug)]
pub struct Policy {
    path: PathBuf,
}

impl Policy {
    /// Writes a policy (without `version`) into a file of `directory`.
    ///
    /// # Panics
    ///
    /// If the file can't be written.
    pub fn new(directory: &Path, text: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = directory.join(format!("policy-{}.toml", NEXT.fetch_add(1, Ordering::Relaxed)));
        std::fs::write(&path, format!("version = 1\n{text}")).expect("the policy can be written");
        Policy { path }
    }
}
