//! A program whose descriptors are sealed by its attribute; `on_unsupported = "degrade"`.

#[fnguard::guarded(policy = inline r#"
version = 1

[arm]
debug = "enforce"
mechanism = "sealed"
on_unsupported = "degrade"

[secrets]
env = ["TOKEN"]
"#)]
fn main() {
    fnguard_lambda_sandbox::sealed::main()
}
