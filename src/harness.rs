//! Whether this program is a test binary: those link the function's library with its registered
//! policies, and must not arm.
//!
//! Decided by the program itself, not by its environment: cargo puts test binaries into a folder
//! `deps`, and only they hold libtest: its entry point by name, or, where names are stripped, the
//! places in its source that its own panics would tell. A library that forged either would leave a
//! release build unarmed, which then refuses real events; and it can't choose the folder.
//!
//! A test or a benchmark with a harness of its own (`harness = false`, criterion) holds no libtest, and
//! nothing else tells it from a program: it arms (`docs/limits.md`).

use crate::sys::path;

/// How much of the program is searched.
const MOST: usize = 512 << 20;
/// What marks [`MARKS`], so that this program does not hold them by itself.
const MASK: u8 = 0x80;
/// libtest's entry point in either mangling, as far as it doesn't vary, and where its source lies.
const MARKS: [&[u8]; 3] = [
    &masked(*b"_ZN4test16test_main_static17h"),
    &masked(*b"_4test16test_main_static"),
    &masked(*b"/library/test/src/"),
];

const fn masked<const N: usize>(mut text: [u8; N]) -> [u8; N] {
    let mut index = 0;
    while index < N {
        text[index] ^= MASK;
        index += 1;
    }
    text
}

/// Whether this is a test binary.
pub(crate) fn is_test_binary() -> bool {
    let Ok(program) = path::read_link(c"/proc/self/exe") else { return false };
    let folder = program.rsplit(|&byte| byte == b'/').nth(1).unwrap_or_default();
    folder == b"deps" && path::read_file(c"/proc/self/exe", MOST).is_ok_and(|program| holds_libtest(&program))
}

fn holds_libtest(program: &[u8]) -> bool {
    // Not the compiler's to work out, or the marks would lie in the program as they are.
    let mask = std::hint::black_box(MASK);
    let marks = MARKS.map(|mark| mark.iter().map(|byte| byte ^ mask).collect::<Vec<u8>>());
    let mut rest = program;
    // Each mark begins with one of these; the first bytes are compared alone, for speed.
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'_' | b'/')) {
        let here = rest.get(at..).unwrap_or_default();
        if marks.iter().any(|mark| here.starts_with(mark)) {
            return true;
        }
        rest = here.get(1..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_is_a_test_binary() {
        assert!(is_test_binary());
    }

    #[test]
    fn each_mark_is_enough_and_nothing_else_is_one() {
        for mark in MARKS {
            let text: Vec<u8> = b"..".iter().copied().chain(mark.iter().map(|byte| byte ^ MASK)).collect();
            assert!(holds_libtest(&text) && !holds_libtest(mark) && !holds_libtest(&text[..text.len() - 1]));
        }
    }
}
