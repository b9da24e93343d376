//! The attack suite: each technique is run without the guard and seen to succeed, then with it
//! and seen to fail, on the outside. It isolates itself in namespaces of its own and runs as root
//! and as an ordinary user (`FNGUARD_ATTACKS_AS_USER=1`); words on the command line choose tests.
//! `FNGUARD_ATTACKS_LONG=1` runs races at full length, `FNGUARD_ATTACKS_ROUNDS` at one of its own.

mod arming;
mod attack;
mod exec;
mod files;
mod kernel;
mod load;
mod logs;
mod memory;
mod modes;
mod network;
mod notifications;
mod platform;
mod posture;
mod process;
mod resolver;
mod secrets;
mod sockets;
mod strangers;

fn main() {
    fnguard_attacks::runner::run(
        &[
            network::TESTS,
            sockets::TESTS,
            strangers::TESTS,
            resolver::TESTS,
            exec::TESTS,
            memory::TESTS,
            secrets::TESTS,
            logs::TESTS,
            files::TESTS,
            process::TESTS,
            kernel::TESTS,
            notifications::TESTS,
            arming::TESTS,
            platform::TESTS,
            posture::TESTS,
            load::TESTS,
            modes::TESTS,
        ],
        include_str!("../../excused.txt"),
    )
}
