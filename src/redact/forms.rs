//! The ways in which programs write a byte among others that stand for themselves: escapes,
//! entities, doubled quotes, and what may stand between two bytes and mean nothing. Each is undone for
//! one byte; how they nest is [`readings`](super::readings)'s matter, and forms in which every byte becomes
//! digits are [`digits`](super::digits)'s.

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

/// The longest stretch between two bytes that means nothing, such as a line end and an indent.
const LONGEST_GAP: u8 = 24;
/// The most bytes of text that an escape has before its last: a gap, or `\ud83d\ude0` with its digits
/// escaped. What takes more is not followed.
pub(super) const MAX_ESCAPE_HELD: u64 = 2 * 24;
/// The bytes on which a text has several readings.
pub(super) const FORKING: [u8; 13] =
    [b'\\', b'%', b'+', b' ', b'&', b'=', b'"', b'\'', b'$', b'^', b'\n', b'\r', 0x1b];

/// The names of characters in HTML (section 13.5 of the standard) that programs use for ASCII.
const NAMES: &[(&[u8], u8)] = &[
    (b"quot", b'"'),
    (b"QUOT", b'"'),
    (b"amp", b'&'),
    (b"AMP", b'&'),
    (b"lt", b'<'),
    (b"LT", b'<'),
    (b"gt", b'>'),
    (b"GT", b'>'),
    (b"apos", b'\''),
    (b"nbsp", b' '),
    (b"num", b'#'),
    (b"excl", b'!'),
    (b"dollar", b'$'),
    (b"percnt", b'%'),
    (b"lpar", b'('),
    (b"rpar", b')'),
    (b"ast", b'*'),
    (b"plus", b'+'),
    (b"comma", b','),
    (b"period", b'.'),
    (b"sol", b'/'),
    (b"colon", b':'),
    (b"semi", b';'),
    (b"equals", b'='),
    (b"quest", b'?'),
    (b"commat", b'@'),
    (b"lbrack", b'['),
    (b"lsqb", b'['),
    (b"bsol", b'\\'),
    (b"rbrack", b']'),
    (b"rsqb", b']'),
    (b"Hat", b'^'),
    (b"lowbar", b'_'),
    (b"grave", b'`'),
    (b"lbrace", b'{'),
    (b"lcub", b'{'),
    (b"verbar", b'|'),
    (b"vert", b'|'),
    (b"rbrace", b'}'),
    (b"rcub", b'}'),
    (b"Tab", b'\t'),
    (b"NewLine", b'\n'),
];

/// An escape of which a beginning has been read: `\`, `\u0`, `%4`, `&am`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Escape {
    kind: Kind,
    /// How many bytes of text have been read.
    len: u8,
    /// How many digits or letters have been read.
    digits: u8,
    /// The first half of a surrogate pair, or 0.
    high: u16,
    /// The digits so far as a number, or the letters as bytes, the newest lowest.
    value: u64,
    /// Where it begins in the text.
    pub(super) start: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `%`: two digits follow.
    Percent,
    /// `\`: a letter, a digit or a sign follows.
    Backslash,
    /// `\x`: two digits follow.
    Byte,
    /// `\1`: two more octal digits follow.
    Octal,
    /// `\u`: four digits, or a brace.
    Unicode,
    /// `\u{`: one to six digits, then a brace.
    Braced,
    /// `\uD83D`: a backslash follows.
    Pair,
    /// `\uD83D\`: a `u` follows.
    PairBackslash,
    /// `&`: a name or `#` follows.
    Entity,
    /// `&#`: digits or `x` follow.
    Decimal,
    /// `&#x`: digits follow.
    Hexadecimal,
    /// `=` of quoted-printable (RFC 2045): two digits follow, or a line end that means nothing.
    Quoted,
    /// `=` and a carriage return: a line feed follows.
    QuotedReturn,
    /// A sign that is written twice: `""`, `$$`.
    Doubled,
    /// `'`, which in a shell ends a quotation: `'\''` and `'"'"'` stand for one.
    Shell,
    /// `'\`: a quote follows.
    ShellBackslash,
    /// `'"`: a quote follows.
    ShellDouble,
    /// `'"'`: a double quote follows.
    ShellDoubleEnd,
    /// All but the quote that begins the next quotation.
    ShellReopen,
    /// `^` of cmd.exe: a sign follows.
    Caret,
    /// ESC: a bracket follows.
    Terminal,
    /// ESC and a bracket (ECMA-48): parameters follow, then a letter; all of it means nothing.
    Parameters,
    /// A line end inside a value, with the indent or the comment sign of the next line.
    Wrap,
    /// A carriage return before a line feed.
    Return,
}

/// What a byte of text did to an [`Escape`].
pub(super) enum Read {
    /// The escape goes on.
    More(Escape),
    /// The escape is complete and stands for these bytes: a UTF-8 character, or one byte.
    Done([u8; 4], usize),
    /// It may be complete and stand for one byte, or go on.
    Either(u8, Escape),
    /// The escape is complete and means nothing.
    Nothing,
    /// It was complete before this byte, and meant nothing.
    Before,
    /// This is no escape.
    Not,
}

impl Escape {
    /// The escape that a byte may open.
    pub(super) fn open(byte: u8, start: u64) -> Option<Self> {
        let kind = match byte {
            b'%' => Kind::Percent,
            b'\\' => Kind::Backslash,
            b'&' => Kind::Entity,
            b'=' => Kind::Quoted,
            b'"' | b'$' => Kind::Doubled,
            b'\'' => Kind::Shell,
            b'^' => Kind::Caret,
            0x1b => Kind::Terminal,
            b'\n' => Kind::Wrap,
            b'\r' => Kind::Return,
            _ => return None,
        };
        let value = u64::from(byte);
        Some(Escape {
            kind,
            len: 1,
            value: if kind == Kind::Doubled { value } else { 0 },
            digits: 0,
            high: 0,
            start,
        })
    }

    /// Whether it can stand for any byte, or only for some sign or nothing.
    pub(super) fn is_general(self) -> bool {
        matches!(self.kind, Kind::Percent | Kind::Backslash | Kind::Entity)
    }

    /// Whether it may mean nothing.
    pub(super) fn is_gap(self) -> bool {
        matches!(self.kind, Kind::Terminal | Kind::Wrap | Kind::Return)
    }

    /// Whether the two are at the same point, wherever they began.
    pub(super) fn is_like(&self, other: &Escape) -> bool {
        let key = |e: &Escape| (e.kind, e.len, e.digits, e.high, e.value);
        key(self) == key(other)
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
            Kind::Backslash => self.backslash(byte),
            Kind::Octal => match byte {
                b'0'..=b'7' if self.digits == 2 => {
                    one(u8::try_from(self.value << 3 | u64::from(byte - b'0')).unwrap_or_default())
                }
                b'0'..=b'7' => {
                    self.value = self.value << 3 | u64::from(byte - b'0');
                    self.digits += 1;
                    Read::More(self)
                }
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
            Kind::Entity | Kind::Decimal | Kind::Hexadecimal => self.entity(byte),
            Kind::Quoted if byte == b'\n' && self.digits == 0 => Read::Nothing,
            Kind::Quoted if byte == b'\r' && self.digits == 0 => self.turn(Kind::QuotedReturn),
            Kind::Quoted => match self.digit(byte) {
                Some(next) if next.digits == 2 => one(u8::try_from(next.value).unwrap_or_default()),
                Some(next) => Read::More(next),
                None => Read::Not,
            },
            Kind::QuotedReturn if byte == b'\n' => Read::Nothing,
            Kind::Doubled if u64::from(byte) == self.value => one(byte),
            Kind::Shell if byte == b'\'' => one(byte),
            Kind::Shell if byte == b'\\' => self.turn(Kind::ShellBackslash),
            Kind::Shell if byte == b'"' => self.turn(Kind::ShellDouble),
            Kind::ShellDouble if byte == b'\'' => self.turn(Kind::ShellDoubleEnd),
            Kind::ShellDoubleEnd if byte == b'"' => self.turn(Kind::ShellReopen),
            Kind::ShellBackslash if byte == b'\'' => self.turn(Kind::ShellReopen),
            Kind::ShellReopen if byte == b'\'' => one(byte),
            Kind::Caret if byte.is_ascii_punctuation() => one(byte),
            Kind::Terminal if byte == b'[' => self.turn(Kind::Parameters),
            Kind::Parameters if self.len > LONGEST_GAP => Read::Not,
            Kind::Parameters => match byte {
                0x20..=0x3f => Read::More(self),
                0x40..=0x7e => Read::Nothing,
                _ => Read::Not,
            },
            Kind::Wrap if self.len > LONGEST_GAP => Read::Not,
            Kind::Wrap => match byte {
                b' ' | b'\t' | b'|' | b'#' | b'>' | b'*' => Read::More(self),
                _ => Read::Before,
            },
            Kind::Return if byte == b'\n' => Read::Before,
            _ => Read::Not,
        }
    }

    fn backslash(mut self, byte: u8) -> Read {
        match byte {
            // JSON (RFC 8259, section 7), and what Rust, C, Go and Python add to it.
            b'n' => one(b'\n'),
            b'r' => one(b'\r'),
            b't' => one(b'\t'),
            b'b' => one(0x08),
            b'f' => one(0x0c),
            b'a' => one(0x07),
            b'v' => one(0x0b),
            b'x' => self.turn(Kind::Byte),
            b'u' => self.turn(Kind::Unicode),
            b'0'..=b'3' => {
                (self.kind, self.value, self.digits) = (Kind::Octal, u64::from(byte - b'0'), 1);
                if byte == b'0' { Read::Either(0, self) } else { Read::More(self) }
            }
            // A shell puts it before whatever would mean something.
            b' ' => one(byte),
            _ if byte.is_ascii_punctuation() => one(byte),
            _ => Read::Not,
        }
    }

    fn entity(mut self, byte: u8) -> Read {
        match (self.kind, byte) {
            (Kind::Entity, b'#') if self.digits == 0 => self.turn(Kind::Decimal),
            (Kind::Decimal, b'x' | b'X') if self.digits == 0 => self.turn(Kind::Hexadecimal),
            (Kind::Entity, b';') => {
                let letters = self.value.to_be_bytes();
                let name = letters.get(8 - usize::from(self.digits.min(8))..).unwrap_or_default();
                NAMES.iter().find(|(known, _)| *known == name).map_or(Read::Not, |&(_, byte)| one(byte))
            }
            (Kind::Entity, _) if byte.is_ascii_alphabetic() && self.digits < 8 => {
                self.value = self.value << 8 | u64::from(byte);
                self.digits += 1;
                Read::More(self)
            }
            (Kind::Decimal | Kind::Hexadecimal, b';') if self.digits > 0 => match u8::try_from(self.value) {
                Ok(byte @ ..0x80) => one(byte),
                _ => character(self.value),
            },
            (Kind::Decimal, b'0'..=b'9') if self.digits < 7 => {
                self.value = 10 * self.value + u64::from(byte - b'0');
                self.digits += 1;
                Read::More(self)
            }
            (Kind::Hexadecimal, _) if self.digits < 6 => self.digit(byte).map_or(Read::Not, Read::More),
            _ => Read::Not,
        }
    }

    fn turn(mut self, kind: Kind) -> Read {
        (self.kind, self.value, self.digits) = (kind, 0, 0);
        Read::More(self)
    }

    fn digit(mut self, byte: u8) -> Option<Self> {
        self.value = (self.value << 4) | u64::from(hex_digit(byte)?);
        self.digits = self.digits.saturating_add(1);
        Some(self)
    }

    fn code_unit(mut self) -> Read {
        match (u64::from(self.high), self.value) {
            (0, 0xd800..=0xdbff) => {
                self.high = u16::try_from(self.value).unwrap_or_default();
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

fn character(value: u64) -> Read {
    let mut bytes = [0; 4];
    match u32::try_from(value).ok().and_then(char::from_u32) {
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
        let mut escape = Escape::open(*first, 0)?;
        for (at, &byte) in rest.iter().enumerate() {
            match escape.read(byte) {
                Read::More(next) => escape = next,
                Read::Either(byte, _) if at + 1 == rest.len() => return Some(vec![byte]),
                Read::Either(_, next) => escape = next,
                Read::Done(bytes, len) => return (at + 1 == rest.len()).then(|| bytes[..len].to_vec()),
                Read::Nothing => return (at + 1 == rest.len()).then(Vec::new),
                Read::Not | Read::Before => return None,
            }
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
            (r"\$", b"$"),
            (r"\x1b", b"\x1b"),
            (r"\xfF", b"\xff"),
            (r"\0", b"\0"),
            (r"\033", b"\x1b"),
            (r"\163", b"s"),
            (r"\u0041", b"A"),
            (r"\u00e9", "é".as_bytes()),
            (r"\u00E9", "é".as_bytes()),
            (r"\ud83d\ude00", "😀".as_bytes()),
            (r"\u{1b}", b"\x1b"),
            (r"\u{0}", b"\0"),
            (r"\u{1f600}", "😀".as_bytes()),
            ("&quot;", b"\""),
            ("&#39;", b"'"),
            ("&#039;", b"'"),
            ("&#x27;", b"'"),
            ("&#233;", "é".as_bytes()),
            ("=3D", b"="),
            ("=\r\n", b""),
            ("\"\"", b"\""),
            ("'\\''", b"'"),
            ("'\"'\"'", b"'"),
            ("^&", b"&"),
            ("\x1b[1;31m", b""),
        ] {
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes), "{text}");
        }
        for text in [
            "%4",
            "%4g",
            r"\q",
            r"\u12",
            r"\u{}",
            r"\u{041}",
            r"\u{1234567}",
            r"\ud83dx",
            r"\ud83d\u0041",
            "&q;",
            "&#;",
            "=4g",
            "'\\x",
            "\x1bm",
        ] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }
}
