//! Guarded functions under a local Lambda platform: real `lambda_runtime` functions, a real runtime API,
//! what reaches the platform's log, and how processes end. In namespaces of their own, as root and as an
//! ordinary user (`FNGUARD_ATTACKS_AS_USER=1`).

mod ends;
mod events;
mod platform;
mod standard;

fn main() {
    fnguard_attacks::runner::run(
        &[events::TESTS, ends::TESTS, standard::TESTS],
        include_str!("../../excused.txt"),
    )
}
