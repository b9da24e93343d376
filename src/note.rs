//! The ELF note that carries a compiled policy for whoever reads the function's file: the launcher,
//! `fnguard check`. Arming does not read it.

use fnguard_policy::model::compiled::{NOTE_OWNER, NOTE_TYPE};

/// A note as elf(5) lays it out, of `N` bytes with the padding.
#[repr(C, align(4))]
#[derive(Debug)]
pub struct Note<const N: usize> {
    owner_size: u32,
    policy_size: u32,
    note_type: u32,
    owner: [u8; NOTE_OWNER.len()],
    policy: [u8; N],
}

impl<const N: usize> Note<N> {
    /// A note for an encoded policy of `size` bytes, padded with zeros to a multiple of four.
    ///
    /// # Panics
    ///
    /// In the compiler, if the sizes do not fit.
    pub const fn new(size: u32, padded: [u8; N]) -> Self {
        assert!(N.is_multiple_of(4) && size as usize <= N && N - (size as usize) < 4);
        Note {
            owner_size: NOTE_OWNER.len() as u32,
            policy_size: size,
            note_type: NOTE_TYPE,
            owner: *NOTE_OWNER,
            policy: padded,
        }
    }

    /// The encoded policy.
    pub const fn policy(&'static self) -> &'static [u8] {
        self.policy.split_at(self.policy_size as usize).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static NOTE: Note<8> = Note::new(6, *b"policy\0\0");

    #[test]
    fn a_note_is_laid_out_as_elf_asks() {
        assert_eq!(size_of::<Note<8>>(), 12 + 8 + 8);
        assert_eq!(std::mem::offset_of!(Note<8>, owner), 12);
        assert_eq!(std::mem::offset_of!(Note<8>, policy), 20);
        assert_eq!(NOTE.policy(), b"policy");
    }
}
