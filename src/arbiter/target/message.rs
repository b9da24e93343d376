//! Messages of sendmsg(2) and sendmmsg(2) as the function hands them over: one snapshot of
//! header, address, data and control data.
//!
//! Sources: sendmsg(2), cmsg(3), <bits/socket.h>: `struct msghdr` is seven words on 64-bit
//! platforms (name, name length, iov, iov length, control, control length, flags).

use super::{Blame, Caller, address};
use crate::sys::Errno;

/// The size of a `struct msghdr`.
pub(crate) const HEADER: usize = 56;
/// The size of a `struct mmsghdr`: a header and the count of bytes sent, padded.
pub(crate) const VECTOR_ENTRY: usize = 64;
/// The most iovecs a message may have (UIO_MAXIOV).
const MOST_IOVECS: u64 = 1024;
/// The most data taken in one call. A stream socket then sends a part, as it may at any time;
/// a datagram of more is refused with EMSGSIZE, as UDP would (65,507 bytes at most).
pub(crate) const MOST_DATA: usize = 1 << 20;
/// The same where the call may block, and its copy is held as long.
pub(crate) const MOST_HELD: usize = 64 << 10;
/// The most iovecs that all messages of one call may have.
const MOST_IOVECS_OF_A_CALL: u64 = 4 * MOST_IOVECS;
/// The most control data (well above any message the table lets pass).
const MOST_CONTROL: u64 = 4096;

/// A message, copied.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The address's bytes; empty where the message has none.
    pub(crate) name: Vec<u8>,
    /// The data, joined.
    pub(crate) data: Vec<u8>,
    /// Whether there was more data than is taken at once.
    pub(crate) cut: bool,
    /// The control data.
    pub(crate) control: Vec<u8>,
}

/// What may still be copied for one call.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) bytes: usize,
    iovecs: u64,
}

impl Room {
    /// For so many bytes of data.
    pub(crate) fn of(bytes: usize) -> Self {
        Room { bytes, iovecs: MOST_IOVECS_OF_A_CALL }
    }

    /// Whether the next message may find none.
    pub(crate) fn is_used_up(&self) -> bool {
        self.bytes == 0 || self.iovecs < MOST_IOVECS
    }
}

/// Reads the message whose header stands at `at`, within what room there is.
pub(crate) fn read(caller: &Caller<'_>, at: u64, room: &mut Room) -> Result<Message, Blame> {
    let header = caller.read(at, HEADER)?;
    let word = |index: usize| -> u64 {
        header
            .get(index * 8..index * 8 + 8)
            .and_then(|word| word.first_chunk::<8>())
            .map_or(0, |word| u64::from_ne_bytes(*word))
    };
    let (name, name_length) = (word(0), word(1) as u32);
    let (iov, iov_count) = (word(2), word(3));
    let (control, control_length) = (word(4), word(5));

    let name = if name == 0 || name_length == 0 {
        Vec::new()
    } else {
        let length = usize::try_from(name_length)
            .ok()
            .filter(|&length| length <= address::LONGEST)
            .ok_or(Blame::Caller(Errno(libc::EINVAL)))?;
        caller.read(name, length)?
    };
    let control = if control == 0 || control_length == 0 {
        Vec::new()
    } else if control_length > MOST_CONTROL {
        return Err(Blame::Caller(Errno(libc::ENOBUFS)));
    } else {
        caller.read(control, control_length as usize)?
    };
    let (data, cut) = read_data(caller, iov, iov_count, room)?;
    Ok(Message { name, data, cut, control })
}

fn read_data(caller: &Caller<'_>, iov: u64, count: u64, room: &mut Room) -> Result<(Vec<u8>, bool), Blame> {
    if count > MOST_IOVECS {
        return Err(Blame::Caller(Errno(libc::EMSGSIZE)));
    }
    let vectors = caller.read(iov, count as usize * 16)?;
    let (pieces, cut) = pieces(&vectors, room.bytes).map_err(Blame::Caller)?;
    let data = caller.read_pieces(&pieces)?;
    room.bytes = room.bytes.saturating_sub(data.len());
    room.iovecs = room.iovecs.saturating_sub(count);
    Ok((data, cut))
}

/// Addresses and lengths out of an array of iovecs, up to `most` bytes together; whether there are
/// more.
fn pieces(vectors: &[u8], most: usize) -> Result<(Vec<(u64, usize)>, bool), Errno> {
    let mut pieces = Vec::new();
    let (mut room, mut cut) = (most, false);
    for vector in vectors.chunks_exact(16) {
        let (Some(base), Some(length)) = (vector.first_chunk::<8>(), vector.last_chunk::<8>()) else {
            continue;
        };
        // As import_iovec answers: a length is a ssize_t.
        let length = i64::from_ne_bytes(*length);
        let length = usize::try_from(length).map_err(|_| Errno(libc::EINVAL))?;
        let taken = length.min(room);
        cut |= length > taken;
        room -= taken;
        if taken > 0 {
            pieces.push((u64::from_ne_bytes(*base), taken));
        }
    }
    Ok((pieces, cut))
}

/// Whether control data may be passed on: only what sets a header field of the packet itself, and
/// nothing that names a descriptor, an interface, a route or a sender. Returns the (level, type)
/// that is refused, or that the data is malformed.
///
/// SCM_RIGHTS numbers would be resolved in the arbiter's own table; IP_PKTINFO, IP_RETOPTS and
/// IPV6_RTHDR choose another way than the address that was decided on.
pub(crate) fn check_control(control: &[u8]) -> Result<(), (i32, i32)> {
    const ALLOWED: [(i32, i32); 4] = [
        (libc::SOL_IP, libc::IP_TOS),
        (libc::SOL_IP, libc::IP_TTL),
        (libc::SOL_IPV6, libc::IPV6_TCLASS),
        (libc::SOL_IPV6, libc::IPV6_HOPLIMIT),
    ];
    let mut rest = control;
    while !rest.is_empty() {
        // struct cmsghdr: length (8, header included), level (4), type (4); then data, padded to 8.
        let Some(header) = rest.first_chunk::<16>() else { return Err((0, 0)) };
        let mut length = [0u8; 8];
        length.copy_from_slice(&header[..8]);
        let length = usize::try_from(u64::from_ne_bytes(length)).unwrap_or(usize::MAX);
        let level = i32::from_ne_bytes([header[8], header[9], header[10], header[11]]);
        let kind = i32::from_ne_bytes([header[12], header[13], header[14], header[15]]);
        if length < 16 || length > rest.len() || !ALLOWED.contains(&(level, kind)) {
            return Err((level, kind));
        }
        let next = length.checked_next_multiple_of(8).unwrap_or(usize::MAX).min(rest.len());
        rest = rest.get(next..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn control(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut bytes = ((16 + data.len()) as u64).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    #[test]
    fn iovecs_are_taken_as_far_as_there_is_room() {
        let vector = |list: &[(u64, u64)]| -> Vec<u8> {
            list.iter()
                .flat_map(|(base, length)| [base.to_ne_bytes(), length.to_ne_bytes()].concat())
                .collect()
        };
        assert_eq!(pieces(&vector(&[(1, 4), (2, 0), (3, 6)]), 10), Ok((vec![(1, 4), (3, 6)], false)));
        assert_eq!(pieces(&vector(&[(1, 4), (3, 6)]), 9), Ok((vec![(1, 4), (3, 5)], true)));
        assert_eq!(pieces(&vector(&[(1, 4), (3, 6)]), 4), Ok((vec![(1, 4)], true)));
        assert_eq!(pieces(&vector(&[(1, i64::MAX as u64); 3]), 4), Ok((vec![(1, 4)], true)));
        assert_eq!(pieces(&vector(&[(1, 4), (3, 1 << 63)]), 9), Err(Errno(libc::EINVAL)));
    }

    #[test]
    fn header_fields_pass_and_everything_else_is_refused() {
        let tos = control(libc::SOL_IP, libc::IP_TOS, &1i32.to_ne_bytes());
        assert_eq!(check_control(&tos), Ok(()));
        let rights = control(libc::SOL_SOCKET, libc::SCM_RIGHTS, &3i32.to_ne_bytes());
        assert_eq!(check_control(&rights), Err((libc::SOL_SOCKET, libc::SCM_RIGHTS)));
        let hidden = [tos.clone(), rights].concat();
        assert_eq!(check_control(&hidden), Err((libc::SOL_SOCKET, libc::SCM_RIGHTS)));
        let route = control(libc::SOL_IP, libc::IP_PKTINFO, &[0; 12]);
        assert!(check_control(&route).is_err());
        assert!(check_control(&tos[..15]).is_err());
    }

    #[test]
    fn a_length_that_overflows_is_refused() {
        let mut bytes = control(libc::SOL_IP, libc::IP_TOS, &[0; 4]);
        bytes[..8].copy_from_slice(&u64::MAX.to_ne_bytes());
        assert!(check_control(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn any_control_data_ends(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = check_control(&bytes);
        }
    }
}
