//! `naive connect ADDRESS PROGRAM …`, `naive exec PATH PROGRAM …`: a guard as it is often written.
//! It reads the argument, decides, and lets the call go on, which reads the argument again. The
//! races of the suite must win against it: one that does not could not fail either.

use std::ffi::CString;
use std::net::SocketAddrV4;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [what, allowed, program @ ..] = words.as_slice() else { panic!("what, allowed, program") };
    let number = match what.as_str() {
        "connect" => libc::SYS_connect,
        "exec" => libc::SYS_execve,
        _ => panic!("connect or exec"),
    };
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
        let mut free = u32::from(number == libc::SYS_execve);
        loop {
            let mut notification = [0u64; 10];
            if libc::ioctl(listener, 0xc050_2100, notification.as_mut_ptr()) != 0 {
                continue;
            }
            let (id, process) = (notification[0], notification[1] as i32);
            let argument = notification[if number == libc::SYS_connect { 5 } else { 4 }];
            let allow = free > 0 || decide(number, process, argument, allowed);
            free = free.saturating_sub(1);
            let go_on = 1u64 << 32;
            let response: [u64; 3] =
                if allow { [id, 0, go_on] } else { [id, 0, u64::from((-libc::EACCES) as u32)] };
            libc::ioctl(listener, 0xc018_2101, response.as_ptr());
        }
    }
}

/// What the argument is at this moment.
fn decide(number: i64, process: i32, argument: u64, allowed: &str) -> bool {
    let mut bytes = [0u8; 256];
    let length = if number == libc::SYS_connect { 16 } else { allowed.len() + 1 };
    let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: length };
    let remote = libc::iovec { iov_base: argument as *mut libc::c_void, iov_len: length };
    // SAFETY: reads into our own buffer.
    unsafe { libc::process_vm_readv(process, &local, 1, &remote, 1, 0) };
    if number == libc::SYS_connect {
        let allowed: SocketAddrV4 = allowed.parse().expect("an IPv4 address");
        bytes[2..4] == allowed.port().to_be_bytes() && bytes[4..8] == allowed.ip().octets()
    } else {
        bytes.starts_with(allowed.as_bytes())
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
