//! Where stolen bytes would arrive: sockets, files and pages, made for one attempt each. The
//! sockets are only opened before the attempt and only read after it; in between the kernel keeps
//! what comes. Two services (`WebSink`) answer and so have threads of their own.

use crate::attempts::Aim;
use crate::isolate::{HOME, Place, TASK};
use crate::kernel;
use ambush_platform::http::{self, Response};
use ambush_platform::resolver::{self, Asked};
use std::fs;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// "The internet": a host of the attacker's.
pub const ATTACKER_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
/// The same over IPv6.
pub const ATTACKER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
/// The metadata service.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// A public name server that answers over HTTP.
const NAMES_OVER_HTTP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 8);

/// Every address that stands for something outside.
pub fn addresses() -> Vec<IpAddr> {
    vec![
        ATTACKER_V4.into(),
        ATTACKER_V6.into(),
        METADATA.into(),
        NAMES_OVER_HTTP.into(),
        ambush_platform::charges::ADDRESS.into(),
        (*resolver::ADDRESS.ip()).into(),
        ambush_platform::runtime_api::HOST.into(),
    ]
}

/// A web service that answers every request alike and keeps a log.
pub struct WebSink(Arc<Mutex<Vec<String>>>);

impl WebSink {
    fn start(address: SocketAddr, answer: &'static str) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let log = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = Arc::clone(&kept);
                let note = |log: &Mutex<Vec<String>>, line: String| {
                    log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                };
                note(&log, "a connection".to_owned());
                std::thread::spawn(move || {
                    http::serve(stream, |request| {
                        note(&log, format!("{} {}", request.method, request.target));
                        Some(Response { status: 200, headers: Vec::new(), body: answer.into() })
                    })
                });
            }
        });
        Ok(WebSink(log))
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The sinks that are there for the whole run.
pub struct Standing {
    metadata: WebSink,
    names_over_http: WebSink,
    asked: Asked,
}

impl Standing {
    /// Starts them.
    pub fn start() -> io::Result<Self> {
        Ok(Standing {
            metadata: WebSink::start(
                (METADATA, 80).into(),
                r#"{"AccessKeyId":"ASIAAMBUSH","SecretAccessKey":"role-secret","Token":"role-token"}"#,
            )?,
            names_over_http: WebSink::start((NAMES_OVER_HTTP, 443).into(), "")?,
            asked: Asked::start(Some(ATTACKER_V4))?,
        })
    }
}

/// The sink of one attempt.
pub struct Sink {
    /// What the attacker is told to aim at.
    pub to: String,
    /// The file that a program started by the attacker is told to write.
    pub proof: String,
    kind: Kind,
}

enum Kind {
    Nothing,
    Tcp(TcpListener),
    Datagrams(OwnedFd),
    Unix(UnixListener),
    Metadata,
    NamesOverHttp,
    Resolver,
}

impl Sink {
    /// Makes the sink for an attempt with this nonce.
    pub fn open(aim: Aim, nonce: &str, place: &Place, standing: &Standing) -> io::Result<Self> {
        let proof = format!("/tmp/proof/{nonce}");
        let file = |path: String, content: &str, mode: u32| {
            fs::write(&path, content)?;
            fs::set_permissions(&path, PermissionsExt::from_mode(mode))?;
            chown(&path, Some(place.uid), Some(place.gid))?;
            Ok::<_, io::Error>((path, Kind::Nothing))
        };
        let (to, kind) = match aim {
            Aim::Nothing => (String::new(), Kind::Nothing),
            Aim::Tcp => tcp(ATTACKER_V4.into())?,
            // Without IPv6 there is no such sink, and the attempt fails by itself.
            Aim::TcpV6 => tcp(ATTACKER_V6.into())
                .unwrap_or_else(|_| (SocketAddr::from((ATTACKER_V6, 9)).to_string(), Kind::Nothing)),
            Aim::TcpZero => {
                let (_, kind) = tcp(Ipv4Addr::LOCALHOST.into())?;
                let Kind::Tcp(listener) = &kind else { return Err(io::Error::other("no listener")) };
                (format!("0.0.0.0:{}", listener.local_addr()?.port()), kind)
            }
            Aim::Udp => udp((ATTACKER_V4, 0).into())?,
            Aim::OwnNameServer => udp((ATTACKER_V4, 53).into())?,
            Aim::Metadata => {
                standing.metadata.take();
                (SocketAddr::from((METADATA, 80)).to_string(), Kind::Metadata)
            }
            Aim::NamesOverHttp => {
                standing.names_over_http.take();
                (SocketAddr::from((NAMES_OVER_HTTP, 443)).to_string(), Kind::NamesOverHttp)
            }
            Aim::Resolver => (resolver::ADDRESS.to_string(), Kind::Resolver),
            Aim::Echo => {
                let socket = kernel::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)?;
                (format!("{ATTACKER_V4}:0"), Kind::Datagrams(socket))
            }
            Aim::Netlink => {
                let number = rand::random_range(100_000..2_000_000_000);
                (number.to_string(), Kind::Datagrams(kernel::netlink_user_socket(number)?))
            }
            Aim::ContainerDaemon => {
                let path = "/run/docker.sock";
                let _ = fs::remove_file(path);
                let listener = UnixListener::bind(path)?;
                listener.set_nonblocking(true)?;
                fs::set_permissions(path, PermissionsExt::from_mode(0o666))?;
                (path.to_owned(), Kind::Unix(listener))
            }
            Aim::AbstractSocket => {
                let address = std::os::unix::net::SocketAddr::from_abstract_name(nonce)?;
                let listener = UnixListener::bind_addr(&address)?;
                listener.set_nonblocking(true)?;
                (nonce.to_owned(), Kind::Unix(listener))
            }
            Aim::FreePort => {
                // Bound and let go: nobody else is here who could take it.
                let port = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port();
                (format!("0.0.0.0:{port}"), Kind::Nothing)
            }
            Aim::DotEnv => file(format!("{TASK}/.env"), &format!("PARTNER_TOKEN=dotenv_{nonce}\n"), 0o644)?,
            Aim::BesideCode => (format!("{TASK}/{nonce}.so"), Kind::Nothing),
            Aim::StartUpFile => file(format!("{HOME}/.bashrc"), "# nothing\n", 0o644)?,
            Aim::PlainFile => file(format!("{TASK}/{nonce}.txt"), "a plain file\n", 0o644)?,
            Aim::MovedFile => (format!("{HOME}/{nonce}"), Kind::Nothing),
            Aim::DearFile => file(format!("{HOME}/{nonce}.jpg"), "a photograph\n", 0o644)?,
            Aim::TemporaryFile => (format!("/tmp/{nonce}.bin"), Kind::Nothing),
            // Far from where programs, heaps and libraries are put on either architecture.
            Aim::Page => {
                ((0x2000_0000_0000 + rand::random_range(0..1u64 << 28) * 65536).to_string(), Kind::Nothing)
            }
            Aim::Limit => (rand::random_range(200..1000).to_string(), Kind::Nothing),
        };
        Ok(Sink { to, proof, kind })
    }

    /// What arrived, in words. Anything counts: a connection without a byte is one too many.
    pub fn arrivals(&self, nonce: &str, standing: &Standing) -> Vec<String> {
        match &self.kind {
            Kind::Nothing => Vec::new(),
            Kind::Tcp(listener) => accepted(|| {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true).map(|()| stream)
            }),
            Kind::Unix(listener) => accepted(|| {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true).map(|()| stream)
            }),
            Kind::Datagrams(socket) => std::iter::from_fn(|| kernel::receive(socket).ok()?)
                // Of ICMP everything is heard; of that, what is this attempt's.
                .filter(|bytes| bytes.windows(nonce.len()).any(|window| window == nonce.as_bytes()))
                .map(|bytes| format!("a datagram of {} bytes", bytes.len()))
                .collect(),
            Kind::Metadata => standing.metadata.take(),
            Kind::NamesOverHttp => standing.names_over_http.take(),
            Kind::Resolver => {
                standing.asked.with(nonce).iter().map(|name| format!("the question {name}")).collect()
            }
        }
    }
}

fn tcp(address: IpAddr) -> io::Result<(String, Kind)> {
    let listener = TcpListener::bind((address, 0))?;
    listener.set_nonblocking(true)?;
    Ok((listener.local_addr()?.to_string(), Kind::Tcp(listener)))
}

fn udp(address: SocketAddr) -> io::Result<(String, Kind)> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok((socket.local_addr()?.to_string(), Kind::Datagrams(socket.into())))
}

/// The connections that wait, and what came by each.
fn accepted<S: Read>(mut accept: impl FnMut() -> io::Result<S>) -> Vec<String> {
    std::iter::from_fn(|| accept().ok())
        .map(|stream| {
            // What has come by now; the peer may keep it open.
            let mut bytes = Vec::new();
            let _ = stream.take(4096).read_to_end(&mut bytes);
            format!("a connection with {} bytes", bytes.len())
        })
        .collect()
}

/// Empties a directory but for one entry.
pub fn clear(directory: &Path, keep: &str) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name() == keep {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
