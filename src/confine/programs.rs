//! The files behind the programs that may be started: the programs themselves, the ELF
//! interpreters that the kernel loads first, and the interpreters of scripts.
//!
//! Sources: elf(5) (PT_INTERP), execve(2) ("Interpreter scripts").

use crate::sys::{descriptor, path};
use std::ffi::CString;
use std::os::fd::AsFd;

/// The files of a set of programs.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    /// Paths that Landlock must let execute.
    pub(crate) executable: Vec<String>,
    /// Device and inode of what /proc/PID/exe may then be: the programs and the interpreters of
    /// scripts, but never an ELF interpreter, which would run any file.
    pub(crate) images: Vec<(u64, u64)>,
    /// Programs that are not there, or whose interpreter is not allowed.
    pub(crate) warnings: Vec<String>,
}

/// How much of a file is looked at: its headers.
const HEAD: usize = 64 * 1024;

impl Programs {
    /// Gathers the files behind `allowed`, as the policy names them, and `launched`.
    pub(crate) fn gather(allowed: &[String], launched: Option<&str>) -> Self {
        let mut programs = Programs::default();
        if allowed.is_empty() {
            // Landlock holds execution only where programs are allowed; without, the image of the
            // launched program, or of the interpreter of a launched script, is all there is to know.
            let first_line = launched.and_then(|program| programs.take(program, 4096));
            if let Some(interpreter) = first_line.as_deref().and_then(script_interpreter) {
                programs.take(&interpreter, 0);
            }
            return programs;
        }
        for program in allowed.iter().map(String::as_str).chain(launched) {
            programs.add(program, allowed, launched == Some(program));
        }
        programs
    }

    fn add(&mut self, program: &str, allowed: &[String], launched: bool) {
        let Some(head) = self.take(program, HEAD) else {
            self.warnings.push(format!("[exec] allow: {program} can't be opened"));
            return;
        };
        if let Some(interpreter) = elf_interpreter(&head) {
            self.executable.push(interpreter);
        } else if let Some(interpreter) = script_interpreter(&head) {
            // What starts a script is its interpreter: a program of its own, to be named.
            if launched || allowed.contains(&interpreter) {
                if let Some(head) = self.take(&interpreter, HEAD)
                    && let Some(loader) = elf_interpreter(&head)
                {
                    self.executable.push(loader);
                }
            } else {
                self.warnings.push(format!(
                    "[exec] allow: the script {program} needs {interpreter}, which is not allowed"
                ));
            }
        }
    }

    /// Notes a program's path and image; the first `length` bytes of its file.
    fn take(&mut self, program: &str, length: usize) -> Option<Vec<u8>> {
        let c_path = CString::new(program).ok()?;
        let file = path::open(&c_path, libc::O_RDONLY | libc::O_NONBLOCK).ok()?;
        let identity = descriptor::identify(file.as_fd()).ok()?;
        self.executable.push(program.to_owned());
        self.images.push((identity.device, identity.inode));
        path::read_to_end(file.as_fd(), length).ok()
    }
}

/// The path in PT_INTERP of a 64-bit little-endian ELF file, if its head holds one.
fn elf_interpreter(head: &[u8]) -> Option<String> {
    const PT_INTERP: u32 = 3;
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let table = usize::try_from(word(head, 0x20)?).ok()?;
    let entry_size = usize::from(half(head, 0x36)?);
    let count = usize::from(half(head, 0x38)?);
    for index in 0..count {
        let at = table.checked_add(index.checked_mul(entry_size)?)?;
        let entry = head.get(at..at.checked_add(56)?)?;
        let kind = u32::from_le_bytes(*entry.first_chunk::<4>()?);
        if kind == PT_INTERP {
            let offset = usize::try_from(word(entry, 8)?).ok()?;
            let size = usize::try_from(word(entry, 32)?).ok()?;
            let text = head.get(offset..offset.checked_add(size)?)?;
            let text = text.split(|&byte| byte == 0).next()?;
            return std::str::from_utf8(text).ok().map(str::to_owned);
        }
    }
    None
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk::<8>()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk::<2>()?))
}

/// The interpreter of a `#!` line.
fn script_interpreter(head: &[u8]) -> Option<String> {
    let line = head.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.trim();
    line.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn this_program_names_its_loader() {
        let head = std::fs::read("/proc/self/exe").unwrap();
        let interpreter = elf_interpreter(&head[..HEAD.min(head.len())]);
        if cfg!(target_feature = "crt-static") {
            assert_eq!(interpreter, None);
        } else {
            assert!(interpreter.unwrap().contains("ld-linux"));
        }
    }

    #[test]
    fn a_script_names_its_interpreter() {
        assert_eq!(script_interpreter(b"#! /bin/sh -e\nx").as_deref(), Some("/bin/sh"));
        assert_eq!(script_interpreter(b"#!/usr/bin/env python3\n").as_deref(), Some("/usr/bin/env"));
        assert_eq!(script_interpreter(b"\x7fELF"), None);
    }

    proptest! {
        #[test]
        fn any_head_is_read_or_refused(mut head in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = elf_interpreter(&head);
            if head.len() > 6 {
                head[..6].copy_from_slice(b"\x7fELF\x02\x01");
            }
            let _ = elf_interpreter(&head);
            let _ = script_interpreter(&head);
        }
    }
}
