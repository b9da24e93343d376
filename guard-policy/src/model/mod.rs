//! Plain data: a policy as the rest of fnguard sees it. No parsing (see `source`), no I/O.
//!
//! Every type here is what the macro writes into the function's binary and what the arbiter
//! reads back, so a change of shape is a change of [`compiled::FORMAT`].
//!
//! ```
//! use fnguard_policy::model::*;
//!
//! // As guard.toml would say it: every section, with something in it.
//! let policy = Policy {
//!     version: 1,
//!     mode: Mode::Enforce,
//!     arm: Arm {
//!         release: ReleaseArming::Always,
//!         debug: DebugArming::Audit,
//!         mechanism: Mechanism::Auto,
//!         on_unsupported: OnUnsupported::Refuse,
//!         strict_init: true,
//!     },
//!     secrets: Secrets {
//!         env: vec![SecretPattern { text: "DB_*".to_owned() }],
//!         optional: Vec::new(),
//!         on_weak: OnWeak::Refuse,
//!     },
//!     network: Network {
//!         mode: Mode::Enforce,
//!         allow: vec![NetworkRule {
//!             text: "api.stripe.com:443".to_owned(),
//!             to: Target::Name(NamePattern::Exact(Name::parse("api.stripe.com")?)),
//!             ports: vec![PortRange { low: 443, high: 443 }],
//!             transport: Transport::Tcp,
//!             private: false,
//!             audit: false,
//!         }],
//!         listen: Vec::new(),
//!     },
//!     exec: Exec { mode: Mode::Audit, allow: vec!["/usr/bin/id".to_owned()], any: false, fork: false },
//!     files: Files { mode: Mode::Enforce, write: Vec::new(), read: None, own_code: OwnCode::Deny },
//!     memory: Memory { executable: Executable::LoadPhase },
//!     report: Report { emf: Some("Shop/fnguard".to_owned()) },
//! };
//! assert!(policy.secrets.env[0].matches(b"DB_PASSWORD"));
//! assert_eq!(policy.decide_exec("/bin/sh").action, Action::Audit);
//! assert_eq!(policy.decide_write("/tmp/x").action, Action::Deny);
//! # Ok::<(), name::NameError>(())
//! ```

pub mod address;
pub mod breadth;
pub mod compiled;
pub mod decide;
pub mod hint;
pub mod name;

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

pub use compiled::{Compiled, Program};
pub use decide::{Action, Decision, Peer, RuleRef};
pub use hint::{
    narrowest_exec_rule, narrowest_listen_rule, narrowest_read_rule, narrowest_rule, narrowest_write_rule,
};
pub use name::{Name, NamePattern};

/// What a function may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The version of the policy's schema; 1 is the only one.
    pub version: u32,
    /// The mode of every section that does not state one of its own.
    pub mode: Mode,
    /// When and how the guard arms.
    pub arm: Arm,
    /// Which environment variables are secrets.
    pub secrets: Secrets,
    /// Where the function may connect, and where it may listen.
    pub network: Network,
    /// Which programs it may start.
    pub exec: Exec,
    /// Which paths it may change, and read.
    pub files: Files,
    /// When it may map executable memory.
    pub memory: Memory,
    /// How violations are reported.
    pub report: Report,
}

/// What happens to a call that no rule allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// The call is refused and reported.
    Enforce,
    /// The call is let through and reported. The guard's own protection holds all the same.
    Audit,
}

/// `[arm]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arm {
    /// Whether a release build arms.
    pub release: ReleaseArming,
    /// What a debug build does.
    pub debug: DebugArming,
    /// Which mechanism holds the function.
    pub mechanism: Mechanism,
    /// What happens where the platform lacks what the policy asks.
    pub on_unsupported: OnUnsupported,
    /// Whether arming refuses when foreign code could have run before it (duplicate libc
    /// symbols, unknown descriptors, children, shared writable maps) instead of naming it.
    pub strict_init: bool,
}

/// `[arm] release`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReleaseArming {
    /// Arm.
    Always,
    /// Never arm; a real event is then refused by the handler's wrapper.
    Never,
}

/// `[arm] debug`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DebugArming {
    /// Arm as the policy's modes say.
    Enforce,
    /// Arm with every section in audit.
    Audit,
    /// Do not arm.
    Off,
}

/// `[arm] mechanism`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mechanism {
    /// Seccomp where it works.
    Auto,
    /// Seccomp or nothing.
    Seccomp,
    /// Sealed descriptors or nothing.
    Sealed,
}

/// `[arm] on_unsupported`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnUnsupported {
    /// The function does not start.
    Refuse,
    /// It starts, and the posture line names what is not held.
    Degrade,
}

/// `[secrets]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// Which environment variables are captured and scrubbed.
    pub env: Vec<SecretPattern>,
    /// Exact names that need not be set.
    pub optional: Vec<String>,
    /// What a value does that is too short or too common to be redacted.
    pub on_weak: OnWeak,
}

/// A name of an environment variable, or a glob over names with `*` and `?`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretPattern {
    /// As written: `STRIPE_KEY`, `DB_*`.
    pub text: String,
}

impl SecretPattern {
    /// Whether the pattern has a wildcard. An exact name is required to be set unless it is
    /// listed as optional; a glob is not.
    pub fn is_glob(&self) -> bool {
        self.text.contains(['*', '?'])
    }

    /// Whether the pattern names this variable. `*` is any run of bytes, `?` any one byte.
    pub fn matches(&self, variable: &[u8]) -> bool {
        glob_matches(self.text.as_bytes(), variable)
    }
}

/// Iterative glob match with one backtrack point: linear in space, quadratic at worst in time.
fn glob_matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((star_p, star_t)) => {
                    star = Some((star_p, star_t + 1));
                    p = star_p + 1;
                    t = star_t + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// `[secrets] on_weak`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnWeak {
    /// Start, and name the variable in the posture line.
    #[default]
    Warn,
    /// Do not start.
    Refuse,
}

/// `[network]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Enforce or audit.
    pub mode: Mode,
    /// Where the function may connect or send.
    pub allow: Vec<NetworkRule>,
    /// Where it may listen; nothing by default.
    pub listen: Vec<NetworkRule>,
}

/// One rule of `[network] allow` or `listen`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRule {
    /// As written in the policy.
    pub text: String,
    /// The peer.
    pub to: Target,
    /// The ports; empty for unix targets, and for `*`, which is every port of both transports and
    /// every unix socket.
    pub ports: Vec<PortRange>,
    /// TCP unless the rule says `udp/`. A rule for one never opens the other.
    pub transport: Transport,
    /// Whether a name may resolve into private address space.
    pub private: bool,
    /// Whether a match is let through *and* reported.
    pub audit: bool,
}

/// The peer of a [`NetworkRule`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// `api.stripe.com`, `*.name`, `**.name`.
    Name(NamePattern),
    /// An address or a network; a single address has the full prefix length.
    Net {
        /// The network's address, bits beyond the prefix zero. IPv4 is never written as mapped IPv6.
        address: IpAddr,
        /// Length of the prefix in bits.
        prefix: u8,
    },
    /// `unix:/path`.
    UnixPath(String),
    /// `unix:@name`.
    UnixAbstract(Vec<u8>),
    /// Every address and name (with ports), or everything (without); needs `allow_any = true`.
    Any,
}

/// An inclusive range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// The lowest port.
    pub low: u16,
    /// The highest port.
    pub high: u16,
}

/// The transport that a rule or a call speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Transport {
    /// Stream sockets.
    Tcp,
    /// Datagram sockets.
    Udp,
}

/// `[exec]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// Enforce or audit.
    pub mode: Mode,
    /// Absolute paths of the programs that may be started.
    pub allow: Vec<String>,
    /// Whether every program may be started (`allow = ["*"]` with `allow_any = true`).
    pub any: bool,
    /// Whether the function may fork without exec.
    pub fork: bool,
}

/// `[files]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// Enforce or audit.
    pub mode: Mode,
    /// Absolute paths below which the function may change files.
    pub write: Vec<String>,
    /// Absolute paths below which it may read; `None` leaves reading alone.
    pub read: Option<Vec<String>>,
    /// Whether the function may open its own code.
    pub own_code: OwnCode,
}

/// `[files] own_code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnCode {
    /// Reading it is left alone.
    Allow,
    /// Opening it is refused once it is loaded.
    Deny,
}

/// `[memory]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// When new executable mappings may be made.
    pub executable: Executable,
}

/// `[memory] executable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Executable {
    /// While a program loads, and never after.
    LoadPhase,
    /// File-backed mappings later too (an interpreter that loads extension modules).
    Files,
    /// Not held (node, the JVM).
    Any,
}

/// `[report]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The CloudWatch namespace of the Embedded Metric Format, if records carry it.
    pub emf: Option<String>,
}

impl Default for Policy {
    /// The policy that an empty `guard.toml` (with `version = 1`) means: network and exec denied,
    /// writing below /tmp only, no secrets captured.
    fn default() -> Self {
        Policy {
            version: 1,
            mode: Mode::Enforce,
            arm: Arm {
                release: ReleaseArming::Always,
                debug: DebugArming::Audit,
                mechanism: Mechanism::Auto,
                on_unsupported: OnUnsupported::Refuse,
                strict_init: false,
            },
            secrets: Secrets::default(),
            network: Network { mode: Mode::Enforce, allow: Vec::new(), listen: Vec::new() },
            exec: Exec { mode: Mode::Enforce, allow: Vec::new(), any: false, fork: false },
            files: Files {
                mode: Mode::Enforce,
                write: vec!["/tmp".to_owned()],
                read: None,
                own_code: OwnCode::Allow,
            },
            memory: Memory { executable: Executable::LoadPhase },
            report: Report::default(),
        }
    }
}

impl Policy {
    /// The same policy with every section in audit, as a debug build arms by default.
    pub fn into_audit(mut self) -> Self {
        self.mode = Mode::Audit;
        self.network.mode = Mode::Audit;
        self.exec.mode = Mode::Audit;
        self.files.mode = Mode::Audit;
        self
    }
}
