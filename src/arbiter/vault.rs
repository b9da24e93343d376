//! The secrets that the arbiter holds, captured and late, and the matcher made of them.

use crate::redact::{self, BuildError, Matcher, Secret};
use crate::secrets::Store;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// How many late secrets are taken: a function that registers more is not registering secrets.
const MOST_LATE: usize = 256;
/// How many bytes all late secrets may have together: the tables grow with them.
const MOST_LATE_BYTES: usize = 64 * 1024;
/// The length of a late secret. A short one would blank ordinary text.
const LATE_LENGTH: std::ops::RangeInclusive<usize> = 8..=8192;

/// What redacts, now.
#[derive(Clone, Debug)]
pub(super) struct Matchers {
    /// What the function writes.
    pub(super) output: Arc<Matcher>,
    /// What records say of its calls.
    pub(super) records: Arc<Matcher>,
    /// What records say of the addresses that it called: those can't hold a late secret but by the
    /// function's own choice of one.
    pub(super) addresses: Arc<Matcher>,
}

impl Matchers {
    /// Those of captured secrets, by which everything is redacted in the same way.
    pub(super) fn of_captured(matcher: Arc<Matcher>) -> Self {
        Matchers { output: Arc::clone(&matcher), records: Arc::clone(&matcher), addresses: matcher }
    }

    /// A text of a record, redacted. It names what a call was aimed at, and whoever made the call may have
    /// registered late secrets to have that blanked.
    pub(super) fn of_record(&self, text: &str) -> String {
        if is_address(text) {
            return self.addresses.redact_str(text);
        }
        let redacted = self.records.redact_str(text);
        // In a form of a late secret's that reads as a target, such as a path that is base64.
        if is_marker(&redacted) && names_a_target(text.as_bytes()).is_some() {
            return self.addresses.redact_str(text);
        }
        redacted
    }
}

/// Matchers for what the function writes, and for records, that know one late secret more.
pub(super) type Renewed = (Arc<Matcher>, Arc<Matcher>);

/// Whether a text is an address, with or without a port.
fn is_address(text: &str) -> bool {
    text.parse::<SocketAddr>().is_ok() || text.parse::<IpAddr>().is_ok()
}

/// Whether nothing is left of a text but a marker.
fn is_marker(text: &str) -> bool {
    let name = text.strip_prefix("[redacted:").and_then(|rest| rest.strip_suffix(']'));
    name.is_some_and(|name| is_name(name.strip_suffix('?').unwrap_or(name)))
}

/// The secrets.
#[derive(Debug)]
pub(super) struct Vault {
    captured: Store,
    late: Mutex<Vec<(String, Zeroizing<Vec<u8>>)>>,
}

impl Vault {
    /// Takes the captured secrets; with them the first matcher.
    pub(super) fn new(captured: Store) -> Result<(Self, Arc<Matcher>), BuildError> {
        let vault = Vault { captured, late: Mutex::new(Vec::new()) };
        let matcher = Matcher::build(vault.captured()).map(Arc::new)?;
        Ok((vault, matcher))
    }

    /// The names of the captured secrets.
    pub(super) fn names(&self) -> Vec<String> {
        self.captured.iter().map(|(name, _)| name.to_owned()).collect()
    }

    /// Hands a secret's value to `give`; whether there is one.
    pub(super) fn give(&self, name: &str, give: &mut dyn FnMut(&[u8])) -> bool {
        match self.captured.get(name) {
            Some(value) => {
                give(value);
                true
            }
            None => false,
        }
    }

    /// Adds a late secret; the matchers that know it, for output and for records, unless it was known before.
    pub(super) fn protect(&self, name: &str, value: &[u8]) -> Result<Option<Renewed>, &'static str> {
        if !is_name(name) {
            return Err("its name must have 1 to 255 ASCII letters, digits, '_', '-' and '.'");
        }
        if !LATE_LENGTH.contains(&value.len()) {
            return Err("its value must have 8 to 8192 bytes");
        }
        // As it is looked for, which is without the white space around it.
        if let Some(reason) = names_a_target(value.trim_ascii()) {
            return Err(reason);
        }
        // By itself: a captured secret of the same name may be weak.
        if redact::is_weak(value) {
            return Err("its value is too common to be redacted");
        }
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        if late.iter().any(|(known, old)| known == name && old.as_slice() == value) {
            return Ok(None);
        }
        if late.len() >= MOST_LATE {
            return Err("256 late secrets are registered already");
        }
        let held: usize = late.iter().map(|(_, value)| value.len()).sum();
        if held.saturating_add(value.len()) > MOST_LATE_BYTES {
            return Err("with it the late secrets have more than 65536 bytes together");
        }
        late.push((name.to_owned(), Zeroizing::new(value.to_vec())));
        match self.matchers(&late) {
            Ok(matchers) => Ok(Some(matchers)),
            Err(_) => {
                late.pop();
                Err("the redaction tables could not be built")
            }
        }
    }

    /// Whether `bytes` holds a captured secret as it is; the first one's name.
    pub(super) fn found_in(&self, bytes: &[u8]) -> Option<&str> {
        self.captured
            .iter()
            .filter(|(_, value)| value.len() >= 4)
            .find(|(_, value)| bytes.windows(value.len()).any(|window| window == *value))
            .map(|(name, _)| name)
    }

    fn captured(&self) -> impl Iterator<Item = Secret> {
        self.captured.iter().map(|(name, value)| Secret::new(name, value))
    }

    fn matchers(&self, late: &[(String, Zeroizing<Vec<u8>>)]) -> Result<Renewed, BuildError> {
        let late = || late.iter().map(|(name, value)| Secret::new(name.as_str(), value.as_slice()));
        let output = Matcher::build(self.captured().chain(late()))?;
        let spared = |part: &[u8]| names_a_target(part).is_some();
        let records = Matcher::build_sparing(self.captured(), late(), spared)?;
        Ok((Arc::new(output), Arc::new(records)))
    }
}

/// Whether a marker in the log can bear the name.
fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

/// Why a value may not be blanked that stands in records for whom a call was aimed at: code that
/// registers the address it is about to reach would else leave a record that does not say where.
///
/// Forms only, and held against what secrets look like: base64 may begin with a slash, so a path
/// counts if its first directory is there; the parts of a token are separated by dots as those of a
/// host name, but the last is not of letters alone.
fn names_a_target(value: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(value).ok()?;
    let of_addresses = |c: char| c.is_ascii_hexdigit() || ".:[]/".contains(c);
    if text.chars().all(of_addresses) && text.contains(['.', ':']) {
        return Some("its value is an address, which records have to name");
    }
    if is_path(text) {
        return Some("its value is a path, which records have to name");
    }
    is_host(text).then_some("its value is a host name, which records have to name")
}

/// Whether it is a path, with or without the first slash, into a directory that there is.
fn is_path(text: &str) -> bool {
    let Some((first, rest)) = text.trim_start_matches('/').split_once('/') else { return false };
    let names = |part: &str| !part.is_empty() && part != "." && part != "..";
    names(first)
        && rest.split('/').any(names)
        && std::fs::symlink_metadata(std::path::Path::new("/").join(first)).is_ok()
}

/// Whether it is a host name of several labels, with or without a port.
fn is_host(text: &str) -> bool {
    let host = match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        _ => text,
    };
    let labels: Vec<&str> = host.trim_matches('.').split('.').collect();
    let is_label = |label: &&str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let [_, .., last] = labels.as_slice() else { return false };
    let is_top_level = last.to_ascii_lowercase().starts_with("xn--")
        || (last.len() >= 2 && last.bytes().all(|byte| byte.is_ascii_alphabetic()));
    is_top_level && labels.iter().all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(secrets: &[(&str, &str)]) -> Vault {
        let mut store = Store::with_room(4096).unwrap();
        for (name, value) in secrets {
            store.add(name, value.as_bytes()).unwrap();
        }
        Vault::new(store).unwrap().0
    }

    /// A variable that was empty when the function started, and is fetched later under its name.
    #[test]
    fn a_weak_captured_secret_does_not_speak_for_a_late_one() {
        let vault = vault(&[("TOKEN", "")]);
        let (matcher, _) = vault.protect("TOKEN", b"q7mVx2LpR9dKw4Zt").unwrap().unwrap();
        assert_eq!(matcher.redact(b"q7mVx2LpR9dKw4Zt"), b"[redacted:TOKEN]");
        assert_eq!(
            vault.protect("OTHER", b"password").unwrap_err(),
            "its value is too common to be redacted"
        );
    }

    /// What a record says of a call's target, and parts of it, against secrets that look alike.
    #[test]
    fn what_records_have_to_name_is_no_secret() {
        let vault = vault(&[]);
        for value in [
            "198.51.100.7:4444",
            ".51.100.7:4444",
            "203.0.113.9",
            "[2001:db8::1]:443",
            "2001:db8::1",
            "/etc/cron.d/backdoor",
            "etc/cron.d/backdoor",
            "/usr/bin/ncat",
            "evil.example",
            ".evil.example",
            "c2VjcmV0.tunnel.evil.example.",
            "evil.example:443",
            "host.xn--p1ai",
            "network.allow",
            " 203.0.113.9:4444\n",
        ] {
            let reason = vault.protect("SESSION", value.as_bytes()).expect_err(value);
            assert!(reason.ends_with("which records have to name"), "{value}: {reason}");
        }
        for value in [
            "q7mVx2LpR9dKw4Zt",
            "/K7MDENGbPxRfiCYEXAMPLEKEY/wJalrXUtnFEMI",
            "SG.ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf09kqeF8tAmbihYzrnopKc1s5cr",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.r6vZ2mC8mJ0u5bYVb2eQ4k1c8sZzXw3p9q7t5n1l0aE",
            "d41d8cd98f00b204e9800998ecf8427e",
            "postgres://app:q7mVx2LpR9@db.example/orders",
        ] {
            assert!(vault.protect("SESSION", value.as_bytes()).is_ok(), "{value}");
        }
    }

    /// Late secrets that are no target as they stand, and would blank one: parts of them, beginnings, other
    /// forms. In what the function writes they are looked for all the same.
    #[test]
    fn records_name_targets_whatever_is_registered() {
        let ipv6 = "[2001:1db8:1234:5678:9abc:def0:1111:2222]:443";
        let cases: [(&[u8], &str); 9] = [
            (b"{\"endpoint\":\"203.0.113.9:4444\"}", "203.0.113.9:4444"),
            (b"'203.0.113.9:4444'", "203.0.113.9:4444"),
            (b"203.0.113.9:4444-and-more-of-it", "203.0.113.9:4444"),
            (b"evil.example-and-more-of-it", "evil.example"),
            (b"{\"endpoint\":\"evil.example\"}", "evil.example"),
            (b"/ETC/CRON.D/BACKDOOR", "/etc/cron.d/backdoor"),
            (b"roodkcab/d.norc/cte/", "/etc/cron.d/backdoor"),
            (b"\x20\x01\x1d\xb8\x12\x34\x56\x78\x9a\xbc\xde\xf0\x11\x11\x22\x22", ipv6),
            // In base64 a path below /etc.
            (b"\xfd\xeb\x5c\xfd\xea\xde\xd7\xa8\x9d\xa9\xf9\xed", "/etc/ere16idqfnt"),
        ];
        for (value, target) in cases {
            let vault = vault(&[("TOKEN", "q7mVx2LpR9dKw4Zt")]);
            let captured = Matcher::build(vault.captured()).map(Arc::new).unwrap();
            let (output, records) = vault.protect("SESSION", value).unwrap().unwrap();
            assert_ne!(output.redact_str(target), target, "{value:?}");
            let matchers = Matchers { output, records, addresses: captured };
            assert_eq!(matchers.of_record(target), target, "{value:?}");
            assert_eq!(matchers.of_record("/tmp/q7mVx2LpR9dKw4Zt"), "/tmp/[redacted:TOKEN]");
        }
        let vault = vault(&[]);
        let captured = Matcher::build([]).map(Arc::new).unwrap();
        let (output, records) = vault.protect("SESSION", b"{\"key\":\"w8Kz-Tq2-Vb5-Nm9\"}").unwrap().unwrap();
        let matchers = Matchers { output, records, addresses: captured };
        assert_eq!(matchers.of_record("w8Kz-Tq2-Vb5-Nm9.evil.example"), "[redacted:SESSION].evil.example");
        assert_eq!(matchers.of_record("w8Kz-Tq2-Vb5-Nm9"), "[redacted:SESSION]");
    }
}
