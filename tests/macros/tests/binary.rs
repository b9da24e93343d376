//! What the attribute leaves in a binary: crates of an ordinary user are built by cargo, as a user
//! builds them, and their ELF files read with a parser that shares nothing with the macro.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::{Fixture, notes};
use fnguard_policy::model::Mode;
use object::elf::{FileHeader64, SHF_GNU_RETAIN};
use object::read::elf::{ElfFile64, FileHeader as _, SectionHeader as _};
use object::{Endianness, Object as _, ObjectSection as _};
use std::fs;
use std::path::Path;

/// Entries of the section that are there without any policy: fnguard's own.
const ANCHORS: usize = 1;
/// The size of an entry: a pointer and a length for the policy, and for the place.
const ENTRY: usize = 32;

/// A library with two handlers, under the strictest lints that a user may have.
const LIBRARY: &str = r#"//! Orders.
#![forbid(unsafe_code)]
#![deny(missing_docs, warnings)]

/// How many items an order has at most.
pub const MOST: u32 = 100;

/// Places an order.
#[fnguard::guarded]
pub async fn place(amount: u32) -> Result<u32, String> {
    if amount > MOST { Err("too much".to_owned()) } else { Ok(amount) }
}

/// Cancels one.
#[fnguard::guarded]
pub async fn cancel() -> Result<(), String> {
    Ok(())
}
"#;

/// A program that calls both.
const CALLS: &str = "//! Calls.
#![forbid(unsafe_code)]
fn main() {
    std::hint::black_box((orders::place(1), orders::cancel()));
}
";

/// A program that uses the library for something else.
const LINKS: &str = "//! Links.
fn main() {
    std::process::exit((orders::MOST == 0).into());
}
";

const POLICY: &str = "version = 1\n\n[network]\nallow = [\"api.stripe.com:443\"]\n";

/// The library, and programs that link it.
fn orders(edition: &str) -> Fixture {
    let fixture = Fixture::new(edition, "");
    fixture.write("src/lib.rs", LIBRARY);
    fixture.write("src/bin/calls.rs", CALLS);
    fixture.write("src/bin/links.rs", LINKS);
    fixture.write("guard.toml", POLICY);
    fixture
}

/// How many policies are registered in a program.
fn registered(program: &[u8]) -> usize {
    let file = ElfFile64::<Endianness>::parse(program).unwrap();
    let section = file.section_by_name("fnguard_policies").unwrap();
    let size = usize::try_from(section.size()).unwrap();
    assert_eq!(size % ENTRY, 0);
    size / ENTRY - ANCHORS
}

/// Both handlers of a program, with one policy.
fn holds_both(program: &[u8], debug_build: bool) {
    assert_eq!(registered(program), 2);
    let notes = notes(program);
    assert_eq!(notes.len(), 2);
    assert_eq!(notes[0], notes[1]);
    assert_eq!(notes[0].arch, std::env::consts::ARCH);
    assert_eq!(notes[0].origin, "guard.toml");
    assert_eq!(notes[0].debug_build, debug_build);
    assert_eq!(notes[0].policy.network.allow[0].text, "api.stripe.com:443");
}

#[test]
fn two_handlers_are_two_entries() {
    let fixture = orders("2021");
    let programs = fixture.build(&["build", "--bins"]);
    for name in ["calls", "links"] {
        let (_, program) = programs.iter().find(|(built, _)| built == name).unwrap();
        holds_both(program, true);
    }
}

#[test]
fn entries_outlive_link_time_optimisation_and_both_linkers() {
    let fixture = orders("2024");
    let collect = "-Clink-arg=-Wl,--gc-sections";
    let rustc = ["rustc", "--release", "--bin", "calls", "--", collect];
    // On x86_64 rustc links with its own lld, unless told not to: with GNU ld then.
    let gnu = ["rustc", "--release", "--bin", "calls", "--", collect, "-Clinker-features=-lld"];
    let commands: &[&[&str]] = if cfg!(target_arch = "x86_64") { &[&rustc, &gnu] } else { &[&rustc] };
    for command in commands {
        holds_both(&fixture.program("calls", command), false);
    }
}

#[test]
fn a_linker_that_collects_such_sections_is_told_to_retain_them() {
    let fixture = orders("2024");
    let output = fixture.cargo(&["rustc", "--lib", "--", "--emit=obj", "-Ccodegen-units=1"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let deps = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fixtures/debug/deps");
    let objects = fs::read_dir(deps).unwrap().map(|entry| entry.unwrap().path());
    let object = objects
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("orders-") && name.ends_with(".o")
        })
        .max_by_key(|path| path.metadata().unwrap().modified().unwrap())
        .unwrap();
    let bytes = fs::read(object).unwrap();
    let header = FileHeader64::<Endianness>::parse(&*bytes).unwrap();
    let endian = header.endian().unwrap();
    let sections = header.sections(endian, &*bytes).unwrap();
    let mut seen = 0;
    for section in sections.iter() {
        if sections.section_name(endian, section).unwrap() == b"fnguard_policies" {
            assert_eq!(section.sh_flags(endian).0 & SHF_GNU_RETAIN.0, SHF_GNU_RETAIN.0);
            seen += 1;
        }
    }
    assert!(seen > 0);
}

#[test]
fn unit_tests_register_nothing() {
    let fixture = orders("2024");
    let program = fixture.program("orders", &["test", "--lib", "--no-run"]);
    assert_eq!(registered(&program), 0);
    assert!(notes(&program).is_empty());
}

#[test]
fn editing_the_policy_alone_rebuilds() {
    let fixture = orders("2024");
    let build = ["build", "--bin", "calls"];
    let before = notes(&fixture.program("calls", &build)).remove(0);
    assert_eq!(before.policy.network.mode, Mode::Enforce);

    let again = fixture.cargo(&["build", "--bin", "calls", "--verbose"]);
    let again = String::from_utf8(again.stderr).unwrap();
    assert!(again.contains("Fresh orders"), "{again}");

    // Cargo compares times of change, some of which count whole seconds: this one lies ahead.
    let edited = "version = 1\nmode = \"audit\"\n";
    fixture.write("guard.toml", edited);
    let ahead = std::time::SystemTime::now() + std::time::Duration::from_secs(2);
    let policy = fs::File::options().write(true).open(fixture.directory.join("guard.toml")).unwrap();
    policy.set_modified(ahead).unwrap();

    let after = notes(&fixture.program("calls", &build)).remove(0);
    assert_eq!(after.policy.network.mode, Mode::Audit);
    assert_ne!(after.hash, before.hash);
}

#[test]
fn a_policy_that_is_not_there_is_named() {
    let fixture = orders("2024");
    fs::remove_file(fixture.directory.join("guard.toml")).unwrap();
    let said = fixture.mistake();
    assert!(said.contains("there is no policy: looked for $DIR/guard.toml\n"), "{said}");
    assert!(said.contains("help: create it") && said.contains("version = 1"), "{said}");

    fs::create_dir(fixture.directory.join("guard.toml")).unwrap();
    let said = fixture.mistake();
    assert!(said.contains("the policy $DIR/guard.toml is a directory"), "{said}");
    fs::remove_dir(fixture.directory.join("guard.toml")).unwrap();

    fs::write(fixture.directory.join("guard.toml"), b"version = 1 # caf\xe9\n").unwrap();
    let said = fixture.mistake();
    assert!(said.contains("guard.toml:1:18: the policy is not UTF-8"), "{said}");
    assert!(said.contains("found: the byte 0xe9") && said.contains("save the file as UTF-8"), "{said}");

    fixture.write("guard.toml", POLICY);
    fixture.write("src/lib.rs", &LIBRARY.replacen("guarded]", "guarded(policy = \"../other.toml\")]", 1));
    let said = fixture.mistake();
    assert!(said.contains("there is no such policy: looked for $DIR/../other.toml"), "{said}");
}
