//! A compiled policy and its encoding: what the macro writes into the function's binary, what the
//! launcher reads from it, and what arming needs. Arming parses and compiles nothing.
//!
//! The encoded form is one blob: [`MAGIC`], [`FORMAT`] (little endian), then postcard. It stands in the section
//! [`REGISTER_SECTION`], from which a process arms itself, and in the note [`NOTE_SECTION`], for the launcher and
//! for readers of the file.
//!
//! ```
//! use fnguard_policy::model::compiled::{
//!     Compiled, DecodeError, FORMAT, MAGIC, NOTE_OWNER, NOTE_SECTION, NOTE_TYPE, Program, REGISTER_SECTION,
//! };
//! use fnguard_policy::model::Policy;
//!
//! let compiled = Compiled {
//!     arch: "x86_64".to_owned(),
//!     origin: "guard.toml".to_owned(),
//!     debug_build: false,
//!     hash: [0; 32],
//!     policy: Policy::default(),
//!     function: Program { instructions: vec![(6, 0, 0, 0x7fff_0000)], pid_slots: Vec::new() },
//!     audit: Program::default(),
//!     arbiter: Program::default(),
//! };
//! let mut blob = compiled.encode()?;
//! assert!(blob.starts_with(&MAGIC) && blob[4..6] == FORMAT.to_le_bytes());
//! assert_eq!(Compiled::decode(&blob)?, compiled);
//! blob[4] += 1;
//! assert_eq!(Compiled::decode(&blob), Err(DecodeError::Format { found: FORMAT + 1 }));
//!
//! // Where it stands in a program: `readelf -n` shows the note by owner and type.
//! assert_eq!((NOTE_SECTION, NOTE_OWNER, NOTE_TYPE), (".note.fnguard", b"fnguard\0", 1));
//! assert_eq!(REGISTER_SECTION, "fnguard_policies");
//! # Ok::<(), DecodeError>(())
//! ```

use super::Policy;
use serde::{Deserialize, Serialize};

/// The first bytes of an encoded policy.
pub const MAGIC: [u8; 4] = *b"FNGD";
/// The version of the encoding. A blob of another version is refused by name.
pub const FORMAT: u16 = 1;
/// The name of the ELF section that registers policies for arming (a C identifier, so that the
/// linker defines `__start_` and `__stop_` symbols for it).
pub const REGISTER_SECTION: &str = "fnguard_policies";
/// The name of the ELF note section that carries the policy for readers of the file.
pub const NOTE_SECTION: &str = ".note.fnguard";
/// The owner field of that note.
pub const NOTE_OWNER: &[u8; 8] = b"fnguard\0";
/// The type field of that note.
pub const NOTE_TYPE: u32 = 1;

/// Policy and filters for one architecture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compiled {
    /// The architecture of the programs, as in `std::env::consts::ARCH`.
    pub arch: String,
    /// Where the policy came from, for messages: a path relative to the manifest, or `inline`.
    pub origin: String,
    /// Whether the function was built with debug assertions (`[arm] debug` applies).
    pub debug_build: bool,
    /// SHA-256 of the policy's source text.
    pub hash: [u8; 32],
    /// The policy.
    pub policy: Policy,
    /// The function's filter as the policy's modes say.
    pub function: Program,
    /// The function's filter with network, exec and files in audit.
    pub audit: Program,
    /// The arbiter's own filter.
    pub arbiter: Program,
}

/// A BPF program ready to install but for the process id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// `(code, jt, jf, k)` of each instruction.
    pub instructions: Vec<(u16, u8, u8, u32)>,
    /// Indices of instructions whose `k` is the function's own process id, written at arming.
    pub pid_slots: Vec<u16>,
}

/// Why a blob is no compiled policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The blob does not start with [`MAGIC`].
    #[error("not a compiled fnguard policy")]
    Magic,
    /// The blob has another format.
    #[error(
        "compiled by another version of fnguard: format {found}, expected {FORMAT}; build both with the same version"
    )]
    Format {
        /// What the blob says.
        found: u16,
    },
    /// The blob is cut short or damaged.
    #[error("the compiled policy is damaged: {0}")]
    Damaged(String),
}

impl Compiled {
    /// Encodes for the note section and the registration.
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        let body = postcard::to_allocvec(self).map_err(|e| DecodeError::Damaged(e.to_string()))?;
        out.extend_from_slice(&body);
        Ok(out)
    }

    /// Decodes what [`Compiled::encode`] wrote; trailing bytes (a note's padding) are ignored.
    pub fn decode(blob: &[u8]) -> Result<Self, DecodeError> {
        let rest = blob.strip_prefix(&MAGIC).ok_or(DecodeError::Magic)?;
        let (format, body) =
            rest.split_first_chunk::<2>().ok_or_else(|| DecodeError::Damaged("cut short".into()))?;
        let found = u16::from_le_bytes(*format);
        if found != FORMAT {
            return Err(DecodeError::Format { found });
        }
        let (compiled, _) =
            postcard::take_from_bytes::<Compiled>(body).map_err(|e| DecodeError::Damaged(e.to_string()))?;
        Ok(compiled)
    }

    /// The policy's hash as lower-case hex, as the posture line shows it.
    pub fn hash_hex(&self) -> String {
        self.hash.iter().map(|b| format!("{b:02x}")).collect()
    }
}
