//! The platform's side of one cold start: the process that it starts, the runtime API that it gives
//! it, and its log, which can be waited on while the function runs.

use ambush_platform::runtime_api::{Answer, OnAnswer, RuntimeApi};
use fnguard_attacks::outcome::Outcome;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::io::{PipeReader, PipeWriter, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The function with its guard, with one that degrades, and without.
pub const GUARDED: &str = env!("CARGO_BIN_EXE_lambda-guarded");
pub const DEGRADING: &str = env!("CARGO_BIN_EXE_lambda-degrading");
pub const PLAIN: &str = env!("CARGO_BIN_EXE_lambda-plain");
/// What standard Lambda imposes.
pub const PLATFORM: &str = env!("CARGO_BIN_EXE_lambda-platform");

/// The secret: no form of it may leave.
pub const KEY: &str = "sk_live_9f8Qe7Rt6Yu5Io4Pa3Sd2Fg1";
/// Where no policy of these tests allows to connect to; the suite's namespace has it.
pub const FORBIDDEN: &str = "203.0.113.9";

/// How long anything may take. Far more than it does: reaching it is a failure.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A cold start that is being prepared.
pub struct Start {
    command: Command,
    address: SocketAddr,
    on_answer: OnAnswer,
    stdout: Option<PipeWriter>,
    stderr: Option<PipeWriter>,
}

/// What the platform sets, and the secret.
const ENVIRONMENT: [(&str, &str); 9] = [
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("TZ", ":UTC"),
    ("_HANDLER", "bootstrap"),
    ("AWS_LAMBDA_FUNCTION_NAME", "orders"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/orders"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]0"),
    ("STRIPE_KEY", KEY),
];

impl Start {
    /// A program and its arguments, with the platform's environment.
    pub fn of<S: AsRef<OsStr>>(words: &[S]) -> Self {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().envs(ENVIRONMENT).stdin(Stdio::null()).process_group(0);
        Start {
            command,
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            on_answer: Arc::new(|_, _| ()),
            stdout: None,
            stderr: None,
        }
    }

    pub fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Puts the runtime API at an address.
    pub fn api_at(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Called with each answer, before the function hears that it has arrived.
    pub fn on_answer(mut self, call: impl Fn(&str, &Answer) + Send + Sync + 'static) -> Self {
        self.on_answer = Arc::new(call);
        self
    }

    /// Takes the place of the log.
    pub fn stdout(mut self, pipe: PipeWriter) -> Self {
        self.stdout = Some(pipe);
        self
    }

    pub fn stderr(mut self, pipe: PipeWriter) -> Self {
        self.stderr = Some(pipe);
        self
    }

    /// Starts it.
    pub fn start(mut self) -> Function {
        let api = RuntimeApi::start_at(self.address, self.on_answer).expect("a runtime API");
        let (stdout, out) = Log::or(self.stdout.take());
        let (stderr, err) = Log::or(self.stderr.take());
        self.command.env("AWS_LAMBDA_RUNTIME_API", api.address.to_string()).stdout(out).stderr(err);
        let child = self.command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        // The pipes' other ends go with it: the log ends with the last process that writes there.
        drop(self.command);
        Function { api, child: Mutex::new(child), stdout, stderr, began: Instant::now() }
    }

    /// Starts it, and waits until it asks for its first event.
    #[track_caller]
    pub fn serving(self) -> Function {
        let function = self.start();
        let ready = function.api.await_ready(PATIENCE, &|| function.is_over());
        assert!(ready, "it asks for no event\n{}", function.text());
        function
    }
}

/// A cold start.
pub struct Function {
    api: RuntimeApi,
    child: Mutex<Child>,
    pub stdout: Log,
    pub stderr: Log,
    began: Instant,
}

impl Function {
    /// The process that the platform started: the arbiter, or the function where there is none.
    pub fn id(&self) -> i32 {
        self.child().id() as i32
    }

    /// The function's process, as the posture line names it.
    #[track_caller]
    pub fn function_id(&self) -> i32 {
        self.posture()["pid"].as_i64().expect("a process") as i32
    }

    #[track_caller]
    pub fn posture(&self) -> Value {
        self.stderr.await_record(|record| record["fnguard"] == "posture")
    }

    pub fn send(&self, id: &str, event: &Value) {
        self.api.send(id, event);
    }

    pub fn send_traced(&self, id: &str, trace: &str, event: &Value) {
        self.api.send_traced(id, trace, event);
    }

    /// The answer to an event, once the function has asked for the next one.
    #[track_caller]
    pub fn answer(&self, id: &str) -> Answer {
        let answer = self.api.await_answer(id, PATIENCE, &|| self.is_over());
        answer.unwrap_or_else(|| panic!("no answer to {id}\n{}", self.text()))
    }

    #[track_caller]
    pub fn invoke(&self, id: &str, event: &Value) -> Answer {
        self.send(id, event);
        self.answer(id)
    }

    /// The response to an event, which must be one.
    #[track_caller]
    pub fn response(&self, id: &str, event: &Value) -> Value {
        self.invoke(id, event);
        self.response_to(id)
    }

    #[track_caller]
    pub fn response_to(&self, id: &str) -> Value {
        match self.answer(id) {
            Answer::Response(body) => serde_json::from_slice(&body).expect("JSON"),
            Answer::Error(body) => panic!("{}\n{}", String::from_utf8_lossy(&body), self.text()),
        }
    }

    /// The error that answers an event, which must be one.
    #[track_caller]
    pub fn error(&self, id: &str, event: &Value) -> Value {
        match self.invoke(id, event) {
            Answer::Error(body) => serde_json::from_slice(&body).expect("JSON"),
            Answer::Response(body) => panic!("{}\n{}", String::from_utf8_lossy(&body), self.text()),
        }
    }

    /// It is alive and serves.
    #[track_caller]
    pub fn serves(&self) {
        let id = fresh("serves");
        assert_eq!(self.response(&id, &json!({ "do": "answer" })), json!({ "id": id }), "{}", self.text());
    }

    /// Kills the group, as the platform does, and gives what was seen.
    pub fn stop(self) -> Outcome {
        signal_group(self.id(), libc::SIGKILL);
        self.ended()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ended(self) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        let pidfd = pidfd(self.id());
        let left = deadline.saturating_duration_since(Instant::now());
        let ended = pidfd.as_ref().is_none_or(|pidfd| is_readable(pidfd.as_raw_fd(), left));
        if !ended {
            signal_group(self.id(), libc::SIGKILL);
        }
        let status: ExitStatus = self.child().wait().expect("a child");
        Outcome {
            status: status.code(),
            signal: status.signal(),
            timed_out: !ended,
            took: self.began.elapsed(),
            stdout: self.stdout.to_end(),
            stderr: self.stderr.to_end(),
        }
    }

    fn is_over(&self) -> bool {
        !matches!(self.child().try_wait(), Ok(None))
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn text(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", self.stdout.text(), self.stderr.text())
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // Only where it has not been waited for: its id is its own until then.
        if matches!(self.child().try_wait(), Ok(None)) {
            signal_group(self.id(), libc::SIGKILL);
            let _ = self.child().wait();
        }
    }
}

/// One stream of the platform's log. Whoever looks at it sees all that has been written until then.
#[derive(Clone)]
pub struct Log {
    shared: Arc<(Mutex<Written>, Condvar)>,
}

#[derive(Default)]
struct Written {
    /// Read by whoever looks, and by a thread that sees to it that the writer never waits; none at the end.
    pipe: Option<PipeReader>,
    bytes: Vec<u8>,
}

impl Written {
    /// Takes what the pipe holds.
    fn take(&mut self) {
        let mut some = [0; 65536];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut some) {
                Ok(0) => self.pipe = None,
                Ok(count) => self.bytes.extend_from_slice(&some[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

impl Log {
    /// A stream that is read, or one that somebody else reads.
    fn or(other: Option<PipeWriter>) -> (Self, PipeWriter) {
        if let Some(writer) = other {
            return (Log { shared: Arc::default() }, writer);
        }
        let (reader, writer) = std::io::pipe().expect("a pipe");
        (Log::read(reader), writer)
    }

    /// Reads a pipe to its end.
    pub fn read(pipe: PipeReader) -> Self {
        do_not_wait(&pipe);
        let waits = pipe.try_clone().expect("a descriptor");
        let log = Log {
            shared: Arc::new((Mutex::new(Written { pipe: Some(pipe), bytes: Vec::new() }), Condvar::new())),
        };
        let kept = log.clone();
        std::thread::spawn(move || {
            while kept.lock().pipe.is_some() {
                is_readable(waits.as_raw_fd(), PATIENCE);
                kept.lock().take();
                kept.shared.1.notify_all();
            }
        });
        log
    }

    /// Waits until something is in it.
    #[track_caller]
    pub fn find<T>(&self, mut found: impl FnMut(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut written = self.lock();
        loop {
            written.take();
            let text = String::from_utf8_lossy(&written.bytes).into_owned();
            if let Some(found) = found(&text) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && written.pipe.is_some(), "what is waited for never comes\n{text}");
            written = self.shared.1.wait_timeout(written, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a line.
    #[track_caller]
    pub fn await_line(&self, line: &str) {
        self.find(|text| text.lines().any(|found| found == line).then_some(()));
    }

    /// Waits for one of the guard's records.
    #[track_caller]
    pub fn await_record(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.find(|text| records(text).into_iter().find(&wanted))
    }

    /// The guard's records so far.
    pub fn records(&self, kind: &str) -> Vec<Value> {
        records(&self.text()).into_iter().filter(|record| record["fnguard"] == kind).collect()
    }

    pub fn text(&self) -> String {
        let mut written = self.lock();
        written.take();
        String::from_utf8_lossy(&written.bytes).into_owned()
    }

    fn to_end(&self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        let mut written = self.lock();
        while written.pipe.is_some() {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "somebody still holds the log open");
            written = self.shared.1.wait_timeout(written, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        written.bytes.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Written> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn records(text: &str) -> Vec<Value> {
    fnguard_attacks::record::in_log(text.as_bytes())
}

/// A directory that every user may write to.
pub fn scratch() -> PathBuf {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    let made = SCRATCH.get_or_init(|| {
        use std::os::unix::fs::PermissionsExt;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
        let path = std::env::temp_dir().join(format!("fnguard-lambda-{}", now.as_nanos()));
        std::fs::create_dir_all(&path).expect("a directory");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).expect("a mode");
        path
    });
    made.clone()
}

/// A name that no other test uses.
pub fn fresh(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A named pipe that every user may open.
pub fn named_pipe() -> PathBuf {
    let path = scratch().join(fresh("pipe"));
    let name = std::ffi::CString::new(path.to_str().expect("text")).expect("no NUL");
    // SAFETY: a terminated path.
    let made = unsafe { libc::mkfifo(name.as_ptr(), 0o666) == 0 && libc::chmod(name.as_ptr(), 0o666) == 0 };
    assert!(made, "{}", std::io::Error::last_os_error());
    path
}

pub fn signal(process: i32, number: i32) {
    // SAFETY: takes two numbers. The processes are those that these tests started, not yet waited for.
    assert_eq!(unsafe { libc::kill(process, number) }, 0, "{}", std::io::Error::last_os_error());
}

/// Signals a process group.
pub fn signal_group(leader: i32, number: i32) {
    // SAFETY: as above.
    unsafe { libc::kill(-leader, number) };
}

/// A descriptor that becomes readable when a process ends; none where it is gone already.
pub fn pidfd(process: i32) -> Option<OwnedFd> {
    // SAFETY: makes a descriptor, or fails.
    let number = unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) } as RawFd;
    // SAFETY: it was just made.
    (number >= 0).then(|| unsafe { OwnedFd::from_raw_fd(number) })
}

/// Whether a process that a pidfd stands for ends in time.
pub fn ends(pidfd: &OwnedFd) -> bool {
    is_readable(pidfd.as_raw_fd(), PATIENCE)
}

/// Whether a descriptor becomes readable in time.
pub fn is_readable(number: RawFd, limit: Duration) -> bool {
    let mut entry = libc::pollfd { fd: number, events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry.
    unsafe { libc::poll(&mut entry, 1, limit.as_millis() as i32) == 1 }
}

fn do_not_wait(pipe: &PipeReader) {
    // SAFETY: a descriptor of our own.
    assert_eq!(unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }, 0);
}

/// A pipe that is read when somebody looks, and not before.
pub fn unread_pipe() -> (Mutex<PipeReader>, PipeWriter) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    do_not_wait(&reader);
    (Mutex::new(reader), writer)
}

/// Takes what a pipe holds, without waiting for more.
pub fn take(pipe: &Mutex<PipeReader>) -> String {
    let mut pipe = pipe.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut all, mut some) = (Vec::new(), [0; 65536]);
    while let Ok(count @ 1..) = pipe.read(&mut some) {
        all.extend_from_slice(&some[..count]);
    }
    String::from_utf8_lossy(&all).into_owned()
}
