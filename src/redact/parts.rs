//! What to look for, given a secret: the value itself, and what programs make of it before they print
//! it. A connection string is taken apart, a key loses its armour, a token is split at its dots.
//! How a part is then written is [`lanes`](super::lanes)'s matter.

use super::automaton::Pattern;
use super::strength::{self, Strength};
use zeroize::Zeroizing;

/// The shortest and the longest value that is looked for backwards and in other letters.
const TURNED: std::ops::RangeInclusive<usize> = 12..=256;
/// How many values are made of one that is turned.
const TURNS: usize = 6;
/// How deep values are taken out of values: a password out of a connection string out of JSON.
const DEEPEST: u8 = 3;
/// How many parts are made of one secret at most.
const MOST_PARTS: usize = 64;

/// The parts of a strong value, which the caller has trimmed; the value itself first. `turned` says how
/// many bytes more may be spent on values turned round and put in other letters.
pub(super) fn parts(value: &[u8], name: u16, turned: &mut usize) -> Vec<Pattern> {
    let mut parts = Parts { found: Vec::new(), name };
    parts.add(value, 0);
    parts.turn(turned);
    parts.found
}

struct Parts {
    found: Vec<Pattern>,
    name: u16,
}

impl Parts {
    fn add(&mut self, value: &[u8], depth: u8) {
        let value = value.trim_ascii();
        let known = self.found.iter().any(|part| part.bytes.as_slice() == value);
        if known || self.found.len() >= MOST_PARTS || strength::strength(value) != Strength::Strong {
            return;
        }
        let public = strength::public_len(value);
        self.push(value.to_vec(), public);
        // Programs print keys without the issuer's prefix too.
        if strength::structure_len(value) == 0
            && let Some(own) = value.get(public..).filter(|own| public > 0 && own.len() >= 16)
        {
            self.push(own.to_vec(), 0);
        }
        self.in_other_characters(value);
        if depth < DEEPEST {
            self.take_apart(value, depth + 1);
        }
    }

    fn push(&mut self, bytes: Vec<u8>, public: usize) {
        let bytes = Zeroizing::new(bytes);
        if self.found.len() < MOST_PARTS && self.found.iter().all(|known| known.bytes != bytes) {
            self.found.push(strength::pattern(bytes, public, self.name));
        }
    }

    /// Characters beyond ASCII in other encodings than UTF-8: as one byte each where that is possible, which is
    /// Latin-1, what Python's `ascii` escapes, and what is left of UTF-16 without its zeros; and as UTF-16 where
    /// it has more than zeros.
    fn in_other_characters(&mut self, value: &[u8]) {
        let Some(text) = std::str::from_utf8(value).ok().filter(|text| !text.is_ascii()) else { return };
        let public = text.bytes().take(strength::public_len(value)).take_while(u8::is_ascii).count();
        let mut bytes = Vec::with_capacity(value.len());
        for character in text.chars() {
            match u8::try_from(u32::from(character)) {
                Ok(byte) => bytes.push(byte),
                Err(_) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        self.push(bytes, public);
        if text.chars().any(|character| u32::from(character) > 0xff) {
            self.push(text.encode_utf16().flat_map(u16::to_le_bytes).collect(), 2 * public);
            self.push(text.encode_utf16().flat_map(u16::to_be_bytes).collect(), 2 * public);
        }
    }

    /// Adds each part backwards, in capitals and small letters, by thirteen letters on, and with each two
    /// bytes swapped, as dumps in words of two bytes show them.
    fn turn(&mut self, left: &mut usize) {
        for at in 0..self.found.len() {
            let Some(value) = self.found.get(at).map(|part| part.bytes.clone()) else { return };
            // Of what has a syntax the parts that matter are parts of their own.
            let simple = TURNED.contains(&value.len()) && strength::structure_len(&value) == 0;
            if !simple || *left < TURNS * value.len() {
                continue;
            }
            *left -= TURNS * value.len();
            let public = strength::public_len(&value);
            let swapped = |first: usize| {
                let mut swapped = value.get(first..).unwrap_or_default().to_vec();
                swapped.truncate(swapped.len() & !1);
                swapped.as_chunks_mut::<2>().0.iter_mut().for_each(|pair| pair.reverse());
                swapped
            };
            self.push(value.iter().rev().copied().collect(), 0);
            self.push(value.to_ascii_uppercase(), public);
            self.push(value.to_ascii_lowercase(), public);
            self.push(value.iter().map(|&byte| rot13(byte)).collect(), public);
            self.push(swapped(0), 0);
            self.push(swapped(1), 0);
        }
    }

    fn take_apart(&mut self, value: &[u8], depth: u8) {
        self.unquote(value, depth);
        self.url(value, depth);
        self.pairs(value, depth);
        self.json(value, depth);
        self.token(value);
        self.key(value);
        self.decode(value, depth);
    }

    fn unquote(&mut self, value: &[u8], depth: u8) {
        if let [quote @ (b'"' | b'\''), inner @ .., last] = value
            && quote == last
        {
            self.add(inner, depth);
        }
        if value.contains(&b'\r') {
            let unix: Vec<u8> = value.iter().copied().filter(|&byte| byte != b'\r').collect();
            self.add(&unix, depth);
        }
    }

    /// The password of a URL, and the values in its query (RFC 3986, section 3).
    fn url(&mut self, value: &[u8], depth: u8) {
        let Some(scheme) = find(value, b"://").filter(|&at| at < 32 && at > 0) else { return };
        if !value
            .get(..scheme)
            .unwrap_or_default()
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b))
        {
            return;
        }
        let rest = value.get(scheme + 3..).unwrap_or_default();
        let authority = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
        // A password that nobody escaped may hold those signs: the last `@` before the query decides.
        let query = rest.iter().position(|&byte| byte == b'?').unwrap_or(rest.len());
        let at = rest.get(..authority).and_then(|text| text.iter().rposition(|&byte| byte == b'@'));
        let at = at.or_else(|| rest.get(..query)?.iter().rposition(|&byte| byte == b'@'));
        if let Some(user) = at.and_then(|at| rest.get(..at))
            && let Some(colon) = user.iter().position(|&byte| byte == b':')
        {
            let password = user.get(colon + 1..).unwrap_or_default();
            self.add(password, depth);
            self.add(&percent_decoded(password), depth);
        }
        for pair in rest.get(query..).unwrap_or_default().split(|byte| b"?&;#".contains(byte)) {
            if let Some(equals) = pair.iter().position(|&byte| byte == b'=')
                && is_private(pair.get(..equals).unwrap_or_default())
            {
                let value = pair.get(equals + 1..).unwrap_or_default();
                self.add(value, depth);
                self.add(&percent_decoded(value), depth);
            }
        }
    }

    /// `host=db password=…` and `Server=db;Password=…`.
    fn pairs(&mut self, value: &[u8], depth: u8) {
        for separator in [b';', b' ', b',', b'\n'] {
            let pairs: Vec<(&[u8], &[u8])> = value
                .split(|&byte| byte == separator)
                .filter_map(|pair| {
                    let equals = pair.iter().position(|&byte| byte == b'=')?;
                    Some((pair.get(..equals)?.trim_ascii(), pair.get(equals + 1..)?.trim_ascii()))
                })
                .collect();
            if pairs.len() < 2 {
                continue;
            }
            for (key, value) in pairs {
                if is_private(key) {
                    self.add(value, depth);
                    self.unquote(value, depth);
                }
            }
        }
    }

    /// The strings in JSON whose keys don't tell that they are public.
    fn json(&mut self, value: &[u8], depth: u8) {
        if !matches!(value.first(), Some(b'{' | b'[')) {
            return;
        }
        let mut rest = value;
        let mut key: Option<Vec<u8>> = None;
        while let Some(quote) = rest.iter().position(|&byte| byte == b'"') {
            rest = rest.get(quote + 1..).unwrap_or_default();
            let Some(end) = string_end(rest) else { return };
            let text = json_decoded(rest.get(..end).unwrap_or_default());
            rest = rest.get(end + 1..).unwrap_or_default();
            if rest.trim_ascii_start().first() == Some(&b':') {
                key = Some(text);
                continue;
            }
            if key.as_deref().is_none_or(|key| !is_public_key(key)) {
                self.add(&text, depth);
            }
        }
    }

    /// The payload and the signature of a JWT (RFC 7519); its header is public.
    fn token(&mut self, value: &[u8]) {
        if !value.starts_with(b"eyJ") || value.iter().filter(|&&byte| byte == b'.').count() != 2 {
            return;
        }
        for segment in value.split(|&byte| byte == b'.').skip(1) {
            // Of the payload the first bytes say that it is JSON.
            let public = if segment.starts_with(b"eyJ") { 3 } else { 0 };
            if segment.len() >= 16 {
                self.push(segment.to_vec(), public);
            }
        }
    }

    /// A key in PEM (RFC 7468) without its armour, as one line.
    fn key(&mut self, value: &[u8]) {
        let Some(begin) = find(value, b"-----BEGIN ") else { return };
        let rest = value.get(begin + 11..).unwrap_or_default();
        let Some(head) = find(rest, b"-----") else { return };
        let rest = rest.get(head + 5..).unwrap_or_default();
        let body = rest.get(..find(rest, b"-----END").unwrap_or(rest.len())).unwrap_or_default();
        let line: Vec<u8> = if find(body, b"\\n").is_some() {
            json_decoded(body).into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect()
        } else {
            body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
        };
        if line.len() >= 16 {
            let public = strength::preamble_len(&line);
            let own = line.get(public..).unwrap_or_default().to_vec();
            self.push(line, public);
            if own.len() >= 16 {
                self.push(own, 0);
            }
        }
    }

    /// What a value stands for that is itself written in some form.
    fn decode(&mut self, value: &[u8], depth: u8) {
        if value.iter().all(u8::is_ascii_hexdigit) && value.len() >= 32 && value.len().is_multiple_of(2) {
            let bytes = value
                .as_chunks::<2>()
                .0
                .iter()
                .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
            let bytes: Vec<u8> = bytes.collect();
            self.push(bytes, 0);
            return;
        }
        if value.contains(&b'%') {
            self.add(&percent_decoded(value), depth);
        }
        if value.contains(&b'\\') {
            self.add(&json_decoded(value), depth);
        }
        if value.len() >= 16
            && let Some(bytes) = base64_decoded(value)
        {
            // Text decodes to text; other bytes are as good as random.
            if std::str::from_utf8(&bytes).is_ok_and(|text| !text.contains(char::is_control)) {
                self.add(&bytes, depth);
            } else if value.len() >= 40 {
                self.push(bytes, 0);
            }
        }
    }
}

fn rot13(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => (byte - b'a' + 13) % 26 + b'a',
        b'A'..=b'Z' => (byte - b'A' + 13) % 26 + b'A',
        _ => byte,
    }
}

/// Where a text first stands in another.
fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// Whether a key's value is not for everybody.
fn is_private(key: &[u8]) -> bool {
    const PRIVATE: [&[u8]; 14] = [
        b"password",
        b"passwd",
        b"pwd",
        b"pass",
        b"secret",
        b"token",
        b"key",
        b"sig",
        b"signature",
        b"credential",
        b"auth",
        b"accountkey",
        b"sharedaccesskey",
        b"code",
    ];
    let key = key.to_ascii_lowercase();
    PRIVATE.iter().any(|private| find(&key, private).is_some())
}

/// Whether a key of a JSON secret has a public value (those of cloud accounts' key files).
fn is_public_key(key: &[u8]) -> bool {
    const PUBLIC: [&[u8]; 17] = [
        b"type",
        b"project_id",
        b"client_email",
        b"client_id",
        b"universe_domain",
        b"host",
        b"hostname",
        b"port",
        b"engine",
        b"dbname",
        b"database",
        b"username",
        b"user",
        b"region",
        b"account",
        b"tenant",
        b"name",
    ];
    let key = key.to_ascii_lowercase();
    PUBLIC.contains(&key.as_slice()) || key.ends_with(b"_uri") || key.ends_with(b"_url")
}

/// Where a JSON string ends.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    decoded(text, |rest| match rest {
        [b'%', high, low, ..] => {
            let pair = [*high, *low];
            Some((u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?, 3))
        }
        _ => None,
    })
}

fn json_decoded(text: &[u8]) -> Vec<u8> {
    decoded(text, |rest| match rest {
        [b'\\', b'n', ..] => Some((b'\n', 2)),
        [b'\\', b'r', ..] => Some((b'\r', 2)),
        [b'\\', b't', ..] => Some((b'\t', 2)),
        [b'\\', b'u', b'0', b'0', high, low, ..] => {
            let pair = [*high, *low];
            Some((u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?, 6))
        }
        [b'\\', other @ (b'"' | b'\\' | b'/' | b'\''), ..] => Some((*other, 2)),
        _ => None,
    })
}

fn decoded(mut text: &[u8], escape: impl Fn(&[u8]) -> Option<(u8, usize)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    while let Some(&first) = text.first() {
        let (byte, len) = escape(text).unwrap_or((first, 1));
        out.push(byte);
        text = text.get(len..).unwrap_or_default();
    }
    out
}

/// The bytes of base64 in either alphabet, if all of the text is that.
fn base64_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let end = digits.iter().position(|&byte| byte == b'=').unwrap_or(digits.len());
    if digits.len() - end > 2 || digits.get(end..)?.iter().any(|&byte| byte != b'=') || end % 4 == 1 {
        return None;
    }
    let (mut out, mut bits, mut held) = (Vec::with_capacity(end), 0u32, 0);
    for &digit in digits.get(..end)? {
        (bits, held) = (bits << 6 | u32::from(super::forms::base64_digit(digit)?), held + 6);
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(out)
}
