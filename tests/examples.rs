//! Every public item is shown in use: its name stands in an example of its crate's documentation, which
//! `cargo test` compiles and runs. A new item fails until somebody shows what it is for.
//!
//! The public face is followed as a reader of the documentation has it: from `lib.rs` through public modules
//! and re-exports; what is `#[doc(hidden)]` is no part of it. Files are read as tokens.
#![allow(clippy::unwrap_used)] // A test says by its panic what went wrong.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_public_item_is_shown_in_an_example() {
    let mut missing = Vec::new();
    for (crate_name, folder, at_least) in [("fnguard", "src", 18), ("fnguard_policy", "guard-policy/src", 40)]
    {
        let face = Face::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
        assert!(face.items.len() >= at_least, "{crate_name}: only {:?}", face.items);
        let examples: Vec<String> = face.docs.iter().flat_map(|docs| rust_examples(docs)).collect();
        for (path, kind) in &face.items {
            let name = path.rsplit("::").next().unwrap();
            if !examples.iter().any(|example| shows(example, name, *kind)) {
                missing.push(format!("{crate_name}{path}"));
            }
        }
    }
    assert!(missing.is_empty(), "shown in no example:\n{}", missing.join("\n"));
}

/// The reader, on what it must tell apart.
#[test]
fn the_reader_sees_what_a_reader_of_the_documentation_sees() {
    let folder = tempfile();
    let write = |path: &str, text: &str| fs::write(folder.join(path), text).unwrap();
    fs::create_dir_all(folder.join("deep")).unwrap();
    write(
        "lib.rs",
        "//! ```\n//! let a = seen::Thing;\n//! ```\npub mod seen;\nmod private;\n#[doc(hidden)]\npub mod hidden;\npub mod deep;\n\
         pub use private::{Given, taken as renamed};\n/// ```\n/// foreign();\n/// ```\npub use other_crate::foreign;\n\
         #[doc(hidden)]\npub use private::Kept;\npub(crate) fn inner() {}\n#[cfg(test)]\nmod tests { pub fn test() {} }\n",
    );
    write(
        "seen.rs",
        "pub struct Thing;\nimpl Thing { /// ```\n/// method();\n/// ```\npub fn new() {} }\npub const fn make() {}\nfn own() {}",
    );
    write("private.rs", "pub struct Given;\npub struct Kept;\npub fn taken() {}\npub fn not_given() {}");
    write("hidden.rs", "/// ```\n/// never_seen();\n/// ```\npub fn unseen() {}");
    write("deep/mod.rs", "mod inside;\npub use inside::Far;\npub mod open { pub fn inline() {} }");
    write("deep/inside.rs", "/// ```text\n/// Far\n/// ```\npub trait Far {}");
    let face = Face::of(&folder);
    let items: Vec<&str> = face.items.iter().map(|(path, _)| path.as_str()).collect();
    let expected = [
        "::Given",
        "::deep::Far",
        "::deep::open::inline",
        "::foreign",
        "::renamed",
        "::seen::Thing",
        "::seen::make",
    ];
    assert_eq!(items, expected);
    let examples: Vec<String> = face.docs.iter().flat_map(|docs| rust_examples(docs)).collect();
    assert_eq!(examples, ["let a = seen::Thing;", "method();", "foreign();"]);
    assert!(shows("let a = seen::Thing;", "Thing", Kind::Named));
    assert!(!shows("let a = seen::Things;", "Thing", Kind::Named));
    assert!(
        shows("foreign ();", "foreign", Kind::Function)
            && !shows("let foreign = 1;", "foreign", Kind::Function)
    );
    assert!(shows("#[guarded] fn main() {}", "guarded", Kind::Function));
    fs::remove_dir_all(folder).unwrap();
}

fn tempfile() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("fnguard-examples-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Shown where it is called, or used as an attribute.
    Function,
    /// Shown where it is named.
    Named,
}

/// The public items of a crate, and the documentation that a reader sees.
struct Face {
    items: BTreeSet<(String, Kind)>,
    docs: Vec<String>,
}

impl Face {
    fn of(folder: &Path) -> Face {
        let mut face = Face { items: BTreeSet::new(), docs: Vec::new() };
        let root = Module { folder: folder.to_owned(), tokens: read(&folder.join("lib.rs")) };
        face.walk(&root, "");
        face
    }

    fn walk(&mut self, module: &Module, path: &str) {
        self.docs.push(inner_docs(&module.tokens));
        for item in items(&module.tokens) {
            // What an impl documents is seen with its type.
            if item.keyword == "impl" {
                self.docs.extend(docs_within(item.body.clone()));
            }
            if !item.public || item.hidden {
                continue;
            }
            match item.keyword.as_str() {
                "mod" => {
                    self.docs.push(item.docs.clone());
                    self.walk(&module.child(&item), &format!("{path}::{}", item.name));
                }
                "use" => {
                    for (from, name) in &item.uses {
                        match module.find(from) {
                            Some(found) => self.add(path, name, &found),
                            // Another crate's, documented here.
                            None => self.add(path, name, &Item { keyword: "fn".to_owned(), ..item.clone() }),
                        }
                    }
                }
                _ => self.add(path, &item.name, &item),
            }
        }
    }

    fn add(&mut self, path: &str, name: &str, item: &Item) {
        if item.keyword == "mod" {
            return;
        }
        let kind = if item.keyword == "fn" { Kind::Function } else { Kind::Named };
        self.items.insert((format!("{path}::{name}"), kind));
        self.docs.push(item.docs.clone());
        self.docs.extend(docs_within(item.body.clone()));
    }
}

struct Module {
    /// Where the files of its children are.
    folder: PathBuf,
    tokens: TokenStream,
}

impl Module {
    fn child(&self, item: &Item) -> Module {
        if !item.body.is_empty() {
            return Module { folder: self.folder.join(&item.name), tokens: item.body.clone() };
        }
        let folder = self.folder.join(&item.name);
        let files = [self.folder.join(format!("{}.rs", item.name)), folder.join("mod.rs")];
        let file = files.iter().find(|file| file.exists()).unwrap_or_else(|| panic!("none of {files:?}"));
        Module { tokens: read(file), folder }
    }

    /// The item at a path from here, through modules and re-exports; none if it is another crate's.
    fn find(&self, path: &[String]) -> Option<Item> {
        let (first, rest) = path.split_first()?;
        for item in items(&self.tokens) {
            if item.keyword == "mod" && item.name == *first {
                return if rest.is_empty() { Some(item) } else { self.child(&item).find(rest) };
            }
            if !rest.is_empty() {
                continue;
            }
            if item.keyword == "use" {
                let through = item.uses.iter().find(|(_, name)| name == first);
                if let Some(found) = through.and_then(|(from, _)| self.find(from)) {
                    return Some(found);
                }
            } else if item.name == *first {
                return Some(item);
            }
        }
        None
    }
}

#[derive(Clone, Debug)]
struct Item {
    keyword: String,
    name: String,
    public: bool,
    hidden: bool,
    docs: String,
    /// What stands in its braces.
    body: TokenStream,
    /// Of a `use`: paths, and the names that they get.
    uses: Vec<(Vec<String>, String)>,
}

const KEYWORDS: [&str; 11] =
    ["fn", "struct", "enum", "union", "trait", "type", "const", "static", "mod", "use", "impl"];

/// The items that stand in a file or a module, one after the other.
fn items(stream: &TokenStream) -> Vec<Item> {
    let tokens: Vec<TokenTree> = stream.clone().into_iter().collect();
    let mut found = Vec::new();
    let mut index = 0;
    let (mut docs, mut hidden, mut test, mut public) = (String::new(), false, false, false);
    while let Some(token) = tokens.get(index) {
        index += 1;
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                let inner =
                    matches!(tokens.get(index), Some(TokenTree::Punct(mark)) if mark.as_char() == '!');
                index += usize::from(inner);
                if let (false, Some(TokenTree::Group(attribute))) = (inner, tokens.get(index)) {
                    let text = attribute.stream().to_string().replace(' ', "");
                    hidden |= text == "doc(hidden)";
                    test |= text == "cfg(test)";
                    if let Some(line) = doc_line(attribute.stream()) {
                        docs.push_str(&line);
                        docs.push('\n');
                    }
                }
                index += 1;
            }
            TokenTree::Ident(word) if *word == "pub" => {
                let narrowed = matches!(tokens.get(index), Some(TokenTree::Group(_)));
                index += usize::from(narrowed);
                public = !narrowed;
            }
            TokenTree::Ident(word) if KEYWORDS.contains(&word.to_string().as_str()) => {
                let mut keyword = word.to_string();
                // `const fn`, and what else can stand before.
                if let Some(TokenTree::Ident(next)) = tokens.get(index)
                    && *next == "fn"
                {
                    keyword = next.to_string();
                    index += 1;
                }
                let name = match tokens.get(index) {
                    Some(TokenTree::Ident(name)) => name.to_string(),
                    _ => String::new(),
                };
                let start = index;
                let mut body = TokenStream::new();
                while let Some(token) = tokens.get(index) {
                    index += 1;
                    match token {
                        TokenTree::Punct(punct) if punct.as_char() == ';' => break,
                        TokenTree::Group(group)
                            if group.delimiter() == Delimiter::Brace && keyword != "use" =>
                        {
                            body = group.stream();
                            // A constant's value goes on to its semicolon.
                            if !["const", "static"].contains(&keyword.as_str()) {
                                break;
                            }
                        }
                        _ => {}
                    }
                }
                let uses = match keyword.as_str() {
                    "use" => uses(&tokens[start..index], &[]),
                    _ => Vec::new(),
                };
                if !test {
                    let docs = docs.clone();
                    found.push(Item { keyword, name, public, hidden, docs, body, uses });
                }
                (docs, hidden, test, public) = (String::new(), false, false, false);
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) | TokenTree::Ident(_) => {}
            // The body of a macro, whose own items nobody names here.
            TokenTree::Group(_) => (docs, hidden, test, public) = (String::new(), false, false, false),
        }
    }
    found
}

/// What a `use` names: paths and names.
fn uses(tokens: &[TokenTree], before: &[String]) -> Vec<(Vec<String>, String)> {
    let mut path = before.to_vec();
    let mut renamed = None;
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        match token {
            TokenTree::Ident(word) if *word == "as" => {
                renamed = tokens.get(index + 1).map(ToString::to_string);
                index += 1;
            }
            TokenTree::Ident(word) if *word == "crate" || *word == "self" => {}
            TokenTree::Ident(word) => path.push(word.to_string()),
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let comma = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
                return inner
                    .split(comma)
                    .filter(|part| !part.is_empty())
                    .flat_map(|part| uses(part, &path))
                    .collect();
            }
            _ => {}
        }
        index += 1;
    }
    let name = renamed.or_else(|| path.last().cloned());
    name.map(|name| (path, name)).into_iter().collect()
}

/// The documentation of a file or module itself.
fn inner_docs(stream: &TokenStream) -> String {
    let tokens: Vec<TokenTree> = stream.clone().into_iter().collect();
    let lines = tokens.windows(3).filter_map(|three| match three {
        [TokenTree::Punct(hash), TokenTree::Punct(mark), TokenTree::Group(attribute)]
            if hash.as_char() == '#' && mark.as_char() == '!' =>
        {
            doc_line(attribute.stream())
        }
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The documentation of what stands in braces: methods, variants, fields.
fn docs_within(stream: TokenStream) -> Vec<String> {
    let mut all = vec![String::new()];
    for token in stream {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                if let Some(line) = doc_line(group.stream()) {
                    let last = all.last_mut().unwrap();
                    last.push_str(&line);
                    last.push('\n');
                }
            }
            TokenTree::Ident(_) => all.push(String::new()),
            _ => {}
        }
    }
    all.retain(|docs| !docs.is_empty());
    all
}

/// The text of `doc = "…"`.
fn doc_line(attribute: TokenStream) -> Option<String> {
    let tokens: Vec<TokenTree> = attribute.into_iter().collect();
    let [TokenTree::Ident(name), TokenTree::Punct(_), TokenTree::Literal(text)] = tokens.as_slice() else {
        return None;
    };
    if *name != "doc" {
        return None;
    }
    let text = text.to_string();
    let text = match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(escaped) => escaped.replace("\\\"", "\"").replace("\\\\", "\\").replace("\\'", "'"),
        None => text.trim_start_matches(['r', '#']).trim_matches(['"', '#']).to_owned(),
    };
    Some(text.strip_prefix(' ').unwrap_or(&text).to_owned())
}

/// The examples in a documentation that rustdoc compiles, without the lines that it does not show.
fn rust_examples(docs: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<(bool, Vec<&str>)> = None;
    for line in docs.lines() {
        match (line.trim_start().strip_prefix("```"), open.take()) {
            (Some(language), None) => {
                let rust = language.split(',').map(str::trim).all(|word| {
                    ["", "rust", "no_run", "should_panic", "standalone_crate"].contains(&word)
                        || word.starts_with("edition")
                });
                open = Some((rust, Vec::new()));
            }
            (Some(_), Some((rust, lines))) => {
                if rust {
                    found.push(lines.join("\n"));
                }
            }
            (None, Some((rust, mut lines))) => {
                if !(line.trim_start().starts_with("# ") || line.trim() == "#") {
                    lines.push(line);
                }
                open = Some((rust, lines));
            }
            (None, None) => {}
        }
    }
    found
}

/// Whether an example uses a name.
fn shows(example: &str, name: &str, kind: Kind) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    example.match_indices(name).any(|(at, _)| {
        let (before, after) = (&example[..at], &example[at + name.len()..]);
        let whole = !before.ends_with(is_word) && !after.starts_with(is_word);
        let called =
            after.trim_start().starts_with('(') || before.ends_with("#[") || before.ends_with("#[fnguard::");
        whole && (kind == Kind::Named || called)
    })
}

fn read(file: &Path) -> TokenStream {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
