//! What code in a sealed function tries, by raw calls. Each step is said with the kernel's own answer;
//! unguarded, each must succeed.

use fnguard_attacks::outcome::FINISHED;
use secrecy::ExposeSecret;
use std::ffi::CString;
use std::os::fd::{AsRawFd, RawFd};

/// Does what the command line says.
///
/// # Panics
///
/// If it does not know that.
pub fn main() -> ! {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["descriptors"] => descriptors(""),
        ["raise"] => say("raise", set_limit(1024)),
        ["child"] => in_a_child(|| descriptors("child-")),
        ["execute", program] => execute(program),
        ["reach"] => reach(),
        ["rename", from, to] => rename(from, to),
        ["seal-itself"] => seal_itself(),
        ["ask", name] => match fnguard::secret(name) {
            Ok(secret) => println!("raw {}", secret.expose_secret()),
            Err(error) => println!("= error {error}"),
        },
        ["print", text] => println!("{text}"),
        ["threads"] => say("threads", std::thread::spawn(|| 7).join().unwrap_or(0)),
        _ => panic!("no such technique: {words:?}"),
    }
    std::process::exit(FINISHED)
}

fn say(step: &str, value: i64) {
    println!("= {step} {value}");
}

/// 0, or the error as the kernel returns it.
fn answer(value: i64) -> i64 {
    if value < 0 { -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) } else { 0 }
}

/// Every way to a descriptor that needs nothing but a call.
fn descriptors(prefix: &str) {
    let say = |step: &str, value: i64| say(&format!("{prefix}{step}"), answer(value));
    let mut pair = [0 as RawFd; 2];
    let mut ring = [0u64; 32];
    let mask = 0u64;
    let how = [0u64; 3];
    // SAFETY: raw calls on values and on structures that live until they return; what they make is
    // this process's to keep.
    unsafe {
        say("socket", libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0));
        say("socket-udp", libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0));
        say("socket-unix", libc::syscall(libc::SYS_socket, libc::AF_UNIX, libc::SOCK_DGRAM, 0));
        say(
            "socketpair",
            libc::syscall(libc::SYS_socketpair, libc::AF_UNIX, libc::SOCK_STREAM, 0, &raw mut pair),
        );
        say("open", libc::syscall(libc::SYS_openat, libc::AT_FDCWD, c"/".as_ptr(), libc::O_RDONLY, 0));
        say("open-path", libc::syscall(libc::SYS_openat, libc::AT_FDCWD, c"/".as_ptr(), libc::O_PATH, 0));
        say("openat2", libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, c"/".as_ptr(), &raw const how, 24));
        say("pipe", libc::syscall(libc::SYS_pipe2, &raw mut pair, 0));
        say("memfd", libc::syscall(libc::SYS_memfd_create, c"x".as_ptr(), 0));
        say("dup", libc::syscall(libc::SYS_dup, 1));
        say("dupfd", libc::syscall(libc::SYS_fcntl, 1, libc::F_DUPFD_CLOEXEC, 3));
        say("dup3", libc::syscall(libc::SYS_dup3, 1, 200, 0));
        say("epoll", libc::syscall(libc::SYS_epoll_create1, 0));
        say("eventfd", libc::syscall(libc::SYS_eventfd2, 0, 0));
        say("timerfd", libc::syscall(libc::SYS_timerfd_create, libc::CLOCK_MONOTONIC, 0));
        say("signalfd", libc::syscall(libc::SYS_signalfd4, -1, &raw const mask, 8, 0));
        say("inotify", libc::syscall(libc::SYS_inotify_init1, 0));
        say("pidfd", libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0));
        say("userfaultfd", libc::syscall(libc::SYS_userfaultfd, 1));
        say("io_uring", libc::syscall(libc::SYS_io_uring_setup, 1, &raw mut ring));
    }
}

/// prlimit(2) on this process, past libc.
fn set_limit(limit: u64) -> i64 {
    let new = [limit, limit];
    // SAFETY: one rlimit64, which is two numbers.
    answer(unsafe { libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, &raw const new, 0) })
}

fn in_a_child(run: impl FnOnce()) {
    // SAFETY: one thread; the child says what it has to say and ends.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            run();
            libc::exit(0);
        }
        let mut status = 0;
        libc::waitpid(child, &raw mut status, 0);
        println!("= child {status}");
    }
}

/// execve(2) in a child, without libc's help.
fn execute(program: &str) {
    let path = CString::new(program).expect("no NUL");
    let list = [path.as_ptr(), std::ptr::null()];
    in_a_child(|| {
        // SAFETY: terminated strings in terminated arrays.
        let result = unsafe { libc::syscall(libc::SYS_execve, path.as_ptr(), list.as_ptr(), &list[1]) };
        say("execute", answer(result));
    });
}

/// Whether the parent's memory could be read and written. The address is nobody's: where access is
/// granted the kernel says EFAULT, and nothing is changed.
fn reach() {
    let mut byte = 0u8;
    let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let remote = libc::iovec { iov_base: std::ptr::without_provenance_mut(1), iov_len: 1 };
    // SAFETY: one byte of our own.
    unsafe {
        let parent = libc::getppid();
        say(
            "read",
            answer(libc::process_vm_readv(parent, &raw const local, 1, &raw const remote, 1, 0) as i64),
        );
        say(
            "write",
            answer(libc::process_vm_writev(parent, &raw const local, 1, &raw const remote, 1, 0) as i64),
        );
    }
}

fn rename(from: &str, to: &str) {
    let (from, to) = (CString::new(from).expect("no NUL"), CString::new(to).expect("no NUL"));
    // SAFETY: two terminated paths.
    say("rename", answer(unsafe { libc::syscall(libc::SYS_rename, from.as_ptr(), to.as_ptr()) }));
}

/// What the kernel does to a process that has sealed itself, by calls that need something to work on.
fn seal_itself() {
    use std::os::unix::net::{UnixListener, UnixStream};
    let name = format!("/tmp/.fnguard-sealed-{}", std::process::id());
    let listener = UnixListener::bind(&name).expect("a listener");
    let waiting =
        [UnixStream::connect(&name).expect("a client"), UnixStream::connect(&name).expect("a client")];
    let _ = std::fs::remove_file(&name);
    let (sender, receiver) = UnixStream::pair().expect("a pair");
    let datagram = std::os::unix::net::UnixDatagram::pair().expect("a pair");
    for _ in 0..2 {
        say("send", send_descriptor(sender.as_raw_fd(), 1));
    }
    // SAFETY: a socket of our own.
    let accept = || answer(unsafe { libc::syscall(libc::SYS_accept4, listener.as_raw_fd(), 0, 0, 0) });
    say("accept", accept());
    say("receive", receive_descriptor(receiver.as_raw_fd()));
    say("seal", set_limit(0));
    say("sealed-accept", accept());
    say("sealed-receive", receive_descriptor(receiver.as_raw_fd()));
    say("sealed-raise", set_limit(1));
    descriptors("sealed-");
    // What is open goes on, a low number that is closed is not given again.
    say("sealed-send", answer((&sender).write_one()));
    drop((waiting, datagram));
    // SAFETY: closes and asks for a number.
    unsafe {
        libc::syscall(libc::SYS_close, 0);
        say("sealed-freed", answer(libc::syscall(libc::SYS_dup, 1)));
    }
}

trait WriteOne {
    fn write_one(self) -> i64;
}

impl WriteOne for &std::os::unix::net::UnixStream {
    fn write_one(mut self) -> i64 {
        std::io::Write::write(&mut self, b"x").map_or(-1, |count| count as i64)
    }
}

#[repr(C, align(8))]
struct Control([u8; 64]);

/// Sends a copy of a descriptor with one byte.
fn send_descriptor(socket: RawFd, number: RawFd) -> i64 {
    let mut byte = *b"d";
    let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = Control([0; 64]);
    // SAFETY: a header with room for one descriptor, filled as cmsg(3) says.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut vector;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(4) as usize;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as usize;
        libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(number);
        answer(libc::sendmsg(socket, &raw const message, 0) as i64)
    }
}

/// How many descriptors came with one byte.
fn receive_descriptor(socket: RawFd) -> i64 {
    let mut byte = [0u8];
    let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = Control([0; 64]);
    // SAFETY: a header with room for one descriptor.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut vector;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control.0.len();
        if libc::recvmsg(socket, &raw mut message, 0) != 1 {
            return answer(-1);
        }
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        i64::from(!header.is_null() && (*header).cmsg_len >= libc::CMSG_LEN(4) as usize)
    }
}
