//! Says in one cfg, `guarded_platform`, where the guard exists: Linux on the architectures that
//! have a table. `FNGUARD_OTHER_PLATFORM=1` builds what every other platform gets, so that it can
//! be checked where no other target is installed.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(guarded_platform)");
    println!("cargo::rerun-if-env-changed=FNGUARD_OTHER_PLATFORM");
    let target = |key: &str| std::env::var(key).unwrap_or_default();
    let supported = target("CARGO_CFG_TARGET_OS") == "linux"
        && matches!(target("CARGO_CFG_TARGET_ARCH").as_str(), "x86_64" | "aarch64")
        && target("CARGO_CFG_TARGET_POINTER_WIDTH") == "64";
    if supported && std::env::var_os("FNGUARD_OTHER_PLATFORM").is_none() {
        println!("cargo::rustc-cfg=guarded_platform");
    }
}
