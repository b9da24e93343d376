//! Entry points for fuzz targets into what reads the function's memory. See `crate::fuzzing`.

use super::target::address::{self, Address, LONGEST};
use super::target::message::check_control;

pub use super::names::fuzzing::{query as dns_query, reply as dns_reply};

/// A socket address: read or refused. The call is made from what was read, so it must say the same
/// when it is written out and read again; written for an IPv6 socket it is the same peer.
pub fn sockaddr(bytes: &[u8]) {
    let Some(bytes) = bytes.get(..bytes.len().min(LONGEST)) else { return };
    let Ok(read) = address::parse(bytes) else { return };
    match &read {
        Address::Inet { to, scope } => {
            let again = address::parse(&address::encode(*to, *scope, to.is_ipv6()));
            let Ok(Address::Inet { to: same, .. }) = again else { panic!("{read:?} became {again:?}") };
            assert_eq!((to.ip(), to.port()), (same.ip(), same.port()));
            let again = address::parse(&address::encode(*to, *scope, true));
            let Ok(Address::Inet { to: mapped, .. }) = again else { panic!("{read:?} became {again:?}") };
            assert_eq!((to.ip().to_canonical(), to.port()), (mapped.ip().to_canonical(), mapped.port()));
        }
        Address::UnixPath(path) => {
            assert!(!path.contains(&0));
            if let Some(bytes) = address::encode_unix(path) {
                assert_eq!(address::parse(&bytes), Ok(read.clone()));
            }
        }
        Address::UnixAbstract(name) => {
            assert_eq!(address::parse(&address::encode_abstract(name)), Ok(read.clone()));
        }
        Address::Unspecified | Address::UnixUnnamed | Address::Netlink { .. } | Address::Other(_) => {}
    }
}

/// Control data of a message: what passes holds no descriptor, no credentials and no route, walked
/// as the kernel walks it.
pub fn control(bytes: &[u8]) {
    if check_control(bytes).is_err() {
        return;
    }
    // CMSG_FIRSTHDR and CMSG_NXTHDR of cmsg(3).
    let mut at = 0usize;
    while let Some(header) = bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        let mut length = [0; 8];
        length.copy_from_slice(&header[..8]);
        let length = u64::from_ne_bytes(length);
        let mut level = [0; 4];
        level.copy_from_slice(&header[8..12]);
        let level = i32::from_ne_bytes(level);
        assert_ne!(level, libc::SOL_SOCKET, "SOL_SOCKET at {at}");
        assert!(length >= 16 && length <= (bytes.len() - at) as u64, "a header of {length} bytes at {at}");
        at += (length as usize).next_multiple_of(8);
    }
}
