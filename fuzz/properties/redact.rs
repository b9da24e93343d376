//! The function's output: what comes out does not depend on where it was cut, and holds no secret
//! as it is.

use fnguard::redact::{Matcher, Secret, Stream};
use std::sync::LazyLock;

/// One with bytes that some form escapes, two with a beginning in common, one inside another.
const SECRETS: [(&str, &[u8]); 4] = [
    ("ODD", b"p\"ss/w%rd+4 2\\\n\xc3\xa9\x00 and more of it"),
    ("KEY", b"sk_live_9f8Qe7Rt6Yu5Io4Pa3Sd2Fg1"),
    ("TWIN", b"sk_live_9f8Qe7Rt6Yu5Io4Pa3Sd2Fg2"),
    ("INNER", b"Rt6Yu5Io4Pa3Sd2F"),
];

static MATCHER: LazyLock<Matcher> = LazyLock::new(|| {
    let secrets = SECRETS.map(|(name, value)| Secret::new(name, value));
    Matcher::build(secrets).unwrap_or_else(|error| panic!("{error}"))
});

/// The first byte says where the rest is cut. `!` and a digit stand for one of the secrets, so that
/// a fuzzer finds the way to them.
pub fn check(bytes: &[u8]) {
    let Some((first, text)) = bytes.split_first() else { return };
    let cut = usize::from(first % 32) + 1;
    let text = with_secrets(text);
    let whole = MATCHER.redact(&text);
    let mut stream = Stream::new();
    let mut pieces = Vec::new();
    for piece in text.chunks(cut) {
        stream.push(&MATCHER, piece, &mut pieces);
    }
    stream.finish(&MATCHER, &mut pieces);
    assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&pieces), "cut every {cut}");
    for (name, value) in SECRETS {
        assert!(!whole.windows(value.len()).any(|window| window == value), "{name} is left");
    }
}

fn with_secrets(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let secret = after
            .first()
            .filter(|_| byte == b'!')
            .and_then(|digit| SECRETS.get(usize::from(digit.wrapping_sub(b'0'))));
        match secret {
            Some((_, value)) => {
                out.extend_from_slice(value);
                rest = &after[1..];
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}
