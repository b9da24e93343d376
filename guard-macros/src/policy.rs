//! The policy, while the function is being compiled: found, read, parsed, compiled for each
//! architecture. What is wrong with it becomes a compile error that quotes the TOML.

use crate::arguments::Source;
use fnguard_policy::filter;
use fnguard_policy::model::compiled::Compiled;
use fnguard_policy::model::{Policy, ReleaseArming};
use fnguard_policy::source::{self, Diagnostic, Parsed};
use fnguard_policy::syscalls::Arch;
use proc_macro2::Span;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use syn::{Error, LitStr};

/// The file that is read when the attribute names none.
const DEFAULT_FILE: &str = "guard.toml";

/// A policy that holds, ready to be laid into a binary.
pub(crate) struct Loaded {
    /// What messages call it: a path relative to the manifest, or `inline`.
    pub(crate) origin: String,
    /// The path relative to the manifest, if it is a file: rustc is told to watch it.
    pub(crate) file: Option<String>,
    /// Its encoded forms.
    pub(crate) blobs: Vec<Blob>,
    /// Whether `[arm] release` is `never`.
    pub(crate) never_in_release: bool,
    /// What holds and is probably not what was meant.
    pub(crate) warnings: Vec<String>,
    /// Where in the source it is named.
    pub(crate) span: Span,
}

/// The encoded policy for one architecture and one kind of build.
pub(crate) struct Blob {
    pub(crate) arch: Arch,
    pub(crate) debug_build: bool,
    pub(crate) bytes: Vec<u8>,
}

/// Reads and compiles the policy that the attribute names.
pub(crate) fn load(source: &Source) -> Result<Loaded, Error> {
    match source {
        Source::Inline(literal) => {
            let text = literal.value();
            let place = Place::of(literal);
            let (parsed, warnings) = parse(&text, "inline", literal.span(), &place)?;
            loaded("inline".to_owned(), None, literal.span(), &parsed, warnings)
        }
        Source::Path(literal) => from_file(literal.value(), literal.span(), false),
        Source::Default => from_file(DEFAULT_FILE.to_owned(), Span::call_site(), true),
    }
}

fn from_file(name: String, span: Span, default: bool) -> Result<Loaded, Error> {
    let path = directory(span)?.join(&name);
    let bytes = read(&path, default).map_err(|message| Error::new(span, message))?;
    let text = source::text(bytes, &name).map_err(|found| Error::new(span, found))?;
    let (parsed, warnings) = parse(&text, &name, span, &Place::AsGiven)?;
    loaded(name.clone(), Some(name), span, &parsed, warnings)
}

/// The directory of the manifest of the crate that is being compiled.
fn directory(span: Span) -> Result<PathBuf, Error> {
    std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).ok_or_else(|| {
        Error::new(
            span,
            "CARGO_MANIFEST_DIR is not set, so there is no place to look for the policy\n  = help: build with \
             cargo, or give the text: `#[guarded(policy = inline \"…\")]`",
        )
    })
}

fn read(path: &Path, default: bool) -> Result<Vec<u8>, String> {
    let shown = path.display();
    // A FIFO would keep the compiler waiting for whoever writes into it.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return Err(format!(
            "the policy {shown} is no regular file\n  = expected: a TOML file, such as {DEFAULT_FILE}"
        ));
    }
    let error = match std::fs::read(path) {
        Ok(bytes) => return Ok(bytes),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::NotFound if default => Err(format!(
            "there is no policy: looked for {shown}\n  = help: create it, for instance with\n\n{EXAMPLE}\n  = help: \
             or name another file: `#[guarded(policy = \"path\")]`, relative to the directory of Cargo.toml"
        )),
        ErrorKind::NotFound => Err(format!(
            "there is no such policy: looked for {shown}\n  = expected: a path relative to the directory of \
             Cargo.toml\n  = help: create it, or mend the path"
        )),
        ErrorKind::IsADirectory => Err(format!(
            "the policy {shown} is a directory\n  = expected: a TOML file, such as {DEFAULT_FILE}"
        )),
        _ => Err(format!(
            "the policy {shown} cannot be read: {error}\n  = help: make it readable for whoever builds the function"
        )),
    }
}

/// What a first policy looks like; a test holds that it parses.
const EXAMPLE: &str = r#"        version = 1
        mode = "enforce"

        [secrets]
        env = ["STRIPE_KEY"]

        [network]
        allow = ["api.stripe.com:443"]
"#;

fn parse(text: &str, origin: &str, span: Span, place: &Place) -> Result<(Parsed, Vec<String>), Error> {
    match source::parse(text, origin) {
        Ok(parsed) => {
            let warnings = parsed.warnings.iter().map(|warning| place.show(warning)).collect();
            Ok((parsed, warnings))
        }
        Err(diagnostics) => {
            let mut message = String::new();
            for diagnostic in &diagnostics {
                message.push_str(&place.show(diagnostic));
                message.push_str("\n\n");
            }
            match diagnostics.errors() {
                1 => message.push_str("1 error in the policy"),
                n => message.push_str(&format!("{n} errors in the policy")),
            }
            Err(Error::new(span, message))
        }
    }
}

fn loaded(
    origin: String,
    file: Option<String>,
    span: Span,
    parsed: &Parsed,
    warnings: Vec<String>,
) -> Result<Loaded, Error> {
    let mut blobs = Vec::new();
    for arch in Arch::ALL {
        let compiled = compile(&parsed.policy, arch, &origin, parsed.hash).map_err(|message| {
            Error::new(span, format!("{message}\n  = this is a fault of fnguard: please report it"))
        })?;
        for debug_build in [false, true] {
            let bytes = Compiled { debug_build, ..compiled.clone() }
                .encode()
                .map_err(|error| Error::new(span, error.to_string()))?;
            blobs.push(Blob { arch, debug_build, bytes });
        }
    }
    let never_in_release = parsed.policy.arm.release == ReleaseArming::Never;
    Ok(Loaded { origin, file, blobs, never_in_release, warnings, span })
}

fn compile(policy: &Policy, arch: Arch, origin: &str, hash: [u8; 32]) -> Result<Compiled, String> {
    let function = filter::compile(policy, arch).map_err(|error| error.to_string())?;
    let audit = filter::compile(&policy.clone().into_audit(), arch).map_err(|error| error.to_string())?;
    let arbiter = filter::compile_arbiter(arch).map_err(|error| error.to_string())?;
    Ok(Compiled {
        arch: arch.as_str().to_owned(),
        origin: origin.to_owned(),
        debug_build: false,
        hash,
        policy: policy.clone(),
        function,
        audit,
        arbiter,
    })
}

/// How places in the policy's text are named in messages.
enum Place {
    /// By the text's own lines: a file's, or a literal's that has escapes.
    AsGiven,
    /// By the lines of the Rust source, for a raw string, whose characters stand there as they are.
    Source { file: String, line: usize, column: usize, opener: String },
}

impl Place {
    fn of(literal: &LitStr) -> Place {
        let token = literal.token().to_string();
        let Some(rest) = token.strip_prefix('r') else { return Place::AsGiven };
        let hashes = rest.chars().take_while(|&c| c == '#').count();
        let start = literal.span().unwrap();
        // The text begins after `r`, the hashes and the quote. Columns count from 1.
        let column = start.column().saturating_add(hashes).saturating_add(2);
        let opener = format!("r{}\"", "#".repeat(hashes));
        Place::Source { file: start.file(), line: start.line(), column, opener }
    }

    fn show(&self, diagnostic: &Diagnostic) -> String {
        let Place::Source { file, line, column, opener } = self else { return diagnostic.to_string() };
        let mut moved = diagnostic.clone();
        moved.origin.clone_from(file);
        if diagnostic.line == 1 {
            // The marked line is the source's: what stands before the text moves the mark along.
            let before = column.saturating_sub(1);
            moved.text = format!("{opener:>before$}{}", diagnostic.text);
            moved.column = diagnostic.column.saturating_add(before);
        }
        moved.line = line.saturating_add(diagnostic.line).saturating_sub(1);
        moved.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_policy() {
        let parsed = source::parse(EXAMPLE, "guard.toml").unwrap();
        assert!(parsed.warnings.is_empty(), "{:?}", parsed.warnings);
    }

    #[test]
    fn a_policy_is_compiled_for_each_architecture_and_kind_of_build() {
        let parsed =
            source::parse("version = 1\n[network]\nallow = [\"api.stripe.com:443\"]\n", "p").unwrap();
        let loaded = loaded("p".to_owned(), None, Span::call_site(), &parsed, Vec::new()).unwrap();
        let mut seen = Vec::new();
        for blob in &loaded.blobs {
            let compiled = Compiled::decode(&blob.bytes).unwrap();
            assert_eq!(compiled.arch, blob.arch.as_str());
            assert_eq!(compiled.debug_build, blob.debug_build);
            assert_eq!(compiled.hash, parsed.hash);
            assert_eq!(compiled.policy, parsed.policy);
            assert_ne!(compiled.function, compiled.audit);
            seen.push((compiled.arch, compiled.debug_build));
        }
        let expected = [("x86_64", false), ("x86_64", true), ("aarch64", false), ("aarch64", true)];
        assert_eq!(seen, expected.map(|(arch, debug)| (arch.to_owned(), debug)));
    }
}
