//! The sandbox as a command.

fn main() {
    fnguard_lambda_sandbox::main()
}
