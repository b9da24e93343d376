//! Paths that mean one thing to who walks them and another to who looks.

use crate::call;
use crate::raw::say;
use std::ffi::CString;

pub fn run(technique: &str, words: &[&str]) -> bool {
    match (technique, words) {
        ("by-own-entries", [file, folder]) => by_own_entries(file, folder),
        ("short-of-descriptors", [listener, file]) => short_of_descriptors(listener, file),
        ("name-a-file", [nameless, file, folder]) => name_a_file(nameless, file, folder),
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

/// Has the guard hold more and more descriptors, by calls that wait for a listener with a full queue, and opens a
/// file for writing after each.
fn short_of_descriptors(listener: &str, file: &str) {
    let file = CString::new(file).expect("no NUL");
    for _ in 0..60 {
        let listener = listener.to_owned();
        std::thread::spawn(move || std::os::unix::net::UnixStream::connect(listener));
        std::thread::sleep(std::time::Duration::from_millis(5));
        let opened = call!(SYS_openat, libc::AT_FDCWD, file.as_ptr(), libc::O_WRONLY, 0);
        say("open", opened.min(0));
        call!(SYS_write, opened, c"changed".as_ptr(), 7);
        call!(SYS_close, opened);
    }
}

/// Gives a name to a file that was made without, and another to one that has one, each by its descriptor's entry.
fn name_a_file(folder: &str, file: &str, other: &str) {
    let c = |text: String| CString::new(text).expect("no NUL");
    let at = libc::AT_FDCWD;
    let link = |number: i64, name: &str| {
        let (from, to) = (c(format!("/proc/self/fd/{number}")), c(name.to_owned()));
        call!(SYS_linkat, at, from.as_ptr(), at, to.as_ptr(), libc::AT_SYMLINK_FOLLOW)
    };
    let without = c(folder.to_owned());
    let nameless = call!(SYS_openat, at, without.as_ptr(), libc::O_TMPFILE | libc::O_RDWR, 0o600);
    call!(SYS_write, nameless, c"mine".as_ptr(), 4);
    say("named", link(nameless, &format!("{folder}/named")));
    say("named-outside", link(nameless, &format!("{other}/named")));
    let readable = call!(SYS_openat, at, c(file.to_owned()).as_ptr(), libc::O_RDONLY, 0);
    say("taken", link(readable, &format!("{folder}/taken")));
}
