//! The buffer that packets are received in: one for each side, used again, and wiped after each
//! packet as far as that reached. Wiping all of it each time took longer than the packet's way.

use super::LONGEST;
use crate::sys::{Errno, network};
use std::os::fd::BorrowedFd;
use zeroize::Zeroize;

/// Room for the longest packet.
pub(crate) struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Inbox { bytes: Vec::with_capacity(LONGEST) }
    }

    /// Receives one packet; what is longer is cut. It is wiped when the result is dropped, since
    /// it may hold a secret.
    ///
    /// # Errors
    ///
    /// EPIPE when the other side has ended, else what recv(2) says.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>) -> Result<Packet<'_>, Errno> {
        match network::receive(socket, &mut self.bytes)? {
            0 => Err(Errno(libc::EPIPE)),
            _ => Ok(Packet { bytes: &mut self.bytes }),
        }
    }
}

/// A packet, for as long as it is looked at.
pub(crate) struct Packet<'a> {
    bytes: &'a mut [u8],
}

impl Packet<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes
    }
}

impl Drop for Packet<'_> {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_packet_is_wiped_and_no_byte_of_it_stays() {
        let (ours, theirs) = network::packet_pair().unwrap();
        let mut inbox = Inbox::new();
        for secret in [&b"sk_live_0123456789"[..], b"short", b"sk_live_and_a_longer_one"] {
            network::send_to(theirs.as_fd(), secret, 0, &[]).unwrap();
            let packet = inbox.receive(ours.as_fd()).unwrap();
            assert_eq!(packet.bytes(), secret);
            drop(packet);
            assert!(inbox.bytes.iter().all(|&byte| byte == 0));
            assert_eq!(inbox.bytes.len(), secret.len());
        }
        drop(theirs);
        assert_eq!(inbox.receive(ours.as_fd()).err(), Some(Errno(libc::EPIPE)));
    }
}
