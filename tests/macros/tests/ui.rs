//! What a developer gets to read after a mistake: each file of `tests/ui` is compiled, and the
//! compiler's words compared with the `.stderr` beside it. `TRYBUILD=overwrite` writes them anew.

use std::path::Path;

/// How many mistakes there are.
const CASES: usize = 19;

/// Paths in the attribute are relative to the manifest, which here is the one that trybuild makes.
fn lay_policies() -> std::io::Result<()> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or(std::io::ErrorKind::NotFound)?;
    let policies = target.join("tests/trybuild").join(env!("CARGO_PKG_NAME")).join("policies");
    std::fs::create_dir_all(&policies)?;
    for entry in Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui/policies").read_dir()? {
        let entry = entry?;
        std::fs::copy(entry.path(), policies.join(entry.file_name()))?;
    }
    Ok(())
}

#[test]
fn mistakes_are_explained() {
    lay_policies().unwrap();
    let names = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui")).unwrap();
    let cases = names.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "rs"));
    assert_eq!(cases.count(), CASES, "a pattern that matches nothing passes: count what it is to match");
    trybuild::TestCases::new().compile_fail("../ui/*.rs");
}
