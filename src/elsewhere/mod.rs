//! Off Linux: the same names, and nothing behind them. A handler and a guarded `main` compile and run
//! unarmed, which is said once on stderr; a release build refuses real events there, those of a
//! runtime API, as anywhere unarmed.

/// Stands in for the link: nobody answers.
pub(crate) mod link {
    pub(crate) const LONGEST_ID: usize = 128;
    pub(crate) const LONGEST_TEXT: usize = 64 * 1024;

    /// What a text leaves as.
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Leaves {
        Error,
        Panic,
    }

    /// A violation, of which nobody tells here.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Told {
        pub(crate) seq: u64,
        pub(crate) action: String,
        pub(crate) control: String,
        pub(crate) syscall: Option<String>,
        pub(crate) address: Option<String>,
        pub(crate) name: Option<String>,
        pub(crate) path: Option<String>,
        pub(crate) program: Option<String>,
        pub(crate) detail: Option<String>,
        pub(crate) rule: Option<String>,
        pub(crate) phase: Option<String>,
        pub(crate) request_ids: Vec<String>,
        pub(crate) count: u64,
    }

    pub(crate) mod ask {
        use crate::error::Error;
        use std::sync::Once;
        use zeroize::Zeroizing;

        fn say_once() {
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                eprintln!("fnguard: this platform is not Linux on x86_64 or aarch64: nothing is guarded");
            });
        }

        pub(crate) fn is_armed() -> bool {
            say_once();
            false
        }

        pub(crate) fn start(_id: &str) -> Result<(), Error> {
            say_once();
            Err(Error::NotArmed)
        }

        pub(crate) fn finish(_id: &str) -> Result<(), Error> {
            Err(Error::NotArmed)
        }

        pub(crate) fn finish_soon(_id: &str) -> Option<Result<(), Error>> {
            Some(Err(Error::NotArmed))
        }

        pub(crate) fn redact(_text: &str, _leaves: super::Leaves) -> Result<String, Error> {
            Err(Error::NotArmed)
        }

        pub(crate) fn secret(_name: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
            Err(Error::NotArmed)
        }

        pub(crate) fn protect(_name: &str, _value: &[u8]) -> Result<(), Error> {
            Err(Error::NotArmed)
        }

        pub(crate) fn describe() -> Result<String, Error> {
            Err(Error::NotArmed)
        }

        pub(crate) fn violations(_after: u64) -> Result<(u64, Vec<super::Told>, u64), Error> {
            Err(Error::NotArmed)
        }
    }
}

/// Stands in for the start: nothing arms.
pub(crate) mod start {
    /// Whether the platform names a runtime API.
    pub(crate) fn initial_runtime_api() -> bool {
        std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
    }

    /// A registered policy, which nobody reads here.
    #[derive(Debug)]
    pub struct Registration;

    impl Registration {
        /// An entry for an encoded policy.
        pub const fn new(_blob: &'static [u8], _place: &'static str) -> Self {
            Registration
        }
    }
}

/// Stands in for the kernel interface.
pub(crate) mod sys {
    /// An error number.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Errno(pub i32);

    impl std::fmt::Display for Errno {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "error {}", self.0)
        }
    }

    impl std::error::Error for Errno {}
}
