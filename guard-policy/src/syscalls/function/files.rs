//! Files: reading, opening, writing through a descriptor. Calls that change a path (rename,
//! unlink, mkdir, chmod, setxattr, truncate, …) are not here: the arbiter decides them.

use super::super::abi::open;
use super::super::row::{Rule, Set, When, allow, allow_if, int, rule_when};

/// Reading what a descriptor or a path names.
pub(super) const READING: Set = Set {
    name: "Reading files",
    note: "Nothing is changed. Where reading a path is restricted, Landlock and the notified open hold it, not these.",
    rows: &[
        allow("read", "bytes of an open descriptor"),
        allow("readv", "bytes of an open descriptor"),
        allow("pread64", "bytes of an open descriptor"),
        allow("preadv", "bytes of an open descriptor"),
        allow("preadv2", "bytes of an open descriptor"),
        allow("lseek", "position of an open descriptor"),
        allow("readahead", "a hint to the page cache"),
        allow("fadvise64", "a hint to the page cache"),
        allow("getdents", "a directory's entries, by an open descriptor"),
        allow("getdents64", "a directory's entries, by an open descriptor"),
        allow("stat", "attributes"),
        allow("lstat", "attributes"),
        allow("fstat", "attributes"),
        allow("newfstatat", "attributes"),
        allow("statx", "attributes"),
        allow("statfs", "attributes of a file system"),
        allow("fstatfs", "attributes of a file system"),
        allow("access", "a question about rights"),
        allow("faccessat", "a question about rights"),
        allow("faccessat2", "a question about rights"),
        allow("readlink", "a link's text"),
        allow("readlinkat", "a link's text"),
        allow("getxattr", "extended attributes, read only"),
        allow("lgetxattr", "extended attributes, read only"),
        allow("fgetxattr", "extended attributes, read only"),
        allow("listxattr", "extended attributes, read only"),
        allow("llistxattr", "extended attributes, read only"),
        allow("flistxattr", "extended attributes, read only"),
    ],
};

const OPEN_FOR_READING: &[Rule] = &[rule_when(
    When::ReadingFree,
    "O_RDONLY without O_CREAT, O_TRUNC, O_TMPFILE",
    &[int(1).without(open::WRITING)],
    "nothing is made or changed by it",
)];
const OPENAT_FOR_READING: &[Rule] = &[rule_when(
    When::ReadingFree,
    "O_RDONLY without O_CREAT, O_TRUNC, O_TMPFILE",
    &[int(2).without(open::WRITING)],
    "nothing is made or changed by it",
)];

/// Opening. The flags are a register; those of openat2 are behind a pointer, so it is notified
/// always, and so is creat.
pub(super) const OPENING: Set = Set {
    name: "Opening files",
    note: "An open that writes or creates is notified, so that a refusal has a record. openat2 and creat are always notified.",
    rows: &[
        allow_if("open", OPEN_FOR_READING, "reading is the commonest call of all and must cost nothing"),
        allow_if("openat", OPENAT_FOR_READING, "reading is the commonest call of all and must cost nothing"),
    ],
};

/// Writing through a descriptor, which was decided when it was opened.
pub(super) const WRITING: Set = Set {
    name: "Writing through a descriptor",
    note: "The right to write was decided when the descriptor was made; stdout and stderr end in the arbiter.",
    rows: &[
        allow("write", "an open descriptor"),
        allow("writev", "an open descriptor"),
        allow("pwrite64", "an open descriptor"),
        allow("pwritev", "an open descriptor"),
        allow("pwritev2", "an open descriptor"),
        allow("ftruncate", "an open descriptor"),
        allow("fallocate", "an open descriptor"),
        allow("fsync", "durability"),
        allow("fdatasync", "durability"),
        allow("sync", "durability"),
        allow("syncfs", "durability"),
        allow("sync_file_range", "durability"),
        allow("flock", "an advisory lock on an open descriptor"),
        allow("utimensat", "times only; no right, no content"),
        allow("utime", "times only; no right, no content"),
        allow("utimes", "times only; no right, no content"),
        allow("futimesat", "times only; no right, no content"),
    ],
};

/// The working directory and the mask of new files.
pub(super) const PLACES: Set = Set {
    name: "Working directory",
    note: "The arbiter resolves relative paths by the calling thread's own directory.",
    rows: &[
        allow("getcwd", "asks"),
        allow("chdir", "the process's own"),
        allow("fchdir", "the process's own"),
        allow("umask", "the process's own"),
    ],
};
