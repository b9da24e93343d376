//! Names that strangers share: allowing one reaches anyone's bucket, repository or channel, and
//! that is where stolen data went in real thefts. Only advice: warnings for the policy's author.

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

/// Suffixes below which anyone may take a name.
const SUFFIXES: &[&str] = &[
    "amazonaws.com",
    "amazonaws.com.cn",
    "appspot.com",
    "azure-api.net",
    "azureedge.net",
    "azurefd.net",
    "azurewebsites.net",
    "b-cdn.net",
    "blob.core.windows.net",
    "cloudfront.net",
    "cloudfunctions.net",
    "deno.dev",
    "digitaloceanspaces.com",
    "fastly.net",
    "firebaseapp.com",
    "firebaseio.com",
    "fly.dev",
    "github.io",
    "githubusercontent.com",
    "gitlab.io",
    "glitch.me",
    "herokuapp.com",
    "netlify.app",
    "ngrok-free.app",
    "ngrok.app",
    "ngrok.io",
    "on.aws",
    "onrender.com",
    "pages.dev",
    "r2.cloudflarestorage.com",
    "r2.dev",
    "replit.app",
    "run.app",
    "storage.googleapis.com",
    "supabase.co",
    "trycloudflare.com",
    "vercel.app",
    "web.app",
    "windows.net",
    "workers.dev",
];

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

/// The shared suffix that a wildcard below `base` would open.
pub(super) fn suffix(base: &Name) -> Option<&'static str> {
    let text = base.to_string();
    SUFFIXES
        .iter()
        .copied()
        .find(|suffix| text == *suffix || text.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.')))
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

    #[test]
    fn suffixes_are_compared_by_label() {
        for (name, expected) in [
            ("workers.dev", Some("workers.dev")),
            ("mine.workers.dev", Some("workers.dev")),
            ("notworkers.dev", None),
            ("s3.eu-west-1.amazonaws.com", Some("amazonaws.com")),
            ("stripe.com", None),
        ] {
            assert_eq!(suffix(&Name::parse(name).unwrap()), expected, "{name}");
        }
    }
}
