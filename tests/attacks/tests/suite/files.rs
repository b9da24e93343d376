//! Paths that may not be changed.

use crate::attack::{Guard, fresh, is_root, text, victim};
use fnguard_attacks::program::Program;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

fnguard_attacks::tests! { "files":
    every_call, by_links_of_proc, by_own_entries, device_files, through_a_link, through_a_link_to_nothing,
    process_substitution, short_of_descriptors, naming_by_descriptor, rules_through_links, owners
}

/// Names, sizes, modes and contents below a directory.
fn picture(folder: &Path) -> BTreeMap<String, (u32, u64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a directory") {
        let path = entry.expect("an entry").path();
        let meta = path.symlink_metadata().expect("metadata");
        let content = if meta.is_file() { std::fs::read(&path).expect("a file") } else { Vec::new() };
        all.insert(text(&path).to_owned(), (meta.mode(), meta.nlink(), content));
    }
    all
}

/// A directory that may not be written, with what the attack is aimed at, and one that may.
fn folders() -> (PathBuf, PathBuf) {
    let (closed, open) = (fresh("closed"), fresh("open"));
    for folder in [&closed, &open] {
        std::fs::create_dir(folder).expect("a directory");
    }
    std::fs::create_dir(closed.join("folder")).expect("a directory");
    for name in ["there", "by-descriptor", "by-root", "unlinked-by-root", "named (deleted)"] {
        std::fs::write(closed.join(name), "precious").expect("a file");
    }
    (closed, open)
}

/// Every call that changes a path, at a directory beside the one that may be written.
fn every_call() {
    let (closed, open) = folders();
    let attack = victim(["files", text(&closed), text(&open)]);
    let before = picture(&closed);
    let guarded = attack.under_guard(&format!("[files]\nwrite = [\"{}\"]\n", text(&open)));
    assert_eq!(picture(&closed), before, "{}", guarded.text());
    assert_eq!(guarded.said("own"), 0, "what may be written is\n{}", guarded.text());
    let steps = [
        "open-write",
        "open-append",
        "open-truncate",
        "open-create",
        "open-dirty",
        "open-old",
        "creat",
        "openat2",
        "tmpfile",
        "truncate",
        "unlink",
        "unlinkat",
        "mkdir",
        "mkdirat",
        "rmdir",
        "mknod",
        "mknodat",
        "symlink",
        "symlinkat",
        "link",
        "link-out",
        "linkat",
        "rename-in",
        "rename-out",
        "renameat2",
        "chmod",
        "fchmodat",
        "fchmodat2",
        "chown",
        "setxattr",
        "fchmod",
        "fchmod-named-so",
        "reopen",
        "by-root",
        "by-thread",
        "unlink-by-root",
    ];
    for step in steps {
        assert!(guarded.said(step) < 0, "{step}\n{}", guarded.text());
    }
    assert_eq!(guarded.said("memory"), 0, "{}", guarded.text());
    for call in [
        "openat",
        "open",
        "creat",
        "openat2",
        "truncate",
        "unlink",
        "unlinkat",
        "mkdir",
        "mkdirat",
        "rmdir",
        "mknod",
        "mknodat",
        "symlink",
        "symlinkat",
        "link",
        "linkat",
        "rename",
        "renameat2",
        "chmod",
        "fchmodat",
        "fchmodat2",
        "chown",
        "setxattr",
        "fchmod",
    ] {
        assert!(!guarded.violations("files", call, "").is_empty(), "{call}\n{}", guarded.text());
    }
    attack.plain();
    assert_ne!(picture(&closed), before, "unguarded it changes");
}

/// A path through a link of /proc, of which the kernel alone knows where it leads, is reported as what it
/// leads to; in audit, where the call is let through, as well.
fn by_links_of_proc() {
    let cases = [("openat", "by-descriptor"), ("openat", "by-root"), ("mkdir", "made-by-thread")];
    let cases = cases.into_iter().chain([("unlink", "unlinked-by-root")]);
    for (mode, action) in [("enforce", "blocked"), ("audit", "audited")] {
        let (closed, open) = folders();
        let policy = format!("[files]\nmode = \"{mode}\"\nwrite = [\"{}\"]\n", text(&open));
        let outcome = victim(["files", text(&closed), text(&open)]).under_guard(&policy);
        for (call, name) in cases.clone() {
            let path = closed.join(name);
            let found = outcome.violations("files", call, text(&path));
            assert_eq!(found.len(), 1, "{mode}: {call} {name}\n{}", outcome.text());
            assert_eq!((&found[0]["action"], &found[0]["path"]), (&action.into(), &text(&path).into()));
        }
        assert_eq!(closed.join("made-by-thread").exists(), mode == "audit");
    }
}

/// Terminals and logs of the machine by their device files. Opened only: what is written to the
/// machine's own log would be there.
fn device_files() {
    let mut possible = Vec::new();
    for path in ["/dev/console", "/dev/kmsg", "/dev/ptmx"] {
        let attack = victim(["open-to-write", path]);
        let plain = attack.plain().said("open");
        if plain < 0 {
            println!("{path}: not possible here, {plain}");
        } else {
            possible.push(path);
        }
        let guarded = attack.under_guard("");
        assert_eq!(guarded.said("open"), -13, "{path}\n{}", guarded.text());
        guarded.only_record("files", "openat", path);
    }
    assert!(possible.contains(&"/dev/ptmx"), "everybody may ask for a terminal: {possible:?}");
    assert!(!is_root() || possible.contains(&"/dev/kmsg"), "root may: {possible:?}");
    let guarded = victim(["write-to", "/dev/null", "x"]).under_guard("");
    assert_eq!((guarded.said("open"), guarded.said("write")), (0, 1));
    guarded.no_record();
}

/// A link in a folder that may be written, to a file that may not.
fn through_a_link() {
    let (closed, open) = (fresh("closed"), fresh("open"));
    std::fs::create_dir(&open).expect("a directory");
    std::fs::write(&closed, "precious").expect("a file");
    let link = open.join("link");
    std::os::unix::fs::symlink(&closed, &link).expect("a link");
    let attack = victim(["write-to", text(&link), "changed!"]);
    let guarded = attack.under_guard(&format!("[files]\nwrite = [\"{}\"]\n", text(&open)));
    assert_eq!(std::fs::read(&closed).expect("a file"), b"precious");
    guarded.only_record("files", "openat", text(&closed));
    attack.plain();
    assert_eq!(std::fs::read(&closed).expect("a file"), b"changed!");
}

/// A file that is open for reading, opened for writing by the function's own entries in /proc: /dev/fd and
/// every other way that leads there. Each is reported as the file that it is.
fn by_own_entries() {
    const WAYS: usize = 7;
    for (mode, action) in [("enforce", "blocked"), ("audit", "audited")] {
        let (closed, open) = folders();
        let file = closed.join("there");
        let attack = victim(["by-own-entries", text(&file), text(&open)]);
        let policy = format!("[files]\nmode = \"{mode}\"\nwrite = [\"{}\"]\n", text(&open));
        let outcome = attack.under_guard(&policy);
        let found = outcome.violations("files", "openat", text(&file));
        assert_eq!(found.len(), 1, "{mode}\n{}", outcome.text());
        assert_eq!((&found[0]["action"], &found[0]["path"]), (&action.into(), &text(&file).into()));
        // The others are counted, and they are the same.
        let suppressed = outcome.records("suppressed");
        let targets: Vec<_> = suppressed.iter().map(|record| &record["targets"]).collect();
        assert_eq!((targets.as_slice(), &suppressed[0]["unlisted"]), ([&1.into()].as_slice(), &0.into()));
        assert_eq!(outcome.records("ended")[0][action], 4 * WAYS, "{mode}\n{}", outcome.text());
        let changed = std::fs::read(&file).expect("a file") != b"precious";
        assert_eq!(changed, mode == "audit", "{}", outcome.text());
    }
    let (closed, open) = folders();
    let file = closed.join("there");
    victim(["by-own-entries", text(&file), text(&open)]).plain();
    assert_eq!(
        std::fs::read(&file).expect("a file").len(),
        8 + 4 * WAYS * 7,
        "unguarded each of them writes"
    );
}

/// A link in a folder that may be written, to a file that does not exist where it may not be made.
fn through_a_link_to_nothing() {
    for (mode, action) in [("enforce", "blocked"), ("audit", "audited")] {
        let (closed, open) = folders();
        let made = closed.join("made");
        let (link, first) = (open.join("link"), open.join("first"));
        let relative = format!("../{}/folder/../made", closed.file_name().expect("a name").display());
        std::os::unix::fs::symlink(relative, &first).expect("a link");
        std::os::unix::fs::symlink("first", &link).expect("a link");
        let attack = victim(["write-create", text(&link), "made"]);
        let policy = format!("[files]\nmode = \"{mode}\"\nwrite = [\"{}\"]\n", text(&open));
        let outcome = attack.under_guard(&policy);
        let found = outcome.violations("files", "openat", text(&made));
        assert_eq!(found.len(), 1, "{mode}\n{}", outcome.text());
        assert_eq!((&found[0]["action"], &found[0]["path"]), (&action.into(), &text(&made).into()));
        assert_eq!(made.exists(), mode == "audit", "{}", outcome.text());
        let _ = std::fs::remove_file(&made);
        attack.plain();
        assert!(made.exists(), "unguarded it is made");
    }
}

/// What a shell makes of `>(…)`: /dev/fd/N, a pipe, which a program is given to write to.
fn process_substitution() {
    // Waited for by its number: a plain `wait` leaves it out, and it would end with the shell.
    let shell = Program::new(["/usr/bin/bash", "-c", "tee >(cat >&2) >/dev/null <<< said; wait $!"]);
    let policy = "[exec]\nallow = [\"/usr/bin/bash\", \"/usr/bin/tee\", \"/usr/bin/cat\"]\n";
    // Without a controlling terminal, which a shell looks for at its start and finds missing.
    let outcome = shell.guard(policy).under(["/usr/bin/setsid", "--wait"]).run();
    assert!(outcome.shows(b"said"), "{}", outcome.text());
    outcome.no_record();
}

/// What the arbiter can't look at for want of descriptors is refused, and recorded, whichever of its calls finds none.
fn short_of_descriptors() {
    use std::os::fd::AsRawFd;
    use std::os::unix::net::{UnixListener, UnixStream};
    let (closed, _) = folders();
    let file = closed.join("there");
    let path = fresh("listener");
    let listener = UnixListener::bind(&path).expect("a listener");
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let _filling = UnixStream::connect(&path).expect("room for one");
    let attack = victim(["short-of-descriptors", text(&path), text(&file)]);
    let policy = format!("[network]\nallow = [\"unix:{}\"]\n[files]\nwrite = []\n", text(&path));
    // A waiting connection takes more than one descriptor, so how many are left once no more of them fit depends on how
    // many the arbiter was started with: limits in a row leave every number that can be left.
    let short = (60..66)
        .filter(|limit| {
            let command = format!("ulimit -n {limit}; exec \"$@\"");
            let outcome = attack.guard(&policy).under(["/bin/sh", "-c", &command, "sh"]).run();
            outcome.finished();
            assert_eq!(std::fs::read(&file).expect("a file"), b"precious");
            let of_open = |kind: &str| {
                let mut records = outcome.records(kind);
                records.retain(|record| record["syscall"] == "openat");
                records
            };
            let suppressed: u64 =
                of_open("suppressed").iter().map(|record| record["count"].as_u64().expect("a number")).sum();
            assert_eq!(of_open("violation").len() as u64 + suppressed, 60, "{limit}\n{}", outcome.text());
            of_open("violation").iter().any(|record| record["rule"] == "guard.unreadable")
        })
        .count();
    assert!(short > 0, "with none of these limits the arbiter was short of descriptors for an open");
    attack.plain();
    assert_ne!(std::fs::read(&file).expect("a file"), b"precious");
}

/// A file that was made without a name is given one, where that is allowed; and no other file is.
fn naming_by_descriptor() {
    let (closed, open) = folders();
    let file = closed.join("there");
    let attack = victim(["name-a-file", text(&open), text(&file), text(&closed)]);
    let guarded = attack.under_guard(&format!("[files]\nwrite = [\"{}\"]\n", text(&open)));
    assert_eq!(std::fs::read(open.join("named")).expect("a file"), b"mine", "{}", guarded.text());
    assert_eq!((closed.join("named").exists(), open.join("taken").exists()), (false, false));
    for path in [closed.join("named"), file] {
        guarded.one_record("files", "linkat", text(&path));
    }
    let (closed, open) = folders();
    victim(["name-a-file", text(&open), text(&closed.join("there")), text(&closed)]).plain();
    assert!(closed.join("named").exists() && open.join("taken").exists());
}

/// A rule whose path leads through a link holds for what it leads to; one whose path the function itself may
/// change is refused.
fn rules_through_links() {
    use std::os::unix::fs::symlink;
    let (closed, open) = folders();
    let (written, kept, program) = (closed.join("written"), closed.join("kept"), closed.join("program"));
    for (link, target) in [(&written, "folder"), (&kept, ".")] {
        symlink(target, link).expect("a link");
    }
    symlink("/usr/bin/touch", &program).expect("a link");
    let socket = closed.join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a listener");
    let policy = format!(
        "[files]\nwrite = [\"{0}/written\"]\n[exec]\nallow = [\"{0}/program\"]\n[network]\nallow = [\"unix:{0}/kept/socket\"]\n",
        text(&closed)
    );
    let file = closed.join("folder/made");
    for path in [written.join("made"), file.clone()] {
        let outcome = victim(["write-create", text(&path), "made"]).under_guard(&policy);
        outcome.no_record();
        assert_eq!(std::fs::read(&file).expect("a file"), b"made", "{}", outcome.text());
        std::fs::remove_file(&file).expect("a file");
    }
    for path in [program.as_path(), Path::new("/usr/bin/touch")] {
        let outcome = victim(["spawn", text(path), text(&file)]).under_guard(&policy);
        outcome.no_record();
        assert!(file.exists(), "{}", outcome.text());
        std::fs::remove_file(&file).expect("a file");
    }
    for path in [kept.join("socket"), socket] {
        let outcome = victim(["unix-stream", text(&path)]).under_guard(&policy);
        outcome.no_record();
        assert_eq!(outcome.said("connect"), 0, "{}", outcome.text());
    }
    // A link that an earlier run may have left: what the function may write to, it may not start.
    let planted = open.join("planted");
    symlink("/usr/bin/touch", &planted).expect("a link");
    let policy = format!(
        "[files]\nwrite = [\"{0}\", \"{1}\"]\n[exec]\nallow = [\"{0}/planted\"]\n",
        text(&open),
        text(&closed)
    );
    let attack = victim(["spawn", text(&planted), text(&file)]);
    let outcome = attack.guard(&policy).run();
    assert!(outcome.status == Some(125) && !file.exists(), "{}", outcome.text());
    assert!(outcome.shows(b"its own code would be started under this name"), "{}", outcome.text());
    attack.plain();
    assert!(file.exists());
}

/// Copying with owners and modes works where it may be written; to give a file away does not.
fn owners() {
    let (closed, open) = folders();
    let programs = ["bash", "cp", "tar", "mkfifo", "chmod", "chown", "gzip"];
    let programs = programs.map(|program| format!("\"/usr/bin/{program}\"")).join(", ");
    let policy = format!("[exec]\nallow = [{programs}]\n[files]\nwrite = [\"{}\"]\n", text(&open));
    let shell = |script: String| {
        let program = Program::new(["/usr/bin/bash", "-c", &script]).variable("PATH", "/usr/bin");
        program.under(["/usr/bin/setsid", "--wait"])
    };
    let (from, to) = (text(&closed), text(&open));
    let guarded = |script: String| {
        let program = Program::new(["/usr/bin/bash", "-c", &script]).variable("PATH", "/usr/bin");
        program.guard(&policy).under(["/usr/bin/setsid", "--wait"]).run()
    };
    let honest = format!(
        "cp -p {from}/there {to}/p && cp -a {from} {to}/a && tar cf {to}/t -C {from} . && \
         tar xf {to}/t -C {to}/a && mkfifo {to}/f && chmod 622 {to}/f && echo copied"
    );
    let outcome = guarded(honest);
    assert!(outcome.shows(b"copied"), "{}", outcome.text());
    assert_eq!(std::fs::metadata(open.join("f")).expect("a pipe").mode() & 0o777, 0o622);
    let of_files = outcome.violations("files", "*", "");
    assert_eq!(of_files, Vec::<serde_json::Value>::new(), "{}", outcome.text());
    if is_root() {
        let outcome = guarded(format!("chown 4321 {to}/p; chown 0:0 {from}/there"));
        assert_eq!(std::fs::metadata(open.join("p")).expect("a file").uid(), 0);
        for path in [open.join("p"), closed.join("there")] {
            let found = outcome.violations("files", "fchownat", text(&path));
            assert_eq!(found.len(), 1, "{}", outcome.text());
            assert_eq!(found[0]["rule"], "guard.owners");
        }
        shell(format!("chown 4321 {to}/p")).run();
        assert_eq!(
            std::fs::metadata(open.join("p")).expect("a file").uid(),
            4321,
            "unguarded it is given away"
        );
    }
}
