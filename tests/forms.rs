//! The scoreboard: 59 ways in which programs write a value, each for a key, a password with signs, and a
//! PEM block. A case is held when nine tenths of what was written are redacted; the best of the peers
//! that were looked at, whose lists of patterns were run on the same cases, holds 58 of the 177.
//!
//! The encoders are written from the forms' definitions, not from the crate.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use fnguard::redact::{Matcher, Secret};
use std::fmt::Write;

const KEY: &str = "sk_live_51HqLyjWDarjtT1zdp7dc";
const PASSWORD: &str = "p@s$w0rd\"<'&>/\\ +=%^!x#9Q";
const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\nMzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu\n-----END PRIVATE KEY-----";

/// The cases that are not held; docs/limits.md names them.
const NOT_HELD: &[&str] = &[
    "suffix 12",
    "prefix…suffix",
    "xxd dump",
    "base64 wrapped 76 of PEM",
    "base64 of base64",
    "base32",
    "base85",
    "UTF-32LE",
];

fn each(text: &str, write: impl Fn(u8) -> String) -> String {
    text.bytes().map(write).collect()
}
fn replaced(text: &str, pairs: &[(char, &str)]) -> String {
    text.chars()
        .map(|c| pairs.iter().find(|(from, _)| *from == c).map_or(c.to_string(), |(_, to)| (*to).to_owned()))
        .collect()
}
fn joined(text: &str, between: &str, write: impl Fn(u8) -> String) -> String {
    text.bytes().map(write).collect::<Vec<_>>().join(between)
}
fn json(text: &str) -> String {
    replaced(text, &[('"', "\\\""), ('\\', "\\\\"), ('\n', "\\n")])
}
fn percent(text: &str, space: &str, lower: bool) -> String {
    each(text, |b| match b {
        b' ' if space == "+" => "+".to_owned(),
        _ if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
        _ if lower => format!("%{b:02x}"),
        _ => format!("%{b:02X}"),
    })
}
fn html(text: &str, apostrophe: &str) -> String {
    replaced(text, &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', apostrophe)])
}
fn digits(bytes: &[u8], width: usize, alphabet: &[u8], group: usize) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|b| (0..8).rev().map(move |n| b >> n & 1)).collect();
    let mut out: String = bits
        .chunks(width)
        .map(|chunk| {
            let value = (0..width).fold(0, |v, n| v << 1 | usize::from(*chunk.get(n).unwrap_or(&0)));
            char::from(alphabet[value])
        })
        .collect();
    while group > 0 && !out.len().is_multiple_of(group) {
        out.push('=');
    }
    out
}
fn base64(bytes: impl AsRef<[u8]>) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    digits(bytes.as_ref(), 6, alphabet, 4)
}
fn wrapped(text: &str, width: usize, between: &str) -> String {
    text.as_bytes()
        .chunks(width)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect::<Vec<_>>()
        .join(between)
}
fn xxd(text: &str) -> String {
    let mut out = String::new();
    for (n, line) in text.as_bytes().chunks(16).enumerate() {
        let hex: Vec<String> =
            line.chunks(2).map(|pair| pair.iter().map(|b| format!("{b:02x}")).collect()).collect();
        let shown: String =
            line.iter().map(|&b| if (b' '..0x7f).contains(&b) { char::from(b) } else { '.' }).collect();
        writeln!(out, "{:08x}: {:<39}  {shown}", 16 * n, hex.join(" ")).unwrap();
    }
    out
}
fn base85(bytes: &[u8]) -> String {
    let alphabet = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
    let mut out = String::new();
    for chunk in bytes.chunks(4) {
        let value = (0..4).fold(0u32, |v, n| v << 8 | u32::from(*chunk.get(n).unwrap_or(&0)));
        let group: Vec<u8> = (0..5).map(|n| alphabet[(value / 85u32.pow(4 - n) % 85) as usize]).collect();
        out.extend(group.iter().take(chunk.len() + 1).map(|&b| char::from(b)));
    }
    out
}
fn shell_quoted(text: &str) -> String {
    if text.contains('\n') {
        return format!("$'{}'", replaced(text, &[('\\', "\\\\"), ('\'', "\\'"), ('\n', "\\n")]));
    }
    each(text, |b| {
        if b.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&b) {
            char::from(b).to_string()
        } else {
            format!("\\{}", char::from(b))
        }
    })
}

type Encode = fn(&str) -> String;

const FORMS: &[(&str, Encode)] = &[
    ("raw", str::to_owned),
    ("prefix 12", |s| own(s)[..12].to_owned()),
    ("suffix 12", |s| {
        let own = own(s);
        own[own.len() - 12..].to_owned()
    }),
    ("prefix…suffix", |s| format!("{}…{}", &s[..s.len() - own(s).len() + 4], &s[s.len() - 4..])),
    ("ANSI in middle", |s| format!("{}\x1b[1;31m{}\x1b[0m{}", &s[..9], &s[9..14], &s[14..])),
    ("hard wrap 20", |s| wrapped(s, 20, "\n")),
    ("YAML fold/indent", |s| wrapped(s, 16, "\n    ")),
    ("spaced chars", |s| joined(s, " ", |b| char::from(b).to_string())),
    ("CRLF", |s| s.replace('\n', "\r\n")),
    ("newline→space", |s| s.replace('\n', " ")),
    ("JSON", json),
    ("JSON \\/", |s| json(s).replace('/', "\\/")),
    ("JSON \\u003c", |s| replaced(&json(s), &[('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026")])),
    ("JSON×2", |s| json(&json(s))),
    ("JSON×3", |s| json(&json(&json(s)))),
    ("all \\u00XX", |s| each(s, |b| format!("\\u{b:04x}", b = u32::from(b)))),
    ("Rust Debug", |s| {
        let text = format!("{s:?}");
        text[1..text.len() - 1].to_owned()
    }),
    ("Python repr", |s| replaced(s, &[('\\', "\\\\"), ('\'', "\\'"), ('\n', "\\n")])),
    ("bytes repr \\x", |s| each(s, |b| format!("\\x{b:02x}"))),
    ("octal \\ooo", |s| each(s, |b| format!("\\{b:03o}"))),
    ("Vec<u8> Debug", |s| format!("{:?}", s.as_bytes())),
    ("decimal csv", |s| joined(s, ",", |b| b.to_string())),
    ("Debug {:#?}", |s| format!("{:#?}", s.as_bytes())),
    ("hex", |s| each(s, |b| format!("{b:02x}"))),
    ("HEX", |s| each(s, |b| format!("{b:02X}"))),
    ("hex colon", |s| joined(s, ":", |b| format!("{b:02x}"))),
    ("hex space", |s| joined(s, " ", |b| format!("{b:02x}"))),
    ("0x.., list", |s| joined(s, ", ", |b| format!("0x{b:02x}"))),
    ("xxd dump", xxd),
    ("base64", |s| base64(s)),
    ("base64 +1 lead", |s| base64(format!("x{s}"))),
    ("base64 +2 lead", |s| base64(format!("xy{s}"))),
    ("base64 + suffix \\n", |s| base64(format!("{s}\n"))),
    ("Basic user:pw", |s| base64(format!("user:{s}"))),
    ("base64url nopad", |s| base64(s).replace('+', "-").replace('/', "_").replace('=', "")),
    ("base64 wrapped 76", |s| wrapped(&base64(s), 76, "\n")),
    ("base64 of base64", |s| base64(base64(s))),
    ("base32", |s| digits(s.as_bytes(), 5, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 8)),
    ("base85", |s| base85(s.as_bytes())),
    ("percent", |s| percent(s, "", false)),
    ("percent lower", |s| percent(s, "", true)),
    ("percent mixed", |s| s.chars().zip(0..).map(|(c, n)| percent(&c.to_string(), "", n % 2 == 0)).collect()),
    ("percent×2", |s| percent(&percent(s, "", false), "", false)),
    ("form +", |s| percent(s, "+", false)),
    ("every byte %XX", |s| each(s, |b| format!("%{b:02X}"))),
    ("HTML named", |s| html(s, "&#39;")),
    ("HTML &#NN; all", |s| each(s, |b| format!("&#{b};"))),
    ("XML &apos;", |s| html(s, "&apos;")),
    ("shell '\\''", |s| s.replace('\'', "'\\''")),
    ("shell '\"'\"'", |s| s.replace('\'', "'\"'\"'")),
    ("bash %q", shell_quoted),
    ("SQL ''", |s| s.replace('\'', "''")),
    ("CSV \"\"", |s| s.replace('"', "\"\"")),
    ("quoted-printable", |s| each(s, |b| if b == b'=' { "=3D".into() } else { char::from(b).to_string() })),
    ("UTF-16LE", |s| each(s, |b| format!("{}\0", char::from(b)))),
    ("UTF-32LE", |s| each(s, |b| format!("{}\0\0\0", char::from(b)))),
    ("reversed", |s| s.chars().rev().collect()),
    ("UPPER-cased", str::to_uppercase),
    ("rot13", |s| {
        each(s, |b| {
            char::from(match b {
                b'a'..=b'z' => (b - b'a' + 13) % 26 + b'a',
                b'A'..=b'Z' => (b - b'A' + 13) % 26 + b'A',
                _ => b,
            })
            .to_string()
        })
    }),
];

/// A value without what anybody knows of it.
fn own(value: &str) -> &str {
    value
        .strip_prefix("sk_live_")
        .or_else(|| value.rsplit_once("AoIBAQ").map(|(_, own)| own))
        .unwrap_or(value)
}

/// How many bytes of what was written are not the secret's: what base64 has before it, and the armour of
/// a key, which stays readable when it is turned round.
fn around(form: &str, name: &str) -> usize {
    match form {
        "base64 +1 lead" => 2,
        "base64 +2 lead" => 3,
        "Basic user:pw" => 7,
        "reversed" | "UPPER-cased" | "rot13" if name == "PEM" => {
            PEM.lines().filter(|l| l.starts_with('-')).map(str::len).sum()
        }
        _ => 0,
    }
}

/// What part of the written value the output still shows, in bytes of a hundred.
fn shown(matcher: &Matcher, written: &str, around: usize) -> usize {
    let redacted = matcher.redact_str(&format!("value <{written}> end\n"));
    let plain: usize = redacted
        .split("[redacted:")
        .enumerate()
        .map(|(n, piece)| piece.split_once(']').filter(|_| n > 0).map_or(piece, |(_, rest)| rest).len())
        .sum();
    100 * plain.saturating_sub("value <> end\n".len() + around) / (written.len() - around)
}

#[test]
fn scoreboard() {
    assert_eq!(FORMS.len(), 59);
    let (mut held, mut missed) = (0, Vec::new());
    for (name, secret) in [("KEY", KEY), ("PASSWORD", PASSWORD), ("PEM", PEM)] {
        let matcher = Matcher::build([Secret::new(name, secret)]).unwrap();
        for (form, encode) in FORMS {
            let shown = shown(&matcher, &encode(secret), around(form, name));
            if shown <= 10 { held += 1 } else { missed.push(format!("{form} of {name} ({shown}%)")) }
        }
    }
    println!("{held} of 177 held; not: {}", missed.join(", "));
    let unexpected: Vec<_> =
        missed.iter().filter(|case| !NOT_HELD.iter().any(|form| case.starts_with(form))).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    assert!(held >= HELD, "{held} of 177 held, where {HELD} were");
}

/// How many cases are held. It may grow.
const HELD: usize = 156;

/// Forms within forms.
#[test]
fn compositions() {
    let matcher = Matcher::build([Secret::new("PASSWORD", PASSWORD)]).unwrap();
    let shell = |s: &str| s.replace('\'', "'\\''");
    let csv = |s: &str| s.replace('"', "\"\"");
    let quoted = |s: &str| each(s, |b| if b == b'=' { "=3D".into() } else { char::from(b).to_string() });
    let percent = |s: &str| percent(s, "", false);
    let html = |s: &str| html(s, "&#39;");
    type Layer<'a> = &'a dyn Fn(&str) -> String;
    let layers: [(&str, Layer<'_>); 6] = [
        ("JSON", &json),
        ("percent", &percent),
        ("HTML", &html),
        ("shell", &shell),
        ("CSV", &csv),
        ("quoted-printable", &quoted),
    ];
    let mut missed = Vec::new();
    for (outer_name, outer) in &layers {
        for (inner_name, inner) in &layers {
            let written = outer(&inner(PASSWORD));
            let shown = shown(&matcher, &written, 0);
            if shown > 10 {
                missed.push(format!("{outer_name} of {inner_name} ({shown}%): {written}"));
            }
        }
    }
    println!("{} of 36 compositions held; not: {missed:#?}", 36 - missed.len());
    assert!(missed.is_empty());
}
