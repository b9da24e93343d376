//! Step 1 of arming: what is there before anything of ours. One thread is a must; what else could
//! mean that foreign code ran first is looked for and named, and refused under `strict_init`. What would
//! run by itself in the arbiter, a timer, is stopped here; the handlers that it would run are dropped
//! there.

use crate::confine::{self, Inherited};
use crate::error::ArmError;
use crate::sys::path;
use crate::sys::process::{self, NotAlone, SingleThreaded};
use crate::sys::signal;
use serde::{Deserialize, Serialize};

/// What was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Inventory {
    /// Descriptors above 2.
    pub(crate) inherited: Inherited,
    /// Child processes.
    pub(crate) children: Option<String>,
    /// Timers that would send signals. No fork inherits them.
    pub(crate) timers: Vec<String>,
    /// Signals with a handler, and where it is.
    handlers: Vec<(i32, usize)>,
    mapped: Option<Mapped>,
}

/// What the mappings show.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Mapped {
    /// Symbols of libc's that something else defines for this process.
    pub(crate) interposed: Vec<String>,
    /// Shared writable maps.
    pub(crate) shared: Vec<String>,
    /// Signal handlers, but for those that the Rust library has in a launcher.
    pub(crate) handlers: Vec<String>,
}

/// Takes the inventory. The proof is that this process has one thread.
pub(crate) fn take(strict: bool) -> Result<(Inventory, SingleThreaded), ArmError> {
    let proof = SingleThreaded::check().map_err(|why| match why {
        NotAlone::Threads(found) => ArmError::Threads { found },
        NotAlone::Unknown(source) => ArmError::Call { failing: "listing /proc/self/task", source },
    })?;
    let mut inventory = Inventory {
        inherited: confine::survey()?,
        children: children(),
        timers: stop_timers(),
        handlers: signal::handlers(),
        mapped: None,
    };
    if strict {
        let mapped = Mapped::read(&inventory.handlers)?;
        let named: Vec<&str> = (mapped.interposed.iter())
            .chain(&mapped.shared)
            .chain(&mapped.handlers)
            .chain(&inventory.children)
            .chain(&inventory.timers)
            .chain(&inventory.inherited.named)
            .map(String::as_str)
            .collect();
        if !named.is_empty() {
            return Err(ArmError::Foreign { what: named.join("; ") });
        }
        inventory.mapped = Some(mapped);
    }
    Ok((inventory, proof))
}

impl Inventory {
    /// The signals that have a handler: a fork has what its parent had.
    pub(crate) fn handled(&self) -> impl Iterator<Item = i32> {
        self.handlers.iter().map(|&(number, _)| number)
    }

    /// Looks at the mappings now, and has no handlers any more: what another image of this process is to
    /// know of them, which has neither.
    pub(crate) fn settle(&mut self) -> Result<(), ArmError> {
        self.mapped = Some(self.mapped()?);
        self.handlers.clear();
        Ok(())
    }

    /// What the mappings show, for the posture. Where nothing depends on it before the function goes
    /// on, the arbiter looks at its own: a fork has what its parent had.
    pub(crate) fn mapped(&self) -> Result<Mapped, ArmError> {
        self.mapped.clone().map_or_else(|| Mapped::read(&self.handlers), Ok)
    }
}

impl Mapped {
    fn read(handlers: &[(i32, usize)]) -> Result<Self, ArmError> {
        let maps = path::read_file(c"/proc/self/maps", 4 << 20)
            .map_err(ArmError::call("reading /proc/self/maps"))?;
        let own = path::read_link(c"/proc/self/exe").unwrap_or_default();
        Ok(Mapped {
            interposed: interposed(&maps),
            shared: shared_writable(&maps),
            handlers: foreign_handlers(&maps, handlers, &String::from_utf8_lossy(&own)),
        })
    }
}

/// A mapping: its addresses, its permissions, its file.
struct Map<'a> {
    start: usize,
    end: usize,
    permissions: &'a str,
    file: &'a str,
}

fn parse(line: &str) -> Option<Map<'_>> {
    // start-end perms offset device inode   path
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let mut fields = rest.splitn(5, ' ');
    let permissions = fields.next()?;
    let file = fields.nth(3).unwrap_or_default().trim();
    Some(Map {
        start: usize::from_str_radix(start, 16).ok()?,
        end: usize::from_str_radix(end, 16).ok()?,
        permissions,
        file,
    })
}

fn maps_of(maps: &[u8]) -> impl Iterator<Item = Map<'_>> {
    maps.split(|&byte| byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()).filter_map(parse)
}

/// Shared writable maps: a process forked earlier may hold the other side.
fn shared_writable(maps: &[u8]) -> Vec<String> {
    maps_of(maps)
        .filter(|map| map.permissions.starts_with("rw") && map.permissions.ends_with('s'))
        .map(|map| format!("shared writable map {:#x} {}", map.start, map.file))
        .take(16)
        .collect()
}

/// Child processes that exist already.
fn children() -> Option<String> {
    let pid = process::own_pid();
    let list = path::read_file(&path::proc_path(&format!("/proc/{pid}/task/{pid}/children")), 4096).ok()?;
    let list = String::from_utf8_lossy(&list).trim().to_owned();
    (!list.is_empty()).then(|| format!("child processes {list}"))
}

/// Handlers, named by the file that they are in. The Rust library handles two signals before main, to
/// tell of a stack's overflow: in a program of the launcher's own those are its.
fn foreign_handlers(maps: &[u8], handlers: &[(i32, usize)], own: &str) -> Vec<String> {
    let file_of = |address: usize| {
        let mut maps = maps_of(maps);
        maps.find(|map| (map.start..map.end).contains(&address)).map_or("", |map| map.file)
    };
    handlers
        .iter()
        .map(|&(signal, address)| (signal, file_of(address)))
        .filter(|&(signal, file)| !(matches!(signal, libc::SIGSEGV | libc::SIGBUS) && file == own))
        .map(|(signal, file)| format!("handler of signal {signal} from {file}"))
        .collect()
}

/// Stops the timers that would send this process signals, and names them.
fn stop_timers() -> Vec<String> {
    const INTERVALS: [i32; 3] = [libc::ITIMER_REAL, libc::ITIMER_VIRTUAL, libc::ITIMER_PROF];
    let mut named = Vec::new();
    for which in INTERVALS.into_iter().filter(|&which| signal::is_interval_set(which)) {
        signal::stop_interval(which);
        named.push(format!("interval timer {which}"));
    }
    for number in timers() {
        signal::delete_timer(number);
        named.push(format!("timer {number}"));
    }
    named
}

/// The timers of timer_create(2). Where the kernel does not list them (CONFIG_CHECKPOINT_RESTORE), the
/// first numbers are tried: an image's first timer is 0.
fn timers() -> Vec<i32> {
    let Ok(list) = path::read_file(c"/proc/self/timers", 64 * 1024) else {
        return (0..64).filter(|&number| signal::is_timer(number)).collect();
    };
    String::from_utf8_lossy(&list)
        .lines()
        .filter_map(|line| line.strip_prefix("ID: ").and_then(|number| number.trim().parse().ok()))
        .collect()
}

/// Symbols that arming itself never calls, but that the Rust library does in the arbiter: where
/// one is not libc's, code of somebody else's would run there. In a static program there is
/// nothing to compare with.
fn interposed(maps: &[u8]) -> Vec<String> {
    let maps: Vec<Map<'_>> = maps_of(maps).collect();
    let is_libc = |file: &str| {
        let name = file.rsplit('/').next().unwrap_or_default();
        ["libc.so", "libc-2", "ld-musl", "ld-linux", "libpthread", "libm.so", "libm-2"]
            .iter()
            .any(|start| name.starts_with(start))
    };
    if !maps.iter().any(|map| is_libc(map.file)) {
        return Vec::new();
    }
    libc_functions()
        .into_iter()
        .filter_map(|(name, address)| {
            let map = maps.iter().find(|map| (map.start..map.end).contains(&address))?;
            // The vDSO serves clock_gettime; it has no file.
            (!is_libc(map.file) && map.file != "[vdso]").then(|| format!("{name} from {}", map.file))
        })
        .collect()
}

/// libc's functions that the library and Rust's own use, with their addresses as this program resolves them: a
/// test compares with what a guarded program links.
fn libc_functions() -> Vec<(&'static str, usize)> {
    macro_rules! functions {
        ($($name:ident),+ $(,)?) => {
            [$((stringify!($name), libc::$name as *const () as usize)),+]
        };
    }
    let mut all = Vec::with_capacity(96);
    all.extend(functions!(malloc, calloc, realloc, free, posix_memalign));
    all.extend(functions!(memcpy, memmove, memset, memcmp, strlen, strerror_r));
    all.extend(functions!(open, close, read, write, writev, readlink, realpath, getcwd, dup, pipe2));
    all.extend(functions!(poll, ioctl, fcntl, mmap, munmap, mprotect));
    all.extend(functions!(socket, connect, bind, listen, accept4, shutdown));
    all.extend(functions!(recv, recvfrom, send, sendto, setsockopt, getsockopt, getsockname));
    all.extend(functions!(pthread_create, pthread_self, pthread_join, pthread_detach, pthread_setname_np));
    all.extend(functions!(pthread_attr_init, pthread_attr_destroy, pthread_attr_setstacksize));
    all.extend(functions!(pthread_attr_getstack, pthread_attr_getguardsize, pthread_getattr_np));
    all.extend(functions!(pthread_key_create, pthread_key_delete, pthread_setspecific));
    all.extend(functions!(pthread_sigmask, sigaltstack, sigaction, signal, pause));
    all.extend(functions!(syscall, clock_gettime, getrandom, gettid, sysconf, getauxval));
    all.extend(functions!(getenv, setenv, exit, abort, dlsym, dl_iterate_phdr));
    all.push(("__errno_location", libc::__errno_location as *const () as usize));
    // Under these names in glibc only.
    #[cfg(target_env = "gnu")]
    {
        all.extend(functions!(mallopt, mmap64, open64, fstat64, stat64, lstat64, fstatat64, lseek64, statx));
        all.push(("bcmp", bcmp as *const () as usize));
        all.push(("__cxa_thread_atexit_impl", __cxa_thread_atexit_impl as *const () as usize));
    }
    all
}

// What the compiler and Rust's library call, and the crate libc does not name.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)] // Only their addresses are taken.
unsafe extern "C" {
    fn bcmp();
    fn __cxa_thread_atexit_impl();
}

/// The names of the functions that are looked at.
pub fn libc_function_names() -> Vec<&'static str> {
    libc_functions().into_iter().map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_parsed_with_its_file() {
        let line = "7f00-7f10 rw-s 00000000 00:01 42                         /dev/shm/x y";
        let map = parse(line).unwrap();
        assert_eq!((map.start, map.end, map.permissions, map.file), (0x7f00, 0x7f10, "rw-s", "/dev/shm/x y"));
        assert_eq!(shared_writable(line.as_bytes()).len(), 1);
        assert!(shared_writable(b"7f00-7f10 rw-p 00000000 00:01 42 /x").is_empty());
    }

    #[test]
    fn a_handler_is_named_by_its_file() {
        let maps = b"1000-2000 r-xp 00000000 00:01 42 /own\n3000-4000 r-xp 00000000 00:01 43 /other\n";
        let handlers =
            [(libc::SIGSEGV, 0x1800), (libc::SIGBUS, 0x3000), (libc::SIGUSR1, 0x1000), (40, 0x9000)];
        assert_eq!(
            foreign_handlers(maps, &handlers, "/own"),
            [
                "handler of signal 7 from /other",
                "handler of signal 10 from /own",
                "handler of signal 40 from "
            ]
        );
    }

    #[test]
    fn this_program_interposes_nothing() {
        let maps = std::fs::read("/proc/self/maps").unwrap();
        assert_eq!(interposed(&maps), Vec::<String>::new());
    }
}
