//! The attribute `#[guarded]` of [fnguard]. Use it as `fnguard::guarded`; this crate is how it is
//! built, and has nothing else to offer.
//!
//! | file | what it does |
//! |---|---|
//! | `arguments` | `policy = "path"`, `policy = inline "…"` |
//! | `policy` | finds, parses and compiles the policy while the function is being compiled |
//! | `function` | what the attribute stands on: handler or main, and where its request id is |
//! | `registration` | the compiled policy as data in the function's binary |
//! | `expansion` | the function, with its body inside the wrapper |
//!
//! [fnguard]: https://docs.rs/fnguard
#![forbid(unsafe_code)]

mod arguments;
mod expansion;
mod function;
mod manifest;
mod policy;
mod registration;

use proc_macro2::TokenStream;

/// Guards a function handler, or a program's `main`.
///
/// The attribute does two things. It reads the policy while the function is being compiled, so that
/// a mistake in it is a compile error, and lays the compiled policy into the binary, from where the
/// process is armed before `main`. And it puts the body of the function into a wrapper that tells
/// the arbiter when an invocation begins and ends, takes secrets out of the errors and the panics
/// that the caller would get to see, and holds the answer back until the log lines are out.
///
/// The signature stays as it is.
///
/// # Arguments
///
/// | written | the policy is |
/// |---|---|
/// | `#[guarded]` | `guard.toml` beside the `Cargo.toml` of the crate |
/// | `#[guarded(policy = "policies/orders.toml")]` | that file, relative to `Cargo.toml` |
/// | `#[guarded(policy = inline "version = 1\n…")]` | the text itself, also as a raw string |
///
/// Every `#[guarded]` of one program must have the same policy: one process has one policy.
/// Changing the file rebuilds the crate. A warning about the policy is a compiler warning at the
/// attribute (of the lint `deprecated`, the one that stable Rust lets a macro raise).
///
/// # What it can stand on
///
/// - An `async fn`, with any arguments, generics and return type; free or a method.
/// - A plain `fn` that returns a future as `impl Future`, `BoxFuture` or `Pin<Box<dyn Future>>`: its
///   future is guarded. A plain `fn` that returns anything else: the call is.
/// - `fn main`, above or below `#[tokio::main]`. It arms the process, and a release build that is
///   not armed ends there with status 125, unless the policy says `[arm] release = "never"`.
///
/// # The request id
///
/// It is taken from the first argument whose type is written as `LambdaEvent<…>`, or as `Request`
/// if the crate depends on `lambda_http`. A handler without either, such as one that takes a type
/// alias, gets ids that count its calls: `call-1`, `call-2`.
///
/// # Unarmed
///
/// In unit tests and in unarmed debug builds the wrapper calls straight through. A release build
/// that is not armed refuses events that come from a runtime API.
#[proc_macro_attribute]
pub fn guarded(arguments: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand(arguments.into(), item.into()).into()
}

/// On a mistake the item is left as it is, so that the mistake is the only thing reported.
fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = function::Function::parse(item.clone()).and_then(|function| {
        let source = arguments::parse(arguments)?;
        let policy = policy::load(&source)?;
        Ok(expansion::expand(function, &policy))
    });
    expanded.unwrap_or_else(|error| {
        let mut out = error.into_compile_error();
        out.extend(item);
        out
    })
}
