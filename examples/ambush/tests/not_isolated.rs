//! Where the machine refuses a step of the isolation, the ambush ends with status 3 before anything
//! is tried. Each step is refused by a filter on this test's own thread, which the ambush inherits.

#![allow(clippy::unwrap_used)] // a failed unwrap is the finding

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use std::path::PathBuf;
use std::process::{Command, Output};

/// The ambush with a function that leaves a mark where it runs.
struct Stage {
    directory: PathBuf,
}

impl Stage {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("ambush-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let stage = Stage { directory };
        let mark = stage.mark();
        let function = format!("#!/bin/sh\necho ran > {}\n", mark.display());
        std::fs::write(stage.function(), function).unwrap();
        stage
    }

    fn function(&self) -> PathBuf {
        self.directory.join("function")
    }

    fn mark(&self) -> PathBuf {
        self.directory.join("mark")
    }

    /// Runs the ambush below a filter that answers `EPERM` to one system call.
    fn run(&self, refused: Option<i64>) -> Output {
        let filter: Option<BpfProgram> = refused.map(|number| {
            let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
            let arch = std::env::consts::ARCH.try_into().unwrap();
            let rules = [(number, Vec::new())].into_iter().collect();
            SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).unwrap().try_into().unwrap()
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_ambush"));
        command.args(["--only", "tcp", "--unguarded-only", "--unguarded-binary"]).arg(self.function());
        // A thread of its own: a filter can't be taken off.
        std::thread::spawn(move || {
            if let Some(filter) = filter {
                apply_filter(&filter).unwrap();
            }
            command.output().unwrap()
        })
        .join()
        .unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn where_a_step_is_refused_nothing_is_tried_and_the_status_is_3() {
    let stage = Stage::new("refused");
    for (name, number) in [
        ("unshare", libc::SYS_unshare),
        ("mount", libc::SYS_mount),
        ("pivot_root", libc::SYS_pivot_root),
        ("mount_setattr", libc::SYS_mount_setattr),
        ("prctl", libc::SYS_prctl),
    ] {
        let output = stage.run(Some(number));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{name}: {output:?}");
        assert!(said.contains("not isolated: ") && said.contains("nothing was tried"), "{name}: {said}");
        assert!(output.stdout.is_empty(), "{name}: a table of what was not tried: {output:?}");
        assert!(!stage.mark().exists(), "{name}: the function ran on the machine");
    }
}

#[test]
fn where_nothing_is_refused_the_same_goes_on_in_namespaces_of_its_own() {
    let stage = Stage::new("allowed");
    let output = stage.run(None);
    // The function is no function, so what is shown does not hold: that is status 1.
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!output.stdout.is_empty(), "{output:?}");
    assert!(!stage.mark().exists(), "the function ran on the machine");
}
