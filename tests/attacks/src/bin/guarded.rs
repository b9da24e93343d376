//! `guarded POLICY PROGRAM [ARGUMENT …]`: runs a program under the guard.

fn main() {
    fnguard_attacks::launcher::main()
}
