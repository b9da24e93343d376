//! The resolver that /etc/resolv.conf names: it knows the payment host and, if there is one, an
//! attacker's zone, and remembers every name it was asked (RFC 1035 section 4). Over UDP and TCP.
//! Written by hand: what judges the guard's DNS code must not be that code.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

/// Where it is.
pub const ADDRESS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 53), 53);
/// Names below this one are the attacker's.
const HOSTILE_ZONE: &str = ".c2.test";

/// The names that were asked, in order.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    names: Arc<Mutex<Vec<String>>>,
    /// Where the names of the attacker's zone lead.
    hostile: Option<Ipv4Addr>,
}

impl Asked {
    /// Starts the resolver. `hostile` is where names of the attacker's zone lead.
    ///
    /// # Errors
    ///
    /// Where its address can't be listened on.
    pub fn start(hostile: Option<Ipv4Addr>) -> io::Result<Self> {
        let asked = Asked { hostile, ..Asked::default() };
        let (datagrams, streams) = (UdpSocket::bind(ADDRESS)?, TcpListener::bind(ADDRESS)?);
        let log = asked.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok((len, from)) = datagrams.recv_from(&mut bytes) {
                if let Some(answer) = log.answer(bytes.get(..len).unwrap_or_default()) {
                    let _ = datagrams.send_to(&answer, from);
                }
            }
        });
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in streams.incoming().flatten() {
                let log = log.clone();
                std::thread::spawn(move || log.serve(stream));
            }
        });
        Ok(asked)
    }

    /// The names that were asked and hold `mark`.
    pub fn with(&self, mark: &str) -> Vec<String> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.iter().filter(|name| name.contains(mark)).cloned().collect()
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        loop {
            let mut len = [0; 2];
            stream.read_exact(&mut len)?;
            let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
            stream.read_exact(&mut message)?;
            let Some(answer) = self.answer(&message) else { return Ok(()) };
            let len = u16::try_from(answer.len()).map_err(io::Error::other)?;
            stream.write_all(&[&len.to_be_bytes(), answer.as_slice()].concat())?;
        }
    }

    /// The answer to a question; `None` where there is none in the message.
    fn answer(&self, message: &[u8]) -> Option<Vec<u8>> {
        let (name, kind, end) = question(message)?;
        self.names.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        let address = match name.as_str() {
            crate::charges::NAME => Some(crate::charges::ADDRESS),
            other if other.ends_with(HOSTILE_ZONE) => self.hostile,
            _ => None,
        };
        const A: u16 = 1;
        let (code, answers) = match address {
            None => (3, 0), // no such name
            Some(_) if kind == A => (0, 1),
            Some(_) => (0, 0), // the name has no such record
        };
        let mut out = message.get(..2)?.to_vec();
        out.extend_from_slice(&[0x85, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0]);
        out.extend_from_slice(message.get(12..end)?);
        if let (1, Some(address)) = (answers, address) {
            // The name by a pointer to the question, A, IN, a minute, four octets.
            out.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            out.extend_from_slice(&address.octets());
        }
        Some(out)
    }
}

/// The first question: its name in lower case, its type, and where it ends.
fn question(message: &[u8]) -> Option<(String, u16, usize)> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let len = usize::from(*message.get(at)?);
        at += 1;
        match len {
            0 => break,
            1..=63 => labels.push(String::from_utf8_lossy(message.get(at..at + len)?).to_lowercase()),
            _ => return None,
        }
        at += len;
    }
    let kind = u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?);
    message.get(at..at + 4)?;
    Some((labels.join("."), kind, at + 4))
}

#[cfg(test)]
mod tests {
    use super::{Asked, question};

    const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03API\x06stripe\x04test\0\0\x01\0\x01";

    #[test]
    fn the_payment_host_has_an_address_and_the_question_is_remembered() {
        assert_eq!(question(QUERY), Some(("api.stripe.test".into(), 1, QUERY.len())));
        let asked = Asked::default();
        let answer = asked.answer(QUERY).unwrap();
        assert_eq!(&answer[..8], b"\x12\x34\x85\x80\0\x01\0\x01");
        assert!(answer.ends_with(&[198, 51, 100, 10]));
        assert_eq!(asked.with("stripe"), ["api.stripe.test"]);
    }

    #[test]
    fn a_message_cut_short_has_no_question() {
        for len in 0..QUERY.len() {
            assert_eq!(question(&QUERY[..len]), None, "{len}");
        }
    }
}
