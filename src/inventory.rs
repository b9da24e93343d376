//! Step 1 of arming: what is there before anything of ours. One thread is a must; what else could
//! mean that foreign code ran first is looked for and named, and refused under `strict_init`.

use crate::confine::{self, Inherited};
use crate::error::ArmError;
use crate::sys::path;
use crate::sys::process::{self, NotAlone, SingleThreaded};

/// What was found.
#[derive(Debug)]
pub(crate) struct Inventory {
    /// Descriptors above 2.
    pub(crate) inherited: Inherited,
    /// Child processes.
    pub(crate) children: Option<String>,
    mapped: Option<Mapped>,
}

/// What the mappings show.
#[derive(Clone, Debug)]
pub(crate) struct Mapped {
    /// Symbols of libc's that something else defines for this process.
    pub(crate) interposed: Vec<String>,
    /// Shared writable maps.
    pub(crate) shared: Vec<String>,
}

/// Takes the inventory. The proof is that this process has one thread.
pub(crate) fn take(strict: bool) -> Result<(Inventory, SingleThreaded), ArmError> {
    let proof = SingleThreaded::check().map_err(|why| match why {
        NotAlone::Threads(found) => ArmError::Threads { found },
        NotAlone::Unknown(source) => ArmError::Call { failing: "listing /proc/self/task", source },
    })?;
    let mut inventory = Inventory { inherited: confine::survey()?, children: children(), mapped: None };
    if strict {
        let mapped = Mapped::read()?;
        let named: Vec<&str> = (mapped.interposed.iter())
            .chain(&mapped.shared)
            .chain(&inventory.children)
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
    /// What the mappings show, for the posture. Where nothing depends on it before the function goes
    /// on, the arbiter looks at its own: a fork has what its parent had.
    pub(crate) fn mapped(&self) -> Result<Mapped, ArmError> {
        self.mapped.clone().map_or_else(Mapped::read, Ok)
    }
}

impl Mapped {
    fn read() -> Result<Self, ArmError> {
        let maps = path::read_file(c"/proc/self/maps", 4 << 20)
            .map_err(ArmError::call("reading /proc/self/maps"))?;
        Ok(Mapped { interposed: interposed(&maps), shared: shared_writable(&maps) })
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
        all.extend(functions!(mallopt, mmap64, open64, fstat64, stat64, lseek64, statx));
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
    fn this_program_interposes_nothing() {
        let maps = std::fs::read("/proc/self/maps").unwrap();
        assert_eq!(interposed(&maps), Vec::<String>::new());
    }
}
