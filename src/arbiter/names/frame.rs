//! Messages on a stream: two bytes of length, then the message (RFC 1035 section 4.2.2).

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

/// Reads one message. `None` is an orderly end before the first byte of a message.
///
/// # Errors
/// `TimedOut` when the whole message has not come by the deadline, however many bytes trickled
/// in before; `UnexpectedEof` when the stream ends inside a message.
pub(super) fn read(stream: &TcpStream, deadline: Instant) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 2];
    if !fill(stream, &mut length, deadline)? {
        return Ok(None);
    }
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    if !message.is_empty() && !fill(stream, &mut message, deadline)? {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(message))
}

/// Writes one message in one piece: with the length alone in a first segment, some resolvers
/// take the short read for an error.
///
/// # Errors
/// `InvalidInput` above 65535 bytes; else what the stream says, `WouldBlock` or `TimedOut` by the
/// write time-out that the caller has set.
pub(super) fn write(mut stream: &TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut framed = Vec::with_capacity(message.len().saturating_add(2));
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    stream.write_all(&framed)
}

/// Fills the buffer; false when the stream ended before its first byte.
fn fill(mut stream: &TcpStream, buffer: &mut [u8], deadline: Instant) -> io::Result<bool> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(rest) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::{read, write};
    use std::io::{ErrorKind, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    fn in_a(time: Duration) -> Instant {
        Instant::now() + time
    }

    #[test]
    fn a_message_arrives_whole_and_an_end_is_told_from_a_break() {
        let minute = Duration::from_secs(60);
        for message in [vec![], vec![7], vec![7; 65_535]] {
            let (near, far) = pair();
            let sent = message.clone();
            let writer = std::thread::spawn(move || {
                write(&far, &sent).unwrap();
                far
            });
            assert_eq!(read(&near, in_a(minute)).unwrap(), Some(message));
            drop(writer.join().unwrap());
            assert_eq!(read(&near, in_a(minute)).unwrap(), None);
        }
        for cut in [&[0][..], &[0, 2], &[0, 2, 7]] {
            let (near, mut far) = pair();
            far.write_all(cut).unwrap();
            far.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read(&near, in_a(minute)).unwrap_err().kind(), ErrorKind::UnexpectedEof, "{cut:?}");
        }
        let (_near, far) = pair();
        assert_eq!(write(&far, &[0; 65_536]).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn bytes_that_trickle_do_not_move_the_deadline() {
        let (near, mut far) = pair();
        for sent in [&[][..], &[0], &[9, 0, 0, 0]] {
            far.write_all(sent).unwrap();
            let start = Instant::now();
            let error = read(&near, in_a(Duration::from_millis(20))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut, "after {sent:?}");
            assert!(start.elapsed() < Duration::from_secs(1));
        }
    }
}
