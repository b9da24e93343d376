// When this program's own code began: before any constructor of a library, and so before arming.
// Included by each binary that is measured, since the linker places the entries of a program's own
// object files before those of its libraries, and of the objects it is given.

use std::ffi::{c_char, c_int};
use std::sync::OnceLock;
use std::time::Instant;

/// When, and in which process: arming forks, so `main` is another.
static BEGAN: OnceLock<(Instant, u32)> = OnceLock::new();

type Constructor = extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char);

#[used]
#[allow(unsafe_code)]
// SAFETY: glibc calls each pointer of this section once, with argc, argv and envp.
#[unsafe(link_section = ".preinit_array")]
static BEGIN: Constructor = begin;

extern "C" fn begin(_count: c_int, _arguments: *mut *mut c_char, _environment: *mut *mut c_char) {
    let _ = BEGAN.set((Instant::now(), std::process::id()));
}

/// Prints the nanoseconds from the beginning to now, and with an argument waits until the input
/// ends, so that the process above can be looked at.
fn print_time_since() {
    match BEGAN.get().map(|(began, process)| (began.elapsed(), *process)) {
        Some((took, process)) if process != std::process::id() => println!("{}", took.as_nanos()),
        _ => {
            eprintln!("arming did not lie between the program's first code and main");
            std::process::exit(1);
        }
    }
    if std::env::args_os().len() > 1 {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    }
}
