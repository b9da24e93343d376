//! The sockets that a function's queries end on, and what happens to each query.
//!
//! One thread waits on the listening sockets and answers datagrams that are refused; each
//! stream has a thread of its own while it lasts; whatever waits for a nameserver is a job of
//! the [`Pool`]. Refusing therefore never waits for anybody.

use super::answer::{self, Sorted};
use super::bindings::{Bindings, TTL_CEILING};
use super::frame;
use super::judge::{Judgement, Permit, judge};
use super::message::{self, Code, Fault, MAX_DATAGRAM, Query, RecordType, Reply};
use super::peers::Peers;
use super::pool::{Pool, STACK};
use super::random::Random;
use super::upstream::{Failure, Upstream};
use super::{Lookup, NamesError, Observer, Refusal, Verdict};
use fnguard_policy::model::{Policy, RuleRef, Transport};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, PipeReader};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How many streams are served at once; more are closed at once.
const MAX_STREAMS: usize = 64;

/// How long a stream may take from one whole query to the next.
const IDLE: Duration = Duration::from_secs(10);

/// How long a function may leave an answer unread before its stream is closed.
const UNREAD: Duration = Duration::from_secs(1);

/// How many queries of one stream may wait for the nameservers at once.
const MAX_WAITING_OF_A_STREAM: usize = 16;

/// How many questions are asked of nameservers at once, and how many more may wait.
const ASKING: usize = 8;
const QUEUED: usize = 256;

/// How many datagrams of one socket are taken before the others have their turn.
const DATAGRAMS_A_TURN: usize = 64;

/// How long the listener rests when the process has no descriptor left to accept with.
const REST_MS: u16 = 50;

pub(super) struct Proxy {
    pub(super) policy: Arc<Policy>,
    pub(super) upstream: Upstream,
    pub(super) observer: Observer,
    pub(super) bindings: Bindings,
    pub(super) peers: Peers,
    pub(super) random: Random,
    pub(super) stopping: AtomicBool,
    pool: Arc<Pool>,
    streams: AtomicUsize,
    /// Held while sockets are read, so that what was read is handled too once it is free.
    turn: Mutex<()>,
    /// A stream has ended; its lock keeps that from being missed.
    ended: (Mutex<()>, Condvar),
}

/// The listening sockets, on loopback.
pub(super) struct Listeners {
    tcp: Vec<TcpListener>,
    udp: Vec<Arc<UdpSocket>>,
}

impl Listeners {
    /// Binds ephemeral ports on 127.0.0.1 and, where the machine has it, on ::1.
    pub(super) fn bind() -> Result<Self, NamesError> {
        let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
        let mut listeners = Listeners { tcp: Vec::new(), udp: Vec::new() };
        listeners.bind_at(v4).map_err(|source| NamesError::Listen { address: v4.ip(), source })?;
        match listeners.bind_at(v6) {
            Ok(()) => {}
            // No IPv6 at all, or none on loopback.
            Err(error) if is_absent(&error) => {}
            Err(source) => return Err(NamesError::Listen { address: v6.ip(), source }),
        }
        Ok(listeners)
    }

    fn bind_at(&mut self, address: SocketAddr) -> io::Result<()> {
        let tcp = TcpListener::bind(address)?;
        let udp = UdpSocket::bind(address)?;
        tcp.set_nonblocking(true)?;
        udp.set_nonblocking(true)?;
        self.tcp.push(tcp);
        self.udp.push(Arc::new(udp));
        Ok(())
    }

    pub(super) fn tcp_address(&self, v6: bool) -> Option<SocketAddr> {
        self.tcp.iter().filter_map(|socket| socket.local_addr().ok()).find(|it| it.is_ipv6() == v6)
    }

    pub(super) fn udp_address(&self, v6: bool) -> Option<SocketAddr> {
        self.udp.iter().filter_map(|socket| socket.local_addr().ok()).find(|it| it.is_ipv6() == v6)
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32)
}

impl Proxy {
    pub(super) fn new(
        policy: Arc<Policy>,
        upstream: Upstream,
        observer: Observer,
        bindings: Bindings,
        random: Random,
    ) -> Self {
        Proxy {
            policy,
            upstream,
            observer,
            bindings,
            peers: Peers::default(),
            random,
            stopping: AtomicBool::new(false),
            pool: Arc::new(Pool::new(ASKING, QUEUED)),
            streams: AtomicUsize::new(0),
            turn: Mutex::new(()),
            ended: (Mutex::new(()), Condvar::new()),
        }
    }

    /// Handles what the function has sent, at most for `limit`: it has ended, and its end closes the streams.
    /// A lookup that stands in a socket still is refused and reported like any other.
    pub(super) fn settle(self: &Arc<Self>, listeners: &Listeners, limit: Duration) {
        /// More than the sockets' buffers hold.
        const TURNS: usize = 64;
        let turn = self.lock_turn();
        for listener in &listeners.tcp {
            let _ = self.accept_all(listener);
        }
        for socket in &listeners.udp {
            for _ in 0..TURNS {
                if self.receive_some(socket) == 0 {
                    break;
                }
            }
        }
        drop(turn);
        let (lock, ended) = &self.ended;
        let waiting = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let open = |_: &mut ()| self.streams.load(Ordering::SeqCst) > 0;
        drop(ended.wait_timeout_while(waiting, limit, open));
    }

    fn lock_turn(&self) -> std::sync::MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves until the other end of `stop` is closed.
    pub(super) fn serve(self: &Arc<Self>, listeners: &Listeners, stop: &PipeReader) {
        loop {
            let mut descriptors = vec![PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
            descriptors.extend(listeners.tcp.iter().map(|s| PollFd::new(s.as_fd(), PollFlags::POLLIN)));
            descriptors.extend(listeners.udp.iter().map(|s| PollFd::new(s.as_fd(), PollFlags::POLLIN)));
            match poll(&mut descriptors, PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                // EINVAL and ENOMEM are what is left (poll(2)); neither passes by itself.
                Err(_) => return,
            }
            let mut ready = descriptors.iter().map(|it| it.any().unwrap_or(false));
            if ready.next() == Some(true) {
                return;
            }
            let mut exhausted = false;
            let turn = self.lock_turn();
            for (listener, ready) in listeners.tcp.iter().zip(&mut ready) {
                if ready {
                    exhausted |= self.accept_all(listener).is_err();
                }
            }
            for (socket, ready) in listeners.udp.iter().zip(&mut ready) {
                if ready {
                    self.receive_some(socket);
                }
            }
            drop(turn);
            if exhausted {
                // The connection stays in the backlog and poll would return at once, again and
                // again; wait for the end of the proxy instead, with a time-out.
                let mut end = [PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
                if poll(&mut end, PollTimeout::from(REST_MS)).is_ok_and(|count| count > 0) {
                    return;
                }
            }
        }
    }

    fn accept_all(self: &Arc<Self>, listener: &TcpListener) -> io::Result<()> {
        loop {
            match listener.accept() {
                Ok((stream, peer)) => self.accept(stream, peer),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(()),
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => return Err(error),
                },
            }
        }
    }

    /// A stream that is not served is closed by being dropped.
    fn accept(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        if !self.peers.admit(Transport::Tcp, peer) || stream.set_write_timeout(Some(UNREAD)).is_err() {
            return;
        }
        // Answers are written whole; waiting to fill a segment would only delay them.
        let _ = stream.set_nodelay(true);
        if self.streams.fetch_add(1, Ordering::SeqCst) >= MAX_STREAMS {
            self.streams.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        let place = Place(Arc::clone(self));
        // When no thread can be made, the closure is dropped with the stream and the place.
        let _ = thread::Builder::new()
            .name("fnguard-dns-tcp".to_owned())
            .stack_size(STACK)
            .spawn(move || place.0.serve_stream(stream));
    }

    fn serve_stream(self: &Arc<Self>, stream: TcpStream) {
        let stream = Arc::new(Stream { stream, writing: Mutex::new(()), waiting: AtomicUsize::new(0) });
        while !self.stopping.load(Ordering::SeqCst) {
            let now = Instant::now();
            let Ok(Some(bytes)) = frame::read(&stream.stream, now.checked_add(IDLE).unwrap_or(now)) else {
                return;
            };
            self.handle(&bytes, &Asker::Stream(Arc::clone(&stream)));
        }
    }

    /// How many datagrams it took.
    fn receive_some(self: &Arc<Self>, socket: &Arc<UdpSocket>) -> usize {
        let mut buffer = [0; MAX_DATAGRAM];
        for taken in 0..DATAGRAMS_A_TURN {
            match socket.recv_from(&mut buffer) {
                Ok((length, peer)) => {
                    if self.peers.admit(Transport::Udp, peer) {
                        let asker = Asker::Datagram(Arc::clone(socket), peer);
                        self.handle(buffer.get(..length).unwrap_or_default(), &asker);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return taken,
            }
        }
        DATAGRAMS_A_TURN
    }

    /// One query, from its bytes to its answer, or to the queue of those that wait for it.
    fn handle(self: &Arc<Self>, bytes: &[u8], asker: &Asker) {
        let query = match message::query(bytes) {
            Ok(query) => query,
            Err(unservable) => {
                let refusal = match unservable.fault {
                    Fault::Format => Refusal::Format,
                    Fault::Operation => Refusal::Operation,
                    Fault::Class => Refusal::Class,
                };
                let question = unservable.question.as_ref();
                (self.observer)(Lookup {
                    name: question.map(message::Question::presentation).unwrap_or_default(),
                    kind: question.map_or(RecordType(0), |question| question.kind),
                    transport: asker.transport(),
                    rule: RuleRef { key: "network.allow", text: None },
                    verdict: Verdict::Refused(refusal),
                });
                match unservable.reply {
                    Some(reply) => asker.send(&reply),
                    None => asker.hang_up(),
                }
                return;
            }
        };
        match judge(&self.policy, &query.question) {
            Judgement::Refuse(refusal, rule) => {
                self.observe(&query, asker, rule, Verdict::Refused(refusal));
                let code = if refusal == Refusal::RecordType { Code::Answer } else { Code::NoSuchName };
                asker.answer(&query, code, &[]);
            }
            Judgement::Ask(permit) => self.enqueue(query, permit, asker),
        }
    }

    fn enqueue(self: &Arc<Self>, query: Query, permit: Permit, asker: &Asker) {
        let busy = |query: &Query, rule: RuleRef| {
            self.observe(query, asker, rule, Verdict::Failed(Failure::Busy));
            asker.answer(query, Code::Failure, &[]);
        };
        let Some(waiting) = Waiting::of(asker) else { return busy(&query, permit.rule) };
        let job = {
            let (proxy, query, permit) = (Arc::clone(self), query.clone(), permit.clone());
            Box::new(move || proxy.ask(&query, permit, &waiting.0))
        };
        if self.pool.submit(job).is_err() {
            busy(&query, permit.rule);
        }
    }

    /// Asks, binds, and only then answers: the function may connect as soon as it has read.
    fn ask(&self, query: &Query, permit: Permit, asker: &Asker) {
        let kind = query.question.kind;
        let outcome = self.upstream.ask(&self.random, &permit.name, kind).and_then(|reply| match reply {
            Reply::Answer { exists, records } => answer::follow(&permit.name, kind, &records)
                .map(|chain| (exists, chain))
                .map_err(|answer::Endless| Failure::Malformed),
            Reply::Truncated | Reply::Error(_) => Err(Failure::Malformed),
        });
        match outcome {
            Ok((exists, chain)) => {
                let longest = u32::try_from(TTL_CEILING.as_secs()).unwrap_or(u32::MAX);
                let Sorted { delivered, bound, unbound } =
                    chain.sort(permit.private, permit.deliver_all, longest);
                self.bindings.bind(&permit.name, permit.exact, &bound);
                let bound = bound.into_iter().map(|(address, _)| address).collect();
                let verdict = Verdict::Answered { audited: permit.audited, bound, unbound };
                self.observe(query, asker, permit.rule, verdict);
                let code = if exists { Code::Answer } else { Code::NoSuchName };
                asker.answer(query, code, &delivered);
            }
            Err(failure) => {
                self.observe(query, asker, permit.rule, Verdict::Failed(failure));
                asker.answer(query, Code::Failure, &[]);
            }
        }
    }

    fn observe(&self, query: &Query, asker: &Asker, rule: RuleRef, verdict: Verdict) {
        (self.observer)(Lookup {
            name: query.question.presentation(),
            kind: query.question.kind,
            transport: asker.transport(),
            rule,
            verdict,
        });
    }
}

/// One of the [`MAX_STREAMS`] places, given back on drop.
struct Place(Arc<Proxy>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::SeqCst);
        let (lock, ended) = &self.0.ended;
        drop(lock.lock().unwrap_or_else(PoisonError::into_inner));
        ended.notify_all();
    }
}

struct Stream {
    stream: TcpStream,
    /// Answers come from several threads and must not be interleaved.
    writing: Mutex<()>,
    waiting: AtomicUsize,
}

/// Where a query came from and its answer goes.
#[derive(Clone)]
enum Asker {
    Stream(Arc<Stream>),
    Datagram(Arc<UdpSocket>, SocketAddr),
}

impl Asker {
    fn transport(&self) -> Transport {
        match self {
            Asker::Stream(_) => Transport::Tcp,
            Asker::Datagram(..) => Transport::Udp,
        }
    }

    fn answer(&self, query: &Query, code: Code, records: &[message::Record]) {
        match self {
            Asker::Stream(_) => self.send(&message::answer(query, code, records)),
            Asker::Datagram(..) => self.send(&message::answer_datagram(query, code, records)),
        }
    }

    /// A datagram that does not fit into the function's buffer is lost, as datagrams are; a
    /// stream that is not read is closed.
    fn send(&self, message: &[u8]) {
        match self {
            Asker::Stream(stream) => {
                let writing = stream.writing.lock().unwrap_or_else(PoisonError::into_inner);
                if frame::write(&stream.stream, message).is_err() {
                    self.hang_up();
                }
                drop(writing);
            }
            Asker::Datagram(socket, peer) => {
                let _ = socket.send_to(message, peer);
            }
        }
    }

    fn hang_up(&self) {
        if let Asker::Stream(stream) = self {
            // Already closed by the function is as good.
            let _ = stream.stream.shutdown(Shutdown::Both);
        }
    }
}

/// An asker with one of its stream's places in the queue, given back on drop.
struct Waiting(Asker);

impl Waiting {
    fn of(asker: &Asker) -> Option<Self> {
        if let Asker::Stream(stream) = asker
            && stream.waiting.fetch_add(1, Ordering::SeqCst) >= MAX_WAITING_OF_A_STREAM
        {
            stream.waiting.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        Some(Waiting(asker.clone()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Asker::Stream(stream) = &self.0 {
            stream.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
