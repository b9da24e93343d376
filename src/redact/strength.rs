//! How much a secret can bear: whether it may be redacted at all, and how much of its beginning is
//! public knowledge. Not the search itself.

use super::automaton::Pattern;

/// The shortest value that is redacted at all, in bytes.
const SHORTEST: usize = 4;
/// The shortest value that is redacted in every form, in bytes; below, only as a whole token.
const STRONG: usize = 8;
/// All-digit values shorter than this are ports, years and counts.
const SHORTEST_DIGITS: usize = 7;
/// How many bytes after the public part make the beginning of a secret count as the secret.
const FRAGMENT: usize = 12;
/// How many bytes after the public part are masked when they must go out before they are decided.
const IDENTIFYING: usize = 4;
/// The longest beginning that counts as public, in bytes, so that what is held back stays short.
const MAX_PUBLIC: usize = super::automaton::SETTLED_DEPTH - FRAGMENT;

/// A secret that is not redacted, for [`Matcher::weak`](super::Matcher::weak).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weak {
    /// The secret's name; its value is not kept.
    pub name: String,
    /// Why it is not redacted.
    pub reason: WeakReason,
}

/// Why a value is not redacted: it would blank ordinary text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WeakReason {
    /// The value is empty, or white space only.
    Empty,
    /// The value has fewer than four bytes.
    Short,
    /// The value is a number of fewer than seven digits.
    Digits,
    /// The value is one byte over and over.
    Repeated,
    /// The value is a common word, address, date, region or path.
    Common,
}

impl std::fmt::Display for WeakReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            WeakReason::Empty => "it is empty",
            WeakReason::Short => "it has fewer than 4 bytes",
            WeakReason::Digits => "it is a number of fewer than 7 digits",
            WeakReason::Repeated => "it repeats a single byte",
            WeakReason::Common => "it is a common value",
        })
    }
}

/// How a value is searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strength {
    /// Not at all.
    Weak(WeakReason),
    /// As it is, as a whole token.
    Token,
    /// In every form.
    Strong,
}

/// The strength of a value, which the caller has trimmed.
pub(super) fn strength(value: &[u8]) -> Strength {
    let Some(&first) = value.first() else { return Strength::Weak(WeakReason::Empty) };
    if value.len() < SHORTEST {
        Strength::Weak(WeakReason::Short)
    } else if value.len() < SHORTEST_DIGITS && value.iter().all(u8::is_ascii_digit) {
        Strength::Weak(WeakReason::Digits)
    } else if value.iter().all(|&byte| byte == first) {
        Strength::Weak(WeakReason::Repeated)
    } else if is_common(value) {
        Strength::Weak(WeakReason::Common)
    } else if value.len() < STRONG {
        Strength::Token
    } else {
        Strength::Strong
    }
}

/// A value to search for of which so much is public: from how many bytes on its beginning counts as the
/// value, and from how many on it tells something.
pub(super) fn pattern(bytes: zeroize::Zeroizing<Vec<u8>>, public: usize, name: u16) -> Pattern {
    let public = public.min(MAX_PUBLIC);
    let upto = |len: usize| bytes.len().min(public + len);
    let (fragment, identifying) = (upto(FRAGMENT), upto(IDENTIFYING));
    Pattern { bytes, name, fragment, identifying }
}

/// From how many bytes on a beginning of the value is masked when it must go out undecided.
pub(super) fn identifying_len(value: &[u8]) -> usize {
    value.len().min(public_len(value) + IDENTIFYING)
}

/// How many leading bytes of the value anybody could write down without knowing it.
pub(super) fn public_len(value: &[u8]) -> usize {
    structure_len(value).max(token_prefix_len(value)).min(MAX_PUBLIC)
}

fn token_prefix_len(value: &[u8]) -> usize {
    TOKEN_PREFIXES.iter().filter(|p| value.starts_with(p.as_bytes())).map(|p| p.len()).max().unwrap_or(0)
}

/// The public part that a value's syntax shows: PEM, JWT, URL, connection string, JSON, ARN.
pub(super) fn structure_len(value: &[u8]) -> usize {
    if value.starts_with(b"-----BEGIN ") {
        let header = end_of(value, b"-----\n").or_else(|| end_of(value, b"-----\r\n")).unwrap_or(0);
        return header + preamble_len(value.get(header..).unwrap_or_default());
    }
    if value.starts_with(b"eyJ") {
        return end_of(value, b".").unwrap_or(3);
    }
    if value.starts_with(b"arn:") {
        return value.iter().rposition(|&byte| byte == b':').map_or(0, |at| at + 1);
    }
    if matches!(value.first(), Some(b'{' | b'[')) {
        return MAX_PUBLIC;
    }
    if let Some(scheme) = end_of(value, b"://") {
        let rest = value.get(scheme..).unwrap_or_default();
        let authority = rest.iter().position(|&b| b == b'/' || b == b'?').unwrap_or(rest.len());
        let authority_bytes = rest.get(..authority).unwrap_or_default();
        // The password follows the first colon of the user information (RFC 3986, 3.2.1).
        return scheme
            + match authority_bytes.iter().rposition(|&b| b == b'@') {
                Some(at) => authority_bytes
                    .get(..at)
                    .and_then(|user| user.iter().position(|&b| b == b':'))
                    .map_or(0, |colon| colon + 1),
                None => authority,
            };
    }
    if value.contains(&b';') {
        let keys: [&[u8]; 5] = [b"Password=", b"password=", b"AccountKey=", b"SharedAccessKey=", b"Pwd="];
        return keys.iter().find_map(|key| end_of(value, key)).or_else(|| end_of(value, b"=")).unwrap_or(0);
    }
    0
}

/// How much of a key's body only tells its kind and size, and is the same in every such key.
pub(super) fn preamble_len(body: &[u8]) -> usize {
    let common = |preamble: &&str| body.iter().zip(preamble.bytes()).take_while(|(a, b)| **a == *b).count();
    PEM_PREAMBLES.iter().map(common).max().unwrap_or(0)
}

/// The index after the first occurrence of `needle`.
fn end_of(value: &[u8], needle: &[u8]) -> Option<usize> {
    value.windows(needle.len()).position(|window| window == needle).map(|at| at + needle.len())
}

fn is_common(value: &[u8]) -> bool {
    let lower = zeroize::Zeroizing::new(value.to_ascii_lowercase());
    COMMON.iter().any(|word| word.as_bytes() == lower.as_slice()) || is_region(&lower) || is_date(value)
}

/// `eu-west-1`, `us-gov-east-1`, `europe-west4`.
fn is_region(lower: &[u8]) -> bool {
    const AREAS: [&[u8]; 15] = [
        b"us",
        b"eu",
        b"ap",
        b"sa",
        b"ca",
        b"me",
        b"af",
        b"il",
        b"mx",
        b"cn",
        b"europe",
        b"asia",
        b"australia",
        b"northamerica",
        b"southamerica",
    ];
    let mut parts = lower.split(|&byte| byte == b'-');
    let area = parts.next().is_some_and(|first| AREAS.contains(&first));
    let rest: Vec<&[u8]> = parts.collect();
    area && (1..=3).contains(&rest.len())
        && lower.last().is_some_and(u8::is_ascii_digit)
        && rest.iter().all(|part| {
            let letters = part.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
            letters <= 9 && part.len() - letters <= 2 && part.iter().skip(letters).all(u8::is_ascii_digit)
        })
}

/// `2024-06-30`.
fn is_date(value: &[u8]) -> bool {
    value.len() == 10
        && value.iter().enumerate().all(|(at, &byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// Beginnings that token issuers publish so that scanners can find their tokens.
const TOKEN_PREFIXES: &[&str] = &[
    "sk_live_",
    "sk_test_",
    "pk_live_",
    "pk_test_",
    "rk_live_",
    "rk_test_",
    "whsec_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xapp-",
    "AKIA",
    "ASIA",
    "AROA",
    "SG.",
    "npm_",
    "pypi-",
    "AIza",
    "ya29.",
    "hf_",
    "sk-",
    "sk-ant-",
    "sk-ant-api03-",
    "sk-proj-",
    "sk-or-v1-",
    "dop_v1_",
    "shpat_",
    "shpss_",
    "dckr_pat_",
    "lin_api_",
    "hvs.",
    "Bearer ",
    "Basic ",
    "Token ",
];

/// Beginnings of private keys in base64, up to the first byte that differs from key to key.
const PEM_PREAMBLES: &[&str] = &[
    // RSA of 2048 bits, PKCS #8 (RFC 5208) and PKCS #1 (RFC 8017), in the usual lengths.
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ",
    "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQ",
    "MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQ",
    "MIIEpAIBAAKCAQEA",
    "MIIEowIBAAKCAQEA",
    // P-256, PKCS #8 and SEC 1 (RFC 5915); Ed25519 (RFC 8410).
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg",
    "MHcCAQEEI",
    "MC4CAQAwBQYDK2VwBCIEI",
    // OpenSSH without a passphrase (PROTOCOL.key of OpenSSH).
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAA",
];

/// Values that stand in ordinary text, lower-case.
const COMMON: &[&str] = &[
    "true",
    "false",
    "null",
    "none",
    "undefined",
    "enabled",
    "disabled",
    "default",
    "auto",
    "test",
    "tests",
    "testing",
    "prod",
    "production",
    "staging",
    "stage",
    "development",
    "local",
    "localhost",
    "debug",
    "info",
    "warn",
    "warning",
    "error",
    "trace",
    "root",
    "admin",
    "administrator",
    "user",
    "username",
    "password",
    "passwd",
    "secret",
    "token",
    "guest",
    "public",
    "private",
    "postgres",
    "postgresql",
    "mysql",
    "mariadb",
    "mongodb",
    "redis",
    "sqlite",
    "rabbitmq",
    "elastic",
    "kafka",
    "utf-8",
    "utf8",
    "ascii",
    "json",
    "text",
    "html",
    "http",
    "https",
    "http://",
    "https://",
    "http://localhost",
    "127.0.0.1",
    "0.0.0.0",
    "string",
    "number",
    "object",
    "array",
    "example",
    "example.com",
    "changeme",
    "lambda",
    "function",
    "handler",
    "bootstrap",
    "index.handler",
    "main",
    "master",
    "latest",
    "release",
    "stable",
    "amazon",
    "amazonaws.com",
    "google",
    "azure",
    "github",
    "docker",
    "linux",
    "x86_64",
    "amd64",
    "arm64",
    "aarch64",
    "utc",
    "en_us.utf-8",
    "c.utf-8",
    "/tmp",
    "/opt",
    "/var",
    "/home",
    "/root",
    "/dev/null",
    "/var/task",
    "/var/runtime",
    "/usr/bin",
    "/usr/local/bin",
    "/bin/sh",
    "/bin/bash",
    "level",
    "message",
    "timestamp",
    "requestid",
    "request_id",
    "fnguard",
    "guard",
    "violation",
    "posture",
    "redacted",
    "aws_lambda",
    "content-type",
    "application/json",
    "text/plain",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_values_are_told_by_reason() {
        for (value, reason) in [
            ("", WeakReason::Empty),
            ("abc", WeakReason::Short),
            ("5432", WeakReason::Digits),
            ("123456", WeakReason::Digits),
            ("--------", WeakReason::Repeated),
            ("TRUE", WeakReason::Common),
            ("localhost", WeakReason::Common),
            ("eu-west-1", WeakReason::Common),
            ("us-gov-east-1", WeakReason::Common),
            ("europe-west4", WeakReason::Common),
            ("2024-06-30", WeakReason::Common),
        ] {
            assert_eq!(strength(value.as_bytes()), Strength::Weak(reason), "{value}");
        }
        assert_eq!(strength(b"1234567"), Strength::Token);
        assert_eq!(strength(b"hunt"), Strength::Token);
        assert_eq!(strength(b"hunter22"), Strength::Strong);
        assert_eq!(strength(b"us-x9kq-secretsecret-1"), Strength::Strong);
    }

    #[test]
    fn public_parts_do_not_count() {
        for (value, public) in [
            ("sk_live_51Hqabcdef", "sk_live_"),
            ("-----BEGIN PRIVATE KEY-----\nq7mVx2LpR9", "-----BEGIN PRIVATE KEY-----\n"),
            ("-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIq7mVx2", "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEI"),
            ("postgres://app:hunter2@db/orders", "postgres://app:"),
            ("https://hooks.example.com/T0/B1/x", "https://hooks.example.com"),
            ("Server=db;User=app;Password=hunter22", "Server=db;User=app;Password="),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig", "eyJhbGciOiJIUzI1NiJ9."),
            ("plain words in a row", ""),
        ] {
            assert_eq!(public_len(value.as_bytes()), public.len(), "{value}");
        }
    }
}
