//! Secrets for the handler: captured ones by name, and late ones to be redacted from now on.

use crate::error::Error;
use crate::link::ask;
use once_cell::sync::Lazy;
use secrecy::{ExposeSecret, SecretString};
use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// A secret that this process has asked for. It is never dropped: whoever has it may keep it.
#[derive(Clone, Copy)]
struct Asked {
    secret: &'static SecretString,
    /// Whether it came from the arbiter, and not from an environment that may change.
    captured: bool,
}

/// The secrets that this process has asked for, by name.
static ASKED: Lazy<Mutex<HashMap<String, Asked>>> = Lazy::new(Mutex::default);

/// The value of a secret that `[secrets] env` names. It is asked of the arbiter the first time, and
/// stays in the function's memory from then on; until then it is nowhere in it.
///
/// In unit tests, and in unarmed debug builds, it is read from the environment.
///
/// # Errors
///
/// [`Error::NoSuchSecret`] if the policy does not name it or it was not set, [`Error::NotUtf8`],
/// [`Error::NotArmed`] in a release build that a platform has started without the guard, and
/// [`Error::ArbiterGone`].
///
/// ```
/// use fnguard::{Error, secret};
/// use secrecy::ExposeSecret;
///
/// fn authorization() -> Result<String, Error> {
///     Ok(format!("Bearer {}", secret("STRIPE_KEY")?.expose_secret()))
/// }
///
/// assert!(matches!(authorization(), Err(Error::NoSuchSecret { name }) if name == "STRIPE_KEY"));
/// ```
pub fn secret(name: &str) -> Result<&'static SecretString, Error> {
    let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
    let known = asked.get(name).copied();
    if let Some(Asked { secret, captured: true }) = known {
        return Ok(secret);
    }
    let (value, captured) = match ask::secret(name) {
        Err(Error::NotArmed) if may_go_unarmed() => (from_environment(name)?, false),
        answer => (answer?, true),
    };
    let text = std::str::from_utf8(&value).map_err(|_| Error::NotUtf8 { name: name.to_owned() })?;
    if let Some(Asked { secret, .. }) = known.filter(|known| known.secret.expose_secret() == text) {
        return Ok(secret);
    }
    let secret: &'static SecretString = Box::leak(Box::new(SecretString::from(text)));
    asked.insert(name.to_owned(), Asked { secret, captured });
    Ok(secret)
}

/// Registers a secret that the function got at run time, from a parameter store or in an event. When
/// this returns, it is redacted from what the function prints from then on, under this name.
///
/// In unit tests, and in unarmed debug builds, there is nothing that redacts, and this does nothing.
///
/// # Errors
///
/// [`Error::NotRegistered`] if the value is shorter than 8 bytes, longer than 8,192 or too common to
/// be redacted, if it is an address, a host name or a path, which records have to name, if the name is no word, if there are 256 of them already, or if they would have more
/// than 64 KiB together; [`Error::NotArmed`] and [`Error::ArbiterGone`] as with [`secret()`].
///
/// ```
/// use secrecy::SecretString;
///
/// # fn login() -> SecretString { "a token of some service".into() }
/// let token: SecretString = login();
/// fnguard::protect("SESSION_TOKEN", &token)?;
/// # Ok::<(), fnguard::Error>(())
/// ```
pub fn protect(name: &str, value: &SecretString) -> Result<(), Error> {
    match ask::protect(name, value.expose_secret().as_bytes()) {
        Err(Error::NotArmed) if may_go_unarmed() => Ok(()),
        answer => answer,
    }
}

/// Whether a lack of arming is no fault: no platform has started this, or a developer has built it.
/// This crate is built with debug assertions if the function's is, unless a profile says otherwise.
pub(super) fn may_go_unarmed() -> bool {
    cfg!(debug_assertions) || !crate::start::initial_runtime_api()
}

fn from_environment(name: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    match std::env::var_os(name).map(OsString::into_string) {
        Some(Ok(value)) => Ok(Zeroizing::new(value.into_bytes())),
        Some(Err(_)) => Err(Error::NotUtf8 { name: name.to_owned() }),
        None => Err(Error::NoSuchSecret { name: name.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unarmed_the_environment_answers() {
        // Cargo sets it for every test, to the crate's own name.
        let name = "CARGO_PKG_NAME";
        let first = secret(name).unwrap();
        assert_eq!(first.expose_secret(), env!("CARGO_PKG_NAME"));
        assert!(std::ptr::eq(first, secret(name).unwrap()));
        assert!(
            matches!(secret("FNGUARD_NO_SUCH"), Err(Error::NoSuchSecret { name }) if name == "FNGUARD_NO_SUCH")
        );
    }

    #[test]
    fn unarmed_nothing_is_registered() {
        protect("LATE", &SecretString::from("a long enough value")).unwrap();
    }
}
