//! What the attribute stands on: a handler, plain or `async`, or `main`. The body is kept as tokens
//! and not parsed, so that whatever the compiler understands there may stand there.

use crate::manifest;
use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{Parse, ParseStream, Parser};
use syn::visit_mut::{self, VisitMut};
use syn::{
    AttrStyle, Attribute, Error, FnArg, GenericArgument, Ident, Pat, PatType, PathArguments, ReturnType,
    Signature, Token, Type, TypeParamBound, Visibility, braced, token,
};

/// A function under the attribute.
pub(crate) struct Function {
    /// Attributes other than this one, those inside the body included.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    /// As written, but for the name of the argument that has the request id if that has a pattern.
    pub(crate) signature: Signature,
    pub(crate) braces: token::Brace,
    /// What stands between the braces.
    pub(crate) body: TokenStream,
    pub(crate) kind: Kind,
    /// An expression of type `Option<String>`.
    pub(crate) request_id: TokenStream,
    /// Statements that give the arguments the names they were written with.
    pub(crate) rebind: TokenStream,
}

/// How a function is guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The program's entry.
    Main,
    /// An `async fn`.
    Async,
    /// A plain function that returns a future whose type has no name.
    ReturnsFuture,
    /// A plain function that returns a boxed future.
    ReturnsBoxedFuture,
    /// Any other plain function.
    Call,
}

const EXPECTED: &str = "expected: a function with a body: a handler, or `main`";

impl Function {
    pub(crate) fn parse(item: TokenStream) -> Result<Self, Error> {
        Parser::parse2(Function::read, item)
    }

    fn read(input: ParseStream<'_>) -> Result<Self, Error> {
        let mut attributes = input.call(Attribute::parse_outer)?;
        if let Some(again) = attributes.iter().find(|attribute| is_guarded(attribute)) {
            return Err(Error::new_spanned(
                again,
                "#[guarded] stands here twice\n  = help: remove one of the two",
            ));
        }
        let visibility: Visibility = input.parse()?;
        refuse_other_items(input)?;
        let mut signature: Signature = input.parse()?;
        refuse_other_functions(&signature)?;
        if input.peek(Token![;]) {
            return Err(Error::new(input.span(), format!("this function has no body\n  = {EXPECTED}")));
        }
        let content;
        let braces = braced!(content in input);
        for mut inner in content.call(Attribute::parse_inner)? {
            inner.style = AttrStyle::Outer;
            attributes.push(inner);
        }
        let body = content.call(TokenStream::parse)?;

        let kind = Kind::of(&signature);
        let (request_id, rebind) = match kind {
            Kind::Main => (TokenStream::new(), TokenStream::new()),
            _ => request_id(&mut signature),
        };
        Ok(Function { attributes, visibility, signature, braces, body, kind, request_id, rebind })
    }

    /// What the future gives that the function returns, as far as it is written in the return type.
    pub(crate) fn future_output(&self) -> Option<Type> {
        let ReturnType::Type(_, output) = &self.signature.output else { return None };
        let Type::ImplTrait(opaque) = ungrouped(output) else { return None };
        opaque.bounds.iter().filter(|bound| is_future(bound)).find_map(|bound| {
            let TypeParamBound::Trait(bound) = bound else { return None };
            let PathArguments::AngleBracketed(list) = &bound.path.segments.last()?.arguments else {
                return None;
            };
            list.args.iter().find_map(|argument| match argument {
                GenericArgument::AssocType(assoc) if assoc.ident == "Output" => {
                    Some(inferred(assoc.ty.clone()))
                }
                _ => None,
            })
        })
    }

    /// The return type with `_` wherever `impl Trait` stands, which can be named nowhere else.
    /// `None` if nothing remains.
    pub(crate) fn output(&self) -> Option<Type> {
        let output = match &self.signature.output {
            ReturnType::Default => return Some(Type::Verbatim(quote!(()))),
            ReturnType::Type(_, output) => inferred((**output).clone()),
        };
        (!matches!(output, Type::Infer(_))).then_some(output)
    }
}

/// Whether this is the attribute itself, by its name.
fn is_guarded(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|segment| segment.ident == "guarded")
}

/// Names the item that is there instead of a function.
fn refuse_other_items(input: ParseStream<'_>) -> Result<(), Error> {
    let ahead = input.fork();
    let Some((TokenTree::Ident(word), _)) = ahead.cursor().token_tree() else {
        return if input.is_empty() { Err(input.error(EXPECTED)) } else { Ok(()) };
    };
    let found = match word.to_string().as_str() {
        "struct" => "a struct",
        "enum" => "an enum",
        "union" => "a union",
        "trait" => "a trait",
        "impl" => "an impl block",
        "mod" => "a module",
        "static" => "a static",
        "type" => "a type alias",
        "use" => "an import",
        "let" => "a variable",
        "macro_rules" => "a macro",
        "const"
            if !ahead.peek2(Token![fn]) && !ahead.peek2(Token![async]) && !ahead.peek2(Token![unsafe]) =>
        {
            "a constant"
        }
        _ => return Ok(()),
    };
    let help = match found {
        "an impl block" | "a trait" => "\n  = help: put #[guarded] on the method that handles the event",
        _ => "",
    };
    Err(Error::new(word.span(), format!("#[guarded] stands on {found}\n  = {EXPECTED}{help}")))
}

fn refuse_other_functions(signature: &Signature) -> Result<(), Error> {
    let refuse = |span: &dyn ToTokens, what: &str| {
        Err(Error::new_spanned(
            span.to_token_stream(),
            format!("a handler cannot be {what}\n  = expected: a function that `service_fn` takes"),
        ))
    };
    if let Some(constness) = &signature.constness {
        return refuse(constness, "a `const fn`: the guard does not run in the compiler");
    }
    if let Some(unsafety) = &signature.unsafety {
        return refuse(unsafety, "an `unsafe fn`");
    }
    if let Some(abi) = &signature.abi {
        return refuse(abi, "an `extern fn`: a panic must not leave it, and the guard may raise one");
    }
    if let Some(variadic) = &signature.variadic {
        return refuse(variadic, "variadic");
    }
    Ok(())
}

impl Kind {
    fn of(signature: &Signature) -> Kind {
        if signature.ident == "main" && signature.inputs.is_empty() {
            return Kind::Main;
        }
        if signature.asyncness.is_some() {
            return Kind::Async;
        }
        match &signature.output {
            ReturnType::Type(_, output) if is_opaque_future(output) => Kind::ReturnsFuture,
            ReturnType::Type(_, output) if is_boxed_future(output) => Kind::ReturnsBoxedFuture,
            _ => Kind::Call,
        }
    }
}

/// `impl Future<…> + …`.
fn is_opaque_future(output: &Type) -> bool {
    let Type::ImplTrait(opaque) = ungrouped(output) else { return false };
    opaque.bounds.iter().any(is_future)
}

/// `Pin<Box<dyn Future<…> + …>>`, and the names that the futures crate and lambda_runtime have for it.
fn is_boxed_future(output: &Type) -> bool {
    let Some((name, arguments)) = last_segment(output) else { return false };
    if name == "BoxFuture" || name == "LocalBoxFuture" {
        return true;
    }
    let inner = |arguments: &PathArguments| match arguments {
        PathArguments::AngleBracketed(list) => match list.args.first() {
            Some(GenericArgument::Type(inner)) if list.args.len() == 1 => Some(inner.clone()),
            _ => None,
        },
        _ => None,
    };
    if name != "Pin" {
        return false;
    }
    let Some(boxed) = inner(arguments) else { return false };
    let Some((name, arguments)) = last_segment(&boxed) else { return false };
    if name != "Box" {
        return false;
    }
    match inner(arguments).as_ref().map(ungrouped) {
        Some(Type::TraitObject(object)) => object.bounds.iter().any(is_future),
        Some(Type::ImplTrait(opaque)) => opaque.bounds.iter().any(is_future),
        _ => false,
    }
}

fn is_future(bound: &TypeParamBound) -> bool {
    let TypeParamBound::Trait(bound) = bound else { return false };
    bound.path.segments.last().is_some_and(|segment| segment.ident == "Future")
}

/// The last segment of a type that is a path.
fn last_segment(r#type: &Type) -> Option<(&Ident, &PathArguments)> {
    let Type::Path(path) = ungrouped(r#type) else { return None };
    path.path.segments.last().map(|segment| (&segment.ident, &segment.arguments))
}

/// A type without parentheses and the invisible groups that `macro_rules` leaves.
fn ungrouped(r#type: &Type) -> &Type {
    match r#type {
        Type::Group(group) => ungrouped(&group.elem),
        Type::Paren(paren) => ungrouped(&paren.elem),
        other => other,
    }
}

/// Finds the argument that knows the request id: the expression for the id, and what gives the
/// argument its pattern back.
fn request_id(signature: &mut Signature) -> (TokenStream, TokenStream) {
    let mixed = Span::mixed_site();
    let none = || (quote_spanned!(mixed=> ::core::option::Option::None), TokenStream::new());
    let found = signature.inputs.iter_mut().find_map(|argument| {
        let FnArg::Typed(argument) = argument else { return None };
        Event::of(&argument.ty).map(|event| (argument, event))
    });
    let Some((argument, (event, references))) = found else { return none() };
    let path = match &event {
        Event::Lambda => None,
        Event::Http(path) => match path.clone().or_else(name_in_manifest) {
            Some(path) => Some(path),
            None => return none(),
        },
    };
    let (name, rebind) = named(argument);
    let place = (0..references).fold(quote!(#name), |place, _| quote_spanned!(mixed=> (*#place)));
    let expression = match path {
        None => quote_spanned! {mixed=>
            ::core::option::Option::Some(::fnguard::__private::request_id(&#place.context.request_id))
        },
        Some(lambda_http) => quote_spanned! {mixed=> {
            #[allow(unused_imports)]
            use #lambda_http::RequestExt as _;
            #[allow(unused_imports)]
            use ::fnguard::__private::WithoutContext as _;
            (&#place)
                .lambda_context_ref()
                .map(|context| ::fnguard::__private::request_id(&context.request_id))
        }},
    };
    (expression, rebind)
}

fn name_in_manifest() -> Option<TokenStream> {
    let name = Ident::new(&manifest::name_of_lambda_http()?, Span::mixed_site());
    Some(quote_spanned!(Span::mixed_site()=> ::#name))
}

/// A type that carries the request id.
enum Event {
    /// `LambdaEvent<…>`: in its context.
    Lambda,
    /// `Request`: in the extensions. The path of the crate, if it was written.
    Http(Option<TokenStream>),
}

impl Event {
    /// What a type is by its name, and how many references stand before it.
    fn of(r#type: &Type) -> Option<(Event, usize)> {
        match ungrouped(r#type) {
            Type::Reference(reference) => {
                Event::of(&reference.elem).map(|(event, references)| (event, references.saturating_add(1)))
            }
            Type::Path(path) if path.qself.is_none() => {
                let segments = &path.path.segments;
                let name = &segments.last()?.ident;
                if name == "LambdaEvent" {
                    Some((Event::Lambda, 0))
                } else if name == "Request" {
                    let written = match segments.first() {
                        Some(krate) if segments.len() == 2 && krate.ident == "lambda_http" => {
                            let colons = path.path.leading_colon;
                            let krate = &krate.ident;
                            Some(quote!(#colons #krate))
                        }
                        _ => None,
                    };
                    Some((Event::Http(written), 0))
                } else {
                    None
                }
            }
            _ => None,
        }
    }
}

/// A name for an argument: its own, or a new one in place of a pattern, which is then bound inside.
fn named(argument: &mut PatType) -> (Ident, TokenStream) {
    if let Pat::Ident(pattern) = &*argument.pat
        && pattern.by_ref.is_none()
        && pattern.subpat.is_none()
    {
        return (pattern.ident.clone(), TokenStream::new());
    }
    let name = Ident::new("__fnguard_event", Span::mixed_site());
    let pattern = std::mem::replace(&mut *argument.pat, Pat::Verbatim(quote!(#name)));
    (name.clone(), quote_spanned!(Span::mixed_site()=> let #pattern = #name;))
}

/// A type with `_` in place of every `impl Trait`.
fn inferred(mut r#type: Type) -> Type {
    Infer.visit_type_mut(&mut r#type);
    r#type
}

struct Infer;

impl VisitMut for Infer {
    fn visit_type_mut(&mut self, r#type: &mut Type) {
        if matches!(r#type, Type::ImplTrait(_)) {
            *r#type = Type::Infer(syn::TypeInfer { underscore_token: Token![_](Span::mixed_site()) });
        } else {
            visit_mut::visit_type_mut(self, r#type);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn kind(item: TokenStream) -> Kind {
        Function::parse(item).unwrap().kind
    }

    #[test]
    fn functions_are_told_apart() {
        assert_eq!(
            kind(quote!(
                fn main() {}
            )),
            Kind::Main
        );
        assert_eq!(
            kind(quote!(
                async fn main() -> R {}
            )),
            Kind::Main
        );
        assert_eq!(
            kind(quote!(
                pub(crate) async fn main(event: E) {}
            )),
            Kind::Async
        );
        assert_eq!(
            kind(quote!(
                fn h(event: E) -> impl Future<Output = R> + Send {}
            )),
            Kind::ReturnsFuture
        );
        assert_eq!(
            kind(quote!(
                fn h(event: E) -> impl Display {}
            )),
            Kind::Call
        );
        assert_eq!(
            kind(quote!(
                fn h(event: E) -> BoxFuture<'static, R> {}
            )),
            Kind::ReturnsBoxedFuture
        );
        let boxed = quote!(
            fn h(&self) -> std::pin::Pin<Box<dyn std::future::Future<Output = R> + Send + '_>> {}
        );
        assert_eq!(kind(boxed), Kind::ReturnsBoxedFuture);
        assert_eq!(
            kind(quote!(
                fn h() -> Pin<Box<Thing>> {}
            )),
            Kind::Call
        );
        assert_eq!(
            kind(quote!(
                fn h() {}
            )),
            Kind::Call
        );
    }

    #[test]
    fn the_argument_with_the_request_id_is_found() {
        for (item, expected, rebinds) in [
            (
                quote!(
                    async fn h(event: LambdaEvent<V>) {}
                ),
                "(& event . context",
                false,
            ),
            (
                quote!(
                    async fn h(&self, state: S, e: &lambda_runtime::LambdaEvent<V>) {}
                ),
                "(& (* e) . context",
                false,
            ),
            (
                quote!(
                    async fn h(mut event: LambdaEvent<V>) {}
                ),
                "(& event . context",
                false,
            ),
            (
                quote!(
                    async fn h(_: LambdaEvent<V>) {}
                ),
                "__fnguard_event",
                true,
            ),
            (
                quote!(
                    async fn h(LambdaEvent { payload, .. }: LambdaEvent<V>) {}
                ),
                "__fnguard_event",
                true,
            ),
            (
                quote!(
                    async fn h(request: ::lambda_http::Request) {}
                ),
                "use :: lambda_http :: RequestExt",
                false,
            ),
            // This crate does not depend on lambda_http.
            (
                quote!(
                    async fn h(request: Request) {}
                ),
                ":: core :: option :: Option :: None",
                false,
            ),
            (
                quote!(
                    async fn h(event: Event) {}
                ),
                ":: core :: option :: Option :: None",
                false,
            ),
        ] {
            let function = Function::parse(item.clone()).unwrap();
            let id = function.request_id.to_string().replace("request_id (", "request_id(");
            assert!(id.contains(expected), "{item}: {id}");
            assert_eq!(!function.rebind.is_empty(), rebinds, "{item}");
        }
    }

    #[test]
    fn what_has_no_name_is_inferred() {
        for (item, expected) in [
            (
                quote!(
                    fn h() {}
                ),
                Some(parse_quote!(())),
            ),
            (
                quote!(
                    fn h() -> impl Display {}
                ),
                None,
            ),
            (
                quote!(
                    fn h() -> Result<impl Display, E> {}
                ),
                Some(parse_quote!(Result<_, E>)),
            ),
            (
                quote!(
                    fn h() -> Result<T, E> {}
                ),
                Some(parse_quote!(Result<T, E>)),
            ),
        ] {
            let found = Function::parse(item.clone()).unwrap().output();
            let expected: Option<Type> = expected;
            let text = |found: Option<Type>| found.map(|found| found.to_token_stream().to_string());
            assert_eq!(text(found), text(expected), "{item}");
        }
    }
}
