//! One cold start of the function: the process above it, its two log pipes, its terminal, events in
//! and answers out, and looks at it from outside. When a session ends, everything that was started
//! in it is dead: the ambush is process 1, and kills the rest of its namespace.

use crate::isolate::{HOME, OWN_IMAGE, Place, TASK};
use crate::kernel;
use crate::processes;
use crate::sinks::Sink;
use crate::world::World;
use ambush_platform::runtime_api::{Answer, RuntimeApi};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, ttyname};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, PipeReader, Read};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the function may take to start, and to answer. An attempt may take four seconds, a
/// charge five.
const START: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(15);
/// How long the process above may take to end once the function has.
const END: Duration = Duration::from_secs(2);
/// A variable that is no secret: who looks for secrets where it lies, and can look, finds it.
pub const REGION: &str = "eu-west-1";

/// A cold start.
pub struct Session {
    api: RuntimeApi,
    /// The process above the function.
    supervisor: u32,
    /// The function, and the process that started it: the arbiter, where there is one.
    function: u32,
    parent: u32,
    place: Place,
    stdout: Capture,
    stderr: Capture,
    platform: Capture,
    master: File,
    slave: File,
}

/// Everything that was written in a session.
pub struct Captured {
    /// By the function to its stdout.
    pub stdout: String,
    /// By the function to its stderr.
    pub stderr: String,
    /// To the log of the process above.
    pub platform: String,
}

impl Captured {
    /// The lines of both of the function's streams.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.stdout.lines().chain(self.stderr.lines())
    }

    /// Whether any stream has this text.
    pub fn contains(&self, text: &str) -> bool {
        [&self.stdout, &self.stderr, &self.platform].iter().any(|stream| stream.contains(text))
    }

    /// What was said last, for a message.
    pub fn last_lines(&self) -> String {
        let lines: Vec<&str> = self.lines().chain(self.platform.lines()).collect();
        lines[lines.len().saturating_sub(4)..].join(" | ")
    }

    /// Prints it to stderr under a title.
    pub fn show(&self, title: &str) {
        eprintln!("--- {title}");
        for (stream, text) in [("1", &self.stdout), ("2", &self.stderr), ("platform", &self.platform)] {
            for line in text.lines().take(200) {
                eprintln!("{stream}: {line}");
            }
        }
    }
}

/// What the outside sees of the function and its parent at one moment.
#[derive(Default)]
pub struct Look {
    /// Whether the parent is dead.
    pub parent_dead: bool,
    /// Whether it is stopped.
    pub parent_stopped: bool,
    /// Whether somebody else of the function's user, without capabilities, reads its entries in /proc, as
    /// they do unless it is not dumpable.
    pub parent_readable: Option<bool>,
    /// Whether the pipe behind the function's stdout grants its user to read.
    pub log_readable: Option<bool>,
    /// The process that traces it, 0 for none.
    pub parent_tracer: String,
    /// How many files it may have open.
    pub parent_files: Option<u64>,
    /// Its scheduling policy.
    pub parent_policy: Option<i32>,
    /// The processors that it may run on.
    pub parent_processors: String,
    /// What the function's descriptors lead to, and the family where one is a socket.
    pub descriptors: Vec<(String, Option<i32>)>,
    /// The mapping at the attempt's page.
    pub mapping: Option<String>,
    /// How many filters each of the function's threads has.
    pub filters: BTreeSet<String>,
    /// Names of processes in another user namespace.
    pub elsewhere: Vec<String>,
    /// The kernel's keys that are in sight.
    pub keys: String,
    /// Ports that listen.
    pub ports: BTreeSet<u16>,
    /// What ports that did not listen before say to whoever connects.
    pub doors: Vec<String>,
    /// The file that the attempt aims at: its content and mode.
    pub target: Option<(String, u32)>,
    /// What a started program wrote.
    pub proof: Option<String>,
}

impl Session {
    /// Starts the function and waits until it asks for its first event, or is dead.
    pub fn start(world: &World) -> io::Result<Self> {
        let api = RuntimeApi::start()?;
        let pty = openpty(None, None)?;
        for end in [&pty.master, &pty.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        }
        // Bytes as they are; nothing is echoed to the other side.
        let mut settings = tcgetattr(&pty.slave)?;
        cfmakeraw(&mut settings);
        tcsetattr(&pty.slave, SetArg::TCSANOW, &settings)?;
        fcntl(&pty.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        // A description of its own: the function's must not become non-blocking.
        let slave = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
            .open(ttyname(&pty.slave)?)?;

        let (stdout, stdout_writer) = Capture::start(&world.place)?;
        let (stderr, stderr_writer) = Capture::start(&world.place)?;
        let (platform, platform_writer) = Capture::start(&world.place)?;
        let mut command = Command::new(OWN_IMAGE);
        // The one descriptor that is inherited on purpose.
        let inherited = kernel::inheritable(&stderr_writer)?;
        command
            .arg(crate::SUPERVISE)
            .arg(inherited.as_raw_fd().to_string())
            .arg(format!("{TASK}/bootstrap"))
            .stdin(Stdio::from(pty.slave))
            .stdout(stdout_writer)
            .stderr(platform_writer)
            .current_dir(TASK)
            .env_clear()
            .envs(environment(world, &api));
        if world.place.other_user {
            command.uid(world.place.uid).gid(world.place.gid);
        }
        let supervisor = command.spawn()?.id();
        drop((command, inherited, stderr_writer));

        let ready = api.await_ready(START, &|| processes::is_dead(supervisor));
        let function = if ready { processes::youngest_below(supervisor) } else { supervisor };
        let parent = processes::state_and_parent(function).map_or(supervisor, |(_, parent)| parent);
        let master = File::from(pty.master);
        Ok(Session {
            api,
            supervisor,
            function,
            parent,
            place: world.place,
            stdout,
            stderr,
            platform,
            master,
            slave,
        })
    }

    /// Sends an event and waits for the answer. The request's id, which comes back too, is the nonce:
    /// a record that names the request names the attempt.
    pub fn invoke(&mut self, nonce: &str, event: &serde_json::Value) -> (String, Option<Answer>) {
        let request_id = request_id(nonce);
        self.api.send(&request_id, event);
        let gone = || processes::is_dead(self.function);
        let answer = self.api.await_answer(&request_id, ANSWER, &gone);
        let answer = answer.or_else(|| self.api.init_error().map(Answer::Error));
        (request_id, answer)
    }

    /// Looks at everything that an attempt could have changed. `before` is what was seen before it.
    pub fn look(&self, sink: &Sink, nonce: &str, before: Option<&Look>) -> Look {
        let parent = self.parent;
        let state = processes::state_and_parent(parent).map(|(state, _)| state);
        let status = format!("/proc/{parent}/status");
        let field = |name| processes::status_field(&status, name).unwrap_or_default();
        let ports = processes::listening_ports();
        Look {
            parent_dead: processes::is_dead(parent),
            parent_stopped: matches!(state, Some('T')),
            parent_readable: (!processes::is_dead(parent))
                .then(|| readable(&self.place, &format!("/proc/{parent}/environ")))
                .flatten(),
            log_readable: fs::metadata(format!("/proc/{}/fd/1", self.function))
                .ok()
                .map(|pipe| pipe.mode() & 0o444 != 0),
            parent_tracer: field("TracerPid"),
            parent_files: processes::open_files_limit(parent),
            parent_policy: kernel::scheduling_policy(parent).ok(),
            parent_processors: field("Cpus_allowed_list"),
            descriptors: processes::descriptors(self.function)
                .into_iter()
                .map(|(number, to)| {
                    let family = to.starts_with("socket:").then(|| kernel::family_of(self.function, number));
                    (to, family.and_then(|family| family.ok().flatten()))
                })
                .collect(),
            mapping: sink
                .to
                .parse()
                .ok()
                .and_then(|at| processes::mapping_at(self.function, at).ok().flatten()),
            filters: processes::status_of_threads(self.function, "Seccomp_filters").into_iter().collect(),
            elsewhere: elsewhere(),
            keys: fs::read_to_string("/proc/keys").unwrap_or_default(),
            doors: before.map(|before| knock(ports.difference(&before.ports), nonce)).unwrap_or_default(),
            ports,
            target: fs::metadata(&sink.to).ok().filter(|found| found.is_file()).map(|found| {
                use std::os::unix::fs::PermissionsExt;
                (fs::read_to_string(&sink.to).unwrap_or_default(), found.permissions().mode() & 0o7777)
            }),
            proof: fs::read_to_string(&sink.proof).ok(),
        }
    }

    /// What was typed into the terminal, and what it shows.
    pub fn terminal(&mut self) -> (String, String) {
        (drain(&mut self.slave), drain(&mut self.master))
    }

    /// Ends the session: the function first, so that whatever stands above it can write its last
    /// lines, then everything else.
    pub fn end(self) -> Captured {
        let Session { api, supervisor, function, stdout, stderr, platform, master, slave, .. } = self;
        if function != supervisor {
            kill_process(function, Signal::SIGKILL);
            let deadline = Instant::now() + END;
            while !processes::is_dead(supervisor) && Instant::now() < deadline {
                std::thread::park_timeout(Duration::from_millis(1));
            }
        }
        // Process 1 of a pid namespace: this reaches everything in it, and nothing outside.
        if std::process::id() == 1 {
            let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
        }
        while waitpid(None, None).is_ok() {}
        drop((api, master, slave));
        Captured { stdout: stdout.finish(), stderr: stderr.finish(), platform: platform.finish() }
    }
}

/// Whether a program of the function's user's reads a file: one that nobody guards.
fn readable(place: &Place, path: &str) -> Option<bool> {
    let mut command = Command::new("/bin/cat");
    command.arg(path).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if place.other_user {
        command.uid(place.uid).gid(place.gid);
    }
    Some(command.status().ok()?.success())
}

/// What ports say to whoever connects: those that have the nonce to give.
fn knock<'a>(ports: impl Iterator<Item = &'a u16>, nonce: &str) -> Vec<String> {
    ports
        .filter_map(|&port| {
            let timeout = Duration::from_millis(500);
            let stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), timeout).ok()?;
            stream.set_read_timeout(Some(timeout)).ok()?;
            // The attacker's thread keeps it open: the nonce comes first.
            let mut bytes = vec![0; nonce.len()];
            (&stream).read_exact(&mut bytes).ok()?;
            (bytes == nonce.as_bytes()).then(|| format!("port {port} gives the key to whoever connects"))
        })
        .collect()
}

fn kill_process(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// The environment that the platform gives to the function, and has itself.
fn environment(world: &World, api: &RuntimeApi) -> Vec<(&'static str, String)> {
    let secrets = &world.secrets;
    vec![
        ("PATH", "/usr/local/bin:/usr/bin:/bin".into()),
        ("HOME", HOME.into()),
        ("LANG", "C.UTF-8".into()),
        ("TZ", ":UTC".into()),
        ("SSL_CERT_FILE", "/etc/ssl/authority.pem".into()),
        ("_HANDLER", "bootstrap".into()),
        ("LAMBDA_TASK_ROOT", TASK.into()),
        ("AWS_LAMBDA_RUNTIME_API", api.address.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", "orders".into()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".into()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".into()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/orders".into()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]0".into()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".into()),
        ("AWS_REGION", REGION.into()),
        ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE".into()),
        ("AWS_SECRET_ACCESS_KEY", secrets.aws_secret_access_key.clone()),
        ("AWS_SESSION_TOKEN", secrets.aws_session_token.clone()),
        ("STRIPE_KEY", secrets.stripe_key.clone()),
        ("DB_PASSWORD", secrets.db_password.clone()),
    ]
}

/// A random mark of 32 digits that reads as a request's id once it has dashes.
pub fn nonce() -> String {
    // RFC 9562, version 4.
    let random: u128 = rand::random();
    format!("{:032x}", random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62)
}

/// The request id of a nonce, as Lambda writes them.
fn request_id(nonce: &str) -> String {
    let part = |range| nonce.get::<std::ops::Range<usize>>(range).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
}

/// Names of processes whose user namespace is not that of the ambush.
fn elsewhere() -> Vec<String> {
    let Ok(home) = fs::read_link("/proc/self/ns/user") else { return Vec::new() };
    processes::all()
        .into_iter()
        .filter(|pid| fs::read_link(format!("/proc/{pid}/ns/user")).is_ok_and(|other| other != home))
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok())
        .collect()
}

/// What can be read without waiting.
fn drain(file: &mut File) -> String {
    let mut bytes = Vec::new();
    let mut some = [0; 4096];
    while let Ok(read @ 1..) = file.read(&mut some) {
        bytes.extend_from_slice(some.get(..read).unwrap_or_default());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The reading end of a pipe, read all the time.
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Capture {
    /// A pipe that belongs to the function's user, so that `/dev/stderr` can be opened by name, as
    /// programs in containers do.
    fn start(place: &Place) -> io::Result<(Self, io::PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        fchown(&writer, Some(place.uid), Some(place.gid))?;
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let kept = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || pump(reader, &kept));
        Ok((Capture { bytes, reader }, writer))
    }

    /// Everything, once the last writer is dead.
    fn finish(self) -> String {
        let _ = self.reader.join();
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn pump(mut pipe: PipeReader, kept: &Mutex<Vec<u8>>) {
    let mut some = [0; 65536];
    while let Ok(read @ 1..) = pipe.read(&mut some) {
        let mut bytes = kept.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.extend_from_slice(some.get(..read).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_nonce_with_dashes_is_a_request_id() {
        assert_eq!(super::nonce().len(), 32);
        let id = super::request_id("8476a536e9f44d4f9db0a5ab67aea4bf");
        assert_eq!(id, "8476a536-e9f4-4d4f-9db0-a5ab67aea4bf");
    }
}
