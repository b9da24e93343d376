//! Descriptors that are no sockets: copying and closing them, waiting on them, making the kinds
//! that reach nobody. Descriptors 1 and 2 are the arbiter's pipes, and stay where they are.

use super::super::abi::{close_range, fcntl, ioctl, open, splice};
use super::super::row::{Rule, Set, allow, allow_if, int, rule};

const NOT_STDOUT_OR_STDERR: &[Rule] = &[
    rule("descriptor above 2", &[int(0).above(2)], "not stdout or stderr"),
    rule("descriptor 0", &[int(0).is(0)], "stdin is the function's own"),
];
const NOT_ONTO_STDOUT_OR_STDERR: &[Rule] = &[
    rule("onto a descriptor above 2", &[int(1).above(2)], "not stdout or stderr"),
    rule("onto descriptor 0", &[int(1).is(0)], "stdin is the function's own"),
];
const RANGE_ABOVE_2: &[Rule] = &[rule(
    "from 3 or more, flags 0 or CLOSE_RANGE_CLOEXEC",
    &[int(0).above(2), int(2).only(close_range::CLOEXEC)],
    "never stdout or stderr, and the descriptor table stays shared with every thread",
)];

const FCNTL: &[Rule] = &[
    rule("F_GETFL", &[int(1).is(fcntl::GETFL)], "asks"),
    rule(
        "F_SETFL without O_ASYNC, O_DIRECT",
        &[int(1).is(fcntl::SETFL), int(2).without_any(open::ASYNC_OR_DIRECT)],
        "O_ASYNC sends signals (SIGIO to whom F_SETOWN names); O_DIRECT makes a pipe drop bytes",
    ),
    rule("F_GETFD", &[int(1).is(fcntl::GETFD)], "asks"),
    rule("F_SETFD", &[int(1).is(fcntl::SETFD)], "close-on-exec"),
    rule("F_DUPFD_CLOEXEC", &[int(1).is(fcntl::DUPFD_CLOEXEC)], "takes a free number, never 1 or 2"),
    rule("F_DUPFD", &[int(1).is(fcntl::DUPFD)], "takes a free number, never 1 or 2"),
    rule("F_SETLK", &[int(1).is(fcntl::SETLK)], "an advisory lock"),
    rule("F_SETLKW", &[int(1).is(fcntl::SETLKW)], "an advisory lock"),
    rule("F_GETLK", &[int(1).is(fcntl::GETLK)], "an advisory lock"),
    rule("F_OFD_SETLK", &[int(1).is(fcntl::OFD_SETLK)], "an advisory lock"),
    rule("F_OFD_SETLKW", &[int(1).is(fcntl::OFD_SETLKW)], "an advisory lock"),
    rule("F_OFD_GETLK", &[int(1).is(fcntl::OFD_GETLK)], "an advisory lock"),
    rule("F_GETPIPE_SZ", &[int(1).is(fcntl::GETPIPE_SZ)], "asks"),
    rule("F_ADD_SEALS", &[int(1).is(fcntl::ADD_SEALS)], "only tightens a memfd"),
    rule("F_GET_SEALS", &[int(1).is(fcntl::GET_SEALS)], "asks"),
];

const IOCTL: &[Rule] = &[
    rule("FIONBIO", &[int(1).is(ioctl::FIONBIO)], "non-blocking mode"),
    rule("FIONREAD", &[int(1).is(ioctl::FIONREAD)], "how much can be read"),
    rule("TIOCOUTQ", &[int(1).is(ioctl::TIOCOUTQ)], "how much is still to be sent"),
    rule("FIOCLEX", &[int(1).is(ioctl::FIOCLEX)], "close-on-exec"),
    rule("FIONCLEX", &[int(1).is(ioctl::FIONCLEX)], "close-on-exec"),
    rule("TCGETS", &[int(1).is(ioctl::TCGETS)], "isatty asks by it"),
    rule("TCGETS2", &[int(1).is(ioctl::TCGETS2)], "isatty asks by it since glibc 2.42"),
    rule("TIOCGWINSZ", &[int(1).is(ioctl::TIOCGWINSZ)], "the window's size, read"),
    rule("TIOCGPGRP", &[int(1).is(ioctl::TIOCGPGRP)], "the foreground group, read"),
    rule("SIOCGIFCONF", &[int(1).is(ioctl::SIOCGIFCONF)], "the list of interfaces, read"),
    rule("SIOCGIFNAME", &[int(1).is(ioctl::SIOCGIFNAME)], "an interface, read"),
    rule("SIOCGIFINDEX", &[int(1).is(ioctl::SIOCGIFINDEX)], "an interface, read"),
    rule("SIOCGIFFLAGS", &[int(1).is(ioctl::SIOCGIFFLAGS)], "an interface, read"),
    rule("SIOCGIFADDR", &[int(1).is(ioctl::SIOCGIFADDR)], "an interface, read"),
    rule("SIOCGIFDSTADDR", &[int(1).is(ioctl::SIOCGIFDSTADDR)], "an interface, read"),
    rule("SIOCGIFBRDADDR", &[int(1).is(ioctl::SIOCGIFBRDADDR)], "an interface, read"),
    rule("SIOCGIFNETMASK", &[int(1).is(ioctl::SIOCGIFNETMASK)], "an interface, read"),
    rule("SIOCGIFMTU", &[int(1).is(ioctl::SIOCGIFMTU)], "an interface, read"),
    rule("SIOCGIFHWADDR", &[int(1).is(ioctl::SIOCGIFHWADDR)], "an interface, read"),
];

const WITHOUT_MORE: &[Rule] = &[rule(
    "without SPLICE_F_MORE",
    &[int(5).without(splice::MORE)],
    "MORE holds a datagram open, so that what is sent next joins what was decided before",
)];

/// Copying, closing, controlling.
pub(super) const DESCRIPTORS: Set = Set {
    name: "Descriptors",
    note: "Closing or replacing 1 or 2 would silence the logs or point them elsewhere; the arbiter decides it.",
    rows: &[
        allow_if("close", NOT_STDOUT_OR_STDERR, "must never fail with EINTR, so it is not notified"),
        allow_if("close_range", RANGE_ABOVE_2, "std and Python close what a child must not have"),
        allow("dup", "takes a free number"),
        allow_if("dup2", NOT_ONTO_STDOUT_OR_STDERR, "stdin and files"),
        allow_if("dup3", NOT_ONTO_STDOUT_OR_STDERR, "stdin and files"),
        allow_if(
            "fcntl",
            FCNTL,
            "F_SETOWN, F_SETSIG, F_NOTIFY and F_SETLEASE send signals to any process of the user; F_SETPIPE_SZ shrinks the log pipe",
        ),
        allow_if(
            "ioctl",
            IOCTL,
            "by command, 32 bits of it: TIOCSTI types into a terminal, FIOASYNC and FIOSETOWN send signals, drivers have the rest",
        ),
        allow("sendfile", "between open descriptors"),
        allow("copy_file_range", "between open descriptors"),
        allow_if("splice", WITHOUT_MORE, "between open descriptors"),
    ],
};

/// Waiting for descriptors.
pub(super) const WAITING: Set = Set {
    name: "Waiting",
    note: "",
    rows: &[
        allow("poll", "waits"),
        allow("ppoll", "waits"),
        allow("select", "waits"),
        allow("pselect6", "waits"),
        allow("epoll_create", "waits"),
        allow("epoll_create1", "waits"),
        allow("epoll_ctl", "waits"),
        allow("epoll_wait", "waits"),
        allow("epoll_pwait", "waits"),
        allow("epoll_pwait2", "waits"),
    ],
};

/// Making descriptors that reach nobody outside the process.
pub(super) const MAKING: Set = Set {
    name: "Making descriptors",
    note: "None of these reaches another process; a program in a memfd still can't be started, as exec is notified.",
    rows: &[
        allow("pipe", "within the process"),
        allow("pipe2", "within the process"),
        allow("eventfd", "within the process"),
        allow("eventfd2", "within the process"),
        allow("signalfd", "the process's own signals"),
        allow("signalfd4", "the process's own signals"),
        allow("timerfd_create", "a timer"),
        allow("timerfd_settime", "a timer"),
        allow("timerfd_gettime", "a timer"),
        allow("inotify_init", "watches files that may be read"),
        allow("inotify_init1", "watches files that may be read"),
        allow("inotify_add_watch", "watches files that may be read"),
        allow("inotify_rm_watch", "watches files that may be read"),
        allow("memfd_create", "memory with a descriptor"),
        allow("pidfd_open", "waits for a child; to signal through it, or to take descriptors, is notified"),
    ],
};
