//! Names that strangers share: allowing one reaches anyone's bucket, repository or channel, and
//! that is where stolen data went in real thefts. Only advice to
//! the policy's author. Names below which anyone may take one come from the public suffix list (<https://publicsuffix.org>).

use crate::model::Name;

/// What is known of a shared name.
pub(super) struct Shared {
    /// Who else is behind the name.
    pub(super) why: String,
    /// The narrower form.
    pub(super) narrower: String,
}

/// Exact names behind which everybody's accounts stand side by side.
const SERVICES: &[(&str, &str)] = &[
    ("api.anthropic.com", "any account's files and prompts"),
    ("api.discord.com", "any account's channels"),
    ("api.dropboxapi.com", "any account's files"),
    ("api.github.com", "any account's repositories and gists"),
    ("api.notion.com", "any account's pages"),
    ("api.openai.com", "any account's files and prompts"),
    ("api.pastebin.com", "anyone's pastes"),
    ("api.telegram.org", "anyone's bots"),
    ("api.trello.com", "any account's boards"),
    ("content.dropboxapi.com", "any account's files"),
    ("discord.com", "any account's webhooks"),
    ("discordapp.com", "any account's webhooks"),
    ("file.io", "anyone's files"),
    ("gist.github.com", "any account's gists"),
    ("github.com", "any account's repositories"),
    ("gitlab.com", "any account's repositories"),
    ("graph.microsoft.com", "any tenant's mail and files"),
    ("hooks.slack.com", "any workspace's webhooks"),
    ("huggingface.co", "any account's repositories"),
    ("pastebin.com", "anyone's pastes"),
    ("raw.githubusercontent.com", "any account's repositories"),
    ("registry.npmjs.org", "any account's packages"),
    ("slack.com", "any workspace's channels"),
    ("storage.googleapis.com", "any project's buckets"),
    ("transfer.sh", "anyone's files"),
    ("upload.pypi.org", "any account's packages"),
    ("uploads.github.com", "any account's releases"),
    ("webhook.site", "anyone's collectors"),
    ("www.googleapis.com", "any project's data"),
];

/// Resolvers that answer over TLS or HTTPS, past the guard's table of names.
const RESOLVERS: &[&str] = &[
    "chrome.cloudflare-dns.com",
    "cloudflare-dns.com",
    "dns.adguard-dns.com",
    "dns.google",
    "dns.quad9.net",
    "doh.opendns.com",
    "mozilla.cloudflare-dns.com",
    "one.one.one.one",
];

/// Suffixes below which anyone may take a name, or has one, and which the public suffix list does not have.
const SUFFIXES: &[&str] = &["amazonaws.com", "amazonaws.com.cn", "on.aws", "windows.net"];

/// What to warn of when a policy allows exactly this name.
pub(super) fn exact(name: &Name) -> Option<Shared> {
    let text = name.to_string();
    if let Some((_, behind)) = SERVICES.iter().find(|(service, _)| *service == text) {
        return Some(Shared {
            why: format!("`{text}` reaches {behind}, not only yours"),
            narrower: "allow it only where the function needs it, with a token that cannot write elsewhere; \
                       a dependency may bring a token of its own"
                .to_owned(),
        });
    }
    if RESOLVERS.contains(&text.as_str()) {
        return Some(Shared {
            why: format!(
                "`{text}` resolves names over HTTPS: names so learned are bound to no rule, and \
                          queries carry data out"
            ),
            narrower: "leave names to the system's resolver, and remove the rule".to_owned(),
        });
    }
    aws_endpoint(name)
}

/// The endpoints of AWS services that serve every account: `service.region.amazonaws.com`.
fn aws_endpoint(name: &Name) -> Option<Shared> {
    let labels: Vec<&str> = name.labels().iter().map(String::as_str).collect();
    let (inner, suffix) = match labels.as_slice() {
        [inner @ .., "amazonaws", "com"] => (inner, "amazonaws.com"),
        [inner @ .., "amazonaws", "com", "cn"] => (inner, "amazonaws.com.cn"),
        _ => return None,
    };
    let text = name.to_string();
    match inner {
        // Path style: the bucket stands in the path, which no address shows.
        ["s3"] => Some(path_style(&text, "eu-west-1", suffix)),
        ["s3", region] | ["s3", "dualstack", region] => Some(path_style(&text, region, suffix)),
        [dashed] if dashed.starts_with("s3-") => {
            Some(path_style(&text, dashed.trim_start_matches("s3-"), suffix))
        }
        ["execute-api", region] => Some(Shared {
            why: format!("`{text}` is every account's API Gateway"),
            narrower: format!("name your API: API_ID.execute-api.{region}.{suffix}"),
        }),
        [_] | [_, _] => Some(Shared {
            why: format!("`{text}` serves every AWS account, and a dependency may bring keys of its own"),
            narrower:
                "a VPC endpoint whose policy names your resources narrows it; allow the endpoint's own \
                       name, with private = true"
                    .to_owned(),
        }),
        _ => None,
    }
}

fn path_style(text: &str, region: &str, suffix: &str) -> Shared {
    Shared {
        why: format!("`{text}` reaches every account's buckets"),
        narrower: format!("name your bucket: BUCKET.s3.{region}.{suffix} (virtual-hosted style)"),
    }
}

/// What a pattern opens besides names of one owner.
pub(super) enum Below {
    /// A registry: the pattern would reach everybody's names below the suffix.
    Registry(String),
    /// Names that strangers share.
    Shared(Shared),
}

/// What a pattern of names below `base` opens; at `any_depth`, or only those with one label more.
pub(super) fn below(base: &Name, any_depth: bool) -> Option<Below> {
    let text = base.to_string();
    if let Some(suffix) = psl::suffix(text.as_bytes()).filter(psl::Suffix::is_known) {
        let is_all = suffix.as_bytes() == text.as_bytes();
        match suffix.typ() {
            Some(psl::Type::Icann) if is_all => return Some(Below::Registry(text)),
            Some(psl::Type::Private) if is_all => return Some(Below::Shared(open_to_all(&text, &text))),
            // One customer's own.
            Some(psl::Type::Private) => return None,
            _ => {}
        }
    }
    let is_below = |name: &str, suffix: &str| {
        name == suffix || name.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'))
    };
    if let Some(suffix) = SUFFIXES.iter().find(|suffix| is_below(&text, suffix)) {
        return Some(Below::Shared(open_to_all(&text, suffix)));
    }
    let covered = |name: &str| {
        name.strip_suffix(&text)
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|rest| !rest.is_empty() && (any_depth || !rest.contains('.')))
    };
    if let Some(suffix) = SUFFIXES.iter().find(|suffix| any_depth && covered(suffix)) {
        return Some(Below::Shared(open_to_all(&text, suffix)));
    }
    let (service, behind) = SERVICES.iter().find(|(service, _)| covered(service))?;
    Some(Below::Shared(Shared {
        why: format!("the pattern covers `{service}`, which reaches {behind}, not only yours"),
        narrower: "list the names that the function needs".to_owned(),
    }))
}

fn open_to_all(base: &str, suffix: &str) -> Shared {
    let bucket = base.split('.').any(|label| label == "s3") && suffix.starts_with("s3.");
    Shared {
        why: format!("anyone can take a name below `{suffix}`, and the pattern reaches them all"),
        narrower: if bucket {
            format!("name your buckets: BUCKET.{base}")
        } else {
            "list the names that are yours".to_owned()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_shared() {
        for (name, expected) in [
            ("s3.amazonaws.com", true),
            ("s3.eu-west-1.amazonaws.com", true),
            ("s3.dualstack.eu-west-1.amazonaws.com", true),
            ("s3-eu-west-1.amazonaws.com", true),
            ("s3.cn-north-1.amazonaws.com.cn", true),
            ("dynamodb.eu-west-1.amazonaws.com", true),
            ("sts.amazonaws.com", true),
            ("execute-api.eu-west-1.amazonaws.com", true),
            ("api.github.com", true),
            ("dns.google", true),
            ("orders.s3.eu-west-1.amazonaws.com", false),
            ("ab12.execute-api.eu-west-1.amazonaws.com", false),
            ("vpce-1.dynamodb.eu-west-1.vpce.amazonaws.com", false),
            ("mine.workers.dev", false),
            ("api.stripe.com", false),
            ("amazonaws.com.evil.example", false),
        ] {
            assert_eq!(exact(&Name::parse(name).unwrap()).is_some(), expected, "{name}");
        }
    }

    /// What a pattern is said to open: a registry, what strangers share, or neither.
    fn opens(base: &str, any_depth: bool) -> &'static str {
        match below(&Name::parse(base).unwrap(), any_depth) {
            Some(Below::Registry(_)) => "registry",
            Some(Below::Shared(_)) => "shared",
            None => "own",
        }
    }

    #[test]
    fn whose_names_a_pattern_opens() {
        for (base, expected) in [
            ("com", "registry"),
            ("co.uk", "registry"),
            ("dev", "registry"),
            ("stripe.com", "own"),
            ("shop.co.uk", "own"),
            ("internal", "own"),
            ("cluster.local", "own"),
            ("workers.dev", "shared"),
            ("mine.workers.dev", "own"),
            ("notworkers.dev", "own"),
            ("amazonaws.com", "shared"),
            ("amazonaws.com.cn", "shared"),
            ("eu-west-1.amazonaws.com", "shared"),
            ("s3.eu-west-1.amazonaws.com", "shared"),
            ("orders.s3.eu-west-1.amazonaws.com", "own"),
            ("execute-api.eu-west-1.amazonaws.com", "shared"),
            ("ab12.execute-api.eu-west-1.amazonaws.com", "own"),
            ("notamazonaws.com", "own"),
            ("blob.core.windows.net", "shared"),
            ("mine.blob.core.windows.net", "own"),
            ("github.com", "shared"),
            ("googleapis.com", "shared"),
            ("cloudfront.net", "shared"),
        ] {
            assert_eq!(opens(base, true), expected, "**.{base}");
        }
        // One label more reaches less.
        for (base, expected) in [("net", "registry"), ("windows.net", "shared"), ("aws", "registry")] {
            assert_eq!(opens(base, false), expected, "*.{base}");
        }
    }

    #[test]
    fn the_public_list_has_none_of_ours() {
        for suffix in SUFFIXES {
            let found = psl::suffix(suffix.as_bytes()).unwrap();
            assert!(
                found.as_bytes() != suffix.as_bytes() || found.typ() != Some(psl::Type::Private),
                "{suffix} stands in the public suffix list: it can go"
            );
        }
    }
}
