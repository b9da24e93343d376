//! The README's way to a guarded function, taken literally: its commands make the manifest, its blocks the
//! files, and the compiler takes them.
#![allow(clippy::unwrap_used)] // In a test an unwrap is an assertion.

mod fixture;

use fixture::Fixture;

/// The numbered steps.
fn steps() -> &'static str {
    let page = include_str!("../../../README.md");
    let from = page.split("\n## Guard your function\n").nth(1).unwrap();
    from.split("\n## ").next().unwrap()
}

/// The one block of that language, without the indentation of the list that it stands in.
fn block(language: &str) -> String {
    let fence = format!("\n   ```{language}\n");
    let mut parts = steps().split(&fence);
    let block = parts.nth(1).unwrap_or_else(|| panic!("no block of {language}"));
    assert!(parts.next().is_none(), "more than one block of {language}");
    let lines = block.split("\n   ```").next().unwrap().lines();
    lines.map(|line| format!("{}\n", line.strip_prefix("   ").unwrap_or(line))).collect()
}

/// What `cargo add` would write, in whatever version the workspace is locked to. fnguard is the fixture's
/// own, by its path.
fn dependencies() -> String {
    let mut manifest = String::new();
    for line in block("console").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["$", "cargo", "add", name, options @ ..] = words.as_slice() else { continue };
        if *name == "fnguard" {
            assert_eq!(options, ["--path", "../fnguard"]);
            continue;
        }
        let entry = match options {
            [] => "version = \"*\"".to_owned(),
            ["--no-default-features"] => "version = \"*\", default-features = false".to_owned(),
            ["--features", list] => {
                let features: Vec<&str> = list.split(',').collect();
                format!("version = \"*\", features = {features:?}")
            }
            other => panic!("what does cargo add do with {other:?}?"),
        };
        manifest.push_str(&format!("{name} = {{ {entry} }}\n"));
    }
    assert!(manifest.lines().count() >= 4, "{manifest}");
    manifest
}

#[test]
fn the_steps_of_the_readme_build() {
    let fixture = Fixture::new("2024", &dependencies());
    fixture.write("guard.toml", &block("toml"));
    fixture.write("src/main.rs", &block("rust,ignore"));
    let output = fixture.cargo(&["check", "--offline"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    // What somebody is to copy brings no warning either.
    assert!(!said.contains("warning"), "{said}");
}
