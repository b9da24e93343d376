//! The way in, where the platform's descriptor 0 could also be written to: its bytes are carried to
//! the function's pipe as they are.

use crate::sys::{descriptor, process};
use std::os::fd::{AsFd, OwnedFd};

/// Carries bytes until either side ends; the body of a thread.
pub(crate) fn carry(from: &OwnedFd, to: &OwnedFd) {
    process::set_thread_name(c"fnguard-input");
    let mut buffer = vec![0u8; 64 * 1024];
    loop {
        match descriptor::read(from.as_fd(), &mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                if descriptor::write_all(to.as_fd(), bytes).is_err() {
                    return;
                }
            }
        }
    }
}
