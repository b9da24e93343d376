//! A guarded program that looks for secrets at every byte of its memory that can be read. They come masked,
//! so that looking for one brings no copy of it.

use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;

const MASK: u8 = 0x5a;
/// How much is read at once, and how much of it is read again with the next piece, for what lies across.
const PIECE: usize = 1 << 20;
const OVERLAP: usize = 64;

fn masked(secret: &str) -> Vec<u8> {
    (0..secret.len() / 2).map(|i| u8::from_str_radix(&secret[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// How often a secret begins in the first `until` bytes.
fn count(bytes: &[u8], until: usize, secret: &[u8]) -> u64 {
    let first = secret[0] ^ MASK;
    let mut found = 0;
    for at in 0..until.min((bytes.len() + 1).saturating_sub(secret.len())) {
        if bytes[at] == first && bytes[at..].iter().zip(secret).all(|(byte, masked)| byte ^ MASK == *masked) {
            found += 1;
        }
    }
    found
}

/// What is allocated is there before the list of mappings is read, so that the outside finds the same.
/// Its own buffer is left out: it would find itself.
fn scan(secrets: &[Vec<u8>]) {
    let buffer: &'static mut [u8] = vec![0u8; PIECE].leak();
    let own = buffer.as_ptr() as u64..buffer.as_ptr() as u64 + PIECE as u64;
    let mut list: Vec<(u64, u64, u64)> = Vec::with_capacity(4096);
    let mut counts = vec![0u64; secrets.len()];
    let mut maps = String::with_capacity(1 << 20);
    let mut stdin = std::io::stdin().lock();
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(b"scan\n").unwrap();
    File::open("/proc/self/maps").unwrap().read_to_string(&mut maps).unwrap();
    let memory = File::open("/proc/self/mem").unwrap();
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        if !rest.starts_with('r') || rest.contains("[vvar") || rest.contains("[vsyscall]") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let (start, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        let (mut at, mut looked) = (start, 0);
        while at < end {
            if own.contains(&at) {
                let past = own.end.min(end);
                looked += past - at;
                at = past;
                continue;
            }
            let stop = if at < own.start { end.min(own.start) } else { end };
            let want = usize::try_from(stop - at).unwrap().min(PIECE);
            let Ok(read) = memory.read_at(&mut buffer[..want], at) else { break };
            let last = read as u64 == stop - at;
            let step = if last { read } else { read.saturating_sub(OVERLAP) };
            if step == 0 {
                break;
            }
            for (found, secret) in counts.iter_mut().zip(secrets) {
                *found += count(&buffer[..read], step, secret);
            }
            looked += step as u64;
            at += step as u64;
        }
        list.push((start, end, looked));
    }
    for (start, end, looked) in &list {
        writeln!(stdout, "map: {start:x} {end:x} {looked}").unwrap();
    }
    writeln!(stdout, "found: {counts:?}\nscanned").unwrap();
    // Until the outside has read the list of mappings itself.
    let _ = stdin.read(&mut [0]);
}

#[fnguard::guarded]
fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let secrets: Vec<Vec<u8>> = words[1..].iter().map(|secret| masked(secret)).collect();
    match words[0].as_str() {
        "scan" => scan(&secrets),
        // One is left in memory on purpose.
        "planted" => {
            let planted: Vec<u8> = secrets[1].iter().map(|byte| byte ^ MASK).collect();
            black_box(&planted);
            scan(&secrets);
            black_box(&planted);
        }
        "asked" => {
            black_box(fnguard::secret("API_KEY").unwrap());
            scan(&secrets);
        }
        other => panic!("{other}"),
    }
}
