//! The compiled policy as data in the function's binary, twice over the same bytes: an ELF note for
//! whoever reads the file, and an entry in the section that arming walks.
//!
//! The data is for the architecture and the kind of build that the crate is compiled for. Test
//! builds carry none: unit tests do not arm.

use crate::policy::{Blob, Loaded};
use fnguard_policy::model::compiled::{NOTE_SECTION, REGISTER_SECTION};
use proc_macro2::{Literal, Span, TokenStream};
use quote::{quote, quote_spanned};

pub(crate) fn tokens(policy: &Loaded, function: &syn::Ident) -> TokenStream {
    let watched = policy.file.as_ref().map(|file| {
        // rustc records the file as something the crate was built from, so that cargo rebuilds.
        quote_spanned! {Span::mixed_site()=>
            const _: &[u8] =
                ::core::include_bytes!(::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), "/", #file));
        }
    });
    let registrations = policy.blobs.iter().map(|blob| registration(blob, function));
    quote! { #watched #(#registrations)* }
}

fn registration(blob: &Blob, function: &syn::Ident) -> TokenStream {
    let arch = blob.arch.as_str();
    let debug = if blob.debug_build { quote!(debug_assertions) } else { quote!(not(debug_assertions)) };
    let length = Literal::usize_unsuffixed(blob.bytes.len());
    // The descriptor of a note is padded to four bytes (elf(5)).
    let mut padded = blob.bytes.clone();
    padded.resize(blob.bytes.len().next_multiple_of(4), 0);
    let padded_length = Literal::usize_unsuffixed(padded.len());
    let bytes = Literal::byte_string(&padded);
    quote_spanned! {Span::mixed_site()=>
        #[cfg(all(
            not(test),
            #debug,
            target_os = "linux",
            target_arch = #arch,
            target_pointer_width = "64"
        ))]
        const _: () = {
            #[used]
            #[unsafe(link_section = #NOTE_SECTION)]
            static NOTE: ::fnguard::__private::Note<#padded_length> =
                ::fnguard::__private::Note::new(#length, *#bytes);
            #[used]
            #[unsafe(link_section = #REGISTER_SECTION)]
            static REGISTRATION: ::fnguard::__private::Registration =
                ::fnguard::__private::Registration::new(
                    NOTE.policy(),
                    ::core::concat!(
                        ::core::module_path!(), "::", ::core::stringify!(#function),
                        " (", ::core::file!(), ":", ::core::line!(), ")"
                    ),
                );
        };
    }
}
