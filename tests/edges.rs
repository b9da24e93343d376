//! Which room knows which: the edges between the modules of a crate, compared with the tables of
//! those that are allowed. A new edge fails until somebody writes down why it is there; an edge
//! that nobody uses any more fails as well, so that the tables stay true.
//!
//! The files are read as tokens, so comments and strings name nothing, and `super::super::room` and
//! `use crate::{room, …}` count like `crate::room`. Tests inside the files (`#[cfg(test)]`) are left out:
//! they may look anywhere. The file that declares the rooms (`lib.rs`, `arbiter/mod.rs`) knows all of
//! them and is no room itself.
#![allow(clippy::unwrap_used, clippy::collapsible_match)] // A test says by its panic what went wrong.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms of `src/`, and the rooms each may name. Data flows one way: policy → arm → arbiter → report.
const FNGUARD: &[(&str, &[&str])] = &[
    // Where arming begins: finds the policies, says why a function is not started.
    ("start", &["arm", "error", "harness", "link", "report", "sys"]),
    // The order of arming, and through it every room that takes part.
    ("arm", &["arbiter", "confine", "error", "inventory", "link", "secrets", "start", "sys", "trial"]),
    // Steps of arming: each takes the proof of the one before, hence the fork's `secrets`.
    ("inventory", &["confine", "error", "sys"]),
    ("secrets", &["error", "sys"]),
    ("confine", &["error", "secrets", "sys"]),
    // What the domain must refuse, tried: it must not know how one is made.
    ("trial", &["sys"]),
    // The independent witness: it must not know how anything was installed.
    ("posture", &["sys"]),
    // What the platform allows, tried by the calls that arming makes; nobody of arming asks it.
    ("probe", &["sys"]),
    // The other process.
    (
        "arbiter",
        &["confine", "error", "inventory", "link", "posture", "redact", "report", "secrets", "sys", "trial"],
    ),
    // Every message between the two; the handshake carries what the domain holds and what was tried in it.
    ("link", &["confine", "error", "sys", "trial"]),
    // The function's side of an invocation.
    ("handler", &["error", "link", "report", "start"]),
    // What stands in the place of link, start and sys where there is no guard.
    ("elsewhere", &["error"]),
    // Fuzz targets' ways in; not in a build.
    ("fuzzing", &["arbiter", "link"]),
    // Pure, or nearly: these know nobody.
    ("redact", &[]),
    ("report", &[]),
    ("note", &[]),
    ("harness", &["sys"]),
    ("error", &["redact", "sys"]),
    ("sys", &[]),
];

/// Rooms of the arbiter. `mod` is the arbiter itself, which its parts share.
const ARBITER: &[(&str, &[&str])] = &[
    // Its half of arming puts every part together.
    (
        "begin",
        &[
            "assess",
            "handover",
            "images",
            "invocations",
            "lifetime",
            "links",
            "mod",
            "names",
            "output",
            "pending",
            "serve",
            "started",
            "terminal",
            "vault",
            "witness",
        ],
    ),
    // Leaves to another image of this process what the beginning knew.
    ("handover", &["begin"]),
    // Judges what was found; performs nothing.
    ("assess", &["mod", "output"]),
    ("lifetime", &["mod"]),
    ("serve", &["calls", "mod", "target"]),
    // Deciding what a call asks, and performing it: through `target` alone is another process touched.
    ("calls", &["images", "mod", "names", "pending", "target", "terminal"]),
    ("links", &["mod"]),
    ("pending", &["target"]),
    // Keeps what it has told, in a form that a link carries.
    // What late secrets may not blank in a record is the vault's to say.
    ("witness", &["output", "recent", "vault"]),
    ("recent", &[]),
    // Where the platform's terminal has gone, the pump that holds the function's is told.
    ("terminal", &["output"]),
    // Fuzz targets' ways in; not in a build.
    ("fuzzing", &["names", "target"]),
    // These know nothing of the arbiter, so each can be tested by itself.
    ("target", &[]),
    ("images", &[]),
    ("invocations", &[]),
    ("names", &[]),
    ("output", &[]),
    ("started", &[]),
    ("vault", &[]),
];

/// Rooms of `guard-policy/src/`: what the shipped function has (`model`, `syscalls`) knows nothing of
/// what it has not.
const POLICY: &[(&str, &[&str])] =
    &[("source", &["model"]), ("filter", &["model", "syscalls"]), ("syscalls", &["model"]), ("model", &[])];

/// The files in which `unsafe` is allowed by name, and what for. Everywhere else it is denied.
const UNSAFE: &[(&str, &str)] = &[
    ("src/arbiter/begin.rs", "mallopt(3), which takes two numbers"),
    ("src/inventory.rs", "names of libc's that the crate libc has not, for their addresses"),
    ("src/link/ask.rs", "adopting the descriptor that a launcher left for this purpose"),
    ("src/start.rs", "the linker's section of policies, the constructor, the initial environment"),
    ("src/sys/mod.rs", "the raw kernel interface"),
];

#[test]
fn rooms_of_the_crate_know_only_whom_they_may() {
    compare(FNGUARD, &edges(&Tree { folder: "src", inside: &[] }));
}

#[test]
fn rooms_of_the_arbiter_know_only_whom_they_may() {
    compare(ARBITER, &edges(&Tree { folder: "src", inside: &["arbiter"] }));
}

#[test]
fn rooms_of_the_policy_know_only_whom_they_may() {
    compare(POLICY, &edges(&Tree { folder: "guard-policy/src", inside: &[] }));
}

#[test]
fn unsafe_code_is_allowed_only_where_it_is_named() {
    let mut found = BTreeSet::new();
    for folder in ["src", "guard-policy/src", "guard-macros/src", "guard-cli/src"] {
        for file in rust_files(&root().join(folder)) {
            if allows_unsafe(tokens(&file)) {
                let path = file.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.insert(path);
            }
        }
    }
    let named: BTreeSet<String> = UNSAFE.iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(found, named);
}

/// The proofs that arming's steps hand on, each with the one file that can make it.
const PROOFS: &[(&str, &str)] = &[
    ("SingleThreaded", "src/sys/process.rs"),
    ("Captured", "src/secrets/capture.rs"),
    ("InChild", "src/confine/fork.rs"),
    ("Redirected", "src/confine/descriptors.rs"),
    ("Unprivileged", "src/confine/privileges.rs"),
    ("Entered", "src/confine/domain.rs"),
    ("Confined", "src/confine/filter.rs"),
    ("Sealed", "src/confine/seal.rs"),
];

/// A structure with a private field can be made in its own file only: the compiler sees to that, as long
/// as the field is there and nothing derives a way around it.
#[test]
fn proofs_are_made_by_their_own_step_only() {
    for (proof, file) in PROOFS {
        let tokens: Vec<TokenTree> = tokens(&root().join(file)).into_iter().collect();
        let at = tokens
            .windows(2)
            .position(|pair| {
                matches!(pair, [TokenTree::Ident(word), TokenTree::Ident(name)] if word == "struct" && name == proof)
            })
            .unwrap_or_else(|| panic!("{file} has no structure {proof}"));
        let Some(TokenTree::Group(fields)) = tokens.get(at + 2) else { panic!("{proof} has no fields") };
        let fields: Vec<TokenTree> = fields.stream().into_iter().collect();
        let private = fields.split(|token| is_punct(token, ',')).any(|field| {
            // Past doc comments, which are attributes.
            let mut words = field.iter().filter(|token| !is_punct(token, '#'));
            let is_doc = |token: &&TokenTree| {
                matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket)
            };
            let first = words.find(|token| !is_doc(token));
            first.is_some_and(|first| !matches!(first, TokenTree::Ident(word) if word == "pub"))
        });
        assert!(private, "{proof} in {file} has no private field: anybody could make one");
        let derived = tokens[..at].iter().rev().take_while(|token| !is_punct(token, ';')).take(8);
        for token in derived {
            let text = token.to_string();
            for way in ["Clone", "Copy", "Default", "Deserialize"] {
                assert!(!text.contains("derive") || !text.contains(way), "{proof} derives {way}");
            }
        }
    }
}

/// The reader of tokens, on every way of naming a room.
#[test]
fn every_way_of_naming_a_room_is_seen() {
    let source = r##"
        //! See `crate::comment`.
        use crate::one::Thing;
        use crate::{two, three::{self, four}};
        use super::five;
        use super::super::six::Deep;
        pub(crate) fn call() -> &'static str { println!("{}", crate::seven::count()); "crate::string" }
        mod inner { use super::super::eight; use super::own; }
        #[cfg(test)]
        mod tests { use crate::nine; }
    "##;
    let stream: TokenStream = source.parse().unwrap();
    let mut named = BTreeSet::new();
    // As if it stood in `room/file.rs`.
    walk(stream, &["room".to_owned(), "file".to_owned()], &mut |path| {
        named.insert(path.join("::"));
    });
    let expected = [
        "one::Thing",
        "two",
        "three::self",
        "three::four",
        "room::five",
        "six::Deep",
        "seven::count",
        "room::eight",
        "room::file::own",
    ];
    assert_eq!(named, expected.map(str::to_owned).into());
}

/// A part of a crate's modules whose children are the rooms.
struct Tree<'a> {
    folder: &'a str,
    /// The module whose children are looked at; none for the crate itself.
    inside: &'a [&'a str],
}

type Edges = BTreeMap<String, BTreeSet<String>>;

fn compare(allowed: &[(&str, &[&str])], found: &Edges) {
    let allowed: Edges = allowed
        .iter()
        .map(|(room, others)| ((*room).to_owned(), others.iter().map(|other| (*other).to_owned()).collect()))
        .collect();
    let mut complaints = Vec::new();
    for (room, others) in found {
        match allowed.get(room) {
            None => complaints.push(format!("the room `{room}` is not in the table")),
            Some(may) => complaints.extend(
                others.difference(may).map(|other| format!("`{room}` names `{other}`, which is not allowed")),
            ),
        }
    }
    for (room, others) in &allowed {
        match found.get(room) {
            None => complaints.push(format!("the table has a room `{room}` that is not there")),
            Some(does) => complaints.extend(
                others.difference(does).map(|other| format!("`{room}` may name `{other}`, and never does")),
            ),
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

fn edges(tree: &Tree<'_>) -> Edges {
    let folder = root().join(tree.folder);
    let base = tree.inside.iter().fold(folder.clone(), |path, part| path.join(part));
    let depth = tree.inside.len();
    let mut edges = Edges::new();
    let rooms: BTreeSet<String> =
        rust_files(&base).iter().filter_map(|file| modules_of(&folder, file).get(depth).cloned()).collect();
    for file in rust_files(&base) {
        let at = modules_of(&folder, &file);
        let Some(room) = at.get(depth).cloned() else { continue };
        let others = edges.entry(room.clone()).or_default();
        walk(tokens(&file), &at, &mut |path| {
            if path.len() < depth || !path.iter().zip(tree.inside).all(|(part, inside)| part == inside) {
                return;
            }
            match path.get(depth) {
                Some(other) if rooms.contains(other) => {
                    if *other != room {
                        others.insert(other.clone());
                    }
                }
                // Something that stands in the parent itself; the crate's root is everybody's.
                Some(_) if depth > 0 => {
                    others.insert("mod".to_owned());
                }
                _ => {}
            }
        });
    }
    edges
}

/// Calls `named` with each path into this crate, from the crate's root. `at` is the module that the
/// tokens stand in.
fn walk(stream: TokenStream, at: &[String], named: &mut dyn FnMut(&[String])) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        if is_test_attribute(&tokens, index) {
            // The attribute, and the item up to its body or its end.
            index += 2;
            while let Some(token) = tokens.get(index) {
                index += 1;
                let body = matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
                if body || is_punct(token, ';') {
                    break;
                }
            }
            continue;
        }
        match token {
            // `pub(crate)` and `pub(super)` name nothing.
            TokenTree::Ident(ident)
                if (ident == "crate" || ident == "super") && is_path_separator(&tokens, index + 1) =>
            {
                let mut from = if ident == "crate" { Vec::new() } else { at.to_vec() };
                if ident == "super" {
                    from.pop();
                }
                index = follow(&tokens, index + 1, from, named);
            }
            TokenTree::Ident(ident) if ident == "mod" => match (tokens.get(index + 1), tokens.get(index + 2))
            {
                (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) => {
                    let inside: Vec<String> = at.iter().cloned().chain([name.to_string()]).collect();
                    walk(body.stream(), &inside, named);
                    index += 3;
                }
                _ => index += 1,
            },
            TokenTree::Group(group) => {
                walk(group.stream(), at, named);
                index += 1;
            }
            _ => index += 1,
        }
    }
}

/// Follows `::name::{…}` from `index`; the index behind it.
fn follow(
    tokens: &[TokenTree],
    mut index: usize,
    mut path: Vec<String>,
    named: &mut dyn FnMut(&[String]),
) -> usize {
    while is_path_separator(tokens, index) {
        match tokens.get(index + 2) {
            Some(TokenTree::Ident(name)) if name == "super" => {
                path.pop();
            }
            Some(TokenTree::Ident(name)) => path.push(name.to_string()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                for item in inner.split(|token| is_punct(token, ',')) {
                    if let Some(TokenTree::Ident(name)) = item.first() {
                        let path: Vec<String> = path.iter().cloned().chain([name.to_string()]).collect();
                        follow(item, 1, path, named);
                    }
                }
                return index + 3;
            }
            // A turbofish: what is inside is walked by the caller.
            _ => break,
        }
        index += 3;
    }
    named(&path);
    index
}

fn is_path_separator(tokens: &[TokenTree], index: usize) -> bool {
    [index, index + 1].iter().all(|&at| tokens.get(at).is_some_and(|token| is_punct(token, ':')))
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

fn is_test_attribute(tokens: &[TokenTree], index: usize) -> bool {
    tokens.get(index).is_some_and(|token| is_punct(token, '#'))
        && matches!(
            tokens.get(index + 1),
            Some(TokenTree::Group(group)) if group.stream().to_string().replace(' ', "") == "cfg(test)"
        )
}

fn allows_unsafe(stream: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    tokens.windows(2).any(|pair| match pair {
        [TokenTree::Ident(name), TokenTree::Group(group)] => {
            name == "allow" && group.stream().to_string().contains("unsafe_code")
        }
        _ => false,
    }) || tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => allows_unsafe(group.stream()),
        _ => false,
    })
}

/// The module that a file is: `src/a/b.rs` is `a::b`, `src/a/mod.rs` is `a`.
fn modules_of(folder: &Path, file: &Path) -> Vec<String> {
    let relative = file.strip_prefix(folder).unwrap().with_extension("");
    let mut parts: Vec<String> = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
        parts.pop();
    }
    parts
}

fn tokens(file: &Path) -> TokenStream {
    let text = fs::read_to_string(file).unwrap();
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
