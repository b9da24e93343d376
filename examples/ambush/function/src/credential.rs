//! Where the payment key comes from: the guard, or, in the build that shows what happens without
//! one, the environment.

#[cfg(feature = "guarded")]
pub use fnguard::secret;

#[cfg(not(feature = "guarded"))]
/// The variable `name`, read from the environment as functions do.
///
/// # Errors
/// Where it is not set or not UTF-8.
pub fn secret(name: &str) -> Result<&'static secrecy::SecretString, std::env::VarError> {
    use std::sync::OnceLock;
    static KEY: OnceLock<secrecy::SecretString> = OnceLock::new();
    if let Some(key) = KEY.get() {
        return Ok(key);
    }
    let value = std::env::var(name)?;
    Ok(KEY.get_or_init(|| value.into()))
}
