//! The same program without a guard.

fn main() {
    fnguard_lambda_sandbox::sealed::main()
}
