//! How wide a rule is: which ones allow so much that the policy must say `allow_any = true` and
//! the posture line must name them, and which program none may name.

use super::hint::quoted;
use super::{NetworkRule, Policy, Target};
use std::net::IpAddr;

/// An IPv4 network shorter than this is no longer one network of somebody's.
const NARROWEST_UNLIMITED_V4: u8 = 7;
/// The same for IPv6: registries are given /12, the largest networks hold /19.
const NARROWEST_UNLIMITED_V6: u8 = 15;

impl NetworkRule {
    /// Whether the rule needs `allow_any = true`: `*`, `*:443`, and networks wider than /8 (IPv4)
    /// or /16 (IPv6), so that two halves of everything do not pass for less. The blocks of unique
    /// local, link-local and multicast addresses (`fc00::/7`, `fe80::/10`, `ff00::/8`) are exempt.
    pub fn is_unlimited(&self) -> bool {
        match &self.to {
            Target::Any => true,
            Target::Net { address: IpAddr::V4(_), prefix } => *prefix <= NARROWEST_UNLIMITED_V4,
            Target::Net { address: IpAddr::V6(net), prefix } => {
                let first_byte = net.octets().first().copied().unwrap_or(0);
                *prefix <= NARROWEST_UNLIMITED_V6 && !(*prefix >= 7 && first_byte >= 0xfc)
            }
            Target::Name(_) | Target::UnixPath(_) | Target::UnixAbstract(_) => false,
        }
    }
}

impl Policy {
    /// The rules that allow everything, each as `key = "rule"`: what the posture line names.
    pub fn unlimited(&self) -> Vec<String> {
        let network = [("network.allow", &self.network.allow), ("network.listen", &self.network.listen)];
        let rules = network.into_iter().flat_map(|(key, rules)| {
            rules
                .iter()
                .filter(|rule| rule.is_unlimited())
                .map(move |rule| format!("{key} = {}", quoted(&rule.text)))
        });
        let exec = self.exec.any.then(|| r#"exec.allow = "*""#.to_owned());
        let write =
            self.files.write.iter().any(|path| path == "/").then(|| r#"files.write = "/""#.to_owned());
        rules.chain(exec).chain(write).collect()
    }
}

/// Whether the program is a dynamic loader (ld.so(8); musl's is also its libc): started as a
/// program it runs any file it is given, so a rule for it would be a rule for every program.
///
/// ```
/// # use fnguard_policy::model::breadth::is_loader;
/// assert!(is_loader("/lib64/ld-linux-x86-64.so.2"));
/// assert!(!is_loader("/usr/bin/ld"));
/// ```
pub fn is_loader(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    let is_numbered =
        |name: &str| file.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    file.starts_with("ld-linux")
        || file.starts_with("ld-musl")
        || (file.starts_with("ld-") && file.contains(".so"))
        || file.starts_with("libc.musl-")
        || ["ld.so", "ld64.so", "libc.so"].into_iter().any(is_numbered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PortRange, Transport};

    fn rule(to: Target) -> NetworkRule {
        NetworkRule {
            text: "as written".to_owned(),
            to,
            ports: vec![PortRange { low: 443, high: 443 }],
            transport: Transport::Tcp,
            private: false,
            audit: false,
        }
    }

    #[test]
    fn wide_networks() {
        for (net, prefix, expected) in [
            ("0.0.0.0", 0, true),
            ("128.0.0.0", 1, true),
            ("10.0.0.0", 7, true),
            ("10.0.0.0", 8, false),
            ("::", 0, true),
            ("2000::", 3, true),
            ("2600::", 12, true),
            ("2600:1f00::", 24, false),
            ("fc00::", 6, true),
            ("fc00::", 7, false),
            ("fe80::", 10, false),
            ("ff00::", 8, false),
        ] {
            let net = rule(Target::Net { address: net.parse().unwrap(), prefix });
            assert_eq!(net.is_unlimited(), expected, "{:?}", net.to);
        }
        assert!(rule(Target::Any).is_unlimited());
        assert!(!rule(Target::UnixPath("/run/x".to_owned())).is_unlimited());
    }

    #[test]
    fn unlimited_rules_are_named() {
        let mut policy = Policy::default();
        assert_eq!(policy.unlimited(), Vec::<String>::new());
        policy.network.allow.push(rule(Target::Any));
        policy.exec.any = true;
        policy.files.write.push("/".to_owned());
        assert_eq!(
            policy.unlimited(),
            [r#"network.allow = "as written""#, r#"exec.allow = "*""#, r#"files.write = "/""#]
        );
    }

    #[test]
    fn loaders() {
        for (path, expected) in [
            ("/lib64/ld-linux-x86-64.so.2", true),
            ("/lib/ld-linux-aarch64.so.1", true),
            ("/lib/ld-musl-x86_64.so.1", true),
            ("/usr/bin/ld.so", true),
            ("/lib/ld-2.31.so", true),
            ("/lib/libc.musl-x86_64.so.1", true),
            ("/lib/libc.so", true),
            ("/lib64/ld64.so.2", true),
            ("/lib/libc.so.6", true),
            ("ld-linux.so.2", true),
            ("/lib/ld-linux-x86-64.so.2/x", false),
            ("/usr/bin/ld", false),
            ("/usr/bin/ldd", false),
            ("/usr/bin/id", false),
        ] {
            assert_eq!(is_loader(path), expected, "{path}");
        }
    }
}
