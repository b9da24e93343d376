//! `impose [NUMBER=ANSWER …] -- PROGRAM [ARGUMENT …]`: runs a program under a seccomp filter that
//! answers some system calls itself, as a platform or a broken sandbox does. ANSWER is an errno
//! (0 lets the call seem to have gone well), `kill`, or `listen`: a listener that nobody reads.
//! `prctl:OPTION=ANSWER` answers one option of prctl(2) only, and `NUMBER@INDEX&MASK=ANSWER` a call
//! whose argument has one of the bits. `domain` puts a Landlock domain around the program, which keeps
//! it from making block devices only.

use std::ffi::CString;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let end = words.iter().position(|word| word == "--").expect("-- before the program");
    let mut program: Vec<u64> = Vec::new();
    let instruction =
        |code: u64, on_true: u64, on_false: u64, k: u64| code | on_true << 16 | on_false << 24 | k << 32;
    let mut flags = 0u64;
    program.push(instruction(0x20, 0, 0, 0));
    let has_domain = words[..end].iter().any(|word| word == "domain");
    for word in words[..end].iter().filter(|word| *word != "domain") {
        let (number, answer) = word.split_once('=').expect("NUMBER=ANSWER");
        let answer: u64 = match answer {
            "kill" => 0x8000_0000,
            "listen" => {
                flags = 8;
                0x7fc0_0000
            }
            errno => 0x0005_0000 | errno.parse::<u64>().expect("an errno"),
        };
        if let Some(option) = number.strip_prefix("prctl:") {
            let option: u64 = option.parse().expect("an option");
            program.push(instruction(0x15, 0, 4, libc::SYS_prctl as u64));
            program.push(instruction(0x20, 0, 0, 16));
            program.push(instruction(0x15, 0, 1, option));
            program.push(instruction(0x06, 0, 0, answer));
            program.push(instruction(0x20, 0, 0, 0));
        } else if let Some((number, argument)) = number.split_once('@') {
            let (index, mask) = argument.split_once('&').expect("INDEX&MASK");
            let parse = |word: &str| word.parse::<u64>().expect("a number");
            program.push(instruction(0x15, 0, 4, parse(number)));
            program.push(instruction(0x20, 0, 0, 16 + 8 * parse(index)));
            program.push(instruction(0x45, 0, 1, parse(mask)));
            program.push(instruction(0x06, 0, 0, answer));
            program.push(instruction(0x20, 0, 0, 0));
        } else {
            let number: u64 = number.parse().expect("a number");
            program.push(instruction(0x15, 0, 1, number));
            program.push(instruction(0x06, 0, 0, answer));
        }
    }
    program.push(instruction(0x06, 0, 0, 0x7fff_0000));
    let head = [program.len() as u64, program.as_ptr() as u64];
    // SAFETY: the structures live until the calls return.
    unsafe {
        // A user without capabilities may filter only so; root need not, and a guard below is then
        // the one that has to.
        if libc::geteuid() != 0 {
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        }
        if has_domain {
            const MAKE_BLOCK: u64 = 1 << 11;
            let handled = [MAKE_BLOCK];
            let rules = libc::syscall(libc::SYS_landlock_create_ruleset, handled.as_ptr(), 8, 0);
            assert!(rules >= 0, "landlock: {}", std::io::Error::last_os_error());
            assert_eq!(libc::syscall(libc::SYS_landlock_restrict_self, rules, 0), 0);
            libc::close(rules as i32);
        }
        let result = libc::syscall(libc::SYS_seccomp, 1u64, flags, head.as_ptr());
        assert!(result >= 0, "seccomp: {}", std::io::Error::last_os_error());
        if result > 0 {
            // The listener stays open in this process, and so in the program.
            libc::fcntl(result as i32, libc::F_SETFD, 0);
        }
    }
    let words: Vec<CString> =
        words[end + 1..].iter().map(|word| CString::new(word.as_str()).expect("no NUL")).collect();
    let mut pointers: Vec<*const libc::c_char> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: a terminated array of terminated strings.
    unsafe { libc::execvp(pointers[0], pointers.as_ptr()) };
    eprintln!("{:?}: {}", words[0], std::io::Error::last_os_error());
    std::process::exit(127)
}
