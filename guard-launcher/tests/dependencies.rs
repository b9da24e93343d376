//! What the launcher image is made of: no parser of policies, no compiler of filters, no grammar of
//! command lines.

use std::process::Command;

#[test]
fn the_image_stays_small() {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            "fnguard-launcher",
            "--edges",
            "normal,no-proc-macro",
            "--prefix",
            "none",
        ])
        .args(["--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).unwrap();
    let names: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    // The tree is the launcher's, and complete.
    for expected in ["fnguard-launcher", "fnguard", "fnguard-policy", "object", "postcard"] {
        assert!(names.contains(&expected), "{expected} is missing in {text}");
    }
    for forbidden in [
        "toml",
        "toml_parser",
        "seccompiler",
        "clap",
        "clap_builder",
        "serde_json",
        "strsim",
        "syn",
        "zip",
        "aws-lc-rs",
        "rustls",
    ] {
        assert!(!names.contains(&forbidden), "{forbidden} is in the launcher's tree:\n{text}");
    }
}
