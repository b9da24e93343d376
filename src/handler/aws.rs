//! The function's AWS credentials for the SDK, out of what was captured. Not signing, and not the
//! SDK's own chain of providers: that reads the environment, where the keys no longer are.
//!
//! The chain reads it again whenever the SDK's identity cache runs out, after 15 minutes. A client
//! that was made before the capture works until then, and fails after: it needs this provider.

mod container;

use super::secret::{protect, secret};
use crate::error::Error;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use container::{Endpoint, EndpointError, Fetched};
use once_cell::sync::OnceCell;
use secrecy::{ExposeSecret, SecretString};

const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
const ENDPOINT: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const AUTHORIZATION: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";

/// Where credentials come from, as the SDK's errors and user agent name it.
const NAME: &str = "fnguard";

/// The function's credentials, for clients of the AWS SDK (feature `aws`).
///
/// Give it to every client, or once to `aws_config`: without it the SDK looks in the environment,
/// where captured keys no longer are. It answers out of, in this order:
///
/// 1. `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, if there is one, `AWS_SESSION_TOKEN`. They have
///    no expiry: the SDK asks again every 15 minutes, and gets them again.
/// 2. `AWS_CONTAINER_CREDENTIALS_FULL_URI` and `AWS_CONTAINER_AUTHORIZATION_TOKEN`, with which Lambda
///    starts functions under SnapStart: the credentials are fetched from there each time the SDK
///    asks, which it does shortly before they expire.
///
/// Each of them is a captured secret, or else a variable of the environment. Capture what is secret:
///
/// ```toml
/// [secrets]
/// env = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
/// # Under SnapStart: env = ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
/// ```
///
/// For the second form, `[network] allow` must name the endpoint's address and port exactly. It must be a
/// plain `http` URI of a loopback or link-local address, or of EKS's `fd00:ec2::23`; whatever else a
/// variable says is not sent the token. What is fetched is registered with
/// [`protect`](crate::protect) before the SDK gets it, and not handed out where that fails; one
/// process may register 256 values, which is 128 fetches of credentials that were new.
///
/// The SDK's errors print their cause by `DisplayErrorContext`; it names the variable that is missing.
///
/// ```
/// use aws_credential_types::provider::SharedCredentialsProvider;
///
/// // With the SDK:
/// //     let config = aws_config::from_env().credentials_provider(fnguard::aws_credentials()).load().await;
/// //     let s3 = aws_sdk_s3::Client::new(&config);
/// let provider: SharedCredentialsProvider = fnguard::aws_credentials();
/// ```
pub fn aws_credentials() -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Captured)
}

/// The session token of the function's credentials (feature `aws`): what Lambda's Parameters and Secrets
/// extension wants in the header `X-Aws-Parameters-Secrets-Token`. It is a captured secret, or else a
/// variable of the environment.
///
/// # Errors
///
/// As [`secret`](crate::secret()): [`Error::NoSuchSecret`] if `AWS_SESSION_TOKEN` is neither captured nor set.
///
/// ```
/// use secrecy::ExposeSecret;
///
/// fn header() -> Result<(&'static str, &'static str), fnguard::Error> {
///     Ok(("X-Aws-Parameters-Secrets-Token", fnguard::aws_session_token()?.expose_secret()))
/// }
/// # let _ = header();
/// ```
pub fn aws_session_token() -> Result<&'static SecretString, Error> {
    // An armed function whose policy does not capture it: it stays what it was at the start.
    static LEFT_ALONE: OnceCell<SecretString> = OnceCell::new();
    match secret(SESSION_TOKEN) {
        Err(Error::NoSuchSecret { name }) => LEFT_ALONE
            .get_or_try_init(|| from_environment(SESSION_TOKEN)?.ok_or(Error::NoSuchSecret { name })),
        answer => answer,
    }
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(
        "neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN are captured or set; set one pair in the function's environment"
    )]
    Nothing,
    #[error("{present} is there and {missing} is neither captured nor set; set both, or neither")]
    Half { present: &'static str, missing: &'static str },
    #[error(transparent)]
    Secret(#[from] Error),
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error("the thread that asked the credentials endpoint ended early: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

impl From<Failure> for CredentialsError {
    fn from(failure: Failure) -> CredentialsError {
        match failure {
            Failure::Nothing => CredentialsError::not_loaded(failure),
            Failure::Half { .. } | Failure::Endpoint(EndpointError::Uri { .. } | EndpointError::Token) => {
                CredentialsError::invalid_configuration(failure)
            }
            Failure::Secret(_) | Failure::Endpoint(_) | Failure::Thread(_) => {
                CredentialsError::provider_error(failure)
            }
        }
    }
}

/// Asks for what was captured anew each time: it holds nothing itself.
#[derive(Debug)]
struct Captured;

impl ProvideCredentials for Captured {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { provide().await })
    }
}

async fn provide() -> provider::Result {
    let fetched = match source(&|name| captured_or_set(name)).map_err(CredentialsError::from)? {
        Source::Keys(credentials) => return Ok(credentials),
        Source::Endpoint { endpoint, authorization } => fetch(endpoint, authorization).await?,
    };
    // A secret that is not redacted must not come into use.
    protect(SECRET_ACCESS_KEY, &fetched.secret_access_key).map_err(Failure::from)?;
    protect(SESSION_TOKEN, &fetched.session_token).map_err(Failure::from)?;
    Ok(Credentials::new(
        fetched.access_key_id,
        fetched.secret_access_key.expose_secret(),
        Some(fetched.session_token.expose_secret().to_owned()),
        Some(fetched.expiration),
        NAME,
    ))
}

/// The endpoint is asked by blocking calls, for they need no client: on a thread for such where there is
/// a runtime that has them, and on this one where there is not.
async fn fetch(endpoint: Endpoint, authorization: SecretString) -> Result<Fetched, Failure> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => Ok(runtime.spawn_blocking(move || endpoint.fetch(&authorization)).await??),
        Err(_) => Ok(endpoint.fetch(&authorization)?),
    }
}

/// What there is to have credentials from.
enum Source {
    Keys(Credentials),
    Endpoint { endpoint: Endpoint, authorization: SecretString },
}

/// Finds the source by what `look_up` gives for a name; the keys come first, as they do in the SDK.
fn source(look_up: &dyn Fn(&str) -> Result<Option<SecretString>, Error>) -> Result<Source, Failure> {
    match pair(look_up, ACCESS_KEY_ID, SECRET_ACCESS_KEY)? {
        Some((id, key)) => {
            let token = look_up(SESSION_TOKEN)?.map(|token| token.expose_secret().to_owned());
            Ok(Source::Keys(Credentials::new(id.expose_secret(), key.expose_secret(), token, None, NAME)))
        }
        None => {
            let (uri, authorization) = pair(look_up, ENDPOINT, AUTHORIZATION)?.ok_or(Failure::Nothing)?;
            Ok(Source::Endpoint { endpoint: Endpoint::parse(uri.expose_secret())?, authorization })
        }
    }
}

/// Both, or none.
fn pair(
    look_up: &dyn Fn(&str) -> Result<Option<SecretString>, Error>,
    first: &'static str,
    second: &'static str,
) -> Result<Option<(SecretString, SecretString)>, Failure> {
    match (look_up(first)?, look_up(second)?) {
        (Some(one), Some(other)) => Ok(Some((one, other))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Failure::Half { present: first, missing: second }),
        (None, Some(_)) => Err(Failure::Half { present: second, missing: first }),
    }
}

/// A captured secret, or else a variable. An empty one counts as none, as it does in the SDK.
fn captured_or_set(name: &str) -> Result<Option<SecretString>, Error> {
    let value = match secret(name) {
        Ok(value) => Some(value.clone()),
        Err(Error::NoSuchSecret { .. }) => from_environment(name)?,
        Err(error) => return Err(error),
    };
    Ok(value.filter(|value| !value.expose_secret().is_empty()))
}

fn from_environment(name: &str) -> Result<Option<SecretString>, Error> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value.into())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Error::NotUtf8 { name: name.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source_of(variables: &[(&str, &str)]) -> Result<Source, Failure> {
        source(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            Ok(found.map(|(_, value)| SecretString::from(*value)))
        })
    }

    #[test]
    fn keys_never_expire() {
        let keys =
            [(ACCESS_KEY_ID, "AKIDEXAMPLE"), (SECRET_ACCESS_KEY, "wJalrXUtnFEMI"), (SESSION_TOKEN, "IQoJ")];
        let Source::Keys(credentials) = source_of(&keys).unwrap() else { panic!("keys were given") };
        assert_eq!(credentials.access_key_id(), "AKIDEXAMPLE");
        assert_eq!(credentials.secret_access_key(), "wJalrXUtnFEMI");
        assert_eq!(credentials.session_token(), Some("IQoJ"));
        assert_eq!(credentials.expiry(), None);
    }

    #[test]
    fn keys_come_before_the_endpoint_and_need_no_token() {
        let all = [
            (ENDPOINT, "http://127.0.0.1:9/credentials"),
            (AUTHORIZATION, "token"),
            (ACCESS_KEY_ID, "AKIDEXAMPLE"),
            (SECRET_ACCESS_KEY, "wJalrXUtnFEMI"),
        ];
        let Source::Keys(credentials) = source_of(&all).unwrap() else { panic!("keys were given") };
        assert_eq!(credentials.session_token(), None);
        let Source::Endpoint { authorization, .. } = source_of(&all[..2]).unwrap() else {
            panic!("an endpoint was given")
        };
        assert_eq!(authorization.expose_secret(), "token");
    }

    #[test]
    fn what_is_missing_is_named() {
        let message = |variables: &[(&str, &str)]| source_of(variables).err().unwrap().to_string();
        assert_eq!(
            message(&[(ACCESS_KEY_ID, "AKIDEXAMPLE")]),
            "AWS_ACCESS_KEY_ID is there and AWS_SECRET_ACCESS_KEY is neither captured nor set; set both, or neither"
        );
        assert!(message(&[(SECRET_ACCESS_KEY, "key")]).contains("and AWS_ACCESS_KEY_ID is neither"));
        assert!(
            message(&[(ENDPOINT, "http://127.0.0.1/")])
                .contains("AWS_CONTAINER_AUTHORIZATION_TOKEN is neither")
        );
        assert!(
            message(&[(AUTHORIZATION, "token")]).contains("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither")
        );
        for name in [ACCESS_KEY_ID, SECRET_ACCESS_KEY, ENDPOINT, AUTHORIZATION] {
            assert!(message(&[]).contains(name), "{name}");
        }
    }
}
