//! Guarded functions under a local Lambda platform: real `lambda_runtime` functions, a real runtime API,
//! what reaches the platform's log, and how processes end. In namespaces of their own, as root and as an
//! ordinary user (`FNGUARD_ATTACKS_AS_USER=1`).

mod cargo_lambda;
mod ends;
mod events;
mod platform;
mod standard;

fn main() {
    // cargo and pip want the machine's network and files, which are out of reach inside.
    if !fnguard_attacks::runner::is_inside() && fnguard_attacks::runner::wants(cargo_lambda::TESTS) {
        cargo_lambda::prepare();
    }
    fnguard_attacks::runner::run_after(
        cargo_lambda::SCRIPT,
        &[events::TESTS, ends::TESTS, standard::TESTS, cargo_lambda::TESTS],
        include_str!("../../excused.txt"),
    )
}
