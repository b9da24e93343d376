//! Where an address leads: to the world, to a private network, or to where no name may lead.
//! Not what the policy says about addresses, which is `guard-policy`'s `decide`.
//!
//! A name is under somebody else's control, so what it may be made to point at is bounded
//! before any rule is looked at (DNS rebinding). Sources: the IANA special-purpose address
//! registries (RFC 6890 and its updates); metadata endpoints and the forms that carry an IPv4
//! address inside are those of [`fnguard_policy::model::address`].

use fnguard_policy::model::address::{embedded_ipv4, is_metadata, is_private};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of place an address is. The order is of strictness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// Anywhere on the internet.
    Public,
    /// A private network: only for a name whose rule has `private = true`.
    Private,
    /// This machine, this link, the platform's metadata or credentials, nobody, or everybody.
    /// No name leads there; a policy that means such a place lists the address.
    Never,
}

/// The form in which addresses are compared: a mapped IPv4 address (`::ffff:a.b.c.d`) is the
/// IPv4 address, because the kernel connects it there.
pub(super) fn normal(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 => v4,
    }
}

/// Classifies an address. One that carries an IPv4 address inside may end at either, so the
/// stricter class counts.
pub(super) fn reach(address: IpAddr) -> Reach {
    let address = normal(address);
    let itself = match address {
        _ if is_metadata(address) => Reach::Never,
        IpAddr::V4(v4) if is_never_v4(v4) => Reach::Never,
        IpAddr::V6(v6) if is_never_v6(v6) => Reach::Never,
        _ if is_private(address) || is_special_v4(address) => Reach::Private,
        _ => Reach::Public,
    };
    match address {
        IpAddr::V4(_) => itself,
        IpAddr::V6(v6) => embedded_ipv4(v6).map(|v4| reach(IpAddr::V4(v4))).fold(itself, Reach::max),
    }
}

fn is_never_v4(address: Ipv4Addr) -> bool {
    matches!(
        address.octets(),
        // "This network" (the kernel makes loopback of 0.0.0.0), and loopback.
        [0 | 127, ..]
        // Link-local.
        | [169, 254, ..]
        // Multicast, and all that was never assigned, with the broadcast address.
        | [224..=255, ..]
    )
}

/// IETF protocol assignments (DS-Lite, NAT64 discovery) and benchmarking networks: not of the
/// internet, so no place for a public name.
fn is_special_v4(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if matches!(v4.octets(), [192, 0, 0, _] | [198, 18..=19, ..]))
}

fn is_never_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Unspecified, loopback, and the deprecated IPv4-compatible form.
        [0, 0, 0, 0, 0, 0, _, _] => true,
        // NAT64's well-known prefix is looked through. In the space beside it, where the IPv4
        // address stands depends on the network's own prefix length (RFC 6052 section 2.2).
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => false,
        [0x64, 0xff9b, ..] => true,
        // Teredo: retired, and it ends wherever its sender says.
        [0x2001, 0, ..] => true,
        // Discard-only.
        [0x100, 0, 0, 0, ..] => true,
        // Link-local, and the deprecated site-local.
        [0xfe80..=0xfeff, ..] => true,
        // Multicast.
        [0xff00..=0xffff, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Reach, reach};

    #[test]
    fn every_form_of_a_place_is_that_place() {
        let table = [
            ("203.0.113.9", Reach::Public),
            ("8.8.8.8", Reach::Public),
            ("172.15.255.255", Reach::Public),
            ("172.32.0.0", Reach::Public),
            ("100.63.255.255", Reach::Public),
            ("100.128.0.0", Reach::Public),
            ("2600:1f18::1", Reach::Public),
            ("64:ff9b::8.8.8.8", Reach::Public),
            ("2002:808:808::1", Reach::Public),
            ("::ffff:8.8.8.8", Reach::Public),
            ("10.0.0.1", Reach::Private),
            ("172.16.0.1", Reach::Private),
            ("172.31.255.255", Reach::Private),
            ("192.168.1.1", Reach::Private),
            ("100.64.0.1", Reach::Private),
            ("fc00::1", Reach::Private),
            ("fd12:3456::1", Reach::Private),
            ("::ffff:10.0.0.1", Reach::Private),
            ("64:ff9b::10.0.0.1", Reach::Private),
            ("2002:a00:1::1", Reach::Private),
            ("0.0.0.0", Reach::Never),
            ("0.1.2.3", Reach::Never),
            ("127.0.0.1", Reach::Never),
            ("127.255.255.254", Reach::Never),
            ("169.254.169.254", Reach::Never),
            ("169.254.170.2", Reach::Never),
            ("169.254.100.1", Reach::Never),
            ("100.100.100.200", Reach::Never),
            ("168.63.129.16", Reach::Never),
            ("224.0.0.251", Reach::Never),
            ("239.255.255.255", Reach::Never),
            ("240.0.0.1", Reach::Never),
            ("255.255.255.255", Reach::Never),
            ("::", Reach::Never),
            ("::1", Reach::Never),
            ("::127.0.0.1", Reach::Never),
            ("::ffff:127.0.0.1", Reach::Never),
            ("::ffff:169.254.169.254", Reach::Never),
            ("::ffff:0:169.254.169.254", Reach::Never),
            ("64:ff9b::169.254.169.254", Reach::Never),
            ("64:ff9b::127.0.0.1", Reach::Never),
            ("64:ff9b:1::a9fe:a9fe", Reach::Never),
            ("2002:a9fe:a9fe::1", Reach::Never),
            ("2002:7f00:1::1", Reach::Never),
            ("2001:0:a9fe:a9fe::1", Reach::Never),
            ("fd00:ec2::254", Reach::Never),
            ("fd00:ec2::23", Reach::Never),
            ("fd20:ce::254", Reach::Never),
            ("fe80::1", Reach::Never),
            ("febf::1", Reach::Never),
            ("fec0::1", Reach::Never),
            ("ff02::fb", Reach::Never),
            ("100::1", Reach::Never),
        ];
        for (text, expected) in table {
            assert_eq!(reach(text.parse().unwrap()), expected, "{text}");
        }
    }
}
