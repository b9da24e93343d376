//! Starting programs: what droppers and miners do. The program is always the shell, and what it
//! does is to write the file that the ambush looks for.

use crate::instruction::{Instruction, Outcome};
use crate::raw;
use std::ffi::CString;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn script(it: &Instruction) -> String {
    format!("echo {} >{}", it.nonce, it.proof)
}

/// `std::process::Command`, as `ultralytics` and the Shai-Hulud worms did.
pub fn shell(it: &Instruction) -> io::Result<Outcome> {
    Command::new("sh").arg("-c").arg(script(it)).status()?;
    Ok(Outcome::Done)
}

/// execve by its number, without fork: this process becomes the shell.
pub fn raw_execve(it: &Instruction) -> io::Result<Outcome> {
    let words = [raw::c("sh")?, raw::c("-c")?, raw::c(script(it))?];
    let argv = pointers(&words);
    // SAFETY: path, argv and the empty environment end with NULs and live until the call returns.
    unsafe {
        raw::syscall(
            libc::SYS_execve,
            [c"/bin/sh".as_ptr() as usize, argv.as_ptr() as usize, [0usize].as_ptr() as usize, 0, 0, 0],
        )?;
    }
    Ok(Outcome::Done)
}

/// A program that was never a file: Denonia's and many a loader's way.
pub fn memfd_exec(it: &Instruction) -> io::Result<Outcome> {
    let name = raw::c(it.nonce.clone())?;
    // SAFETY: the name ends with a NUL.
    let image = raw::descriptor(unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) })?;
    let image = std::fs::File::from(image);
    (&image).write_all(&std::fs::read("/bin/sh")?)?;
    let words = [raw::c("sh")?, raw::c("-c")?, raw::c(script(it))?];
    let argv = pointers(&words);
    // SAFETY: as for execve; the path is empty and AT_EMPTY_PATH says so.
    unsafe {
        raw::syscall(
            libc::SYS_execveat,
            [
                image.as_raw_fd() as usize,
                c"".as_ptr() as usize,
                argv.as_ptr() as usize,
                [0usize].as_ptr() as usize,
                libc::AT_EMPTY_PATH as usize,
                0,
            ],
        )?;
    }
    Ok(Outcome::Done)
}

/// `rustdecimal` (2022): write a binary below /tmp, make it executable, become it.
pub fn dropped_binary(it: &Instruction) -> io::Result<Outcome> {
    std::fs::write(&it.to, std::fs::read("/bin/sh")?)?;
    // Where chmod is refused the file stays as it is and execve is tried all the same.
    let chmod = std::fs::set_permissions(&it.to, PermissionsExt::from_mode(0o755));
    let path = raw::c(it.to.clone())?;
    let words = [raw::c("sh")?, raw::c("-c")?, raw::c(script(it))?];
    let argv = pointers(&words);
    // SAFETY: path and argv end with NULs and live until the call returns.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), [std::ptr::null()].as_ptr()) };
    let error = io::Error::last_os_error();
    chmod?;
    Err(error)
}

/// The dynamic loader as the program: it runs any file that can be read.
pub fn loader(it: &Instruction) -> io::Result<Outcome> {
    let loader = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
        .ok_or_else(|| io::Error::other("no glibc loader here"))?;
    Command::new(loader).args(["/bin/sh", "-c"]).arg(script(it)).status()?;
    Ok(Outcome::Done)
}

/// Forks twice and stays behind, to work while the function is frozen or gone.
pub fn daemon(it: &Instruction) -> io::Result<Outcome> {
    let proof = raw::c(it.proof.clone())?;
    let line = format!("{}\n", it.nonce);
    // SAFETY: the children call nothing that takes a lock: setsid, fork, open, write, pause.
    unsafe {
        let child = raw::check(libc::fork())?;
        if child == 0 {
            libc::setsid();
            if libc::fork() == 0 {
                let file = libc::open(proof.as_ptr(), libc::O_CREAT | libc::O_WRONLY, 0o644);
                libc::write(file, line.as_ptr().cast(), line.len());
                loop {
                    libc::pause();
                }
            }
            libc::_exit(0);
        }
        libc::waitpid(child as i32, std::ptr::null_mut(), 0);
    }
    Ok(Outcome::Done)
}

fn pointers(words: &[CString]) -> Vec<*const libc::c_char> {
    words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect()
}
