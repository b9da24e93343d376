//! Code that was not there when the program was loaded.

use crate::attack::{
    Guard, NET, ROUNDS_TO_WIN, fresh, loses, rounds, text, until_both, until_it_wins, victim,
};

fnguard_attacks::tests! { "memory":
    executable, by_personality, descriptor_exchanged_while_mapping, after_an_exec_that_failed,
}

const ROADS: [&str; 8] =
    ["anonymous", "mprotect", "pkey-mprotect", "memfd", "memfd-private", "device", "file", "file-deleted"];

fn executable() {
    let attack = victim(["memory", text(&fresh("code"))]);
    let plain = attack.plain();
    for road in ROADS {
        assert_eq!(plain.said(&format!("{road}-ran")), 42, "{road}\n{}", plain.text());
    }
    let guarded = attack.under_guard(NET);
    let of_files = attack.under_guard("[memory]\nexecutable = \"files\"\n");
    for (outcome, road) in [&guarded, &of_files].into_iter().flat_map(|one| ROADS.map(|road| (one, road))) {
        assert!(
            outcome.said(road) < 0 && !outcome.says(&format!("{road}-ran")),
            "{road}\n{}",
            outcome.text()
        );
    }
    for call in ["mmap", "mprotect", "pkey_mprotect"] {
        assert!(!guarded.violations("memory", call, "").is_empty(), "{call}\n{}", guarded.text());
    }
}

fn by_personality() {
    let attack = victim(["personality"]);
    let plain = attack.plain();
    if cfg!(target_arch = "x86_64") {
        assert_eq!(plain.said("executable"), 1, "{}", plain.text());
    }
    let guarded = attack.under_guard(NET);
    assert_eq!((guarded.said("query"), guarded.said("executable")), (0, 0));
    guarded.only_record("syscall", "personality", "0x400000");
}

/// Which file is mapped can't be decided for a thread whose siblings exchange it: after loading
/// nothing is mapped, and a policy that lets files be mapped is not called held.
fn descriptor_exchanged_while_mapping() {
    let library = "/lib64/ld-linux-x86-64.so.2";
    let attack = victim(["map-flip", library, &rounds().to_string()]);
    assert!(until_it_wins(&attack, |plain| plain.said("ran") > 0), "unguarded both are mapped");
    let guarded = attack.under_guard(NET);
    assert_eq!((guarded.said("mapped"), guarded.said("ran")), (0, 0));
    assert_eq!(guarded.posture()["controls"]["exec_memory"], "held");
    let files = until_both(
        || attack.under_guard("[memory]\nexecutable = \"files\"\n"),
        |_| {},
        |files| files.said("mapped") > 0,
    );
    assert_ne!(files.posture()["controls"]["exec_memory"], "held", "{} ran", files.said("ran"));
    let longer = victim(["map-flip", library, ROUNDS_TO_WIN]).limit(std::time::Duration::from_secs(300));
    loses(&longer, "map", "/usr/", |naive| naive.said("ran") > 0);
}

/// A load phase is the new image's: an exec that fails opens none.
fn after_an_exec_that_failed() {
    let attack = victim(["map-after-failed-exec", "/usr/bin/true", "/lib64/ld-linux-x86-64.so.2"]);
    let plain = attack.plain();
    assert_eq!((plain.said("execve"), plain.said("map")), (-14, 1), "{}", plain.text());
    let guarded = attack.under_guard("[exec]\nallow = [\"/usr/bin/true\"]\n");
    assert_eq!(guarded.said("link"), 0, "its load phase is over");
    assert_eq!((guarded.said("execve"), guarded.said("map")), (-14, -1), "{}", guarded.text());
    guarded.only_record("memory", "mmap", "protection 0x5");
}
