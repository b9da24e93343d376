//! What an internet address is, where deciding must know: the forms that carry an IPv4 address
//! inside, and the addresses that only a rule of exactly that address may open. Not which
//! addresses a name may resolve to, which the arbiter's name table decides before it binds one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Endpoints that hand out credentials or describe the machine, outside [`AWS_LOCAL_SERVICES`].
const METADATA: [IpAddr; 7] = [
    // Instance metadata of AWS, Azure, Google Cloud, Oracle Cloud and others.
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    // Credentials of an ECS task.
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    // Credentials of an EKS pod (pod identity).
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    // Alibaba Cloud's instance metadata.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    // Azure's WireServer.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    // Oracle Cloud's older instance metadata.
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    // Google Cloud's instance metadata over IPv6.
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// The first 32 bits of `fd00:ec2::/32`, where AWS puts instance metadata (`::254`), pod identity
/// credentials (`::23`) and the machine's local services over IPv6.
const AWS_LOCAL_SERVICES: [u16; 2] = [0xfd00, 0x0ec2];

/// Whether the address hands out credentials or metadata.
///
/// ```
/// # use fnguard_policy::model::address::is_metadata;
/// assert!(is_metadata("169.254.170.2".parse()?)); // credentials of an ECS task
/// assert!(is_metadata("fd00:ec2::254".parse()?));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn is_metadata(address: IpAddr) -> bool {
    METADATA.contains(&address)
        || matches!(address, IpAddr::V6(v6) if v6.segments().starts_with(&AWS_LOCAL_SERVICES))
}

/// Whether only a rule of exactly this address opens it, never a network, a name or `*`:
/// credentials and metadata, multicast (RFC 5771, RFC 4291) and the limited broadcast address.
///
/// ```
/// # use fnguard_policy::model::address::needs_exact_rule;
/// assert!(needs_exact_rule("169.254.169.254".parse()?));
/// assert!(needs_exact_rule("224.0.0.251".parse()?));
/// assert!(!needs_exact_rule("169.254.100.1".parse()?));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn needs_exact_rule(address: IpAddr) -> bool {
    is_metadata(address) || address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Whether the address lies in space that many networks use at once: RFC 1918, RFC 6598 (shared
/// address space) and RFC 4193 (unique local).
///
/// ```
/// # use fnguard_policy::model::address::is_private;
/// assert!(is_private("100.64.0.1".parse()?));
/// assert!(!is_private("203.0.113.9".parse()?));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_private() || (first == 100 && (64..=127).contains(&second))
        }
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

/// The IPv4 addresses that an IPv6 address carries inside and that a translator or a tunnel on
/// the way would deliver to. Mapped addresses are not among them: the kernel itself connects
/// those over IPv4, so [`super::Peer::inet`] has made them IPv4 before.
///
/// Sources: RFC 4291 section 2.5.5.1 (IPv4-compatible), RFC 6052 (NAT64), RFC 8215 (local-use
/// NAT64, read at the usual prefix length of 96), RFC 2765 (IPv4-translated), RFC 3056 (6to4),
/// RFC 4380 (Teredo: the server, and the client with its bits inverted).
///
/// ```
/// # use fnguard_policy::model::address::embedded_ipv4;
/// # use std::net::Ipv4Addr;
/// let nat64 = "64:ff9b::203.0.113.9".parse()?;
/// assert_eq!(embedded_ipv4(nat64).collect::<Vec<_>>(), [Ipv4Addr::new(203, 0, 113, 9)]);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn embedded_ipv4(address: Ipv6Addr) -> impl Iterator<Item = Ipv4Addr> {
    let (first, second) = match address.segments() {
        // `::` and `::1` have meanings of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => (None, None),
        [0, 0, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => (Some(join(high, low)), None),
        [0x2001, 0, server_high, server_low, _, _, client_high, client_low] => {
            (Some(join(server_high, server_low)), Some(join(!client_high, !client_low)))
        }
        _ => (None, None),
    };
    first.into_iter().chain(second)
}

fn join(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_forms() {
        for (address, expected) in [
            ("::", &[] as &[&str]),
            ("::1", &[]),
            ("::2", &["0.0.0.2"]),
            ("::10.0.0.1", &["10.0.0.1"]),
            ("::ffff:0:10.0.0.1", &["10.0.0.1"]),
            ("64:ff9b::10.0.0.1", &["10.0.0.1"]),
            ("64:ff9b:1:2:3:4:10.0.0.1", &["10.0.0.1"]),
            ("64:ff9b:2::10.0.0.1", &[]),
            ("2002:a00:1::7", &["10.0.0.1"]),
            // RFC 4380's own example of the obfuscation: 192.0.2.45 is written 3fff:fdd2.
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", &["65.54.227.120", "192.0.2.45"]),
            ("2001:db8::10.0.0.1", &[]),
        ] {
            let found: Vec<String> =
                embedded_ipv4(address.parse().unwrap()).map(|v4| v4.to_string()).collect();
            assert_eq!(found, expected, "{address}");
        }
    }

    #[test]
    fn who_needs_an_exact_rule() {
        for (address, expected) in [
            ("169.254.169.254", true),
            ("169.254.170.2", true),
            ("169.254.170.23", true),
            ("fd00:ec2::254", true),
            ("fd00:ec2::23", true),
            ("fd00:ec3::254", false),
            ("fd20:ce::254", true),
            ("100.100.100.200", true),
            ("169.254.169.253", false),
            ("169.254.100.1", false),
            ("223.255.255.255", false),
            ("224.0.0.1", true),
            ("239.255.255.250", true),
            ("255.255.255.255", true),
            ("255.255.255.254", false),
            ("ff02::fb", true),
            ("fe80::1", false),
        ] {
            assert_eq!(needs_exact_rule(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn private_space() {
        for (address, expected) in [
            ("10.0.0.1", true),
            ("172.15.255.255", false),
            ("172.16.0.0", true),
            ("172.32.0.0", false),
            ("192.168.255.255", true),
            ("100.63.255.255", false),
            ("100.64.0.0", true),
            ("100.128.0.0", false),
            ("fc00::1", true),
            ("fe00::1", false),
            ("203.0.113.9", false),
        ] {
            assert_eq!(is_private(address.parse().unwrap()), expected, "{address}");
        }
    }
}
