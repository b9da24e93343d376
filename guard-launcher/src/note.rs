//! The notes of fnguard in an ELF file: the compiled policy that `#[guarded]` puts into a function,
//! and the mark that tells the launcher from other programs. Reads headers and notes, never the
//! whole file; what the file says is believed only within bounds.
//!
//! Sources: elf(5), "Notes (Nhdr)".

use fnguard_policy::model::compiled::{NOTE_OWNER, NOTE_SECTION, NOTE_TYPE};
use object::elf::{FileHeader64, PT_NOTE, SHT_NOTE};
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader, SectionHeader};
use object::read::{ReadCache, ReadCacheOps, ReadRef};
use object::{Endianness, elf};
use std::fs::File;
use std::io;

/// The type field of the note that marks the launcher; its content is the version of fnguard.
pub const LAUNCHER_NOTE_TYPE: u32 = 2;
/// A note segment larger than this is not read: a policy takes a few kilobytes.
const LARGEST_NOTES: u64 = 16 << 20;

/// What stands in front of a file that is no readable ELF program.
#[derive(Debug, thiserror::Error)]
pub enum NoteError {
    /// The file can't be read.
    #[error("it can't be read: {0}")]
    Read(#[from] io::Error),
    /// It is no 64-bit ELF file: a script, an archive, something else.
    #[error("it is no 64-bit ELF program")]
    NotElf,
    /// Its headers contradict themselves, or name what the file does not hold.
    #[error("its ELF headers are damaged: {0}")]
    Damaged(#[from] object::read::Error),
}

/// What an ELF file says of itself and of fnguard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notes {
    /// The architecture as in `std::env::consts::ARCH`; `None` for one that fnguard has no table for.
    pub arch: Option<&'static str>,
    /// Whether the kernel starts it by itself, without an ELF interpreter.
    pub is_static: bool,
    /// The encoded policy, if it carries one.
    pub policy: Option<Vec<u8>>,
    /// The version of fnguard, if it is the launcher.
    pub launcher: Option<String>,
}

/// Reads the notes of an ELF file.
///
/// # Errors
///
/// [`NoteError`] where the file is no readable ELF program. A program without a note is no error.
pub fn read(file: &File) -> Result<Notes, NoteError> {
    read_from(&ReadCache::new(file))
}

/// As [`read`], from bytes.
///
/// # Errors
///
/// As [`read`].
pub fn read_bytes(bytes: &[u8]) -> Result<Notes, NoteError> {
    read_from(bytes)
}

/// As [`read`], from whatever can seek.
///
/// # Errors
///
/// As [`read`].
pub fn read_seekable<R: ReadCacheOps>(source: R) -> Result<Notes, NoteError> {
    read_from(&ReadCache::new(source))
}

fn read_from<'data, R: ReadRef<'data>>(data: R) -> Result<Notes, NoteError> {
    let header = FileHeader64::<Endianness>::parse(data).map_err(|_| NoteError::NotElf)?;
    let endian = header.endian().map_err(|_| NoteError::NotElf)?;
    let little = endian == Endianness::Little;
    let arch = match header.e_machine(endian) {
        elf::EM_X86_64 if little => Some("x86_64"),
        elf::EM_AARCH64 if little => Some("aarch64"),
        _ => None,
    };
    let mut notes = Notes { arch, is_static: true, policy: None, launcher: None };
    for segment in header.program_headers(endian, data)? {
        match segment.p_type(endian) {
            elf::PT_INTERP => notes.is_static = false,
            PT_NOTE if segment.p_filesz(endian) <= LARGEST_NOTES => {
                if let Some(list) = segment.notes(endian, data)? {
                    notes.take(list, endian)?;
                }
            }
            _ => {}
        }
    }
    if notes.policy.is_none() && notes.launcher.is_none() {
        notes.take_sections(header, endian, data)?;
    }
    Ok(notes)
}

impl Notes {
    fn take(
        &mut self,
        mut list: NoteIterator<'_, FileHeader64<Endianness>>,
        endian: Endianness,
    ) -> Result<(), NoteError> {
        while let Some(note) = list.next()? {
            if note.name() != NOTE_OWNER.strip_suffix(b"\0").unwrap_or(NOTE_OWNER) {
                continue;
            }
            match note.n_type(endian).0 {
                NOTE_TYPE if self.policy.is_none() => self.policy = Some(note.desc().to_vec()),
                LAUNCHER_NOTE_TYPE => {
                    let text = String::from_utf8_lossy(note.desc());
                    let version: String =
                        text.chars().take_while(|c| c.is_ascii_graphic()).take(32).collect();
                    self.launcher = Some(version);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A note that was added to a finished file (`objcopy --add-section`) lies in no segment.
    fn take_sections<'data, R: ReadRef<'data>>(
        &mut self,
        header: &FileHeader64<Endianness>,
        endian: Endianness,
        data: R,
    ) -> Result<(), NoteError> {
        let sections = header.sections(endian, data)?;
        for section in sections.iter() {
            if section.sh_type(endian) == SHT_NOTE
                && section.sh_size(endian) <= LARGEST_NOTES
                && sections.section_name(endian, section).is_ok_and(|name| name == NOTE_SECTION.as_bytes())
                && let Some(list) = section.notes(endian, data)?
            {
                self.take(list, endian)?;
            }
        }
        Ok(())
    }
}
