//! Entry points for the fuzz targets in `fuzz/` that reach into the crate: each takes bytes that
//! somebody hostile wrote, and says what must be true of whatever is made of them. Not part of the
//! crate: it exists under `cfg(fuzzing)`, and in the crate's own tests, which replay the corpora.
//! What needs no more than the public face is in `fuzz/properties/`.

use crate::link::Request;

pub use crate::arbiter::fuzzing::{control, dns_query, dns_reply, sockaddr};

/// A packet on the link: decoded or refused. What was decoded says the same when it is encoded
/// again, and is never more than came.
pub fn link(bytes: &[u8]) {
    let Ok(request) = postcard::from_bytes::<Request<'_>>(bytes) else { return };
    let Ok(encoded) = postcard::to_allocvec(&request) else { panic!("{request:?} can't be encoded") };
    assert!(encoded.len() <= bytes.len(), "{request:?} has grown");
    match postcard::take_from_bytes::<Request<'_>>(&encoded) {
        Ok((again, rest)) => {
            assert!(rest.is_empty());
            assert_eq!(format!("{request:?}"), format!("{again:?}"));
        }
        Err(error) => panic!("{request:?} can't be read again: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Runs a target on every input of its corpus: the seeds, and whatever a fuzzer has found.
    fn replay(target: &str, run: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let entries = std::fs::read_dir(&folder);
        let mut inputs = 0;
        for entry in entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            // Shown if the next line panics.
            println!("{}", path.display());
            run(&std::fs::read(path).unwrap());
            inputs += 1;
        }
        assert!(inputs >= 3, "{target} has {inputs} inputs");
    }

    #[test]
    fn sockaddr() {
        replay("sockaddr", super::sockaddr);
    }

    #[test]
    fn control() {
        replay("control", super::control);
    }

    #[test]
    fn dns_query() {
        replay("dns_query", super::dns_query);
    }

    #[test]
    fn dns_reply() {
        replay("dns_reply", super::dns_reply);
    }

    #[test]
    fn link() {
        replay("link", super::link);
    }
}
