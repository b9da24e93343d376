//! Text of unknown origin made fit for one line of a log: visible, escaped, of bounded length.
//! Not redaction, which comes before it.

use std::fmt::Write as _;

/// What ends a text that was cut.
pub const ELLIPSIS: &str = "…";

/// The most bytes a name takes in a line, escapes included.
pub const NAME_MAX: usize = 255;
/// The same for a host name: any that DNS can carry (RFC 1035 section 2.3.4), its octets as `\DDD`. What says where
/// a look-up was aimed stands at its end, so that none is cut.
pub const LOOKUP_MAX: usize = 5 * 256;
/// The most bytes a path or a free text takes in a line, escapes included.
pub const PATH_MAX: usize = 1024;

/// Bytes as text: valid UTF-8 as it stands, each other byte as a visible `\xNN`.
///
/// A literal `\xNN` in the input stays as it is, so that redaction, which comes after, still finds
/// a secret that holds one.
///
/// ```
/// assert_eq!(fnguard::report::text::visible(b"/tmp/\xffz\xc3\xa9"), r"/tmp/\xffzé");
/// ```
pub fn visible(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String can't fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Appends `text` as the inside of a JSON string (RFC 8259 section 7), at most `cap` bytes with
/// the escapes, cut with [`ELLIPSIS`]. Beyond what JSON demands, everything is escaped that a
/// terminal or a viewer obeys instead of showing.
pub(super) fn push_json(out: &mut String, text: &str, cap: usize) {
    push_capped(out, text, cap, |out, c| match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if is_obeyed(c) => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
        c => out.push(c),
    });
}

/// Appends `text` for a person at a terminal, at most `cap` bytes, cut with [`ELLIPSIS`].
pub(super) fn push_plain(out: &mut String, text: &str, cap: usize) {
    push_capped(
        out,
        text,
        cap,
        |out, c| {
            if is_obeyed(c) { out.extend(c.escape_default()) } else { out.push(c) }
        },
    );
}

/// `text` for a place where a person may read it: redacted before, escaped here, at most `cap` bytes.
pub fn shown(text: &str, cap: usize) -> String {
    let mut out = String::new();
    push_plain(&mut out, text, cap);
    out
}

/// Appends the escaped characters until the next would pass `cap`, then goes back to the last
/// place that leaves room for the ellipsis: never inside an escape or a character.
fn push_capped(out: &mut String, text: &str, cap: usize, escape: impl Fn(&mut String, char)) {
    let start = out.len();
    let mut fits = start;
    for c in text.chars() {
        escape(out, c);
        let length = out.len().saturating_sub(start);
        if length > cap {
            out.truncate(fits);
            out.push_str(ELLIPSIS);
            return;
        }
        if length.saturating_add(ELLIPSIS.len()) <= cap {
            fits = out.len();
        }
    }
}

/// Whether a terminal or a log viewer acts on the character instead of showing it: controls (C0,
/// DEL, C1), line separators, text direction, and what has no width.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
