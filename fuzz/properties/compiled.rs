//! An encoded policy, as it lies in a binary: decoded or refused, and never more than it says.

use fnguard_policy::model::Compiled;

/// Decodes, and encodes what was decoded.
pub fn check(bytes: &[u8]) {
    let Ok(compiled) = Compiled::decode(bytes) else { return };
    let blob = compiled.encode().unwrap_or_else(|error| panic!("{error}"));
    let again = Compiled::decode(&blob).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(format!("{compiled:?}"), format!("{again:?}"));
}
