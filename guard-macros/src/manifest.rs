//! Under which name, if any, the crate that is being compiled can reach `lambda_http`.
//!
//! A handler that takes `Request` keeps its request id in the request's extensions, and only
//! `lambda_http`'s own trait gets at it. The attribute cannot ask the compiler whether that crate
//! is there, so it reads the manifest, as derive macros that look for a renamed crate do.

use std::path::PathBuf;
use toml::de::{DeTable, DeValue};

/// The crate's name for use in a path, or `None` if the crate does not surely depend on it.
pub(crate) fn name_of_lambda_http() -> Option<String> {
    let path = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
    name_in(&std::fs::read_to_string(path).ok()?, "lambda_http")
}

/// Looks through `[dependencies]` alone: what is optional, for one target or for tests may be
/// missing in this build, and a path to a missing crate would not compile.
fn name_in(manifest: &str, package: &str) -> Option<String> {
    let manifest = DeTable::parse(manifest).ok()?;
    let dependencies = manifest.get_ref().get("dependencies")?.get_ref().as_table()?;
    let found = dependencies.iter().find(|(name, value)| {
        let option = |key| Some(value.get_ref().as_table()?.get(key)?.get_ref());
        if option("optional").and_then(DeValue::as_bool) == Some(true) {
            return false;
        }
        let written = option("package").and_then(DeValue::as_str).unwrap_or(name.get_ref());
        written.replace('-', "_") == package
    });
    found.map(|(name, _)| name.get_ref().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_is_found_under_its_name() {
        for (manifest, expected) in [
            ("[dependencies]\nlambda_http = \"1\"", Some("lambda_http")),
            ("[dependencies]\nlambda_http.workspace = true", Some("lambda_http")),
            ("[dependencies]\nlambda_http = { version = \"1\", optional = true }", None),
            (
                "[dependencies]\nhttp-of-lambda = { package = \"lambda_http\", version = \"1\" }",
                Some("http_of_lambda"),
            ),
            ("[dependencies]\nlambda_http = { package = \"other\", version = \"1\" }", None),
            ("[dev-dependencies]\nlambda_http = \"1\"", None),
            ("[dependencies]\n", None),
            ("", None),
            ("[dependencies\n", None),
        ] {
            assert_eq!(name_in(manifest, "lambda_http").as_deref(), expected, "{manifest}");
        }
    }
}
