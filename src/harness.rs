//! Whether this program is a test binary: those link the function's library with its registered
//! policies, and must not arm.
//!
//! Decided by the program itself, not by its environment: cargo puts test binaries into a folder
//! `deps`, and only they hold libtest's entry point. A library that forged that symbol would
//! leave a release build unarmed, which then refuses real events; and it can't choose the folder.

use crate::sys::path;

/// How much of the program is searched for the symbol.
const MOST: usize = 512 << 20;
/// libtest's entry point in either mangling, as far as it doesn't vary.
const ENTRY_POINTS: [&[u8]; 2] = [b"_ZN4test16test_main_static17h", b"_4test16test_main_static"];

/// Whether this is a test binary.
pub(crate) fn is_test_binary() -> bool {
    let Ok(program) = path::read_link(c"/proc/self/exe") else { return false };
    let folder = program.rsplit(|&byte| byte == b'/').nth(1).unwrap_or_default();
    folder == b"deps"
        && path::read_file(c"/proc/self/exe", MOST).is_ok_and(|program| {
            ENTRY_POINTS.iter().any(|symbol| program.windows(symbol.len()).any(|window| window == *symbol))
        })
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_is_a_test_binary() {
        assert!(super::is_test_binary());
    }
}
