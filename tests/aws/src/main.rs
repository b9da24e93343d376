//! A guarded function that keeps an object in S3. Its arguments are where its credentials come from,
//! `fnguard` or `chain` (the SDK's own), and the URL of S3. It prints what it sees, secrets too:
//! the test that starts it judges what comes out.

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_http_client::Builder;
use fnguard::guarded;
use secrecy::ExposeSecret;
use std::error::Error;

const NAMES: [&str; 4] =
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"];

#[guarded(policy = inline r#"
version = 1

[arm]
debug = "enforce"

[secrets]
env = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"]
optional = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"]

[network]
allow = ["127.0.0.1:1024-65535"]
"#)]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("armed: {}", fnguard::is_armed());
    println!("left in std::env: {:?}", NAMES.map(std::env::var_os).into_iter().flatten().collect::<Vec<_>>());
    let mut arguments = std::env::args().skip(1);
    let source = arguments.next().ok_or("the source of the credentials is missing")?;
    let s3 = arguments.next().ok_or("the URL of S3 is missing")?;
    match source.as_str() {
        "chain" => chain(&s3).await,
        "fnguard" => explicit(&s3).await,
        other => return Err(format!("{other} is neither `chain` nor `fnguard`").into()),
    }
    Ok(())
}

/// What a function does that does not know about the guard.
async fn chain(s3: &str) {
    let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(Builder::new().build_http())
        .region(Region::new("us-east-1"))
        .endpoint_url(s3)
        .load()
        .await;
    let client = Client::from_conf(Config::from(&config).to_builder().force_path_style(true).build());
    println!("chain: {}", keep(&client, "chain").await);
}

async fn explicit(s3: &str) {
    let provider = fnguard::aws_credentials();
    println!("first: {}", keep(&client(s3, provider.clone()), "first").await);
    match fnguard::aws_session_token() {
        Ok(token) => println!("session token: {} bytes", token.expose_secret().len()),
        Err(error) => println!("session token: {error}"),
    }
    // What the SDK does when its cache has run out.
    let again = match provider.provide_credentials().await {
        Ok(credentials) => credentials,
        Err(error) => return println!("again: {}", DisplayErrorContext(error)),
    };
    println!("expires: {}", again.expiry().is_some());
    println!("in the environment's memory: {}", is_in_environ(&again));
    println!("key: {}", again.secret_access_key());
    println!("token: {}", again.session_token().unwrap_or("none"));
    let client = client(s3, SharedCredentialsProvider::new(again));
    println!("again: {}", keep(&client, "again").await);
}

fn client(s3: &str, provider: SharedCredentialsProvider) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(Builder::new().build_http())
        .region(Region::new("us-east-1"))
        .endpoint_url(s3)
        .force_path_style(true)
        .credentials_provider(provider);
    Client::from_conf(config.build())
}

/// Puts an object and gets it back; says what came of it.
async fn keep(client: &Client, key: &str) -> String {
    let content = format!("the order {key}");
    let body = ByteStream::from(content.clone().into_bytes());
    if let Err(error) = client.put_object().bucket("orders").key(key).body(body).send().await {
        return format!("put failed: {}", DisplayErrorContext(error));
    }
    let object = match client.get_object().bucket("orders").key(key).send().await {
        Ok(object) => object,
        Err(error) => return format!("get failed: {}", DisplayErrorContext(error)),
    };
    match object.body.collect().await.map(|body| body.into_bytes()) {
        Ok(body) if body == content.as_bytes() => "kept".to_owned(),
        Ok(_) => "another content came back".to_owned(),
        Err(error) => format!("get broke off: {}", DisplayErrorContext(error)),
    }
}

/// Whether /proc/self/environ still holds the secret key.
fn is_in_environ(credentials: &Credentials) -> bool {
    let key = credentials.secret_access_key().as_bytes();
    std::fs::read("/proc/self/environ").is_ok_and(|all| all.windows(key.len()).any(|window| window == key))
}
