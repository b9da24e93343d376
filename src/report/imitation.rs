//! Marks what a function prints in the guard's name, so that a reader, a query or an alarm can
//! tell the guard's records from a forgery. Not redaction, and not a JSON parser.
//!
//! A record is a JSON object with the key `fnguard`. However such an object is dressed up (blanks,
//! a byte order mark, nesting, ten kilobytes of other keys first), JSON leaves one way to write a
//! key: a quotation mark, the seven letters, each plain or as `\u00XX` (RFC 8259 section 7 has no
//! other escape for a letter), a quotation mark. So a [`Marker`] does not ask whether a line is a
//! forgery: it puts a `?` before the closing mark of *every* such string, in any line, in any
//! case. What remains is valid wherever it was, and no parser finds the key in it.
//!
//! The sentence for a terminal begins `fnguard: `; wherever the function writes that, it becomes
//! `fnguard:? `. That is a help and no proof: a terminal obeys control sequences, so what stands on
//! it can be painted letter by letter. (`fnguard::`, as in a Rust path, stays.)
//!
//! A marker only ever inserts, and decides at each byte by what came before: it holds nothing
//! back, and its output does not depend on how the input was cut. It has to see the bytes in the
//! order in which they are written, after redaction: where stdout and stderr end in one place, one
//! marker for both, or a key could be put together from halves.
//!
//! ```
//! use fnguard::report::imitation;
//! assert_eq!(
//!     imitation::mark(br#"{"\u0066nguard":"violation"}"#).as_deref(),
//!     Some(br#"{"\u0066nguard?":"violation"}"#.as_slice())
//! );
//! assert_eq!(imitation::mark(b"an honest line"), None);
//! ```

/// What the sentence for a terminal begins with.
pub const TERMINAL_PREFIX: &str = "fnguard: ";

/// The key that makes a JSON object a record.
const KEY: &[u8; 7] = b"fnguard";

/// Marks a stream. See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct Marker {
    string: InString,
    /// How much of `fnguard:` stands just before.
    prefix: usize,
}

/// How far a JSON string that spells the key has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum InString {
    /// No string that could still be the key.
    #[default]
    No,
    /// A quotation mark and this many letters.
    Letters(usize),
    /// The same and a backslash.
    Backslash(usize),
    /// The same, `u`, and hexadecimal digits: how many, and their value.
    Hex(usize, u8, u16),
}

impl Marker {
    /// A marker at the start of a line.
    pub fn new() -> Self {
        Marker::default()
    }

    /// Appends `input`, marked, to `out`. Never fewer bytes than came in.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        out.reserve(input.len());
        let mut copied = 0;
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            if self.step(byte) {
                out.extend_from_slice(input.get(copied..at).unwrap_or_default());
                out.push(b'?');
                copied = at;
            }
            at += 1;
            if self.string == InString::No && self.prefix == 0 {
                // Nothing has begun, and only these bytes begin anything.
                let rest = input.get(at..).unwrap_or_default();
                at += rest.iter().position(|byte| matches!(byte, b'"' | b'f' | b'F')).unwrap_or(rest.len());
            }
        }
        out.extend_from_slice(input.get(copied..).unwrap_or_default());
    }

    /// Tells the marker that a newline was written between what it saw and what comes, as before
    /// and after a record of the guard's.
    pub fn newline(&mut self) {
        *self = Marker::default();
    }

    /// Takes one byte; whether a mark belongs before it.
    fn step(&mut self, byte: u8) -> bool {
        let closes = byte == b'"' && self.string == InString::Letters(KEY.len());
        self.string = self.string.after(byte);
        let prefixed = matches!(byte, b' ' | b'\t') && self.prefix == KEY.len() + 1;
        self.prefix = match self.prefix {
            n if n == KEY.len() && byte == b':' => n + 1,
            n if KEY.get(n) == Some(&byte.to_ascii_lowercase()) => n + 1,
            // The letters of the key are all different, so only its first can begin it anew.
            _ => usize::from(byte.eq_ignore_ascii_case(&b'f')),
        };
        closes || prefixed
    }
}

impl InString {
    fn after(self, byte: u8) -> Self {
        // Which marks open a string and which close one is not known without parsing from the
        // start of the line, so each is taken as one that may open.
        if byte == b'"' {
            return InString::Letters(0);
        }
        match self {
            InString::Letters(n) if KEY.get(n) == Some(&byte.to_ascii_lowercase()) => {
                InString::Letters(n + 1)
            }
            InString::Letters(n) if byte == b'\\' && n < KEY.len() => InString::Backslash(n),
            InString::Backslash(n) if byte == b'u' => InString::Hex(n, 0, 0),
            InString::Hex(n, digits, value) => match char::from(byte).to_digit(16) {
                Some(digit) => {
                    let value = value << 4 | u16::try_from(digit).unwrap_or(0);
                    match digits {
                        0..=2 => InString::Hex(n, digits + 1, value),
                        _ if spells(value, n) => InString::Letters(n + 1),
                        _ => InString::No,
                    }
                }
                None => InString::No,
            },
            InString::No | InString::Letters(_) | InString::Backslash(_) => InString::No,
        }
    }
}

/// Whether a code unit is the key's letter number `n`.
fn spells(unit: u16, n: usize) -> bool {
    let letter = u8::try_from(unit).ok().map(|byte| byte.to_ascii_lowercase());
    letter.is_some() && letter == KEY.get(n).copied()
}

/// One whole line, marked; `None` if there is nothing to mark in it.
pub fn mark(line: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    Marker::new().push(line, &mut out);
    (out.len() != line.len()).then_some(out)
}
