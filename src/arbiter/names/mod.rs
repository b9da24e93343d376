//! Names: the arbiter's DNS proxy, and which names have led to which addresses.
//!
//! A policy speaks of `api.stripe.com:443`; the kernel speaks of addresses. What joins the two
//! is the answer that the function received, so every query of a function's ends here, whichever
//! server it was meant for:
//!
//! ```text
//! function ── query ──> proxy ── judge ──┬─ refused: NXDOMAIN at once, one record
//!                                        └─ ask ──> fresh query ──> nameserver
//!                       bindings <── own chain, places a name may lead to ──┘
//! function <── rebuilt answer ──┘ (bound first)
//! ```
//!
//! No byte of a message of the function's leaves: what is asked is built anew from the name. Under a pattern the
//! labels before its base are the function's own choice, and reach the base's nameservers.
//! A name that no rule allows is answered here, so a name is no channel.
//!
//! | file | subject |
//! |---|---|
//! | `message` | bytes to questions and records, and back |
//! | `judge` | what is done with a question |
//! | `answer`, `reach` | what of an answer counts, and where a name may not lead |
//! | `bindings`, `clock` | address → names, and for how long |
//! | `upstream`, `resolv_conf`, `random` | asking the nameservers |
//! | `proxy`, `peers`, `pool`, `frame` | sockets, who is served, threads |
//!
//! It is not a cache and not a resolver: each allowed query is asked, and the platform's own
//! nameserver does the resolving. Connecting the function's sockets to the proxy is the work of
//! `arbiter/calls`.
//!
//! # What a refused name is answered with
//!
//! See [`Refusal`] for the codes and why.
//!
//! # Threads
//!
//! [`Names::start`] makes one thread, each open stream one more (at most 64), and questions
//! that wait for a nameserver at most 8; the last two end when idle.

mod answer;
mod bindings;
mod clock;
mod frame;
#[cfg(any(fuzzing, test))]
pub(super) mod fuzzing;
mod judge;
mod message;
mod peers;
mod pool;
mod proxy;
mod random;
mod reach;
mod resolv_conf;
mod upstream;

pub use bindings::{Binding, GRACE, MAX_BINDINGS, TTL_CEILING, TTL_FLOOR};
pub use clock::{BootClock, Clock};
pub use message::RecordType;
pub use upstream::{Failure, Upstream};

use bindings::Bindings;
use fnguard_policy::model::{Name, Policy, RuleRef, Transport};
use proxy::{Listeners, Proxy};
use random::Random;
use std::io::{self, PipeWriter};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Called once for each query, on the proxy's own threads and before the query is answered: a
/// record is never later than what it records. It must not block for long.
pub type Observer = Arc<dyn Fn(Lookup) + Send + Sync>;

/// One query of the function's, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The name as it was asked, in presentation format: visible ASCII, everything else as
    /// `\DDD`, dots inside a label as `\.` (RFC 1035 section 5.1); at most 1020 characters.
    /// Empty when no question could be read. It is the function's own text and may hold a secret.
    pub name: String,
    /// The type that was asked.
    pub kind: RecordType,
    /// How it was asked.
    pub transport: Transport,
    /// The rule that allows the name, or the key where one would have to.
    pub rule: RuleRef,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was answered by the proxy alone; nothing was asked.
    Refused(Refusal),
    /// A nameserver's answer was passed on.
    Answered {
        /// No rule allows the name, or the rule wants a report: [`Action::Audit`].
        ///
        /// [`Action::Audit`]: fnguard_policy::model::Action::Audit
        audited: bool,
        /// The addresses that are now bound to the name.
        bound: Vec<IpAddr>,
        /// Addresses in the answer that the name may not lead to. In enforcement the function
        /// does not get them; in audit it does.
        unbound: Vec<IpAddr>,
    },
    /// There is no answer; the function got SERVFAIL.
    Failed(Failure),
}

/// Why a query was refused.
///
/// A refused name is answered with NXDOMAIN, because getaddrinfo(3) then ends at once and says
/// what is true for the program: there is no such name. Measured with glibc 2.36, three servers
/// in resolv.conf, a search list of three, all sockets led to the proxy (queries of one call, median
/// milliseconds of a debug build; `cargo test --test names glibc -- --nocapture`):
///
/// | code | refused, `use-vc` | refused, UDP | allowed with `ndots:5`, `use-vc` | the same, UDP |
/// |---|---|---|---|---|
/// | NXDOMAIN | 8 queries, 2.9 to 6.9 ms, `EAI_NONAME` | 8, 0.9 to 1.0, `EAI_NONAME` | 8, 2.3 to 6.1 | 8, 1.1 to 1.4 |
/// | no records | 8, 1.6 to 16, `EAI_NODATA` | 8, 1.0 to 4.0, `EAI_NODATA` | 8, 2.1 to 8.0 | 8, 1.2 to 1.6 |
/// | SERVFAIL | 8, 5.4 to 12, `EAI_AGAIN` | 48, 14 to 17, `EAI_AGAIN` | 8, 2.0 to 3.6 | 38, 7.7 to 18 |
/// | REFUSED | 4, 1.3 to 2.3, `EAI_NONAME` | 24, 6.9 to 9.2, `EAI_AGAIN` | 4, 1.1 to 2.0 | 14, 1.9 to 5.9 |
///
/// SERVFAIL and REFUSED make glibc turn to every server over UDP, twice, and tell the program
/// that trying again may help. The answer carries no SOA record, so that no resolver keeps it
/// (RFC 2308 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// No rule allows the name. Answered with NXDOMAIN.
    NotAllowed,
    /// A label is not of letters, digits, `-` and `_`, so that no rule can name it. Answered
    /// with NXDOMAIN, in audit too.
    NotAHostName,
    /// The name is allowed, and the type is neither A nor AAAA: SVCB, SRV and MX lead to
    /// addresses past the bindings, TXT and NULL carry data. Answered with no records.
    RecordType,
    /// The class is not IN. Answered with REFUSED.
    Class,
    /// The operation is not QUERY. Answered with NOTIMP.
    Operation,
    /// Not a well-formed message with exactly one question. Answered with FORMERR, if at all.
    Format,
}

/// Why the proxy could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NamesError {
    /// No socket on loopback.
    #[error(
        "the DNS proxy needs a TCP and a UDP socket on {address}, and got: {source}; is the loopback interface up?"
    )]
    Listen {
        /// The loopback address.
        address: IpAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No random message ids.
    #[error("the DNS proxy needs /dev/urandom for its message ids, and got: {0}; mount /dev")]
    Random(#[source] io::Error),
    /// No thread or pipe.
    #[error("the DNS proxy needs a thread and a pipe, and got: {0}; raise RLIMIT_NPROC or RLIMIT_NOFILE")]
    Thread(#[source] io::Error),
}

/// The running proxy. Dropping it closes its sockets; streams that are open end when they are
/// idle, within ten seconds.
pub struct Names {
    proxy: Arc<Proxy>,
    listeners: Arc<Listeners>,
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Names {
    /// Starts the proxy on ephemeral ports of 127.0.0.1 and, where there is one, ::1. Answers age
    /// by [`BootClock`].
    ///
    /// # Errors
    /// When loopback, the random device, or a thread is missing.
    pub fn start(policy: Arc<Policy>, upstream: Upstream, observer: Observer) -> Result<Self, NamesError> {
        Self::start_with_clock(policy, upstream, observer, Arc::new(BootClock))
    }

    /// [`Names::start`] with a clock of the caller's.
    ///
    /// # Errors
    /// As [`Names::start`].
    pub fn start_with_clock(
        policy: Arc<Policy>,
        upstream: Upstream,
        observer: Observer,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, NamesError> {
        let random = Random::open().map_err(NamesError::Random)?;
        let listeners = Arc::new(Listeners::bind()?);
        let proxy = Arc::new(Proxy::new(policy, upstream, observer, Bindings::new(clock), random));
        let (stopped, stop) = io::pipe().map_err(NamesError::Thread)?;
        let thread = {
            let (proxy, listeners) = (Arc::clone(&proxy), Arc::clone(&listeners));
            thread::Builder::new()
                .name("fnguard-dns".to_owned())
                .stack_size(pool::STACK)
                .spawn(move || proxy.serve(&listeners, &stopped))
                .map_err(NamesError::Thread)?
        };
        Ok(Names { proxy, listeners, stop: Some(stop), thread: Some(thread) })
    }

    /// Where a function's TCP connection to port 53 of any address goes; for a socket of
    /// family AF_INET6 if `v6`. `None` when the machine has no ::1; the mapped form of the other
    /// address (`::ffff:127.0.0.1`) then serves, unless the socket has IPV6_V6ONLY (ipv6(7)).
    pub fn tcp_address(&self, v6: bool) -> Option<SocketAddr> {
        self.listeners.tcp_address(v6)
    }

    /// Where a function's datagrams to port 53 of any address go; as [`Names::tcp_address`].
    pub fn udp_address(&self, v6: bool) -> Option<SocketAddr> {
        self.listeners.udp_address(v6)
    }

    /// Announces a peer by the source address that its packets will carry: only announced ones are
    /// served. To be called before a byte of the peer's can arrive. A TCP peer is good for one
    /// connection; a UDP peer for as long as it is among the last 1024.
    pub fn expect_peer(&self, transport: Transport, peer: SocketAddr) {
        self.proxy.peers.expect(transport, peer);
    }

    /// Takes an announcement back: the connection has not come about.
    pub fn forget_peer(&self, transport: Transport, peer: SocketAddr) {
        self.proxy.peers.forget(transport, peer);
    }

    /// Handles what a function that has ended sent before, at most for `limit`, so that no lookup of its last
    /// moment goes unreported.
    pub fn settle(&self, limit: Duration) {
        self.proxy.settle(&self.listeners, limit);
    }

    /// The names that answers have bound to the address, live or in grace: what
    /// [`Policy::decide_connect`] wants.
    pub fn names_of(&self, address: IpAddr) -> Vec<Name> {
        match self.proxy.bindings.of(address) {
            Binding::Live(names) => names,
            Binding::Expired(_) | Binding::NeverAsked => Vec::new(),
        }
    }

    /// What is known of the address, for a record that tells a stale address from one that was
    /// never looked up.
    pub fn history_of(&self, address: IpAddr) -> Binding {
        self.proxy.bindings.of(address)
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.proxy.stopping.store(true, Ordering::SeqCst);
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed already.
            let _ = thread.join();
        }
    }
}
