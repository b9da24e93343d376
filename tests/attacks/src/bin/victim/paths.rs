//! Paths that mean one thing to who walks them and another to who looks.

use crate::call;
use crate::raw::say;
use std::ffi::CString;

pub fn run(technique: &str, words: &[&str]) -> bool {
    match (technique, words) {
        ("by-own-entries", [file, folder]) => by_own_entries(file, folder),
        _ => return false,
    }
    true
}

/// Opens a file that it may read for writing, by every path that leads to its own descriptor.
fn by_own_entries(file: &str, folder: &str) {
    let c = |text: String| CString::new(text).expect("no NUL");
    let at = libc::AT_FDCWD;
    let link = format!("{folder}/mine");
    std::os::unix::fs::symlink("../../../../../../proc/self", &link).expect("a link");
    let chain = format!("{folder}/chain");
    std::os::unix::fs::symlink("mine/task/../fd", &chain).expect("a link");
    let proc = call!(SYS_openat, at, c"/proc".as_ptr(), libc::O_PATH | libc::O_DIRECTORY, 0);
    // These are numbers of descriptors that the guard has as well.
    for number in 4..8 {
        let readable = call!(SYS_openat, at, c(file.to_owned()).as_ptr(), libc::O_RDONLY, 0);
        let kept = call!(SYS_dup3, readable, number + 20, 0);
        call!(SYS_dup3, kept, number, 0);
        for (way, directory, path) in [
            ("dev-fd", i64::from(at), format!("/dev/fd/{number}")),
            ("slashes", i64::from(at), format!("//proc/self/fd/{number}")),
            ("dots", i64::from(at), format!("/proc/./self/../self/fd/{number}")),
            ("by-directory", proc, format!("self/fd/{number}")),
            ("by-thread", proc, format!("thread-self/fd/{number}")),
            ("own-link", i64::from(at), format!("{link}/fd/{number}")),
            ("own-chain", i64::from(at), format!("{chain}/{number}")),
        ] {
            let opened = call!(SYS_openat, directory, c(path).as_ptr(), libc::O_WRONLY | libc::O_APPEND, 0);
            call!(SYS_write, opened, c"changed".as_ptr(), 7);
            say(way, opened.min(0));
            call!(SYS_close, opened);
        }
    }
}
