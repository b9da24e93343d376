//! A guarded handler below a guarded `main`: on a platform without the guard both must run, and say
//! that nothing is guarded. `.ci/run` builds it so, in release, and looks at what it prints.

use fnguard::guarded;
use secrecy::ExposeSecret;

#[guarded(policy = inline r#"
    version = 1

    [secrets]
    env = ["ORDER_KEY"]
"#)]
async fn handler(order: u32) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let key = fnguard::secret("ORDER_KEY")?;
    Ok(format!("order {order} with a key of {}", key.expose_secret().len()))
}

#[guarded(policy = inline r#"
    version = 1

    [secrets]
    env = ["ORDER_KEY"]
"#)]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    println!("{}", handler(7).await?);
    Ok(())
}
