//! Code that was not there when the program was loaded: four ways to get memory that can be
//! written and run. The page is mapped where the instruction says, holds a few instructions that
//! return the number in the nonce, and is left there with the code for the ambush to find.

use crate::instruction::{Instruction, Outcome};
use crate::raw;
use std::io::{self, Write};
use std::os::fd::AsRawFd;

const PAGE: usize = 4096;

/// Writable and executable in one.
pub fn mmap_rwx(it: &Instruction) -> io::Result<Outcome> {
    let page = map(it, libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC, None)?;
    write_code(page, it)?;
    run(page, it)
}

/// Written first, made executable then.
pub fn mprotect_exec(it: &Instruction) -> io::Result<Outcome> {
    let page = map(it, libc::PROT_READ | libc::PROT_WRITE, None)?;
    write_code(page, it)?;
    // SAFETY: the page is ours.
    raw::check(unsafe { libc::mprotect(page.cast(), PAGE, libc::PROT_READ | libc::PROT_EXEC) })?;
    run(page, it)
}

/// One file in memory, written by write(2), mapped to be run: no mapping is ever both.
pub fn memfd_map(it: &Instruction) -> io::Result<Outcome> {
    let name = raw::c(it.nonce.clone())?;
    // SAFETY: the name ends with a NUL.
    let file = std::fs::File::from(raw::descriptor(unsafe {
        libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC)
    })?);
    let mut code = code(it)?;
    code.resize(PAGE, 0);
    (&file).write_all(&code)?;
    let page = map(it, libc::PROT_READ | libc::PROT_EXEC, Some(&file))?;
    run(page, it)
}

/// With this personality the kernel makes every readable mapping executable: no call names
/// PROT_EXEC (personality(2)).
pub fn read_implies_exec(it: &Instruction) -> io::Result<Outcome> {
    // SAFETY: no pointers. It holds for this thread, which does nothing else.
    raw::check(unsafe { libc::personality(libc::READ_IMPLIES_EXEC as libc::c_ulong) })?;
    let page = map(it, libc::PROT_READ | libc::PROT_WRITE, None)?;
    write_code(page, it)?;
    run(page, it)
}

fn map(it: &Instruction, protection: i32, file: Option<&std::fs::File>) -> io::Result<*mut u8> {
    let at = it.number()? as *mut libc::c_void;
    let kind = if file.is_some() { libc::MAP_SHARED } else { libc::MAP_PRIVATE | libc::MAP_ANONYMOUS };
    let fd = file.map_or(-1, AsRawFd::as_raw_fd);
    // SAFETY: NOREPLACE: nothing that is mapped is touched.
    let page = unsafe { libc::mmap(at, PAGE, protection, kind | libc::MAP_FIXED_NOREPLACE, fd, 0) };
    if page == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(page.cast()) }
}

fn write_code(page: *mut u8, it: &Instruction) -> io::Result<()> {
    let code = code(it)?;
    // SAFETY: the page is ours, writable, and larger than the code.
    unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), page, code.len()) };
    Ok(())
}

/// The number that the first eight digits of the nonce spell.
fn number(it: &Instruction) -> io::Result<u32> {
    let digits = it.nonce.get(..8).ok_or_else(|| io::Error::other("short nonce"))?;
    u32::from_str_radix(digits, 16).map_err(io::Error::other)
}

/// A function that returns that number.
fn code(it: &Instruction) -> io::Result<Vec<u8>> {
    let number = number(it)?;
    #[cfg(target_arch = "x86_64")]
    let code = [&[0xb8], number.to_le_bytes().as_slice(), &[0xc3]].concat(); // mov eax, imm32; ret
    #[cfg(target_arch = "aarch64")]
    let code = [
        0x5280_0000 | ((number & 0xffff) << 5), // movz w0, #low
        0x72a0_0000 | ((number >> 16) << 5),    // movk w0, #high, lsl 16
        0xd65f_03c0,                            // ret
    ]
    .map(u32::to_le_bytes)
    .concat();
    Ok(code)
}

fn run(page: *mut u8, it: &Instruction) -> io::Result<Outcome> {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the range is one page of ours; what is written must reach the instruction cache.
    unsafe {
        unsafe extern "C" {
            fn __clear_cache(from: *mut libc::c_char, to: *mut libc::c_char);
        }
        __clear_cache(page.cast(), page.add(PAGE).cast());
    }
    // SAFETY: the page holds the function that `code` wrote, and can be run or the map failed.
    let returned = unsafe { std::mem::transmute::<*mut u8, extern "C" fn() -> u32>(page)() };
    it.loot(format!("{returned:08x}").as_bytes());
    Ok(Outcome::Done)
}

/// The addresses of a line of /proc/PID/maps.
pub fn range(line: &str) -> Option<(usize, usize)> {
    let (from, to) = line.split_whitespace().next()?.split_once('-')?;
    Some((usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?))
}

/// The addresses of the first mapping of that name.
pub fn range_named(maps: &str, name: &str) -> Option<(usize, usize)> {
    range(maps.lines().find(|line| line.ends_with(name))?)
}
