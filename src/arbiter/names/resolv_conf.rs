//! The nameservers of resolv.conf(5). Not its search list, `ndots` or other options: those
//! shape what the function's own resolver asks, and the proxy answers what is asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// glibc reads no more than this many (`MAXNS` in resolv.h).
const MAX_NAMESERVERS: usize = 3;

/// The port of DNS.
const PORT: u16 = 53;

/// The nameservers in their order; as resolv.conf(5) says, the local machine if there is none.
pub(super) fn nameservers(text: &str) -> Vec<SocketAddr> {
    let mut servers: Vec<SocketAddr> = text.lines().filter_map(nameserver).take(MAX_NAMESERVERS).collect();
    if servers.is_empty() {
        servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
    }
    servers
}

/// One line. glibc wants the keyword in the first column and white space behind it; what
/// follows the address is ignored.
fn nameserver(line: &str) -> Option<SocketAddr> {
    let rest = line.strip_prefix("nameserver")?;
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    let word = rest.split_ascii_whitespace().next()?;
    match word.split_once('%') {
        None => Some(SocketAddr::new(word.parse::<IpAddr>().ok()?, PORT)),
        Some((address, scope)) => {
            let address = address.parse::<Ipv6Addr>().ok()?;
            Some(SocketAddr::V6(SocketAddrV6::new(address, PORT, 0, scope_id(scope)?)))
        }
    }
}

/// The index of the interface that a zone names, `eth0` or `2` (RFC 4007 section 11.2).
fn scope_id(zone: &str) -> Option<u32> {
    if let Ok(index) = zone.parse() {
        return Some(index);
    }
    if zone.contains('/') || zone.starts_with('.') {
        return None;
    }
    std::fs::read_to_string(format!("/sys/class/net/{zone}/ifindex")).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::nameservers;

    fn texts(conf: &str) -> Vec<String> {
        nameservers(conf).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn reads_what_glibc_reads() {
        let table: &[(&str, &[&str])] = &[
            ("nameserver 10.0.0.2\n", &["10.0.0.2:53"]),
            ("nameserver\t10.0.0.2 # the VPC's\n", &["10.0.0.2:53"]),
            ("search a b\noptions ndots:5\nnameserver fd00:ec2::253", &["[fd00:ec2::253]:53"]),
            ("nameserver fe80::1%2\n", &["[fe80::1%2]:53"]),
            ("nameserver fe80::1%lo\n", &["[fe80::1%1]:53"]),
            ("nameserver fe80::1%../lo\n", &["127.0.0.1:53"]),
            (
                "nameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\nnameserver 4.4.4.4\n",
                &["1.1.1.1:53", "2.2.2.2:53", "3.3.3.3:53"],
            ),
            ("# nameserver 10.0.0.2\n;nameserver 10.0.0.3\n", &["127.0.0.1:53"]),
            (" nameserver 10.0.0.2\nnameserver10.0.0.3\nnameserver x\n", &["127.0.0.1:53"]),
            ("", &["127.0.0.1:53"]),
        ];
        for (conf, expected) in table {
            assert_eq!(&texts(conf), expected, "{conf:?}");
        }
    }
}
