//! The ways in which programs write all bytes of a value as digits, and the ways in which they spread
//! them out: each decoder turns text into bytes with their places. Base64, whose places follow by
//! arithmetic, is in [`lanes`](super::lanes).

use super::forms::hex_digit;

/// What a byte of text did to a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing is complete yet.
    More,
    /// This byte is complete, which begins at the place.
    Byte(u8, u64),
    /// The run of digits ends here.
    End,
    /// It ends after this byte.
    Last(u8, u64),
    /// It ends, and another begins with the byte that was complete before, from the place.
    Anew(u8, u64),
}

/// Turns text into bytes.
#[derive(Clone, Debug)]
pub(super) enum Decoder {
    Hex(Hex),
    Number(Number),
    Spread(Spread),
}

impl Decoder {
    /// Reads the byte at `at`.
    pub(super) fn read(&mut self, byte: u8, at: u64) -> Step {
        match self {
            Decoder::Hex(hex) => hex.read(byte, at),
            Decoder::Number(number) => number.read(byte, at),
            Decoder::Spread(spread) => spread.read(byte, at),
        }
    }

    /// Where the byte in the making begins; `now` if there is none. A number's place is its last
    /// digit's, so there is none: or every figure at the end of a text would be held.
    pub(super) fn partial(&self, now: u64) -> u64 {
        match self {
            Decoder::Hex(Hex { high: Some((_, start)), .. }) => *start,
            _ => now,
        }
    }

    /// Which bits of the byte to come are known, and what they are.
    pub(super) fn known_bits(&self) -> (u8, u8) {
        match self {
            Decoder::Hex(Hex { high: Some((high, _)), .. }) => (0xf0, high << 4),
            _ => (0, 0),
        }
    }
}

/// Hex digits in pairs from the first one on, with or without something between: `6b65`, `6b:65`, `0x6b, 0x65`,
/// `\x6b\x65`, and the lines of `xxd` and `hexdump -C`.
#[derive(Clone, Debug, Default)]
pub(super) struct Hex {
    /// The first digit of a pair, and its place.
    high: Option<(u8, u64)>,
    /// Whether a pair has been read.
    begun: bool,
    /// How much text stands since the last pair.
    gap: u8,
    /// What the gap is made of.
    between: Between,
}

/// Where a decoder of hex digits stands between two pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Between {
    #[default]
    Nothing,
    /// Signs and spaces.
    Signs,
    /// After two spaces, a bar or the like: maybe the column in which a dump shows the bytes as text.
    Column,
    /// The offset at the beginning of a dump's line, and how many digits it has.
    Offset(u8),
}

/// The longest gap between two pairs: a column of text, a line end and an offset.
pub(super) const LONGEST_GAP: u8 = 64;

impl Hex {
    fn read(&mut self, byte: u8, at: u64) -> Step {
        let digit = hex_digit(byte);
        if self.gap > LONGEST_GAP {
            return self.end();
        }
        match self.between {
            Between::Column => {
                self.gap += 1;
                if byte == b'\n' {
                    self.between = Between::Offset(0);
                }
                return Step::More;
            }
            Between::Offset(digits) => {
                self.gap += 1;
                match (digit, byte) {
                    (Some(_), _) if digits < 16 => self.between = Between::Offset(digits + 1),
                    (_, b':' | b' ' | b'\t') if digits >= 4 => self.between = Between::Signs,
                    (_, b' ' | b'\t') if digits == 0 => {}
                    _ => return self.end(),
                }
                return Step::More;
            }
            Between::Nothing | Between::Signs => {}
        }
        match (self.high, digit, byte) {
            // `0x` before a pair.
            (Some((0, _)), _, b'x' | b'X') => {
                (self.high, self.between) = (None, Between::Signs);
                Step::More
            }
            (Some((high, start)), Some(low), _) => {
                (self.high, self.gap, self.between, self.begun) = (None, 0, Between::Nothing, true);
                Step::Byte(high << 4 | low, start)
            }
            (Some(_), None, _) => self.end(),
            (None, Some(high), _) => {
                self.high = Some((high, at));
                Step::More
            }
            (None, None, _) => self.sign(byte),
        }
    }

    fn sign(&mut self, byte: u8) -> Step {
        if !self.begun {
            return self.end();
        }
        self.gap += 1;
        match byte {
            b':' | b'-' | b',' | b'_' | b'\\' | b'x' | b'u' | b'%' | b'\'' | b'"' | b';' | b'\r' | b'\t'
            | b'#' | b'&' | b'{' | b'}' | b'(' | b')' | b'[' | b']' | b' ' => {
                self.between = Between::Signs;
                Step::More
            }
            // A dump's line may end here, and the next begin with an offset; or it may not.
            b'\n' => {
                self.between = Between::Signs;
                Step::More
            }
            _ => self.end(),
        }
    }

    fn end(&mut self) -> Step {
        *self = Hex::default();
        Step::End
    }

    /// The same decoder on the assumption that a dump's column of text, or its next line, begins here.
    pub(super) fn in_column(&self, byte: u8) -> Option<Self> {
        let between = match byte {
            b'\n' => Between::Offset(0),
            b' ' | b'|' if self.gap > 0 => Between::Column,
            _ => return None,
        };
        let may =
            self.high.is_none() && matches!(self.between, Between::Nothing | Between::Signs) && self.begun;
        may.then(|| Hex { between, gap: self.gap + 1, ..self.clone() })
    }
}

/// Numbers with something between them: `115, 107`, one a line, or octal ones.
#[derive(Clone, Debug)]
pub(super) struct Number {
    radix: u16,
    value: u16,
    digits: u8,
    negative: bool,
    /// Where its last digit is.
    last: u64,
    gap: u8,
}

impl Number {
    pub(super) fn new(radix: u16) -> Self {
        Number { radix, value: 0, digits: 0, negative: false, last: 0, gap: 0 }
    }

    fn read(&mut self, byte: u8, at: u64) -> Step {
        match byte {
            b'0'..=b'9' if u16::from(byte - b'0') < self.radix && self.digits < 3 => {
                self.last = at;
                self.value = self.radix * self.value + u16::from(byte - b'0');
                (self.digits, self.gap) = (self.digits + 1, 0);
                Step::More
            }
            b' ' | b',' | b'\n' | b'\r' | b'\t' | b'-' | b';' if self.gap < 24 => {
                let done = (self.digits > 0).then_some((self.value, self.negative));
                (self.value, self.digits, self.gap, self.negative) = (0, 0, self.gap + 1, byte == b'-');
                match done {
                    None => Step::More,
                    Some((value @ ..=0xff, false)) => Step::Byte(value as u8, self.last),
                    // Java's bytes are signed.
                    Some((value @ 1..=0x80, true)) => Step::Byte((0x100 - value) as u8, self.last),
                    Some(_) => Step::End,
                }
            }
            _ => {
                // The last number ends the list.
                let done = (self.digits > 0 && !self.negative).then_some(self.value);
                let start = self.last;
                *self = Number::new(self.radix);
                match done.map(u8::try_from) {
                    Some(Ok(value)) => Step::Last(value, start),
                    _ => Step::End,
                }
            }
        }
    }
}

/// Bytes with the same few others after each: UTF-16 and UTF-32, letters spaced out, one a line.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    /// How many bytes of text are one of the value.
    period: u8,
    at: u8,
    skip: u8,
    /// What stands between them.
    between: Option<u8>,
    /// The last byte of the value, and its place.
    last: (u8, u64),
}

impl Spread {
    pub(super) fn new(period: u8, skip: u8) -> Self {
        Spread { period, at: 0, skip, between: None, last: (0, 0) }
    }

    fn read(&mut self, byte: u8, at: u64) -> Step {
        if self.skip > 0 {
            self.skip -= 1;
            return Step::More;
        }
        let place = self.at;
        self.at = (self.at + 1) % self.period;
        if place == 0 {
            self.last = (byte, at);
            return Step::Byte(byte, at);
        }
        match self.between {
            Some(between) if between == byte => Step::More,
            None if self.separates(byte) => {
                self.between = Some(byte);
                Step::More
            }
            _ => {
                self.between = Some(byte).filter(|&byte| self.separates(byte));
                // What stood before is no part of it: `key: ` before a value in UTF-16.
                match self.between {
                    Some(_) if place == 1 => Step::Anew(self.last.0, self.last.1),
                    _ => Step::End,
                }
            }
        }
    }

    fn separates(&self, byte: u8) -> bool {
        matches!(byte, 0 | b' ')
            || self.period == 2 && matches!(byte, b'\n' | b'-' | b'.' | b',' | b'_' | b'|' | b'\t')
    }
}
