//! System calls by number, and what the other files build their arguments with.

use std::net::SocketAddr;

/// Makes a system call; the kernel's own return value, negative for an error.
pub fn call(number: i64, args: &[u64]) -> i64 {
    let arg = |index: usize| args.get(index).copied().unwrap_or(0);
    // SAFETY: this program attacks; what it hands over is its own business.
    let value = unsafe { libc::syscall(number, arg(0), arg(1), arg(2), arg(3), arg(4), arg(5)) };
    if value == -1 { -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) } else { value }
}

/// `call!(SYS_read, fd, pointer, length)`, every argument cast to a register.
#[macro_export]
macro_rules! call {
    ($number:ident $(, $arg:expr)* $(,)?) => {
        $crate::raw::call(libc::$number, &[$($arg as u64),*])
    };
}

/// Says what came of a step.
pub fn say(step: &str, value: i64) {
    println!("= {step} {value}");
}

/// Says something about a step in words.
pub fn tell(step: &str, text: &str) {
    println!("= {step} {text}");
}

/// The bytes of an internet address as the kernel takes them.
pub fn address(to: &str) -> Vec<u8> {
    match to.parse::<SocketAddr>().expect("an address") {
        SocketAddr::V4(v4) => v4_address(v4.ip().octets(), v4.port(), libc::AF_INET),
        SocketAddr::V6(v6) => {
            let mut bytes = vec![0u8; 28];
            bytes[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            bytes[2..4].copy_from_slice(&v6.port().to_be_bytes());
            bytes[8..24].copy_from_slice(&v6.ip().octets());
            bytes
        }
    }
}

/// An IPv4 address under any family.
pub fn v4_address(octets: [u8; 4], port: u16, family: i32) -> Vec<u8> {
    let mut bytes = vec![0u8; 16];
    bytes[..2].copy_from_slice(&(family as u16).to_ne_bytes());
    bytes[2..4].copy_from_slice(&port.to_be_bytes());
    bytes[4..8].copy_from_slice(&octets);
    bytes
}

/// A unix address: bytes behind the family as given.
pub fn unix(bytes: &[u8]) -> Vec<u8> {
    let mut address = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
    address.extend(bytes);
    address
}

/// A socket for an address.
pub fn socket_for(bytes: &[u8], kind: i32) -> i64 {
    let family = u16::from_ne_bytes([bytes[0], bytes[1]]);
    call!(SYS_socket, family, kind, 0)
}

/// A control message.
pub fn control(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
    let mut bytes = ((16 + data.len()) as u64).to_ne_bytes().to_vec();
    bytes.extend(level.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// A message header over one piece of data; keep the parts alive while it is used.
pub struct Message {
    _name: Vec<u8>,
    _data: Vec<u8>,
    _control: Vec<u8>,
    _iov: Box<[u64; 2]>,
    pub header: Box<[u64; 8]>,
}

impl Message {
    pub fn new(name: &[u8], data: &[u8], control: &[u8]) -> Self {
        let (name, data, control) = (name.to_vec(), data.to_vec(), control.to_vec());
        let at = |bytes: &Vec<u8>| if bytes.is_empty() { 0 } else { bytes.as_ptr() as u64 };
        let iov = Box::new([data.as_ptr() as u64, data.len() as u64]);
        let header = Box::new([
            at(&name),
            name.len() as u64,
            iov.as_ptr() as u64,
            1,
            at(&control),
            control.len() as u64,
            0,
            0,
        ]);
        Message { _name: name, _data: data, _control: control, _iov: iov, header }
    }

    pub fn at(&self) -> u64 {
        self.header.as_ptr() as u64
    }
}
