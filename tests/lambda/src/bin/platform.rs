//! `lambda-platform PROGRAM [ARGUMENT …]`: the sandbox of standard AWS Lambda, as far as reports tell.

fn main() {
    fnguard_lambda_sandbox::main()
}
