//! Paths of `[exec]`, `[files]` and unix sockets: absolute, in normal form, and not those that
//! undo the guard. Not whether they exist: the policy is read where the function is built.

use super::diagnostic::steers;
use super::fault::Fault;
use crate::model::breadth::is_loader;
use std::path::Path;

/// A path as rules hold it: absolute, without empty components, `.`, `..` or a slash at its end.
pub(super) fn normalised(text: &str) -> Result<String, Fault> {
    if text.is_empty() {
        return Err(Fault::error("the path is empty").expected("an absolute path"));
    }
    if let Some(c) = text.chars().find(|c| steers(*c)) {
        return Err(Fault::error(format!(
            "the path holds a character that does not show: {}",
            c.escape_unicode()
        ))
        .help("if the file really has such a name, rename it"));
    }
    if text.starts_with('~') || text.contains("${") || text.starts_with('$') {
        return Err(Fault::error("a path is taken as it is written: nothing is expanded")
            .expected("an absolute path"));
    }
    if !text.starts_with('/') {
        return Err(Fault::error(format!("`{text}` is a relative path")).expected("an absolute path"));
    }
    let trimmed = match text.trim_end_matches('/') {
        "" => "/",
        trimmed => trimmed,
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    let normal = format!("/{}", parts.join("/"));
    if normal != trimmed {
        return Err(Fault::error("the path is not in normal form").help(format!("write {normal:?}")));
    }
    Ok(normal)
}

/// A path of `[exec] allow`, and what to warn of.
pub(super) fn program(text: &str) -> Result<(String, Option<Fault>), Fault> {
    if text.contains('*') {
        return Err(Fault::error("programs are named one by one: `*` is no part of a path")
            .help("`*` alone allows every program, with allow_any = true"));
    }
    if text.ends_with('/') {
        return Err(
            Fault::error(format!("`{text}` is a directory")).expected("the absolute path of a program")
        );
    }
    let path = normalised(text)?;
    let file = Path::new(&path).file_name().and_then(|name| name.to_str()).unwrap_or("");
    if is_loader(&path) {
        return Err(Fault::error(format!("`{path}` is a dynamic loader: it runs any file it is given"))
            .help("allow the program itself; its loader needs no rule"));
    }
    let warning = launcher(file).map(|what| {
        Fault::warning(format!("`{path}` {what}: what it runs or sends next is not held by this list"))
            .help("allow the program that does the work, or do it in the function")
    });
    Ok((path, warning))
}

/// Whether a path is `base` or below it, both in normal form.
pub(super) fn is_below(path: &str, base: &str) -> bool {
    path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A path of `[files] write`, and what to warn of.
pub(super) fn writable(text: &str) -> Result<(String, Option<Fault>), Fault> {
    let path = directory(text)?;
    let holds = |base: &str| is_below(&path, base);
    let warning = if holds("/proc") || holds("/sys") {
        Some("the kernel's own settings can be changed there")
    } else if holds("/var/task") || holds("/opt") || holds("/var/runtime") {
        Some("code of the next start lies there")
    } else if ["/bin", "/boot", "/etc", "/lib", "/lib64", "/root", "/sbin", "/usr"]
        .iter()
        .any(|base| holds(base))
    {
        Some("programs, libraries or settings of the whole system lie there")
    } else if path == "/dev" {
        Some("every device lies there; /dev/null and its kin need no rule")
    } else if ["/home", "/var", "/run", "/mnt"].contains(&path.as_str()) {
        Some("it is more than one program's")
    } else {
        None
    };
    let warning = warning.map(|why| {
        Fault::warning(format!("the function may change all below `{path}`: {why}"))
            .help("name the directory that the function's work needs")
    });
    Ok((path, warning))
}

/// A path of `[files] read`.
pub(super) fn directory(text: &str) -> Result<String, Fault> {
    if text.contains('*') {
        return Err(
            Fault::error("a path holds for all below it: `*` is not expanded").help("name the directory")
        );
    }
    normalised(text)
}

/// The daemon behind a socket whose protocol starts programs.
pub(super) fn commanding_socket(path: &str) -> Option<&'static str> {
    let path = path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(path);
    match path {
        "/run/docker.sock" => Some("Docker"),
        "/run/podman/podman.sock" => Some("Podman"),
        "/run/containerd/containerd.sock" => Some("containerd"),
        "/run/crio/crio.sock" => Some("CRI-O"),
        "/run/dbus/system_bus_socket" => Some("D-Bus"),
        "/run/systemd/private" => Some("systemd"),
        _ => None,
    }
}

/// Programs that run others, or whatever text they are given.
const INTERPRETERS: &[&str] = &[
    "R",
    "Rscript",
    "ash",
    "awk",
    "bash",
    "bun",
    "busybox",
    "csh",
    "dash",
    "deno",
    "elixir",
    "erl",
    "expect",
    "fish",
    "gawk",
    "gdb",
    "guile",
    "java",
    "jshell",
    "jq",
    "ksh",
    "lldb",
    "lua",
    "luajit",
    "mawk",
    "mksh",
    "nawk",
    "node",
    "nodejs",
    "octave",
    "osascript",
    "perl",
    "php",
    "pwsh",
    "pypy",
    "python",
    "rbash",
    "ruby",
    "sh",
    "sqlite",
    "tclsh",
    "tcsh",
    "toybox",
    "ts-node",
    "wish",
    "yash",
    "zsh",
];

/// Programs whose arguments name another program to run.
const LAUNCHERS: &[&str] = &[
    "apt",
    "apt-get",
    "at",
    "bwrap",
    "c++",
    "cargo",
    "cc",
    "chroot",
    "chrt",
    "clang",
    "cmake",
    "cpio",
    "crontab",
    "doas",
    "docker",
    "ed",
    "emacs",
    "env",
    "ex",
    "find",
    "flock",
    "g++",
    "gcc",
    "git",
    "go",
    "ionice",
    "ip",
    "kubectl",
    "less",
    "make",
    "man",
    "more",
    "nice",
    "ninja",
    "nohup",
    "npm",
    "npx",
    "nsenter",
    "parallel",
    "pip",
    "podman",
    "runuser",
    "rustc",
    "script",
    "sed",
    "setarch",
    "setpriv",
    "setsid",
    "stdbuf",
    "strace",
    "su",
    "sudo",
    "systemctl",
    "systemd-run",
    "tar",
    "taskset",
    "tee",
    "time",
    "timeout",
    "tmux",
    "unshare",
    "uv",
    "vi",
    "view",
    "vim",
    "watch",
    "xargs",
    "xterm",
    "zip",
];

/// Programs that carry data to anyone; most of them run programs too.
const CARRIERS: &[&str] = &[
    "aws", "curl", "ftp", "nc", "ncat", "netcat", "openssl", "rsync", "scp", "sftp", "socat", "ssh",
    "telnet", "wget",
];

fn launcher(file: &str) -> Option<&'static str> {
    // python3.12 is python, sqlite3 is sqlite, clang-18 is clang.
    let bare = file.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let is_in = |list: &[&str]| list.contains(&file) || list.contains(&bare);
    if is_in(INTERPRETERS) {
        Some("runs whatever text it is given")
    } else if is_in(LAUNCHERS) {
        Some("starts other programs")
    } else if is_in(CARRIERS) {
        Some("carries data anywhere the network rules allow")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_form() {
        for (text, expected) in [
            ("/", Some("/")),
            ("//", Some("/")),
            ("/tmp", Some("/tmp")),
            ("/tmp/", Some("/tmp")),
            ("/a/..b/.c", Some("/a/..b/.c")),
            ("/a//b", None),
            ("/a/./b", None),
            ("/a/../b", None),
            ("/..", None),
            ("a", None),
            ("./a", None),
            ("~/a", None),
            ("$HOME/a", None),
            ("", None),
            ("/a\0b", None),
        ] {
            assert_eq!(normalised(text).ok().as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn launchers() {
        for (path, expected) in [
            ("/bin/sh", true),
            ("/usr/bin/python3.12", true),
            ("/usr/bin/clang-18", true),
            ("/usr/bin/sqlite3", true),
            ("/usr/bin/g++", true),
            ("/usr/bin/curl", true),
            ("/usr/bin/id", false),
            ("/opt/app/shrink", false),
            ("/usr/bin/ffmpeg", false),
        ] {
            assert_eq!(program(path).unwrap().1.is_some(), expected, "{path}");
        }
    }
}
