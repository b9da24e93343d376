//! Unpredictable message ids (RFC 5452 section 9). Not a general generator.

use std::fs::File;
use std::io::{self, Read};

/// The kernel's generator, opened once when the proxy starts: later the arbiter may have no
/// file system to open it from. Reading it is what getrandom(2) does.
pub(super) struct Random {
    device: File,
}

impl Random {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Random { device: File::open("/dev/urandom")? })
    }

    /// A message id.
    pub(super) fn id(&self) -> io::Result<u16> {
        let mut bytes = [0; 2];
        (&self.device).read_exact(&mut bytes)?;
        Ok(u16::from_ne_bytes(bytes))
    }
}
