//! The function as it leaves the attribute: the same signature, its body inside the wrapper, and
//! the registration of its policy.
//!
//! Names of ours have the span of the macro's definition, so they meet none of the function's; the
//! wrapper's traits are in scope only in a block that the function's body is no part of.

use crate::function::{Function, Kind};
use crate::policy::Loaded;
use crate::registration;
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Type, parse_quote};

pub(crate) fn expand(mut function: Function, policy: &Loaded) -> TokenStream {
    let head = head(&function, policy);
    let tail = match function.kind {
        Kind::Main => main(&function),
        Kind::Async => around_future(&function),
        Kind::ReturnsFuture => around_returned(&function, false),
        Kind::ReturnsBoxedFuture => around_returned(&function, true),
        Kind::Call => around_call(&function),
    };
    let attributes = std::mem::take(&mut function.attributes);
    let (visibility, signature) = (&function.visibility, &function.signature);
    let braces = function.braces.span.join();
    let body = quote_spanned!(braces=> { #head #tail });
    quote! {
        #(#attributes)*
        #visibility #signature #body
    }
}

/// What stands before the body: the registration, the warnings, and what the wrapper knows.
fn head(function: &Function, policy: &Loaded) -> TokenStream {
    let name = &function.signature.ident;
    let registration = registration::tokens(policy, name);
    let warnings = policy.warnings.iter().map(|warning| {
        // `deprecated` is the one lint that a macro can raise on stable Rust.
        quote_spanned! {policy.span=>
            {
                #[deprecated(note = #warning)]
                #[allow(non_upper_case_globals)]
                const policy_warning: () = ();
                policy_warning
            }
        }
    });
    let origin = &policy.origin;
    let never = policy.never_in_release;
    quote_spanned! {Span::mixed_site()=>
        #registration
        #({ let _: () = #warnings; })*
        static __FNGUARD_SITE: ::fnguard::__private::Site = ::fnguard::__private::Site {
            function: ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
            policy: #origin,
            debug_build: ::core::cfg!(debug_assertions),
            test: ::core::cfg!(test),
            never_in_release: #never,
        };
    }
}

fn main(function: &Function) -> TokenStream {
    let body = &function.body;
    quote_spanned! {Span::mixed_site()=>
        ::fnguard::__private::main(&__FNGUARD_SITE);
        #body
    }
}

/// Makes the type of a block known before its body is checked, as the signature would have: `?` and
/// coercions depend on it. The edge is never taken.
fn return_edge(function: &Function) -> TokenStream {
    let Some(output) = function.output() else { return TokenStream::new() };
    let span = function.signature.output.span();
    quote_spanned! {span.resolved_at(Span::mixed_site())=>
        #[allow(unknown_lints, unreachable_code, clippy::diverging_sub_expression, clippy::empty_loop,
            clippy::let_unit_value, clippy::let_with_type_underscore, clippy::needless_return)]
        if false {
            let __fnguard_return: #output = loop {};
            return __fnguard_return;
        }
    }
}

fn around_future(function: &Function) -> TokenStream {
    let Function { body, request_id, rebind, .. } = function;
    let edge = return_edge(function);
    // What the compiler says of the block as a whole, it says of the function's body.
    let span = function.braces.span.join().resolved_at(Span::mixed_site());
    let block = quote_spanned!(span=> { #edge #rebind #body });
    let around = around(None);
    quote_spanned! {Span::mixed_site()=>
        #[allow(clippy::used_underscore_binding)]
        let __fnguard_id = #request_id;
        let __fnguard_future = async move #block;
        let __fnguard_invocation = ::fnguard::__private::Invocation::open(&__FNGUARD_SITE, __fnguard_id);
        #around.await
    }
}

fn around_returned(function: &Function, boxed: bool) -> TokenStream {
    let request_id = &function.request_id;
    let closure = closure(function);
    let around = around(function.future_output());
    let around =
        if boxed { quote_spanned!(Span::mixed_site()=> ::std::boxed::Box::pin(#around)) } else { around };
    quote_spanned! {Span::mixed_site()=>
        #[allow(clippy::used_underscore_binding)]
        let __fnguard_id = #request_id;
        let __fnguard_invocation = ::fnguard::__private::Invocation::open(&__FNGUARD_SITE, __fnguard_id);
        let __fnguard_future = __fnguard_invocation.construct(#closure);
        #around
    }
}

fn around_call(function: &Function) -> TokenStream {
    let request_id = &function.request_id;
    let closure = closure(function);
    let plan = plan();
    quote_spanned! {Span::mixed_site()=>
        #[allow(clippy::used_underscore_binding)]
        let __fnguard_id = #request_id;
        let __fnguard_call = ::fnguard::__private::once(#closure);
        {
            let __fnguard_outcome = ::fnguard::__private::Outcome::of_call(&__fnguard_call);
            let __fnguard_plan = #plan;
            ::fnguard::__private::Invocation::open(&__FNGUARD_SITE, __fnguard_id)
                .run(__fnguard_call, __fnguard_plan)
        }
    }
}

/// The body of a plain function as a closure that is called once.
fn closure(function: &Function) -> TokenStream {
    let Function { body, rebind, .. } = function;
    let output = function.output().map(|output| quote!(-> #output)).unwrap_or_default();
    let span = function.braces.span.join().resolved_at(Span::mixed_site());
    let block = quote_spanned!(span=> { #rebind #body });
    match output.is_empty() {
        true => quote_spanned!(Span::mixed_site()=> move || #block),
        false => quote_spanned!(Span::mixed_site()=> move || #output #block),
    }
}

/// Runs `__fnguard_future`; an expression that is a future.
fn around(output: Option<Type>) -> TokenStream {
    let plan = plan();
    // The body alone may leave it open: `async { Ok(1) }`.
    let output = output.unwrap_or(parse_quote!(_));
    quote_spanned! {Span::mixed_site()=>
        {
            #[allow(unused_imports)]
            use ::fnguard::__private::{AroundHere as _, AroundSent as _};
            let __fnguard_outcome: ::fnguard::__private::Outcome<#output> =
                ::fnguard::__private::Outcome::of_future(&__fnguard_future);
            let __fnguard_plan = #plan;
            (&__fnguard_outcome).way().around(__fnguard_invocation, __fnguard_future, __fnguard_plan)
        }
    }
}

/// What can be done with the error of `__fnguard_outcome`: the most that its type allows, by the
/// number of references at which method resolution finds the first trait that applies.
fn plan() -> TokenStream {
    quote_spanned! {Span::mixed_site()=>
        {
            #[allow(unused_imports)]
            use ::fnguard::__private::{
                RebuildFromError as _, RebuildFromText as _, RebuildNothing as _, TextsOfBox as _,
                TextsOfDebug as _, TextsOfDisplay as _, TextsOfDyn as _, TextsOfError as _, TextsOfNothing as _,
            };
            ::fnguard::__private::Plan::new(
                (&&&&&__fnguard_outcome).texts(),
                (&&__fnguard_outcome).rebuild(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_stays() {
        let item = quote! {
            /// Docs.
            #[tracing::instrument]
            pub(crate) async fn handler<'a, T: Clone>(&'a self, event: LambdaEvent<T>) -> Result<impl Reply + use<'a, T>, E>
            where
                T: Send,
            {
                #![allow(unused)]
                body(event).await
            }
        };
        let function = Function::parse(item).unwrap();
        let policy = Loaded {
            origin: "inline".to_owned(),
            file: None,
            blobs: Vec::new(),
            never_in_release: false,
            warnings: Vec::new(),
            span: Span::call_site(),
        };
        let expanded = expand(function, &policy);
        let expected = quote! {
            /// Docs.
            #[tracing::instrument]
            #[allow(unused)]
            pub(crate) async fn handler<'a, T: Clone>(&'a self, event: LambdaEvent<T>) -> Result<impl Reply + use<'a, T>, E>
            where
                T: Send,
        };
        // Token streams print the same tokens with different spaces.
        let text = |tokens: TokenStream| tokens.to_string().replace(' ', "");
        let expanded = text(expanded);
        assert!(expanded.starts_with(&text(expected)), "{expanded}");
    }
}
