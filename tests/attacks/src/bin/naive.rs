//! `naive CALL ALLOWED PROGRAM …`: a guard as it is often written. It looks at the argument, decides,
//! and lets the call go on, which looks at the argument again. The races of the suite must win against
//! it: one that does not could not fail either. What is looked at, and what may be:
//!
//! - `connect`, `send`: the address of connect(2) and of sendmsg(2); this one,
//! - `kind`: what kind of socket is connected; `datagram`,
//! - `exec`: the path of the program; this one,
//! - `map`: the file that is mapped to be executed; those below this folder.

use std::ffi::CString;
use std::net::SocketAddrV4;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [what, allowed, program @ ..] = words.as_slice() else { panic!("what, allowed, program") };
    let what = What::of(what);
    let number = what.call();
    let (mut pipe, mut back) = ([0i32; 2], [0i32; 2]);
    // SAFETY: system calls on data that lives long enough; one thread.
    unsafe {
        libc::pipe(pipe.as_mut_ptr());
        libc::pipe(back.as_mut_ptr());
        let child = libc::fork();
        if child == 0 {
            become_program(number, pipe[1], back[0], program);
        }
        let mut number_there = 0i32;
        libc::read(pipe[0], (&raw mut number_there).cast(), 4);
        let pidfd = libc::syscall(libc::SYS_pidfd_open, child, 0);
        let listener = libc::syscall(libc::SYS_pidfd_getfd, pidfd, number_there, 0) as i32;
        assert!(listener >= 0, "no listener: {}", std::io::Error::last_os_error());
        libc::write(back[1], (&raw const number_there).cast(), 4);
        std::thread::spawn(move || {
            let mut status = 0;
            libc::waitpid(child, &mut status, 0);
            let exit = if libc::WIFEXITED(status) {
                libc::WEXITSTATUS(status)
            } else {
                128 + libc::WTERMSIG(status)
            };
            libc::_exit(exit)
        });
        // The first exec is our own.
        let mut free = u32::from(what == What::Exec);
        loop {
            let mut notification = [0u64; 10];
            if libc::ioctl(listener, 0xc050_2100, notification.as_mut_ptr()) != 0 {
                continue;
            }
            let (id, thread) = (notification[0], notification[1] as i32);
            let looked_at = Look { thread, pidfd, arguments: &notification[4..] };
            let allow = free > 0 || looked_at.is_allowed(what, allowed);
            free = free.saturating_sub(1);
            let go_on = 1u64 << 32;
            let response: [u64; 3] =
                if allow { [id, 0, go_on] } else { [id, 0, u64::from((-libc::EACCES) as u32)] };
            libc::ioctl(listener, 0xc018_2101, response.as_ptr());
        }
    }
}

/// What is guarded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Connect,
    Kind,
    Send,
    Exec,
    Map,
}

impl What {
    fn of(word: &str) -> Self {
        match word {
            "connect" => What::Connect,
            "kind" => What::Kind,
            "send" => What::Send,
            "exec" => What::Exec,
            "map" => What::Map,
            _ => panic!("no such guard: {word}"),
        }
    }

    fn call(self) -> i64 {
        match self {
            What::Connect | What::Kind => libc::SYS_connect,
            What::Send => libc::SYS_sendmsg,
            What::Exec => libc::SYS_execve,
            What::Map => libc::SYS_mmap,
        }
    }
}

/// A call at this moment.
struct Look<'a> {
    thread: i32,
    pidfd: i64,
    arguments: &'a [u64],
}

impl Look<'_> {
    fn is_allowed(&self, what: What, allowed: &str) -> bool {
        match what {
            What::Connect => self.is_address(self.arguments[1], allowed),
            What::Send => {
                let header = self.read(self.arguments[1], 8);
                let name = u64::from_ne_bytes(header[..8].try_into().expect("eight bytes"));
                self.is_address(name, allowed)
            }
            What::Exec => self.read(self.arguments[0], allowed.len() + 1).starts_with(allowed.as_bytes()),
            What::Kind => {
                let (mut kind, mut length) = (0i32, 4u32);
                // SAFETY: a copy of the caller's descriptor, closed again.
                unsafe {
                    let copy = libc::syscall(libc::SYS_pidfd_getfd, self.pidfd, self.arguments[0], 0) as i32;
                    let at = (&raw mut kind).cast();
                    libc::getsockopt(copy, libc::SOL_SOCKET, libc::SO_TYPE, at, &mut length);
                    libc::close(copy);
                }
                allowed == "datagram" && kind == libc::SOCK_DGRAM
            }
            What::Map => {
                let file = format!("/proc/{}/fd/{}", self.thread, self.arguments[4] as i32);
                self.arguments[2] & libc::PROT_EXEC as u64 == 0
                    || std::fs::read_link(file).is_ok_and(|target| target.starts_with(allowed))
            }
        }
    }

    fn is_address(&self, at: u64, allowed: &str) -> bool {
        let bytes = self.read(at, 16);
        let allowed: SocketAddrV4 = allowed.parse().expect("an IPv4 address");
        bytes[2..4] == allowed.port().to_be_bytes() && bytes[4..8] == allowed.ip().octets()
    }

    /// The caller's memory; zeros where there is nothing.
    fn read(&self, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0u8; length];
        let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: length };
        let remote = libc::iovec { iov_base: at as *mut libc::c_void, iov_len: length };
        // SAFETY: reads into our own buffer.
        unsafe { libc::process_vm_readv(self.thread, &local, 1, &remote, 1, 0) };
        bytes
    }
}

/// Installs the filter, says where the listener is, becomes the program.
///
/// # Safety
///
/// In a child that has just been forked, with descriptors of its own.
unsafe fn become_program(number: i64, tell: i32, hear: i32, words: &[String]) -> ! {
    let program: [u64; 4] =
        [0x20, 0x0100_0015 | (number as u64) << 32, 0x06 | 0x7fc0_0000 << 32, 0x06 | 0x7fff_0000 << 32];
    let head = [4u64, program.as_ptr() as u64];
    let words: Vec<CString> = words.iter().map(|word| CString::new(word.as_str()).expect("no NUL")).collect();
    let mut pointers: Vec<*const libc::c_char> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: data that lives until the exec.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        let listener = libc::syscall(libc::SYS_seccomp, 1u64, 8u64, head.as_ptr()) as i32;
        libc::write(tell, (&raw const listener).cast(), 4);
        // It is closed by the exec.
        let mut taken = 0i32;
        libc::read(hear, (&raw mut taken).cast(), 4);
        libc::execv(pointers[0], pointers.as_ptr());
        libc::_exit(127)
    }
}
