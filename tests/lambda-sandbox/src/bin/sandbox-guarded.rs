//! `sandbox-guarded POLICY PROGRAM [ARGUMENT …]`: the attack suite's launcher.

fn main() {
    fnguard_attacks::launcher::main()
}
