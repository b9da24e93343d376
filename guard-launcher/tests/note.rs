//! The reader of notes against files that were made by hand, and against damaged ones.

use fnguard_launcher::note::{self, LAUNCHER_NOTE_TYPE, NoteError, Notes};
use proptest::prelude::*;
use std::io::Cursor;

const POLICY_TYPE: u32 = 1;

/// A note as elf(5) lays it out.
fn note(owner: &[u8], kind: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for number in [owner.len() as u32, content.len() as u32, kind] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for part in [owner, content] {
        out.extend_from_slice(part);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

/// An ELF program with a note segment, and perhaps an interpreter: 64-byte header, 56-byte program
/// headers, then what they mean.
fn program(machine: u16, notes: &[u8], interpreter: bool) -> Vec<u8> {
    let headers = 1 + usize::from(interpreter);
    let start = 64 + 56 * headers;
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    out.extend_from_slice(&2u16.to_le_bytes());
    out.extend_from_slice(&machine.to_le_bytes());
    out.extend_from_slice(&1u32.to_le_bytes());
    for word in [0u64, 64, 0] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&0u32.to_le_bytes());
    for half in [64u16, 56, headers as u16, 64, 0, 0] {
        out.extend_from_slice(&half.to_le_bytes());
    }
    let mut header = |kind: u32, offset: usize, size: usize| {
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&4u32.to_le_bytes());
        for word in [offset as u64, 0, 0, size as u64, size as u64, 4] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    };
    header(4, start, notes.len());
    if interpreter {
        header(3, start + notes.len(), 8);
    }
    out.extend_from_slice(notes);
    out.extend_from_slice(b"/ld.so\0\0");
    out
}

fn read(bytes: &[u8]) -> Result<Notes, NoteError> {
    let whole = note::read_bytes(bytes);
    // By the road of files it is the same.
    let seeking = note::read_seekable(Cursor::new(bytes.to_vec()));
    assert_eq!(whole.as_ref().ok(), seeking.as_ref().ok());
    whole
}

#[test]
fn the_policy_is_found_among_other_notes() {
    let mut notes = note(b"GNU\0", POLICY_TYPE, b"a build id");
    notes.extend(note(b"fnguard\0", 77, b"of another kind"));
    notes.extend(note(b"fnguard\0", POLICY_TYPE, b"the policy!"));
    notes.extend(note(b"fnguard\0", POLICY_TYPE, b"a second one"));
    let found = read(&program(62, &notes, true)).unwrap();
    assert_eq!(found.policy.as_deref(), Some(b"the policy!".as_slice()));
    assert_eq!((found.arch, found.is_static, found.launcher), (Some("x86_64"), false, None));
}

#[test]
fn architectures_and_linkage() {
    for (machine, arch) in [(62, Some("x86_64")), (183, Some("aarch64")), (243, None)] {
        let found = read(&program(machine, b"", false)).unwrap();
        assert_eq!((found.arch, found.is_static, found.policy), (arch, true, None));
    }
}

#[test]
fn the_launcher_is_marked() {
    let version = b"0.1.0\0\0\0\x1b[2J";
    let found = read(&program(62, &note(b"fnguard\0", LAUNCHER_NOTE_TYPE, version), false)).unwrap();
    assert_eq!(found.launcher.as_deref(), Some("0.1.0"));
    let own = std::fs::File::open(env!("CARGO_BIN_EXE_fnguard-launcher")).unwrap();
    assert_eq!(note::read(&own).unwrap().launcher.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    let other = std::fs::File::open("/proc/self/exe").unwrap();
    assert_eq!(note::read(&other).unwrap().launcher, None);
}

#[test]
fn what_is_no_program() {
    for bytes in [b"".as_slice(), b"\x7fELF", b"#!/bin/sh\n", b"PK\x03\x04", &[0; 64]] {
        assert!(matches!(read(bytes), Err(NoteError::NotElf)), "{bytes:?}");
    }
    let mut narrow = program(62, b"", false);
    narrow[4] = 1;
    assert!(matches!(read(&narrow), Err(NoteError::NotElf)));
    // A segment beyond the end of the file.
    let mut beyond = program(62, &note(b"fnguard\0", POLICY_TYPE, b"x"), false);
    beyond[64 + 8..64 + 16].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(read(&beyond), Err(NoteError::Damaged(_))));
    // Sizes that would ask for more memory than there is.
    let mut enormous = program(62, b"", false);
    enormous[64 + 32..64 + 40].copy_from_slice(&(1u64 << 60).to_le_bytes());
    assert!(read(&enormous).is_ok_and(|notes| notes.policy.is_none()));
}

fn sample() -> Vec<u8> {
    let mut notes = note(b"GNU\0", 3, b"01234567890123456789");
    notes.extend(note(b"fnguard\0", POLICY_TYPE, &[7; 64]));
    program(62, &notes, true)
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = read(&bytes);
    }

    #[test]
    fn a_damaged_program_is_read_or_refused(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = sample();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let _ = read(&bytes);
        bytes.truncate(length.index(bytes.len()));
        let _ = read(&bytes);
    }

    /// Numbers at their limits, where lengths and offsets stand.
    #[test]
    fn extreme_numbers(
        words in proptest::collection::vec((0usize..45, prop_oneof![
            Just(u64::MAX), Just(1 << 63), Just(u64::MAX - 7), Just(1 << 32), Just(0), Just(u64::from(u32::MAX)),
        ]), 1..6)
    ) {
        let mut bytes = sample();
        for (word, value) in words {
            let at = word * 8;
            if let Some(place) = bytes.get_mut(at..at + 8) {
                place.copy_from_slice(&value.to_le_bytes());
            }
        }
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        let _ = read(&bytes);
    }
}
