//! Names of environment variables in `[secrets]`, and the namespace of metrics in `[report]`:
//! which characters they have, and which variables may not be taken away.

use super::fault::Fault;
use crate::model::SecretPattern;

/// What the Lambda runtime, its Rust client or every program reads for itself.
const NEEDED: &[&str] = &[
    // The first that a pattern takes is the one that the message names.
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "HOME",
    "LAMBDA_TASK_ROOT",
    "LD_LIBRARY_PATH",
    "PATH",
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
];

/// Checks a pattern of `[secrets] env`.
pub(super) fn pattern(text: &str) -> Result<(), Fault> {
    const EXPECTED: &str = "letters, digits and `_`, with `*` for any run and `?` for any one";
    if text.is_empty() {
        return Err(Fault::error("the name is empty").expected(EXPECTED));
    }
    let stranger = text.char_indices().find(|(_, c)| !(c.is_ascii_alphanumeric() || "_*?".contains(*c)));
    if let Some((at, c)) = stranger {
        let part = text.get(at..at.saturating_add(c.len_utf8())).unwrap_or(text);
        let fault = Fault::error(format!("`{c}` cannot stand in a variable's name")).at(text, part);
        return Err(match c {
            '=' => fault.expected(EXPECTED).help("only names stand here, never values"),
            '$' => fault.expected(EXPECTED).help("write the name without `$`"),
            _ => fault.expected(EXPECTED),
        });
    }
    let pattern = SecretPattern { text: text.to_owned() };
    if text.bytes().all(|b| matches!(b, b'*' | b'?')) {
        return Err(Fault::error(format!("`{text}` takes variables whatever their name"))
            .expected("a pattern with a name in it")
            .help("name the secrets: \"STRIPE_KEY\", \"DB_*\""));
    }
    let taken: Vec<&str> = NEEDED.iter().copied().filter(|name| pattern.matches(name.as_bytes())).collect();
    match taken.as_slice() {
        [] => Ok(()),
        [only] if *only == text => {
            Err(Fault::error(format!("`{text}` is no secret: the runtime itself reads it")).help("remove it"))
        }
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            let fault =
                Fault::error(format!("`{text}` would take {first}{more}, which the runtime itself reads"));
            Err(if text.starts_with("AWS") {
                fault.help("write \"AWS_SECRET_ACCESS_KEY\", \"AWS_SESSION_TOKEN\"")
            } else {
                fault.help("write a narrower pattern")
            })
        }
    }
}

/// Checks a name of `[secrets] optional` against the patterns beside it.
pub(super) fn optional(text: &str, env: &[SecretPattern]) -> Result<Option<Fault>, Fault> {
    if text.contains(['*', '?']) {
        return Err(Fault::error("`optional` takes exact names: a pattern requires nothing anyway"));
    }
    pattern(text)?;
    if env.iter().any(|known| known.text == text) {
        return Ok(None);
    }
    if env.iter().any(|known| known.matches(text.as_bytes())) {
        return Ok(Some(
            Fault::warning(format!("`{text}` is captured by a pattern, which requires nothing"))
                .help("remove it from `optional`"),
        ));
    }
    Err(Fault::error(format!("`{text}` is not captured: no entry of `env` names it"))
        .help(format!("add \"{text}\" to `env`, or remove it from `optional`")))
}

/// Checks a CloudWatch namespace (API reference, `PutMetricData`: 1 to 255 characters, not
/// beginning with `AWS/`).
pub(super) fn namespace(text: &str) -> Result<(), Fault> {
    const EXPECTED: &str = "1 to 255 letters, digits, spaces and . - _ / # :";
    if text.is_empty() || text.len() > 255 {
        return Err(Fault::error("a namespace has 1 to 255 characters").expected(EXPECTED));
    }
    if let Some(c) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || " .-_/#:".contains(*c))) {
        return Err(Fault::error(format!("`{c}` cannot stand in a namespace")).expected(EXPECTED));
    }
    if text.starts_with("AWS/") {
        return Err(Fault::error("namespaces that begin with AWS/ are Amazon's own")
            .expected("a namespace of yours, such as \"Orders\""));
    }
    Ok(())
}
