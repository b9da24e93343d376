//! Asking the nameservers: a fresh query out, a checked reply in. Not who may ask what.

use super::frame;
use super::message::{self, BadReply, MAX_DATAGRAM, RecordType, Reply};
use super::random::Random;
use super::resolv_conf;
use fnguard_policy::model::Name;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long one nameserver may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How much of a resolv.conf(5) is read.
const LONGEST_FILE: u64 = 64 * 1024;

/// How often each nameserver is asked.
const ATTEMPTS: u32 = 2;

/// The nameservers that the proxy asks, and how patiently.
#[derive(Clone, Debug)]
pub struct Upstream {
    servers: Vec<SocketAddr>,
    timeout: Duration,
}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No nameserver answered in time.
    #[error("no nameserver answered in time")]
    Timeout,
    /// A nameserver could not be reached.
    #[error("a nameserver could not be reached: {0}")]
    Unreachable(io::ErrorKind),
    /// A nameserver answered with an error code (RFC 1035 section 4.1.1: 2 is SERVFAIL, 5 is REFUSED).
    #[error("a nameserver answered with the error code {0}")]
    Server(u8),
    /// A nameserver's answer could not be read, or its aliases go in a circle.
    #[error("a nameserver's answer is malformed")]
    Malformed,
    /// Too many questions wait already.
    #[error("too many questions wait for the nameservers")]
    Busy,
}

impl Upstream {
    /// The nameservers of a resolv.conf(5), read now and never again: to be called before code of
    /// the function's runs, which may change the file. Of a file longer than 64 KiB the beginning
    /// counts.
    ///
    /// # Errors
    /// When the file exists and cannot be read. A missing one means the local machine, as for
    /// every resolver.
    pub fn from_resolv_conf(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path).and_then(|file| file.take(LONGEST_FILE).read_to_end(&mut bytes));
        let text = match read {
            Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        Ok(Self::at(resolv_conf::nameservers(&text)))
    }

    /// These nameservers, in this order.
    pub fn at(servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        Upstream { servers: servers.into_iter().collect(), timeout: TIMEOUT }
    }

    /// The same with another patience for each nameserver; the default is 2 seconds.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The nameservers, in the order in which they are asked.
    pub fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// Asks one server after the other, and all of them a second time.
    pub(super) fn ask(&self, random: &Random, name: &Name, kind: RecordType) -> Result<Reply, Failure> {
        let mut edns = true;
        let mut failure = Failure::Timeout;
        for _ in 0..ATTEMPTS {
            for server in &self.servers {
                let question = Asked { server: *server, random, name, kind, timeout: self.timeout };
                match question.over_udp(edns) {
                    Ok(Reply::Error(code)) => {
                        failure = Failure::Server(code);
                        // FORMERR and NOTIMP are what a server that does not know EDNS says
                        // (RFC 6891 section 7).
                        edns = edns && code != 1 && code != 4;
                    }
                    Ok(reply) => return Ok(reply),
                    Err(error) => failure = error,
                }
            }
        }
        Err(failure)
    }
}

struct Asked<'a> {
    server: SocketAddr,
    random: &'a Random,
    name: &'a Name,
    kind: RecordType,
    timeout: Duration,
}

impl Asked<'_> {
    /// A socket of its own for each query: the kernel picks a random source port, and a
    /// connected socket takes datagrams of this server alone.
    fn over_udp(&self, edns: bool) -> Result<Reply, Failure> {
        let any: SocketAddr = match self.server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).map_err(unreachable)?;
        socket.connect(self.server).map_err(unreachable)?;
        let id = self.random.id().map_err(unreachable)?;
        let query = message::fresh_query(id, self.name, self.kind, edns).map_err(|_| Failure::Malformed)?;
        socket.send(&query).map_err(unreachable)?;
        let deadline = deadline(self.timeout);
        let mut buffer = [0; MAX_DATAGRAM];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Failure::Timeout);
            }
            socket.set_read_timeout(Some(left)).map_err(unreachable)?;
            let length = match socket.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreachable(error)),
            };
            match message::reply(buffer.get(..length).unwrap_or_default(), id, self.name, self.kind) {
                Ok(Reply::Truncated) => return self.over_tcp(),
                Ok(reply) => return Ok(reply),
                Err(BadReply::Foreign) => {}
                Err(BadReply::Broken) => return Err(Failure::Malformed),
            }
        }
    }

    fn over_tcp(&self) -> Result<Reply, Failure> {
        let deadline = deadline(self.timeout);
        let stream = TcpStream::connect_timeout(&self.server, self.timeout).map_err(unreachable)?;
        stream.set_write_timeout(Some(self.timeout)).map_err(unreachable)?;
        let id = self.random.id().map_err(unreachable)?;
        let query = message::fresh_query(id, self.name, self.kind, false).map_err(|_| Failure::Malformed)?;
        frame::write(&stream, &query).map_err(unreachable)?;
        let bytes = frame::read(&stream, deadline).map_err(unreachable)?.ok_or(Failure::Malformed)?;
        match message::reply(&bytes, id, self.name, self.kind) {
            Ok(Reply::Truncated) | Err(_) => Err(Failure::Malformed),
            Ok(reply) => Ok(reply),
        }
    }
}

fn deadline(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or(now)
}

fn unreachable(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Failure::Timeout,
        kind => Failure::Unreachable(kind),
    }
}
