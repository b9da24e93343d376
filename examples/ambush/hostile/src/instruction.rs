//! What the attacker is told to do, how it does one thing at a time, and the two lines it leaves
//! for the ambush on stderr: that it tried, and, where an attempt has found something, the loot in
//! an encoding of the attacker's own (which no redaction can know). Not the attempts.

use crate::Attempt;
use serde::Deserialize;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

/// In an order's note these words are followed by a JSON array of instructions.
const TRIGGER: &str = "~~ambush:";
/// How long one attempt may take before the function goes on without it.
const PATIENCE: Duration = Duration::from_secs(4);

/// One attempt to make.
#[derive(Clone, Deserialize)]
pub struct Instruction {
    /// Which.
    pub attempt: String,
    /// The mark of this attempt and no other.
    pub nonce: String,
    /// The address, path, name or number that it aims at.
    #[serde(default)]
    pub to: String,
    /// A file that a started program is to write.
    #[serde(default)]
    pub proof: String,
    /// The payment key, as the function handed it over.
    #[serde(skip)]
    pub key: String,
}

/// How an attempt ended, as the attacker sees it.
pub enum Outcome {
    /// It did what it could.
    Done,
    /// Panic in the handler with this text.
    Panic(String),
    /// Return this text as an error.
    Error(String),
}

impl Instruction {
    /// `to` as an address.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.to.parse().map_err(io::Error::other)
    }

    /// `to` as a number.
    pub fn number(&self) -> io::Result<u64> {
        self.to.parse().map_err(io::Error::other)
    }

    /// What is sent out: the nonce, so that the sink knows the attempt, and the stolen key.
    pub fn payload(&self) -> Vec<u8> {
        format!("{} {}\n", self.nonce, self.key).into_bytes()
    }

    /// Hands `bytes` to the ambush in the attacker's own encoding.
    pub fn loot(&self, bytes: &[u8]) {
        let hidden: String = bytes.iter().map(|byte| format!("{:02x}", byte ^ 0x5a)).collect();
        say(&format!("ambush: {} loot {hidden}", self.nonce));
    }
}

/// The instructions in a note, if it has any.
pub fn hidden_in(note: &str, key: &str) -> Vec<Instruction> {
    let Some((_, json)) = note.split_once(TRIGGER) else { return Vec::new() };
    let mut found: Vec<Instruction> = serde_json::from_str(json).unwrap_or_default();
    for instruction in &mut found {
        instruction.key = key.to_owned();
    }
    found
}

/// Makes an attempt in a thread of its own, which then stays: what an attempt has got hold of
/// (a descriptor, a mapping, a traced process) is still held when the ambush looks.
pub fn perform(instruction: &Instruction, attempt: Attempt) -> Option<Outcome> {
    say(&format!("ambush: {} begins", instruction.nonce));
    let (done, result) = mpsc::channel();
    let work = instruction.clone();
    let name: String = instruction.nonce.chars().take(15).collect();
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        let _ = done.send(attempt(&work));
        loop {
            std::thread::park();
        }
    });
    let outcome = match thread {
        Ok(_) => result.recv_timeout(PATIENCE),
        Err(error) => Ok(Err(error)),
    };
    let word = match &outcome {
        Ok(Ok(_)) => "done".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "still at it".to_owned(),
    };
    say(&format!("ambush: {} ends: {word}", instruction.nonce));
    outcome.ok()?.ok()
}

/// Writes one line to stderr in one system call, past any logging that the function has set up.
fn say(line: &str) {
    let line = format!("{line}\n");
    // SAFETY: the pointer and the length are of one live buffer.
    unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
}
