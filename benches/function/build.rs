//! Compiles the baseline of arming and links it into the one binary that is measured with it.

use std::path::PathBuf;
use std::process::Command;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=baselines/arm.c");
    println!("cargo::rerun-if-changed=baselines/filter.h");
    println!("cargo::rerun-if-env-changed=CC");
    let object = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?).join("arm.o");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let status = Command::new(&compiler)
        .args(["-O2", "-fPIC", "-Wall", "-Wextra", "-Werror", "-c", "baselines/arm.c", "-o"])
        .arg(&object)
        .status()
        .map_err(|error| format!("{compiler}: {error}"))?;
    if !status.success() {
        return Err("baselines/arm.c does not compile".into());
    }
    println!("cargo::rustc-link-arg-bin=arm-bare={}", object.display());
    Ok(())
}
