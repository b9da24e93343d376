//! Every message between the two processes, and nothing that crosses but these.
//!
//! The link is a SEQPACKET socket pair: one message a packet, so that no stray byte can shift the
//! next one. The function asks, the arbiter answers, in order. Messages can only tighten; one
//! that can't be understood ends that message, never the arbiter.
//!
//! | message | what it does | limits |
//! |---|---|---|
//! | `Hello` | names both versions | |
//! | `Secret` | gives a captured secret by name | name ≤ 256 bytes |
//! | `Start` | opens an invocation | id ≤ 128 bytes, 1,024 open |
//! | `Finish` | closes it, after the bytes now in the pipes are out | half a second; `soon`, a millisecond |
//! | `Redact` | redacts a text that leaves by the runtime, and has it told whose it was | text ≤ 64 KiB |
//! | `Protect` | registers a late secret | 256 of them, 8 to 8,192 bytes each |
//! | `Loaded` | ends the load phase | |
//! | `Describe` | gives the posture line | |
//! | `Violations` | gives those after one that the function has | the newest; 64 KiB are kept, 32 KiB in an answer |

pub(crate) mod answer;
pub(crate) mod ask;
pub(crate) mod handshake;
pub(crate) mod inbox;

use serde::{Deserialize, Serialize};

/// The first two arguments of the call by which a program asks for its link: `fngu`, `ard!`.
/// Both lie above PID_MAX_LIMIT, so no kernel finds a process by them.
pub(crate) const QUESTION: (u32, u32) = (0x666e_6775, 0x6172_6421);
/// The third argument: the version of this table.
pub(crate) const VERSION: u32 = 1;
/// The longest packet.
pub(crate) const LONGEST: usize = 96 * 1024;
/// The longest text that is redacted in one message.
pub(crate) const LONGEST_TEXT: usize = 64 * 1024;
/// The longest name of a secret.
pub(crate) const LONGEST_NAME: usize = 256;
/// The longest id of an invocation.
pub(crate) const LONGEST_ID: usize = 128;
/// The variable that carries the link's descriptor number to a launched program where no
/// listener can give it one. It says where to ask, no more: see `ask::inherited_from_launcher`.
pub(crate) const LINK_VARIABLE: &str = "FNGUARD_LINK";

/// What the function asks.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request<'a> {
    Hello { version: u32 },
    Secret { name: &'a str },
    Start { id: &'a str },
    Finish { id: &'a str, soon: bool },
    Redact { text: &'a str, leaves: Leaves },
    Protect { name: &'a str, value: &'a [u8] },
    Loaded,
    Describe,
    Violations { after: u64 },
}

/// What a text leaves as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Leaves {
    /// A handler's error.
    Error,
    /// A panic's message.
    Panic,
}

/// What the arbiter answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer<'a> {
    /// Done.
    Done,
    /// Nothing was done: it takes longer than it may.
    NotYet,
    /// The value of a secret.
    Secret(&'a [u8]),
    /// There is no such secret.
    NoSuchSecret,
    /// The text, redacted.
    Text(&'a str),
    /// Refused, and why.
    Refused(&'a str),
    /// Violations: the number of the first, as many as go into a packet, and the newest's number.
    /// Those between the one that was asked for and the first are no longer kept.
    Violations { first: u64, told: Vec<Told>, newest: u64 },
}

/// What the function is told of a violation, or of some that were counted together. Its texts are
/// redacted, escaped and cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Its record's number in the log.
    pub(crate) seq: u64,
    pub(crate) action: String,
    pub(crate) control: String,
    pub(crate) syscall: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) program: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) rule: Option<String>,
    pub(crate) phase: Option<String>,
    pub(crate) request_ids: Vec<String>,
    /// How many there were: more than one where they were only counted.
    pub(crate) count: u64,
}
