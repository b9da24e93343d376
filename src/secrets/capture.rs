//! Step 2 of arming: the secrets leave the environment, bytes and all. No heap copy is made of a
//! value, and no page that the child inherits holds one.

use super::store::Store;
use crate::error::ArmError;
use crate::sys::process::SingleThreaded;
use crate::sys::stack::InitialEnvironment;
use fnguard_policy::model::Policy;

/// Proof that the secrets are out of the environment, and what was found there.
#[derive(Debug)]
pub(crate) struct Captured {
    /// The values, in pages that the child does not get.
    pub(crate) store: Store,
    /// Names of variables that look like secrets and were left alone.
    pub(crate) looks_like_secret: Vec<String>,
    /// Slots of the environment array that removal has made free.
    pub(crate) free_slots: usize,
    _proof: (),
}

impl Captured {
    /// What an earlier image of this process, the arbiter, had captured.
    pub(crate) fn handed_over(store: Store, looks_like_secret: Vec<String>) -> Self {
        Captured { store, looks_like_secret, free_slots: 0, _proof: () }
    }
}

/// Captures what the policy names, overwrites its bytes in place and removes its names.
///
/// # Errors
///
/// A required secret that is not set, no memory.
pub(crate) fn capture(
    environment: &mut InitialEnvironment,
    policy: &Policy,
    _proof: &SingleThreaded,
) -> Result<Captured, ArmError> {
    let patterns = &policy.secrets.env;
    let is_secret = |name: &[u8]| patterns.iter().any(|pattern| pattern.matches(name));

    let room = (0..environment.count())
        .filter(|&index| is_secret(split(environment.get(index)).0))
        .map(|index| environment.get(index).len())
        .sum();
    let mut store = Store::with_room(room)?;
    let mut looks_like_secret = Vec::new();
    let mut free_slots = 0;
    let mut index = 0;
    while index < environment.count() {
        let (name, value) = split(environment.get(index));
        if is_secret(name) {
            // getenv(3) answers the first of several equal names; the others are scrubbed too.
            store.add(&String::from_utf8_lossy(name), value)?;
            environment.remove(index);
            free_slots += 1;
        } else {
            if looks_like_a_secret(name) {
                looks_like_secret.push(String::from_utf8_lossy(name).into_owned());
            }
            index += 1;
        }
    }

    for pattern in patterns.iter().filter(|pattern| !pattern.is_glob()) {
        let optional = policy.secrets.optional.contains(&pattern.text);
        if !optional && store.get(&pattern.text).is_none() {
            return Err(ArmError::SecretNotSet { name: pattern.text.clone() });
        }
    }
    Ok(Captured { store, looks_like_secret, free_slots, _proof: () })
}

/// Name and value of an entry; an entry without `=` is all name.
fn split(entry: &[u8]) -> (&[u8], &[u8]) {
    match entry.iter().position(|&byte| byte == b'=') {
        Some(at) => (entry.get(..at).unwrap_or_default(), entry.get(at + 1..).unwrap_or_default()),
        None => (entry, &[]),
    }
}

/// Whether a variable's name suggests a secret, so that the posture can name what was left out.
fn looks_like_a_secret(name: &[u8]) -> bool {
    const MARKS: [&str; 10] = [
        "SECRET",
        "TOKEN",
        "PASSWORD",
        "PASSWD",
        "API_KEY",
        "APIKEY",
        "PRIVATE_KEY",
        "CREDENTIAL",
        "ACCESS_KEY",
        "DATABASE_URL",
    ];
    let name = String::from_utf8_lossy(name).to_ascii_uppercase();
    MARKS.iter().any(|mark| name.contains(mark)) || name.ends_with("_KEY") || name.ends_with("_PWD")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_splits_at_its_first_equals_sign() {
        assert_eq!(split(b"A=b=c"), (b"A".as_slice(), b"b=c".as_slice()));
        assert_eq!(split(b"A="), (b"A".as_slice(), b"".as_slice()));
        assert_eq!(split(b"A"), (b"A".as_slice(), b"".as_slice()));
    }

    #[test]
    fn names_that_look_like_secrets_are_seen() {
        for name in ["STRIPE_KEY", "db_password", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL"] {
            assert!(looks_like_a_secret(name.as_bytes()), "{name}");
        }
        for name in ["PATH", "HOME", "AWS_REGION", "KEYBOARD", "MONKEY"] {
            assert!(!looks_like_a_secret(name.as_bytes()), "{name}");
        }
    }
}
