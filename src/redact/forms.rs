//! The ways in which programs write a byte: escapes, hex digits, base64 digits. Each function
//! undoes one of them for one byte; where in a text they apply is [`lanes`](super::lanes)'s matter.

/// What a byte is in no table.
const NONE: u8 = 0xff;
const HEX: [u8; 256] = digits(b"0123456789abcdef", b"0123456789ABCDEF");
/// Standard and URL alphabet (RFC 4648, sections 4 and 5) in one: no text mixes them.
const BASE64: [u8; 256] = digits(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
);

/// The value of each byte as a digit, in either of two alphabets.
const fn digits(one: &[u8], other: &[u8]) -> [u8; 256] {
    let mut table = [NONE; 256];
    let mut value = 0;
    while value < one.len() {
        table[one[value] as usize] = value as u8;
        table[other[value] as usize] = value as u8;
        value += 1;
    }
    table
}

/// The value of a hex digit.
pub(super) fn hex_digit(byte: u8) -> Option<u8> {
    HEX.get(usize::from(byte)).copied().filter(|&value| value != NONE)
}

/// The six bits of a base64 digit.
pub(super) fn base64_digit(byte: u8) -> Option<u8> {
    BASE64.get(usize::from(byte)).copied().filter(|&value| value != NONE)
}

/// Whether a byte belongs to a token: a letter, a digit, `_`, or part of a character outside ASCII.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The most bytes of text that an escape has before its last: `\ud83d\ude0`.
pub(super) const MAX_ESCAPE_HELD: usize = 11;

/// An escape of which a beginning has been read: `\`, `\u0`, `%4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Escape {
    kind: Kind,
    /// How many bytes of text have been read.
    len: u8,
    /// The digits so far as a number.
    value: u32,
    /// How many digits that is.
    digits: u8,
    /// The first half of a surrogate pair, or 0.
    high: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `%`: two digits follow.
    Percent,
    /// `\`: a letter follows.
    Backslash,
    /// `\x`: two digits follow.
    Byte,
    /// `\u`: four digits, or a brace.
    Unicode,
    /// `\u{`: one to six digits, then a brace.
    Braced,
    /// `\uD83D`: a backslash follows.
    Pair,
    /// `\uD83D\`: a `u` follows.
    PairBackslash,
}

/// What a byte of text did to an [`Escape`].
pub(super) enum Read {
    /// The escape goes on.
    More(Escape),
    /// The escape is complete and stands for these bytes: a UTF-8 character, or one byte.
    Done([u8; 4], usize),
    /// This is no escape.
    Not,
}

impl Escape {
    /// The escape that a byte opens.
    pub(super) fn open(byte: u8) -> Option<Self> {
        let kind = match byte {
            b'%' => Kind::Percent,
            b'\\' => Kind::Backslash,
            _ => return None,
        };
        Some(Escape { kind, len: 1, value: 0, digits: 0, high: 0 })
    }

    /// Reads the next byte of text.
    pub(super) fn read(mut self, byte: u8) -> Read {
        self.len = self.len.saturating_add(1);
        match self.kind {
            Kind::Percent | Kind::Byte => match self.digit(byte) {
                Some(next) if next.digits == 2 => one(u8::try_from(next.value).unwrap_or_default()),
                Some(next) => Read::More(next),
                None => Read::Not,
            },
            Kind::Backslash => match byte {
                // JSON (RFC 8259, section 7), and what Rust, C, Go and Python add to it.
                b'"' | b'\\' | b'/' | b'\'' => one(byte),
                b'n' => one(b'\n'),
                b'r' => one(b'\r'),
                b't' => one(b'\t'),
                b'b' => one(0x08),
                b'f' => one(0x0c),
                b'0' => one(0),
                b'a' => one(0x07),
                b'v' => one(0x0b),
                b'x' => self.turn(Kind::Byte),
                b'u' => self.turn(Kind::Unicode),
                _ => Read::Not,
            },
            Kind::Unicode if byte == b'{' && self.digits == 0 && self.high == 0 => self.turn(Kind::Braced),
            Kind::Unicode => match self.digit(byte) {
                Some(next) if next.digits == 4 => next.code_unit(),
                Some(next) => Read::More(next),
                None => Read::Not,
            },
            // Rust writes no leading zeros; taking them would let one byte be ten bytes of text.
            Kind::Braced if byte == b'}' && self.digits > 0 => character(self.value),
            Kind::Braced if self.digits < 6 && !(self.digits == 1 && self.value == 0) => {
                self.digit(byte).map_or(Read::Not, Read::More)
            }
            Kind::Braced => Read::Not,
            Kind::Pair if byte == b'\\' => self.turn(Kind::PairBackslash),
            Kind::PairBackslash if byte == b'u' => self.turn(Kind::Unicode),
            Kind::Pair | Kind::PairBackslash => Read::Not,
        }
    }

    /// How many bytes of text the escape has so far.
    pub(super) fn len(self) -> u64 {
        u64::from(self.len)
    }

    /// Which bits of the byte to come are known, and what they are.
    pub(super) fn known_bits(self) -> (u8, u8) {
        let nibble = u8::try_from(self.value & 0x0f).unwrap_or_default() << 4;
        match (self.kind, self.digits, self.value) {
            (Kind::Percent | Kind::Byte, 1, _) => (0xf0, nibble),
            // Above 0x7f a character is several bytes, whose bits lie elsewhere.
            (Kind::Unicode, 3, 0..=7) if self.high == 0 => (0xf0, nibble),
            _ => (0, 0),
        }
    }

    fn turn(mut self, kind: Kind) -> Read {
        (self.kind, self.value, self.digits) = (kind, 0, 0);
        Read::More(self)
    }

    fn digit(mut self, byte: u8) -> Option<Self> {
        self.value = (self.value << 4) | u32::from(hex_digit(byte)?);
        self.digits = self.digits.saturating_add(1);
        Some(self)
    }

    fn code_unit(mut self) -> Read {
        match (self.high, self.value) {
            (0, 0xd800..=0xdbff) => {
                self.high = self.value;
                self.turn(Kind::Pair)
            }
            (0, value) => character(value),
            (high, low @ 0xdc00..=0xdfff) => character(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)),
            _ => Read::Not,
        }
    }
}

fn one(byte: u8) -> Read {
    Read::Done([byte, 0, 0, 0], 1)
}

fn character(value: u32) -> Read {
    let mut bytes = [0; 4];
    match char::from_u32(value) {
        Some(character) => {
            let len = character.encode_utf8(&mut bytes).len();
            Read::Done(bytes, len)
        }
        None => Read::Not,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &[u8]) -> Option<Vec<u8>> {
        let (first, rest) = text.split_first()?;
        let mut escape = Escape::open(*first)?;
        for (at, &byte) in rest.iter().enumerate() {
            match escape.read(byte) {
                Read::More(next) => escape = next,
                Read::Done(bytes, len) => return (at + 1 == rest.len()).then(|| bytes[..len].to_vec()),
                Read::Not => return None,
            }
            assert!(escape.len() <= MAX_ESCAPE_HELD as u64);
        }
        None
    }

    #[test]
    fn escapes_decode() {
        for (text, bytes) in [
            ("%41", &b"A"[..]),
            ("%c3", b"\xc3"),
            (r"\n", b"\n"),
            (r"\/", b"/"),
            (r"\x1b", b"\x1b"),
            (r"\xfF", b"\xff"),
            (r"\u0041", b"A"),
            (r"\u00e9", "é".as_bytes()),
            (r"\u00E9", "é".as_bytes()),
            (r"\ud83d\ude00", "😀".as_bytes()),
            (r"\u{1b}", b"\x1b"),
            (r"\u{0}", b"\0"),
            (r"\u{1f600}", "😀".as_bytes()),
        ] {
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes), "{text}");
        }
        for text in
            ["%4", "%4g", r"\q", r"\u12", r"\u{}", r"\u{041}", r"\u{1234567}", r"\ud83dx", r"\ud83d\u0041"]
        {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }
}
