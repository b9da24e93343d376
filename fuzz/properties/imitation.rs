//! Lines of the function's: the mark depends on the bytes and not on where they are cut, takes
//! nothing away, and leaves no key that could be taken for a record's.

use fnguard::report::imitation::Marker;
use serde_json::Value;

/// The first byte says where the rest is cut.
pub fn check(bytes: &[u8]) {
    let Some((first, text)) = bytes.split_first() else { return };
    let cut = usize::from(first % 32) + 1;
    let mut whole = Vec::new();
    Marker::new().push(text, &mut whole);
    let mut marker = Marker::new();
    let mut pieces = Vec::new();
    for piece in text.chunks(cut) {
        marker.push(piece, &mut pieces);
    }
    assert_eq!(whole, pieces);
    assert!(whole.len() >= text.len());
    for line in whole.split(|&byte| byte == b'\n') {
        assert!(!forges(line), "{}", String::from_utf8_lossy(line));
    }
}

/// Whether a line, read as JSON, has a record's key: by a parser that knows nothing of how the
/// marker looks for it.
pub fn forges(line: &[u8]) -> bool {
    fn holds(value: &Value) -> bool {
        match value {
            Value::Object(map) => {
                map.iter().any(|(key, value)| key.eq_ignore_ascii_case("fnguard") || holds(value))
            }
            Value::Array(list) => list.iter().any(holds),
            _ => false,
        }
    }
    serde_json::from_slice(line).is_ok_and(|value| holds(&value))
}
