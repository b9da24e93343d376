//! The table of keys: every section and key of `guard.toml`, with its type, its default and its
//! documentation. The parser knows these keys and no others; `docs/policy.md` and the JSON Schema
//! are printed from the same table. Not the meaning of a value, which is the parser's.
//!
//! A key that is added here needs a reader in `sections.rs`; a test takes each key's example
//! through the parser and fails where nothing reads it.
//!
//! ```
//! use fnguard_policy::source::keys::{Choice, Key, Kind, NETWORK_RULE, SECTIONS, Section, TOP_LEVEL};
//!
//! /// The words that each key takes, as an editor would complete them.
//! fn words(section: &Section) -> impl Iterator<Item = (&'static str, &'static [Choice])> {
//!     section.keys.iter().filter_map(|key: &Key| match key.kind {
//!         Kind::Choice(words) => Some((key.name, words)),
//!         _ => None,
//!     })
//! }
//!
//! let (mode, choices) = words(&TOP_LEVEL).next().expect("one key takes words");
//! assert_eq!((mode, choices[0].word), ("mode", "enforce"));
//! assert!(SECTIONS.iter().any(|section| section.name == "network"));
//! assert!(NETWORK_RULE.keys.iter().any(|key| key.name == "private"));
//! ```

/// A table of `guard.toml`.
#[derive(Debug)]
pub struct Section {
    /// Its name; empty for the top level.
    pub name: &'static str,
    /// How messages call it.
    pub title: &'static str,
    /// What it is for: one paragraph of Markdown.
    pub doc: &'static str,
    /// What its absence means: one sentence.
    pub absent: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
    /// Whether the whole section, with whatever keys, is reserved for a later version.
    pub reserved: bool,
}

/// A key of a [`Section`].
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What holds where it is absent, as TOML, or in words where no value says it; empty where
    /// it may not be absent.
    pub default: &'static str,
    /// A value other than the default, as TOML.
    pub example: &'static str,
    /// What it means: one paragraph of Markdown.
    pub doc: &'static str,
}

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// The policy's version.
    Version,
    /// `true` or `false`.
    Boolean,
    /// One of some words.
    Choice(&'static [Choice]),
    /// A peer, as text.
    Peer,
    /// Rules for peers: texts, or tables with `to` and options.
    PeerRules,
    /// Rules for the function's own addresses, in the same form.
    ListenRules,
    /// Absolute paths of programs, or `*`.
    Programs,
    /// Absolute paths of directories or files.
    Paths,
    /// Names of environment variables, with `*` and `?`.
    VariablePatterns,
    /// Exact names of environment variables.
    VariableNames,
    /// `true`, or the namespace of the metrics.
    MetricNamespace,
    /// Reserved: setting it is an error.
    Reserved,
}

/// A word that a key takes.
#[derive(Debug)]
pub struct Choice {
    /// The word.
    pub word: &'static str,
    /// What it means: half a sentence.
    pub doc: &'static str,
}

impl Kind {
    /// What a value must be, for messages.
    pub fn expected(self) -> String {
        match self {
            Kind::Version => "the integer 1".to_owned(),
            Kind::Boolean => "true or false".to_owned(),
            Kind::Choice(choices) => {
                let words: Vec<String> = choices.iter().map(|choice| format!("{:?}", choice.word)).collect();
                match words.split_last() {
                    Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
                    _ => words.concat(),
                }
            }
            Kind::Peer => "a string such as \"api.stripe.com:443\"".to_owned(),
            Kind::PeerRules => "an array of rules such as [\"api.stripe.com:443\"]".to_owned(),
            Kind::ListenRules => "an array of rules such as [\"127.0.0.1:8080\"]".to_owned(),
            Kind::Programs => "an array of absolute paths such as [\"/usr/bin/id\"]".to_owned(),
            Kind::Paths => "an array of absolute paths such as [\"/tmp\"]".to_owned(),
            Kind::VariablePatterns => {
                "an array of variable names such as [\"STRIPE_KEY\", \"DB_*\"]".to_owned()
            }
            Kind::VariableNames => "an array of variable names such as [\"STRIPE_KEY\"]".to_owned(),
            Kind::MetricNamespace => "true, false or a namespace such as \"Orders\"".to_owned(),
            Kind::Reserved => "nothing".to_owned(),
        }
    }

    /// The type's name in the documentation.
    pub fn title(self) -> &'static str {
        match self {
            Kind::Version => "integer",
            Kind::Boolean => "boolean",
            Kind::Choice(_) => "one of the words below",
            Kind::Peer => "string",
            Kind::PeerRules | Kind::ListenRules => "array of rules",
            Kind::Programs | Kind::Paths => "array of absolute paths",
            Kind::VariablePatterns => "array of variable names, with `*` and `?`",
            Kind::VariableNames => "array of variable names",
            Kind::MetricNamespace => "boolean or string",
            Kind::Reserved => "reserved",
        }
    }

    /// Whether setting the key is an error.
    pub fn is_reserved(self) -> bool {
        matches!(self, Kind::Reserved)
    }
}

impl Section {
    /// The key of that name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

const MODES: &[Choice] = &[
    Choice { word: "enforce", doc: "refuse what no rule allows, and report it" },
    Choice { word: "audit", doc: "let it through, and report it" },
];

const SECTION_MODE: Key = Key {
    name: "mode",
    kind: Kind::Choice(MODES),
    default: "the top-level `mode`",
    example: "\"audit\"",
    doc: "The mode of this section alone.",
};

const fn reserved(name: &'static str, doc: &'static str) -> Key {
    Key { name, kind: Kind::Reserved, default: "", example: "", doc }
}

/// The keys outside any section.
pub static TOP_LEVEL: Section = Section {
    name: "",
    title: "the top level",
    doc: "Keys above the first section.",
    absent: "",
    reserved: false,
    keys: &[
        Key {
            name: "version",
            kind: Kind::Version,
            default: "",
            example: "1",
            doc: "The version of this schema. A policy of a later version is refused, never half understood.",
        },
        Key {
            name: "mode",
            kind: Kind::Choice(MODES),
            default: "\"enforce\"",
            example: "\"audit\"",
            doc: "What happens to a call that no rule allows. It holds for `[network]`, `[exec]` and `[files]`; each may state its own.",
        },
    ],
};

/// The sections in the order of the documentation.
pub static SECTIONS: &[Section] = &[
    Section {
        name: "arm",
        title: "[arm]",
        doc: "When and how the guard arms. It is read when the function is built, never from the environment: a dependency could change that.",
        absent: "Release builds arm and refuse to start where that fails; debug builds arm in audit.",
        reserved: false,
        keys: &[
            Key {
                name: "release",
                kind: Kind::Choice(&[
                    Choice { word: "always", doc: "arm" },
                    Choice { word: "never", doc: "do not arm, and refuse real events" },
                ]),
                default: "\"always\"",
                example: "\"never\"",
                doc: "What a release build does.",
            },
            Key {
                name: "debug",
                kind: Kind::Choice(&[
                    Choice { word: "enforce", doc: "arm as the modes say" },
                    Choice { word: "audit", doc: "arm with every section in audit" },
                    Choice { word: "off", doc: "do not arm" },
                ]),
                default: "\"audit\"",
                example: "\"off\"",
                doc: "What a build with debug assertions does.",
            },
            Key {
                name: "mechanism",
                kind: Kind::Choice(&[
                    Choice { word: "auto", doc: "seccomp where it works" },
                    Choice {
                        word: "seccomp",
                        doc: "seccomp or nothing: without it the function does not start, whatever `on_unsupported` says",
                    },
                    Choice {
                        word: "sealed",
                        doc: "sealed descriptors or nothing, for platforms that refuse seccomp: the function can open no file and no socket of its own; armed by the attribute only",
                    },
                ]),
                default: "\"auto\"",
                example: "\"seccomp\"",
                doc: "What holds the function.",
            },
            Key {
                name: "on_unsupported",
                kind: Kind::Choice(&[
                    Choice { word: "refuse", doc: "do not start" },
                    Choice { word: "degrade", doc: "start, and name in the posture line what is not held" },
                ]),
                default: "\"refuse\"",
                example: "\"degrade\"",
                doc: "What happens where the platform lacks what the policy asks.",
            },
            Key {
                name: "strict_init",
                kind: Kind::Boolean,
                default: "false",
                example: "true",
                doc: "Whether arming refuses, instead of naming it, when foreign code could have run before: symbols of libc defined twice, unknown descriptors, children, timers, signal handlers, shared writable memory.",
            },
        ],
    },
    Section {
        name: "secrets",
        title: "[secrets]",
        doc: "Which environment variables are secrets. They are taken out of the function's memory before its code runs, handed out by `fnguard::secret(\"NAME\")` only, and masked in what it prints.",
        absent: "Nothing is captured or masked; the posture line names the variables that look like secrets.",
        reserved: false,
        keys: &[
            Key {
                name: "env",
                kind: Kind::VariablePatterns,
                default: "[]",
                example: "[\"STRIPE_KEY\", \"DB_*\"]",
                doc: "The variables to capture. `*` is any run of characters, `?` any one. An exact name must be set, or the function does not start; a pattern with `*` or `?` may match nothing. A pattern that would take what the Lambda runtime itself reads (`AWS_*` takes `AWS_LAMBDA_RUNTIME_API`) is an error.",
            },
            Key {
                name: "optional",
                kind: Kind::VariableNames,
                default: "[]",
                example: "[\"STRIPE_KEY\"]",
                doc: "Exact names of `env` that need not be set.",
            },
            Key {
                name: "on_weak",
                kind: Kind::Choice(&[
                    Choice { word: "warn", doc: "start, and name the variable in the posture line" },
                    Choice { word: "refuse", doc: "do not start" },
                ]),
                default: "\"warn\"",
                example: "\"refuse\"",
                doc: "What a value does that is not masked, since ordinary text may hold it: an empty or very short one, a short number, one byte over and over, a common word, address or path.",
            },
            reserved("force", "Mask a value however short it is."),
            reserved("never", "Values that are never masked."),
            reserved("decoy", "Variables with a false value whose appearance anywhere is an alarm."),
        ],
    },
    Section {
        name: "network",
        title: "[network]",
        doc: "Where the function may connect and send, and where it may listen. The runtime API that the platform names needs no rule.",
        absent: "No connection, no sending, no listening.",
        reserved: false,
        keys: &[
            Key {
                name: "allow",
                kind: Kind::PeerRules,
                default: "[]",
                example: "[\"api.stripe.com:443\", { to = \"orders.s3.eu-west-1.amazonaws.com:443\", private = true }]",
                doc: "The peers that the function may connect or send to. The forms of a rule are below.",
            },
            Key {
                name: "listen",
                kind: Kind::ListenRules,
                default: "[]",
                example: "[\"127.0.0.1:8080\"]",
                doc: "The addresses of its own on which it may listen or receive. `0.0.0.0:8080` and `[::]:8080` mean every address of the machine; port 0 means any port that is free. A UDP socket without a rule receives only from the peers that it has connected or sent to.",
            },
            SECTION_MODE,
            Key {
                name: "allow_any",
                kind: Kind::Boolean,
                default: "false",
                example: "true",
                doc: "Needed for a rule that allows everything: `*`, `*:443`, and networks wider than /8 (IPv4) or /16 (IPv6). The posture line names such rules.",
            },
        ],
    },
    Section {
        name: "exec",
        title: "[exec]",
        doc: "Which programs the function may start.",
        absent: "No program is started, and no fork is made.",
        reserved: false,
        keys: &[
            Key {
                name: "allow",
                kind: Kind::Programs,
                default: "[]",
                example: "[\"/usr/bin/id\"]",
                doc: "Absolute paths of the programs. `*` allows every program and needs `allow_any = true`. The dynamic loader is refused: it runs any file. So is a program below a path of `[files] write`, which the function could replace. Shells, interpreters and tools that start others are allowed with a warning, since what they run next is not held.",
            },
            Key {
                name: "fork",
                kind: Kind::Boolean,
                default: "false",
                example: "true",
                doc: "Whether the function may fork without starting a program.",
            },
            SECTION_MODE,
            Key {
                name: "allow_any",
                kind: Kind::Boolean,
                default: "false",
                example: "true",
                doc: "Needed for `allow = [\"*\"]`. The posture line says so.",
            },
        ],
    },
    Section {
        name: "files",
        title: "[files]",
        doc: "Which paths the function may change, and read.",
        absent: "Files are changed below /tmp only; reading is left alone.",
        reserved: false,
        keys: &[
            Key {
                name: "write",
                kind: Kind::Paths,
                default: "[\"/tmp\"]",
                example: "[\"/tmp/orders\"]",
                doc: "Files and directories that may be changed, with all below them. `/` needs `allow_any = true`.",
            },
            Key {
                name: "read",
                kind: Kind::Paths,
                default: "unset: reading is left alone",
                example: "[\"/var/task\", \"/usr\", \"/etc\"]",
                doc: "Files and directories that may be read, with all below them.",
            },
            Key {
                name: "own_code",
                kind: Kind::Choice(&[
                    Choice { word: "allow", doc: "leave reading it alone" },
                    Choice { word: "deny", doc: "refuse to open it once it is loaded" },
                ]),
                default: "\"allow\"",
                example: "\"deny\"",
                doc: "Whether the function may open its own code.",
            },
            SECTION_MODE,
            Key {
                name: "allow_any",
                kind: Kind::Boolean,
                default: "false",
                example: "true",
                doc: "Needed for `write = [\"/\"]`. The posture line says so.",
            },
        ],
    },
    Section {
        name: "memory",
        title: "[memory]",
        doc: "When the function may map executable memory.",
        absent: "Executable memory is mapped while the program loads, and never after.",
        reserved: false,
        keys: &[Key {
            name: "executable",
            kind: Kind::Choice(&[
                Choice { word: "load-phase", doc: "while a program loads" },
                Choice { word: "files", doc: "files later too, as Python does for extension modules" },
                Choice { word: "any", doc: "not held, as node and the JVM need" },
            ]),
            default: "\"load-phase\"",
            example: "\"files\"",
            doc: "When new executable mappings may be made. Anything but `load-phase` shows in the posture line as `exec_memory: open`.",
        }],
    },
    Section {
        name: "report",
        title: "[report]",
        doc: "How violations are reported.",
        absent: "Each violation is one JSON line, without metrics.",
        reserved: false,
        keys: &[Key {
            name: "emf",
            kind: Kind::MetricNamespace,
            default: "false",
            example: "\"Orders\"",
            doc: "Whether the lines carry metrics in CloudWatch's Embedded Metric Format, and in which namespace; `true` is the namespace `fnguard`.",
        }],
    },
    Section {
        name: "response",
        title: "[response]",
        doc: "What happens to the handler's response.",
        absent: "The response is left alone.",
        reserved: false,
        keys: &[reserved("redact", "Mask secrets in the response.")],
    },
    Section {
        name: "logs",
        title: "[logs]",
        doc: "What happens to the function's log lines, beyond the masking of secrets.",
        absent: "Secrets are masked, and nothing else changes.",
        reserved: true,
        keys: &[],
    },
];

/// The keys of a rule of `[network]` that is written as a table.
pub static NETWORK_RULE: Section = Section {
    name: "rule",
    title: "a network rule",
    doc: "A rule that is a table.",
    absent: "",
    reserved: false,
    keys: &[
        Key {
            name: "to",
            kind: Kind::Peer,
            default: "",
            example: "\"db.internal.example:5432\"",
            doc: "The peer, in one of the forms above.",
        },
        Key {
            name: "private",
            kind: Kind::Boolean,
            default: "false",
            example: "true",
            doc: "Whether the name may resolve into private address space (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, fc00::/7), as a database's or a VPC endpoint's does. For names in `allow` only.",
        },
        Key {
            name: "audit",
            kind: Kind::Boolean,
            default: "false",
            example: "true",
            doc: "Whether a match is reported, though it is let through.",
        },
        reserved("tls", "Hold the name that the TLS handshake asks for to the rule's."),
        reserved("max_bytes", "A budget of bytes."),
        reserved("aws", "Hold AWS requests to given accounts and resources."),
    ],
};
