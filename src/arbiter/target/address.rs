//! Socket addresses as the function hands them over: checked bytes, from which the decision and
//! the call are both made. Parsing only; nothing here touches a process.
//!
//! Sources: ip(7), ipv6(7), unix(7), connect(2). The kernel takes an IPv6 address of 24 bytes
//! (SIN6_LEN_RFC2133), without a scope id.

use crate::sys::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest address of any family (sizeof(struct sockaddr_storage)).
pub(crate) const LONGEST: usize = 128;

/// An address that has been read and understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// AF_UNSPEC: for connect(2) the end of a connection; for sending, an IPv4 address in
    /// disguise on IPv4 sockets.
    Unspecified,
    /// AF_INET or AF_INET6.
    Inet {
        /// Address and port as given.
        to: SocketAddr,
        /// The scope id of an IPv6 address; 0 elsewhere.
        scope: u32,
    },
    /// A unix socket by path; the bytes up to the first NUL.
    UnixPath(Vec<u8>),
    /// A unix socket by abstract name, without the leading NUL.
    UnixAbstract(Vec<u8>),
    /// AF_UNIX without a name: autobind.
    UnixUnnamed,
    /// AF_NETLINK: port id and groups.
    Netlink {
        /// The peer's port id; 0 is the kernel.
        port: u32,
        /// Multicast groups.
        groups: u32,
    },
    /// Any other family.
    Other(u16),
}

/// Reads the family and what belongs to it out of raw bytes.
///
/// # Errors
///
/// EINVAL where the bytes are too short for their family, as the kernel answers.
pub(crate) fn parse(bytes: &[u8]) -> Result<Address, Errno> {
    let invalid = Errno(libc::EINVAL);
    let family = u16::from_ne_bytes(bytes.first_chunk::<2>().copied().ok_or(invalid)?);
    match i32::from(family) {
        libc::AF_UNSPEC => Ok(Address::Unspecified),
        libc::AF_INET => {
            // struct sockaddr_in: family, port, address, eight bytes of nothing.
            let rest: &[u8; 16] = bytes.first_chunk().ok_or(invalid)?;
            let port = u16::from_be_bytes([rest[2], rest[3]]);
            let address = Ipv4Addr::new(rest[4], rest[5], rest[6], rest[7]);
            Ok(Address::Inet { to: SocketAddr::new(IpAddr::V4(address), port), scope: 0 })
        }
        libc::AF_INET6 => {
            // struct sockaddr_in6: family, port, flow, address, scope.
            let rest: &[u8; 24] = bytes.first_chunk().ok_or(invalid)?;
            let port = u16::from_be_bytes([rest[2], rest[3]]);
            let octets: [u8; 16] = rest.last_chunk().copied().ok_or(invalid)?;
            let scope = bytes
                .get(24..28)
                .and_then(|scope| scope.first_chunk::<4>())
                .map_or(0, |scope| u32::from_ne_bytes(*scope));
            Ok(Address::Inet { to: SocketAddr::new(IpAddr::V6(Ipv6Addr::from(octets)), port), scope })
        }
        libc::AF_UNIX => match bytes.get(2..) {
            None | Some([]) => Ok(Address::UnixUnnamed),
            Some([0, name @ ..]) => Ok(Address::UnixAbstract(name.to_vec())),
            Some(path) => {
                let end = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
                Ok(Address::UnixPath(path.get(..end).unwrap_or_default().to_vec()))
            }
        },
        libc::AF_NETLINK => {
            let rest: &[u8; 12] = bytes.first_chunk().ok_or(invalid)?;
            let word = |at: usize| {
                rest.get(at..at + 4)
                    .and_then(|word| word.first_chunk::<4>())
                    .map_or(0, |word| u32::from_ne_bytes(*word))
            };
            Ok(Address::Netlink { port: word(4), groups: word(8) })
        }
        _ => Ok(Address::Other(family)),
    }
}

/// The bytes that name an internet address for a socket of the given family. An IPv4 address is
/// mapped for an IPv6 socket; the scope id is left out unless the address is link-local, since it
/// would choose another interface.
pub(crate) fn encode(to: SocketAddr, scope: u32, on_v6_socket: bool) -> Vec<u8> {
    match (to, on_v6_socket) {
        (SocketAddr::V4(v4), false) => {
            let mut bytes = vec![0u8; 16];
            put(&mut bytes, 0, &(libc::AF_INET as u16).to_ne_bytes());
            put(&mut bytes, 2, &v4.port().to_be_bytes());
            put(&mut bytes, 4, &v4.ip().octets());
            bytes
        }
        (SocketAddr::V4(v4), true) => encode_v6(v4.ip().to_ipv6_mapped(), v4.port(), 0),
        (SocketAddr::V6(v6), _) => {
            let link_local = v6.ip().segments()[0] & 0xffc0 == 0xfe80;
            encode_v6(*v6.ip(), v6.port(), if link_local { scope } else { 0 })
        }
    }
}

fn encode_v6(address: Ipv6Addr, port: u16, scope: u32) -> Vec<u8> {
    let mut bytes = vec![0u8; 28];
    put(&mut bytes, 0, &(libc::AF_INET6 as u16).to_ne_bytes());
    put(&mut bytes, 2, &port.to_be_bytes());
    put(&mut bytes, 8, &address.octets());
    put(&mut bytes, 24, &scope.to_ne_bytes());
    bytes
}

/// The bytes that name a unix socket by path, NUL included.
pub(crate) fn encode_unix(path: &[u8]) -> Option<Vec<u8>> {
    if path.len() >= 108 {
        return None;
    }
    let mut bytes = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
    bytes.extend_from_slice(path);
    bytes.push(0);
    Some(bytes)
}

/// The bytes that name a unix socket by abstract name.
pub(crate) fn encode_abstract(name: &[u8]) -> Vec<u8> {
    let mut bytes = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
    bytes.push(0);
    bytes.extend_from_slice(name);
    bytes
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(room) = bytes.get_mut(at..at + value.len()) {
        room.copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn inet_addresses_survive_a_round_trip() {
        let v4: SocketAddr = "203.0.113.9:443".parse().unwrap();
        assert_eq!(parse(&encode(v4, 0, false)), Ok(Address::Inet { to: v4, scope: 0 }));
        let v6: SocketAddr = "[2001:db8::9]:443".parse().unwrap();
        assert_eq!(parse(&encode(v6, 7, true)), Ok(Address::Inet { to: v6, scope: 0 }));
        let local: SocketAddr = "[fe80::1]:1".parse().unwrap();
        assert_eq!(parse(&encode(local, 7, true)), Ok(Address::Inet { to: local, scope: 7 }));
    }

    #[test]
    fn an_ipv6_address_of_24_bytes_is_understood_as_the_kernel_does() {
        let full = encode("[2001:db8::9]:443".parse().unwrap(), 0, true);
        assert!(matches!(parse(&full[..24]), Ok(Address::Inet { .. })));
        assert_eq!(parse(&full[..23]), Err(Errno(libc::EINVAL)));
    }

    #[test]
    fn unix_names_keep_their_nuls() {
        assert_eq!(parse(&encode_abstract(b"a\0b")), Ok(Address::UnixAbstract(b"a\0b".to_vec())));
        assert_eq!(parse(&[1, 0]), Ok(Address::UnixUnnamed));
        assert_eq!(parse(&encode_unix(b"/run/x").unwrap()), Ok(Address::UnixPath(b"/run/x".to_vec())));
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..=LONGEST)) {
            let _ = parse(&bytes);
        }
    }
}
