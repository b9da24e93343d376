//! The logs and the answer as ways out: the key where whoever reads logs can read it, in the forms
//! in which programs print such things, and lines that lie about who wrote them.

use crate::instruction::{Instruction, Outcome};
use crate::raw::check;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;

/// As it is, by println.
pub fn raw(it: &Instruction) -> io::Result<Outcome> {
    println!("{} the key is {}", it.nonce, it.key);
    Ok(Outcome::Done)
}

/// As it is, on the other stream.
pub fn raw_on_stderr(it: &Instruction) -> io::Result<Outcome> {
    eprintln!("{} the key is {}", it.nonce, it.key);
    Ok(Outcome::Done)
}

/// In base64, as `tj-actions` (2025) left it in build logs.
pub fn base64(it: &Instruction) -> io::Result<Outcome> {
    println!("{} the key is {}", it.nonce, to_base64(it.key.as_bytes()));
    Ok(Outcome::Done)
}

/// In hex.
pub fn hex(it: &Instruction) -> io::Result<Outcome> {
    let hex: String = it.key.bytes().map(|byte| format!("{byte:02x}")).collect();
    println!("{} the key is {hex}", it.nonce);
    Ok(Outcome::Done)
}

/// A byte a write, so that no single write has it.
pub fn split(it: &Instruction) -> io::Result<Outcome> {
    for byte in format!("{} the key is {}\n", it.nonce, it.key).bytes() {
        // SAFETY: the byte lives until the call returns.
        check(unsafe { libc::write(1, (&raw const byte).cast(), 1) } as i64)?;
    }
    Ok(Outcome::Done)
}

/// Past both streams, on the terminal that the function has.
pub fn terminal(it: &Instruction) -> io::Result<Outcome> {
    let mut tty = OpenOptions::new().write(true).custom_flags(libc::O_NOCTTY).open("/dev/tty")?;
    tty.write_all(&it.payload())?;
    Ok(Outcome::Done)
}

/// A pipe can be opened again, at its other end: log lines are read before they reach the log.
pub fn read_back(it: &Instruction) -> io::Result<Outcome> {
    let mut log: File =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/proc/self/fd/1")?;
    let mut bytes = [0; 4096];
    for number in 0..20_000 {
        let line = format!("{} line {number:05}\n", it.nonce);
        // SAFETY: the pointer and the length are of one live buffer.
        check(unsafe { libc::write(1, line.as_ptr().cast(), line.len()) } as i64)?;
        match log.read(&mut bytes) {
            Ok(read) if read > 0 => {
                it.loot(&bytes[..read]);
                return Ok(Outcome::Done);
            }
            _ => {}
        }
    }
    Err(io::Error::other("the log's reader was always faster"))
}

/// Records in the guard's name, so that nobody believes the real ones.
pub fn forged_record(it: &Instruction) -> io::Result<Outcome> {
    let nonce = &it.nonce;
    let record = format!(
        r#"{{"timestamp":"2026-01-01T00:00:00.000Z","level":"ERROR","fnguard":"violation","control":"network","action":"blocked","syscall":"connect","address":"{nonce}","rule":"network.allow","seq":1}}"#
    );
    println!("{record}");
    println!("  \u{feff}{record}");
    eprintln!("{}", record.replace("fnguard", "\\u0066nguard"));
    Ok(Outcome::Done)
}

/// lambda_runtime hands a panic's text to the caller.
pub fn panic(it: &Instruction) -> io::Result<Outcome> {
    Ok(Outcome::Panic(format!("{} no charge with {}", it.nonce, it.key)))
}

/// And an error's, and logs its Debug form.
pub fn error(it: &Instruction) -> io::Result<Outcome> {
    Ok(Outcome::Error(format!("{} no charge with {}", it.nonce, it.key)))
}

/// RFC 4648 section 4.
fn to_base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            match place <= chunk.len() {
                true => out.push(char::from(LETTERS[(group >> (18 - 6 * place) & 63) as usize])),
                false => out.push('='),
            }
        }
    }
    out
}
