//! What is printed from the table of keys: `docs/policy.md`, and the JSON Schema by which editors
//! complete and check `guard.toml` (taplo reads draft 7). A test fails when either file is stale.

use super::keys::{Key, Kind, NETWORK_RULE, SECTIONS, Section, TOP_LEVEL};
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// `docs/policy.md`.
///
/// ```
/// let page = fnguard_policy::source::reference::markdown();
/// assert!(page.contains("[network]"));
/// ```
pub fn markdown() -> String {
    let mut out = String::from(HEAD);
    out.push_str("\n## An absent section\n\n| section | without it |\n|---|---|\n");
    for section in SECTIONS {
        row(&mut out, &[&format!("`{}`", section.title), section.absent]);
    }
    out.push_str(AUDIT);
    out.push_str(LINKS);
    out.push_str("\n## Reserved keys\n\n");
    out.push_str(RESERVED);
    out.push_str("\n| key | will mean |\n|---|---|\n");
    for section in SECTIONS.iter().chain([&NETWORK_RULE]) {
        if section.reserved {
            row(&mut out, &[&format!("`{}`, every key", section.title), section.doc]);
        }
        for key in section.keys.iter().filter(|key| key.kind.is_reserved()) {
            let place = if std::ptr::eq(section, &NETWORK_RULE) {
                format!("`{}` in a network rule's table", key.name)
            } else {
                format!("`{} {}`", section.title, key.name)
            };
            row(&mut out, &[&place, key.doc]);
        }
    }
    out.push_str(WRITING);
    out.push_str("\n## Keys\n\nTop level:\n");
    keys(&mut out, &TOP_LEVEL, "###");
    for section in SECTIONS.iter().filter(|section| section.keys.iter().any(|key| !key.kind.is_reserved())) {
        _ = write!(out, "\n### `{}`\n\n{}\n", section.title, section.doc);
        keys(&mut out, section, "####");
        if section.name == "network" {
            out.push_str(RULES);
            out.push_str("\n#### A rule that is a table\n\n`{ to = \"db.example:5432\", private = true }`\n");
            keys(&mut out, &NETWORK_RULE, "#####");
            out.push_str(HELD_TIGHTER);
        }
    }
    out.push_str(TAIL);
    out
}

fn row(out: &mut String, cells: &[&str]) {
    // A bar inside a cell would end it.
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    // Writing to a String does not fail.
    _ = writeln!(out, "| {} |", cells.join(" | "));
}

fn keys(out: &mut String, section: &Section, level: &str) {
    for key in section.keys.iter().filter(|key| !key.kind.is_reserved()) {
        let default = match key.default {
            "" => "Required".to_owned(),
            value if is_toml(value) => format!("Default: `{value}`"),
            words => format!("Default: {words}"),
        };
        _ = write!(
            out,
            "\n{level} `{}`\n\n{}. {default}. Example: `{} = {}`.\n\n{}\n",
            key.name,
            capitalised(key.kind.title()),
            key.name,
            key.example,
            key.doc
        );
        if let Kind::Choice(choices) = key.kind {
            out.push('\n');
            for choice in choices {
                _ = writeln!(out, "- `\"{}\"`: {}.", choice.word, choice.doc);
            }
        }
    }
}

/// Whether a default is a value and not words.
fn is_toml(default: &str) -> bool {
    default.starts_with(['"', '[']) || matches!(default, "true" | "false")
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// `docs/guard.schema.json`: JSON Schema, draft 7.
///
/// ```
/// let schema: serde_json::Value = serde_json::from_str(&fnguard_policy::source::reference::json_schema())?;
/// assert_eq!(schema["properties"]["network"]["type"], "object");
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn json_schema() -> String {
    let mut properties = properties(&TOP_LEVEL);
    for section in SECTIONS {
        let schema = if section.reserved {
            reserved(section.doc)
        } else {
            json!({
                "type": "object",
                "description": format!("{} Without the section: {}", section.doc, lower_first(section.absent)),
                "properties": self::properties(section),
                "additionalProperties": false,
            })
        };
        properties.insert(section.name.to_owned(), schema);
    }
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "fnguard policy",
        "description": "guard.toml: what a guarded function may do.",
        "type": "object",
        "properties": properties,
        "required": ["version"],
        "additionalProperties": false,
        "definitions": {
            "rule": {
                "anyOf": [
                    { "$ref": "#/definitions/peer" },
                    {
                        "type": "object",
                        "properties": self::properties(&NETWORK_RULE),
                        "required": ["to"],
                        "additionalProperties": false,
                    },
                ],
            },
            "peer": {
                "type": "string",
                "description": "name:port, *.name:port, address:port, network/length:port, [ipv6]:port, unix:/path or unix:@name; ports may be lists and ranges; udp/ before it for UDP.",
                // Coarse on purpose: what the editor cannot judge, the parser says.
                "pattern": r"^(\*|unix:(/|@.).*|((tcp|udp)/)?(\[[0-9A-Fa-f:./]+\]|[^\s\[\]]+):[0-9][0-9,-]*)$",
            },
        },
    });
    format!("{schema:#}\n")
}

fn properties(section: &Section) -> Map<String, Value> {
    section.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect()
}

fn property(key: &Key) -> Value {
    let mut schema = match key.kind {
        Kind::Version => json!({ "const": 1 }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Choice(choices) => json!({
            "type": "string",
            "enum": choices.iter().map(|choice| choice.word).collect::<Vec<_>>(),
        }),
        Kind::Peer => json!({ "allOf": [{ "$ref": "#/definitions/peer" }] }),
        Kind::PeerRules | Kind::ListenRules => {
            json!({ "type": "array", "items": { "$ref": "#/definitions/rule" } })
        }
        Kind::Programs => strings(r"^(\*|/.*[^/])$"),
        Kind::Paths => strings("^/"),
        Kind::VariablePatterns => strings("^[A-Za-z0-9_*?]+$"),
        Kind::VariableNames => strings("^[A-Za-z0-9_]+$"),
        Kind::MetricNamespace => json!({
            "anyOf": [
                { "type": "boolean" },
                { "type": "string", "pattern": "^(?!AWS/)[A-Za-z0-9 ._/#:-]{1,255}$" },
            ],
        }),
        Kind::Reserved => return reserved(key.doc),
    };
    let choices = match key.kind {
        Kind::Choice(choices) => {
            choices.iter().map(|choice| format!("\n- \"{}\": {}", choice.word, choice.doc)).collect()
        }
        _ => String::new(),
    };
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_owned(), json!(format!("{}{choices}", key.doc)));
        if let Ok(default) = serde_json::from_str::<Value>(key.default) {
            schema.insert("default".to_owned(), default);
        }
    }
    schema
}

/// A schema that nothing satisfies: an editor marks the key and shows why.
fn reserved(doc: &str) -> Value {
    json!({ "not": {}, "description": format!("Reserved: this version does not enforce it. {doc}") })
}

fn strings(pattern: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string", "pattern": pattern } })
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

const HEAD: &str = r#"<!-- Printed from guard-policy/src/source/{keys,reference}.rs. To change it, change those, then:
     cargo run -p fnguard-policy --features source --example generate-docs -->

# The policy: `guard.toml`

What a function may do stands in `guard.toml`, beside its `Cargo.toml`. First what is easily taken for
granted; then how to write one, and every key.
"#;

const WRITING: &str = r#"
## Writing one

`#[guarded]` reads the policy when the function is built: a mistake is a compile error that shows the
line. Unknown keys, keys that stand twice and values of another type are errors. Editors check it with
[guard.schema.json](guard.schema.json); for taplo and its kin, make this the first line:

```toml
#:schema ./guard.schema.json
```

The smallest policy is `version = 1`. A useful one:

```toml
version = 1

[secrets]
env = ["STRIPE_KEY", "DB_*", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]

[network]
allow = [
    "api.stripe.com:443",
    { to = "orders-prod.s3.eu-west-1.amazonaws.com:443", private = true },
    "10.0.0.0/16:5432",
]
```
"#;

const AUDIT: &str = r#"
## Audit

`mode = "audit"` lets through what no rule allows and reports it, as `"action":"audited"` with level
WARN. It is stated for the whole policy, or in `[network]`, `[exec]` or `[files]` for that section
alone; a section's own word counts. A single network rule with `audit = true` is let through and
reported even where the mode is `enforce`.

Audit speaks of the network, of programs and of files. What protects the guard itself (its memory,
its process, its filter), executable memory after the start, the capture of secrets and their masking hold in
audit as they do in enforce.
"#;

const LINKS: &str = r#"
## Paths and symbolic links

A path of `[exec]`, of `[files]` or behind `unix:` means what it leads to as well, as the machine's symbolic
links are when the guard arms: `/bin/sh` is `/usr/bin/dash` where it is a link to that, and `/var/run/x` is
`/run/x`. What comes to be a link later, and a path below another that `[files] write` opens, means itself alone.
`fnguard explain` follows the links of the machine that it runs on.
"#;

const RESERVED: &str = r#"These keys belong to later versions. Setting one is an error that says so, since a policy that states a
rule which nobody holds is worse than none.
"#;

const RULES: &str = r#"
#### Forms of a rule

| form | opens |
|---|---|
| `api.stripe.com:443` | the addresses that the resolver's answers bind to exactly this name |
| `*.example.com:443` | the same for every name with one label before `example.com`, and not for `example.com` itself |
| `**.example.com:443` | the same for every name below `example.com`, however deep |
| `203.0.113.9:443` | one IPv4 address |
| `10.0.0.0/16:5432` | an IPv4 network |
| `[2001:db8::1]:443` | one IPv6 address |
| `[2001:db8::/32]:443`, `2001:db8::/32:443` | an IPv6 network |
| `unix:/run/app.sock` | a unix socket by its path |
| `unix:@name` | a unix socket by its abstract name |
| `*:443` | every name and address, on these ports; needs `allow_any = true` |
| `*` | every name, address, port and unix socket; needs `allow_any = true` |

Ports are stated always: one (`443`), several (`443,8443`), a range (`8000-8100`) or a mixture. `udp/` before
the peer makes it a rule for UDP; without it, or with `tcp/`, it is one for TCP, and opens no UDP
port: HTTP/3 needs a rule of its own. Names are compared label by label, whatever their case, with or
without the dot at the end. The first rule that covers a peer decides; the parser warns of those that an
earlier one leaves nothing.

**A pattern is a wider door than it looks.** What stands for the `*` is the function's own choice and is asked of
the base's nameservers, so whoever runs those can be told something by the name alone. A pattern is for names of
one owner: below a registry (`*.com`, `*.co.uk`) it is an error, and below a name where anybody may take one
(`*.workers.dev`, `*.amazonaws.com`; from the public suffix list and a few of our own) a warning. The addresses
of names that an exact rule gives stay in the table when it is full; those of patterns go first.

Names that strangers share (`s3.eu-west-1.amazonaws.com`, `api.github.com`, …) reach anyone's bucket or
repository, which is where stolen data went in real thefts: the parser warns and names the narrower
form.
"#;

const HELD_TIGHTER: &str = r#"
#### Held more tightly than a rule's text says

- **Credentials and metadata** (169.254.169.254, 169.254.170.2, 169.254.170.23, fd00:ec2::/32, and the
  endpoints of Azure, Google, Oracle and Alibaba) are opened by a rule of exactly that address, never by
  a network, a name or `*`.
- **Multicast and broadcast** addresses likewise.
- **IPv6 addresses that carry an IPv4 address** (NAT64 `64:ff9b::/96` and `64:ff9b:1::/48`, 6to4 `2002::/16`,
  Teredo `2001::/32`, `::a.b.c.d`, `::ffff:0:a.b.c.d`) may end at either: both must be allowed. Mapped
  addresses (`::ffff:a.b.c.d`) are the IPv4 address.
- **0.0.0.0 and `::`** are loopback to connect to, and every address to listen on.
- **Port 0** is no peer; for listening it means any free port.
- **Names** bind neither loopback nor link-local nor metadata addresses; private ones only with
  `private = true`.

The first rule that covers a peer decides. A refusal's record carries the narrowest rule that would
allow it as its `hint`: `[network] allow += "203.0.113.9:443"` means to add that text to `allow` in
`[network]`.
"#;

const TAIL: &str = r#"
## `allow_any`

A rule that allows everything is an error unless its section says `allow_any = true`: `*`, `*:443` and
networks wider than /8 (IPv4) or /16 (IPv6) in `[network]`, `*` in `[exec]`, `/` in `[files] write`. The posture line
names each such rule, so that a policy which holds nothing does not look like one that does.
"#;
