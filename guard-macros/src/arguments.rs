//! The arguments of the attribute: where the policy is. Reading it is `policy`'s work.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::parse::{ParseStream, Parser};
use syn::{Error, Ident, LitStr, Token};

/// Where the policy comes from.
pub(crate) enum Source {
    /// No argument: `guard.toml` beside the manifest.
    Default,
    /// A path relative to the manifest.
    Path(LitStr),
    /// The text itself.
    Inline(LitStr),
}

const EXPECTED: &str = "expected: `policy = \"path/to/guard.toml\"` or `policy = inline \"version = 1 …\"`";

/// Reads what stands between the parentheses.
pub(crate) fn parse(arguments: TokenStream) -> Result<Source, Error> {
    read.parse2(arguments)
}

fn read(input: ParseStream<'_>) -> Result<Source, Error> {
    if input.is_empty() {
        return Ok(Source::Default);
    }
    if input.peek(LitStr) {
        let path: LitStr = input.parse()?;
        return Err(Error::new(
            path.span(),
            format!("found a string without a name\n  = help: write `policy = {}`", path.token()),
        ));
    }
    let Ok(name) = input.call(<Ident as syn::ext::IdentExt>::parse_any) else {
        return Err(unexpected(input, EXPECTED));
    };
    if name != "policy" {
        return Err(Error::new(name.span(), format!("unknown argument `{name}`\n  = {EXPECTED}")));
    }
    if !input.peek(Token![=]) {
        // With the input at its end there is no token to point at but the name.
        let span = if input.is_empty() { name.span() } else { input.span() };
        return Err(Error::new(span, format!("`policy` needs a value\n  = {EXPECTED}")));
    }
    let equals: Token![=] = input.parse()?;
    if input.is_empty() {
        return Err(Error::new(equals.span, format!("`policy =` needs a value\n  = {EXPECTED}")));
    }
    let source = value(input)?;

    if !input.is_empty() && !input.peek(Token![,]) {
        return Err(unexpected(input, "expected: the end of the arguments"));
    }
    if input.peek(Token![,]) {
        let _: Token![,] = input.parse()?;
    }
    if input.is_empty() {
        return Ok(source);
    }
    let again = input.cursor().ident().is_some_and(|(ident, _)| ident == "policy");
    Err(Error::new(
        input.span(),
        if again {
            "`policy` is given twice\n  = expected: one policy: one process has one".to_owned()
        } else {
            format!(
                "unknown argument `{}`\n  = expected: the end of the arguments: `policy` is the only one",
                next(input)
            )
        },
    ))
}

/// What stands after `policy =`.
fn value(input: ParseStream<'_>) -> Result<Source, Error> {
    if input.peek(LitStr) {
        let path: LitStr = input.parse()?;
        return checked(path).map(Source::Path);
    }
    let Ok(word) = input.parse::<Ident>() else {
        return Err(unexpected(input, EXPECTED));
    };
    if word != "inline" {
        return Err(Error::new(word.span(), format!("found `{word}`\n  = {EXPECTED}")));
    }
    if input.peek(LitStr) {
        return input.parse().map(Source::Inline);
    }
    let span = if input.is_empty() { word.span() } else { input.span() };
    let macro_call = input.peek(Ident) && input.peek2(Token![!]);
    let help = if macro_call {
        "\n  = help: for the text of a file, write `policy = \"path/to/guard.toml\"`"
    } else {
        ""
    };
    Err(Error::new(
        span,
        format!(
            "`policy = inline` needs the policy's text\n  = expected: a string literal after `inline`{help}"
        ),
    ))
}

fn checked(path: LitStr) -> Result<LitStr, Error> {
    let text = path.value();
    if text.is_empty() {
        return Err(Error::new(
            path.span(),
            "found an empty path\n  = expected: a path relative to the directory of Cargo.toml",
        ));
    }
    if std::path::Path::new(&text).is_absolute() {
        return Err(Error::new(
            path.span(),
            "found an absolute path\n  = expected: a path relative to the directory of Cargo.toml, so that the \
             crate builds elsewhere",
        ));
    }
    if text.contains('\n') {
        return Err(Error::new(
            path.span(),
            "found a path of several lines\n  = help: for the text of a policy, write `policy = inline \"…\"`",
        ));
    }
    Ok(path)
}

fn unexpected(input: ParseStream<'_>, expected: &str) -> Error {
    Error::new(input.span(), format!("found `{}`\n  = {expected}", next(input)))
}

/// The next token, as written.
fn next(input: ParseStream<'_>) -> String {
    let token = input.cursor().token_tree().map(|(token, _)| token);
    token.unwrap_or_else(|| TokenTree::Ident(Ident::new("nothing", Span::call_site()))).to_string()
}
