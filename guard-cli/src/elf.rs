//! What an ELF program does before its guard, as far as its file tells: whose code the loader runs
//! first, and which of libc's functions it defines itself. Reads only; judges nothing.
//!
//! Sources: System V ABI, "Initialization and Termination Functions"; elf(5).

use anyhow::{Context, Result};
use object::elf::{self, FileHeader64};
use object::read::elf::{ElfFile, FileHeader, SectionHeader, Sym};
use object::read::{Object, ObjectSymbol, ReadCache};
use object::{Endianness, SymbolKind};
use std::collections::BTreeSet;
use std::fs::File;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// The entries of `.preinit_array`, in the order in which they run, by name where the file
    /// still has its symbols, else by address.
    pub(crate) preinit: Vec<String>,
    /// How many functions `.init_array` holds.
    pub(crate) init: u64,
    /// How many IRELATIVE relocations there are: functions of the program's own that the loader
    /// calls while it relocates, before every constructor.
    pub(crate) irelative: u64,
    /// Functions of libc's that the program defines for itself and its libraries.
    pub(crate) interposed: Vec<String>,
    /// Whether there are section headers to read: `sstrip` and packers take them.
    pub(crate) has_sections: bool,
}

/// What arming and the arbiter, or the Rust library below them, take from libc in a program that
/// arms itself. A program that defines one of them runs its own code there.
const RELIED_ON: &[&str] = &[
    "abort",
    "accept4",
    "bind",
    "calloc",
    "clock_gettime",
    "close",
    "connect",
    "environ",
    "execve",
    "exit",
    "fcntl",
    "fork",
    "free",
    "getauxval",
    "getenv",
    "getpid",
    "ioctl",
    "listen",
    "malloc",
    "memcmp",
    "memcpy",
    "memmove",
    "memset",
    "mmap",
    "mprotect",
    "munmap",
    "open",
    "open64",
    "poll",
    "posix_memalign",
    "prctl",
    "pthread_create",
    "pthread_self",
    "pthread_sigmask",
    "read",
    "realloc",
    "recv",
    "recvfrom",
    "recvmsg",
    "send",
    "sendmsg",
    "sendto",
    "setenv",
    "setsockopt",
    "sigaction",
    "sigaltstack",
    "socket",
    "strlen",
    "syscall",
    "unsetenv",
    "write",
    "writev",
    "__libc_start_main",
];

/// Looks at a program.
pub(crate) fn beginning(file: &File) -> Result<Beginning> {
    let cache = ReadCache::new(file);
    let elf =
        ElfFile::<FileHeader64<Endianness>, _>::parse(&cache).context("it is no readable ELF program")?;
    let endian = elf.endian();
    let header = elf.elf_header();
    let irelative_type = match header.e_machine(endian) {
        elf::EM_X86_64 => Some(elf::R_X86_64_IRELATIVE),
        elf::EM_AARCH64 => Some(elf::R_AARCH64_IRELATIVE),
        _ => None,
    };
    let relative_type = match header.e_machine(endian) {
        elf::EM_X86_64 => Some(elf::R_X86_64_RELATIVE),
        elf::EM_AARCH64 => Some(elf::R_AARCH64_RELATIVE),
        _ => None,
    };
    let sections = header.sections(endian, &cache)?;
    let mut found = Beginning { has_sections: !sections.is_empty(), ..Beginning::default() };
    let mut entries: Vec<(u64, u64)> = Vec::new();
    for section in sections.iter() {
        match section.sh_type(endian) {
            elf::SHT_PREINIT_ARRAY => {
                let words: &[object::U64<Endianness>] =
                    section.data_as_array(endian, &cache).context("a damaged .preinit_array")?;
                let address = section.sh_addr(endian);
                entries.extend(
                    (words.iter().zip(0u64..))
                        .map(|(word, index)| (address.wrapping_add(index * 8), word.get(endian))),
                );
            }
            elf::SHT_INIT_ARRAY => found.init += section.sh_size(endian) / 8,
            _ => {}
        }
    }
    for section in sections.iter() {
        if let Some((relocations, _)) = section.rela(endian, &cache)? {
            for relocation in relocations {
                let kind = relocation.r_type(endian, false);
                if Some(kind) == irelative_type {
                    found.irelative += 1;
                } else if Some(kind) == relative_type
                    && let Some(entry) =
                        entries.iter_mut().find(|(place, _)| *place == relocation.r_offset.get(endian))
                {
                    entry.1 = relocation.r_addend.get(endian).cast_unsigned();
                }
            }
        }
    }
    found.preinit = entries.iter().map(|&(_, address)| function_at(&elf, address)).collect();
    let interposed: BTreeSet<&str> = elf
        .dynamic_symbols()
        .filter(|symbol| !symbol.elf_symbol().is_undefined(endian))
        .filter_map(|symbol| symbol.name().ok())
        .filter(|name| RELIED_ON.contains(name))
        .collect();
    found.interposed = interposed.into_iter().map(str::to_owned).collect();
    Ok(found)
}

fn function_at<'data, R: object::ReadRef<'data>>(
    elf: &ElfFile<'data, FileHeader64<Endianness>, R>,
    address: u64,
) -> String {
    elf.symbols()
        .find(|symbol| symbol.kind() == SymbolKind::Text && symbol.address() == address)
        .and_then(|symbol| symbol.name().ok())
        .map_or_else(|| format!("{address:#x}"), str::to_owned)
}

/// Whether an entry of `.preinit_array` is the guard's own, by its symbol.
pub(crate) fn is_guard(entry: &str) -> bool {
    entry.contains("fnguard") && entry.contains("constructor") && entry.contains("early")
}
