//! What attacks aim at: listeners that count what reached them. A connection or a datagram is
//! there when the call that made it has returned, so nothing here waits.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;

/// A TCP listener.
#[derive(Debug)]
pub struct Tcp {
    listener: TcpListener,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Tcp {
    /// Listens on a free port of an address.
    ///
    /// # Panics
    ///
    /// If the address is not this machine's.
    pub fn on(address: &str) -> Self {
        Self::at(&format!("{address}:0"))
    }

    /// Listens on an address with its port.
    ///
    /// # Panics
    ///
    /// If that is not possible.
    pub fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        listener.set_nonblocking(true).expect("non-blocking");
        let address = listener.local_addr().expect("an address");
        Tcp { listener, address }
    }

    /// How many connections there were since the last call.
    pub fn connections(&self) -> usize {
        std::iter::from_fn(|| self.listener.accept().ok()).count()
    }

    /// What the connections since the last call have sent; the other side must have ended.
    pub fn bytes(&self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.listener.accept().ok())
            .map(|(mut stream, _)| {
                let _ = stream.set_nonblocking(false);
                let mut bytes = Vec::new();
                let _ = stream.read_to_end(&mut bytes);
                bytes
            })
            .collect()
    }
}

/// A UDP socket.
#[derive(Debug)]
pub struct Udp {
    socket: UdpSocket,
    /// Where it is.
    pub address: SocketAddr,
}

impl Udp {
    /// Takes a free port of an address.
    ///
    /// # Panics
    ///
    /// If the address is not this machine's.
    pub fn on(address: &str) -> Self {
        Self::at(&format!("{address}:0"))
    }

    /// Takes an address with its port.
    ///
    /// # Panics
    ///
    /// If that is not possible.
    pub fn at(address: &str) -> Self {
        let socket = UdpSocket::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        socket.set_nonblocking(true).expect("non-blocking");
        let address = socket.local_addr().expect("an address");
        Udp { socket, address }
    }

    /// The datagrams since the last call.
    pub fn datagrams(&self) -> Vec<Vec<u8>> {
        let mut buffer = vec![0u8; 65536];
        std::iter::from_fn(|| self.socket.recv(&mut buffer).ok().map(|count| buffer[..count].to_vec()))
            .collect()
    }
}

/// A unix stream listener.
#[derive(Debug)]
pub struct Unix {
    listener: UnixListener,
}

impl Unix {
    /// Listens at a path.
    ///
    /// # Panics
    ///
    /// If that is not possible.
    pub fn at(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        listener.set_nonblocking(true).expect("non-blocking");
        Unix { listener }
    }

    /// Listens at an abstract name.
    ///
    /// # Panics
    ///
    /// If that is not possible.
    pub fn named(name: &[u8]) -> Self {
        use std::os::linux::net::SocketAddrExt;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name).expect("a name");
        let listener = UnixListener::bind_addr(&address).expect("a free name");
        listener.set_nonblocking(true).expect("non-blocking");
        Unix { listener }
    }

    /// How many connections there were since the last call.
    pub fn connections(&self) -> usize {
        std::iter::from_fn(|| self.listener.accept().ok()).count()
    }
}

/// A unix datagram socket.
#[derive(Debug)]
pub struct UnixDatagrams {
    socket: UnixDatagram,
}

impl UnixDatagrams {
    /// Takes a path.
    ///
    /// # Panics
    ///
    /// If that is not possible.
    pub fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        socket.set_nonblocking(true).expect("non-blocking");
        UnixDatagrams { socket }
    }

    /// The datagrams since the last call.
    pub fn datagrams(&self) -> Vec<Vec<u8>> {
        let mut buffer = vec![0u8; 65536];
        std::iter::from_fn(|| self.socket.recv(&mut buffer).ok().map(|count| buffer[..count].to_vec()))
            .collect()
    }
}
