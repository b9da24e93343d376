//! What attacks aim at: listeners that count what reached them. A connection or a datagram is
//! there when the call that made it has returned, so nothing here waits.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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

/// A nameserver that answers every question with one address, and counts.
#[derive(Debug)]
pub struct Nameserver {
    queries: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    address: SocketAddr,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Nameserver {
    /// Serves at port 53 of an address.
    ///
    /// # Panics
    ///
    /// If the address is not this machine's.
    pub fn on(address: &str, answer: [u8; 4]) -> Self {
        Self::answering(address, move |_| answer)
    }

    /// The same with an answer that depends on how many queries there were before.
    ///
    /// # Panics
    ///
    /// If the address is not this machine's.
    pub fn answering(address: &str, answer: impl Fn(usize) -> [u8; 4] + Send + 'static) -> Self {
        let socket =
            UdpSocket::bind(format!("{address}:53")).unwrap_or_else(|error| panic!("{address}:53: {error}"));
        let address = socket.local_addr().expect("an address");
        let (queries, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped) = (Arc::clone(&queries), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut buffer = [0u8; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let before = counted.fetch_add(1, Ordering::SeqCst);
                if let Some(reply) = reply(&buffer[..length], answer(before)) {
                    let _ = socket.send_to(&reply, from);
                }
            }
        });
        Nameserver { queries, stop, address, thread: Some(thread) }
    }

    /// How many queries there were since the last call. One that was answered is counted.
    pub fn queries(&self) -> usize {
        self.queries.swap(0, Ordering::SeqCst)
    }
}

impl Drop for Nameserver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread.
        let _ = UdpSocket::bind((self.address.ip(), 0)).and_then(|socket| socket.send_to(b"", self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The query's question with one A record.
fn reply(query: &[u8], address: [u8; 4]) -> Option<Vec<u8>> {
    let name = query.get(12..)?.iter().position(|&byte| byte == 0)?;
    let question = query.get(12..12 + name + 5)?;
    let mut reply = [query.get(..2)?, &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], question].concat();
    reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    reply.extend(address);
    Some(reply)
}
