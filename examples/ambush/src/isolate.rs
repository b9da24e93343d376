//! Leaving the machine: user, mount, pid, network, IPC and UTS namespaces, and a root of its own in
//! which nothing of the machine is left but its programs and libraries, read-only. The ambush goes
//! on as process 1 there, where the function's signals can't stop it and where everything ends
//! when it ends. Not the network's addresses (see `world`).
//!
//! As root the function becomes user 993 (Lambda's `sbx_user1051`), mapped to an id that the
//! machine does not use. As an ordinary user, and as root where there is no second id (`unshare
//! -r`), there is one id to map, so the function has the ambush's own, and only the ambush has
//! capabilities: exec drops them for any user but 0 (capabilities(7)).

use crate::kernel;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, pivot_root};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

/// Who the function is inside when the ambush was started by root.
const FUNCTION_UID: u32 = 993;
const FUNCTION_GID: u32 = 990;
/// That user's real id, where the machine has so many.
const REAL_ID: u32 = 2_000_993;

/// Where the function's package lies, as on Lambda.
pub const TASK: &str = "/var/task";
/// The throw-away home.
pub const HOME: &str = "/home/function";
/// Where this program lies inside.
pub const OWN_IMAGE: &str = "/opt/ambush";

/// Why the ambush could not hide.
#[derive(Debug, thiserror::Error)]
pub enum IsolateError {
    /// A step failed.
    #[error("{step}: {source}")]
    Step {
        /// Which.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Every step worked, and yet something of the machine is in sight.
    #[error("{0}, although every step succeeded")]
    NotApart(&'static str),
}

/// What is known of the place.
#[derive(Clone, Copy)]
pub struct Place {
    /// Whether root started the ambush.
    pub by_root: bool,
    /// Whether the function's user is another than the ambush's own.
    pub other_user: bool,
    /// The user that the function runs as, inside.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

trait Step<T> {
    fn step(self, step: &'static str) -> Result<T, IsolateError>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: &'static str) -> Result<T, IsolateError> {
        self.map_err(|source| IsolateError::Step { step, source: source.into() })
    }
}

/// Runs `inside` in namespaces of its own and returns its exit status. Must be called before any
/// thread is started.
pub fn run(inside: impl FnOnce(Place) -> u8) -> Result<u8, IsolateError> {
    let maps = Maps::choose().step("read /proc/self/uid_map")?;
    let before = namespaces().step("read /proc/self/ns")?;
    let (mut ask_reader, ask_writer) = io::pipe().step("pipe")?;
    let (go_reader, mut go_writer) = io::pipe().step("pipe")?;
    match kernel::fork().step("fork")? {
        ForkResult::Parent { child } => {
            drop((ask_writer, go_reader));
            let mut word = [0; 1];
            // End of file: the child could not unshare, has said why, and ends.
            if ask_reader.read(&mut word).step("pipe")? == 1 {
                maps.write(child)?;
                go_writer.write_all(&word).step("pipe")?;
            }
            drop(go_writer);
            Ok(status(child))
        }
        ForkResult::Child => {
            drop((ask_reader, go_writer));
            let end = enter(before, maps.place, ask_writer, go_reader, inside);
            let code = end.unwrap_or_else(|error| {
                eprintln!("ambush: not isolated: {error}");
                eprintln!("ambush: nothing was tried. It needs unprivileged user namespaces, or root.");
                crate::NOT_ISOLATED
            });
            std::process::exit(i32::from(code));
        }
    }
}

/// The user and group maps of the new user namespace (user_namespaces(7)).
struct Maps {
    place: Place,
    uid: String,
    gid: String,
}

impl Maps {
    fn choose() -> io::Result<Self> {
        let (uid, gid) = (Uid::current().as_raw(), Gid::current().as_raw());
        if uid != 0 {
            let place = Place { by_root: false, other_user: false, uid, gid };
            return Ok(Maps { place, uid: format!("{uid} {uid} 1\n"), gid: format!("{gid} {gid} 1\n") });
        }
        let place = Place { by_root: true, other_user: true, uid: FUNCTION_UID, gid: FUNCTION_GID };
        let spare = spare_id(&fs::read_to_string("/proc/self/uid_map")?)
            .zip(spare_id(&fs::read_to_string("/proc/self/gid_map")?));
        Ok(match spare {
            Some((spare_uid, spare_gid)) => Maps {
                place,
                uid: format!("0 0 1\n{FUNCTION_UID} {spare_uid} 1\n"),
                gid: format!("0 0 1\n{FUNCTION_GID} {spare_gid} 1\n"),
            },
            None => Maps {
                place: Place { other_user: false, ..place },
                uid: format!("{FUNCTION_UID} 0 1\n"),
                gid: format!("{FUNCTION_GID} 0 1\n"),
            },
        })
    }

    fn write(&self, child: Pid) -> Result<(), IsolateError> {
        let proc = format!("/proc/{child}");
        if !self.place.other_user {
            fs::write(format!("{proc}/setgroups"), "deny").step("write setgroups")?;
        }
        fs::write(format!("{proc}/gid_map"), &self.gid).step("write gid_map")?;
        fs::write(format!("{proc}/uid_map"), &self.uid).step("write uid_map")
    }
}

/// An id that there is and that is not root's, by a map as /proc has it: the one we like, or the
/// highest.
fn spare_id(map: &str) -> Option<u32> {
    let ranges: Vec<std::ops::Range<u32>> = map
        .lines()
        .filter_map(|line| {
            let mut numbers = line.split_whitespace().map(|number| number.parse::<u32>().ok());
            let (first, _, count) = (numbers.next()??, numbers.next()??, numbers.next()??);
            Some(first..first.saturating_add(count))
        })
        .collect();
    if ranges.iter().any(|range| range.contains(&REAL_ID)) {
        return Some(REAL_ID);
    }
    ranges.iter().map(|range| range.end.saturating_sub(1)).max().filter(|&id| id > 0)
}

/// Waits for a child and gives its exit status, 128+n for a signal.
fn status(child: Pid) -> u8 {
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => return code.to_le_bytes()[0],
            Ok(WaitStatus::Signaled(_, signal, _)) => return 128u8.saturating_add(signal as u8),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return 2,
        }
    }
}

/// In the child: unshare, wait for the maps, and go on in a child of its own, process 1.
fn enter(
    before: Vec<String>,
    place: Place,
    mut ask: io::PipeWriter,
    mut go: io::PipeReader,
    inside: impl FnOnce(Place) -> u8,
) -> Result<u8, IsolateError> {
    die_with_parent()?;
    unshare(
        CloneFlags::CLONE_NEWUSER
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS,
    )
    .step("unshare user, mount, pid, net, ipc and uts namespaces")?;
    ask.write_all(b"!").step("pipe")?;
    if go.read(&mut [0; 1]).step("pipe")? == 0 {
        return Ok(crate::NOT_ISOLATED);
    }
    match kernel::fork().step("fork")? {
        ForkResult::Parent { child } => Ok(status(child)),
        ForkResult::Child => {
            die_with_parent()?;
            move_house(place)?;
            verify(&before)?;
            Ok(inside(place))
        }
    }
}

fn die_with_parent() -> Result<(), IsolateError> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).step("PR_SET_PDEATHSIG")
}

/// The namespaces that must all be others afterwards.
fn namespaces() -> io::Result<Vec<String>> {
    ["user", "mnt", "net", "ipc", "uts", "pid"]
        .iter()
        .map(|name| Ok(fs::read_link(format!("/proc/self/ns/{name}"))?.display().to_string()))
        .collect()
}

/// A new root on a tmpfs, then the old one gone.
fn move_house(place: Place) -> Result<(), IsolateError> {
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).step("make mounts private")?;
    // Any directory does for a mount point; what it hides stays reachable until the old root goes.
    let root = Path::new("/tmp");
    mount(Some("ambush"), root, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=755"))
        .step("mount a tmpfs")?;
    for directory in
        ["dev/pts", "etc/ssl", "home/function", "old", "opt", "proc", "run", "tmp/proof", "var/task"]
    {
        fs::create_dir_all(root.join(directory)).step("make directories")?;
    }
    // The machine's programs and libraries, and where some systems keep them.
    for name in ["usr", "bin", "sbin", "lib", "lib32", "lib64", "nix", "gnu"] {
        bind_programs(Path::new("/").join(name).as_path(), &root.join(name))?;
    }
    for device in ["null", "zero", "full", "random", "urandom", "tty"] {
        let (from, to) = (Path::new("/dev").join(device), root.join("dev").join(device));
        fs::File::create(&to).step("make a device's mount point")?;
        mount(Some(&from), &to, none, MsFlags::MS_BIND, none).step("bind a device")?;
    }
    mount(
        Some("devpts"),
        &root.join("dev/pts"),
        Some("devpts"),
        MsFlags::empty(),
        Some("newinstance,ptmxmode=0666"),
    )
    .step("mount devpts")?;
    for (link, to) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(to, root.join("dev").join(link)).step("make links in /dev")?;
    }
    mount(
        Some("proc"),
        &root.join("proc"),
        Some("proc"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        none,
    )
    .step("mount /proc (a container that masks parts of /proc refuses this)")?;
    write_etc(&root.join("etc"), place)?;
    for (directory, mode) in
        [("tmp", 0o1777), ("tmp/proof", 0o1777), ("home/function", 0o755), ("var/task", 0o755)]
    {
        let path = root.join(directory);
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).step("chmod")?;
        if mode == 0o755 {
            chown(&path, Some(place.uid), Some(place.gid)).step("chown")?;
        }
    }
    std::env::set_current_dir(root).step("chdir")?;
    pivot_root(".", "old").step("pivot_root")?;
    std::env::set_current_dir("/").step("chdir")?;
    umount2("/old", MntFlags::MNT_DETACH).step("unmount the old root")?;
    fs::remove_dir("/old").step("rmdir")
}

fn bind_programs(from: &Path, to: &Path) -> Result<(), IsolateError> {
    let none: Option<&str> = None;
    match fs::symlink_metadata(from) {
        Ok(found) if found.is_symlink() => symlink(fs::read_link(from).step("readlink")?, to).step("symlink"),
        Ok(found) if found.is_dir() => {
            fs::create_dir(to).step("mkdir")?;
            mount(Some(from), to, none, MsFlags::MS_BIND | MsFlags::MS_REC, none).step("bind programs")?;
            kernel::make_read_only(to).step("mount_setattr(MOUNT_ATTR_RDONLY) (Linux 5.12)")
        }
        _ => Ok(()),
    }
}

/// What the C library wants to read.
fn write_etc(etc: &Path, place: Place) -> Result<(), IsolateError> {
    let Place { uid, gid, .. } = place;
    let resolver = ambush_platform::resolver::ADDRESS.ip();
    for (name, text) in [
        ("hosts", "127.0.0.1 localhost\n".to_owned()),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
        ("resolv.conf", format!("nameserver {resolver}\noptions timeout:1 attempts:2\n")),
        ("passwd", format!("function:x:{uid}:{gid}::{HOME}:/bin/sh\n")),
        ("group", format!("function:x:{gid}:\n")),
    ] {
        fs::write(etc.join(name), text).step("write /etc")?;
    }
    if let Ok(cache) = fs::read("/etc/ld.so.cache") {
        fs::write(etc.join("ld.so.cache"), cache).step("write /etc")?;
    }
    Ok(())
}

/// Believes no return value: looks.
fn verify(before: &[String]) -> Result<(), IsolateError> {
    if std::process::id() != 1 {
        return Err(IsolateError::NotApart("not process 1"));
    }
    let now = namespaces().step("read /proc/self/ns")?;
    if now.iter().zip(before).any(|(now, before)| now == before) {
        return Err(IsolateError::NotApart("a namespace is the machine's"));
    }
    let interfaces = fs::read_to_string("/proc/net/dev").step("read /proc/net/dev")?;
    if interfaces.lines().skip(2).any(|line| {
        let (name, counters) = line.trim().split_once(':').unwrap_or_default();
        // Tunnel templates such as sit0 are in every new namespace, down; no byte has passed them.
        name != "lo" && counters.split_whitespace().any(|count| count != "0")
    }) {
        return Err(IsolateError::NotApart("a network interface other than lo is in use"));
    }
    if fs::metadata("/old").is_ok() || fs::read_dir(HOME).step("read the home")?.next().is_some() {
        return Err(IsolateError::NotApart("the machine's files are in sight"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{REAL_ID, spare_id};

    #[test]
    fn a_spare_id_is_one_that_is_mapped_and_not_root_s() {
        assert_eq!(spare_id("         0          0 4294967295\n"), Some(REAL_ID));
        assert_eq!(spare_id("0 1000 1\n1 100000 65536\n"), Some(65536));
        assert_eq!(spare_id("0 1000 1\n"), None);
    }
}
