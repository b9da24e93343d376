//! The way in, where what is written to the platform's descriptor 0 would reach somebody: its bytes
//! are carried to the function's pipe as they are.

use crate::sys::descriptor::{self, PollFd};
use crate::sys::{Errno, process};
use std::os::fd::{AsFd, OwnedFd};

/// How much is read at once, and the usual size of a pipe.
const CHUNK: usize = 64 * 1024;

/// Carries bytes until either side ends; the body of a thread. Both descriptors are closed with it:
/// the function sees the end of its input, and whoever writes to the platform's sees that nobody
/// reads any more, also while nothing is on its way.
pub(crate) fn carry(from: OwnedFd, to: OwnedFd) {
    process::set_thread_name(c"fnguard-input");
    if descriptor::status_flags(from.as_fd()).is_ok_and(|flags| flags & libc::O_ACCMODE == libc::O_WRONLY) {
        // Nothing would ever be told of it.
        return;
    }
    let mut buffer = Vec::with_capacity(CHUNK);
    loop {
        // Without an event asked for, the writing end of a pipe tells only that its reader has gone.
        let mut entries = [PollFd::new(from.as_fd(), libc::POLLIN), PollFd::new(to.as_fd(), 0)];
        if descriptor::poll(&mut entries, -1).is_err() {
            // For want of memory only; the next round tries again.
            continue;
        }
        if entries[1].happened() != 0 {
            return;
        }
        match descriptor::read_into(from.as_fd(), &mut buffer, CHUNK) {
            // Another reader of the same pipe was faster.
            Err(Errno(libc::EAGAIN)) => {}
            Ok(count) if count > 0 => {
                if descriptor::write_all(to.as_fd(), &buffer).is_err() {
                    return;
                }
            }
            Ok(_) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function that has closed its input, before anything comes: the writer's pipe breaks.
    #[test]
    fn a_reader_that_goes_breaks_the_pipe_of_the_writer() {
        let (from, writer) = descriptor::pipe().unwrap();
        let (reader, to) = descriptor::pipe().unwrap();
        let carrying = std::thread::spawn(move || carry(from, to));
        drop(reader);
        carrying.join().unwrap();
        // Signals that end a process are ignored in Rust's tests, SIGPIPE first of all.
        assert_eq!(descriptor::write_all(writer.as_fd(), b"x"), Err(Errno(libc::EPIPE)));
    }

    #[test]
    fn every_byte_arrives_in_order_and_the_end_after_it() {
        let (from, writer) = descriptor::pipe().unwrap();
        let (reader, to) = descriptor::pipe().unwrap();
        let sent: Vec<u8> = (0..1_000_000u32).map(|at| (at % 251) as u8).collect();
        let carrying = std::thread::spawn(move || carry(from, to));
        let writing = std::thread::spawn({
            let sent = sent.clone();
            move || sent.chunks(7919).for_each(|part| descriptor::write_all(writer.as_fd(), part).unwrap())
        });
        let (mut all, mut some) = (Vec::new(), Vec::with_capacity(CHUNK));
        while descriptor::read_into(reader.as_fd(), &mut some, CHUNK).unwrap() > 0 {
            all.extend_from_slice(&some);
        }
        assert!(all == sent, "{} of {}", all.len(), sent.len());
        writing.join().unwrap();
        carrying.join().unwrap();
    }
}
