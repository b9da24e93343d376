//! bind(2) and listen(2): what others may reach in this process.

use super::super::Arbiter;
use super::super::target::address::{self, Address};
use super::super::target::{Blame, Caller};
use super::Outcome;
use super::connect::{Socket, read_address, refuse_family, resolve_unix};
use super::refuse::Refused;
use super::strangers;
use crate::report::{Action, Control};
use crate::sys::{Errno, network};
use fnguard_policy::model::{self, Peer, narrowest_listen_rule};
use std::net::SocketAddr;
use std::os::fd::AsFd;

pub(super) fn bind(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    let bytes = read_address(caller, caller.arg(1), caller.int(2))?;
    let socket = Socket::take(caller, caller.int(0))?;
    // Decided and performed once: a second bind of a path finds the first one's file.
    let mut blame = None;
    let performed = arbiter.pending.once(caller, &socket.fd, &[&bytes], |_| {
        match bind_once(arbiter, caller, &socket, bytes.clone()) {
            Ok(Outcome::Value(value)) => Ok(value),
            Ok(Outcome::Error(errno)) | Err(Blame::Caller(errno)) => Err(errno),
            // A bind does not go on in the kernel, and returns nothing through memory.
            Ok(Outcome::Proceed(_) | Outcome::Written(..)) => Err(Errno(libc::EACCES)),
            Err(other) => {
                blame = Some(other);
                Err(Errno(libc::EINTR))
            }
        }
    })?;
    blame.map_or_else(|| Ok(performed.into()), Err)
}

fn bind_once(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    socket: &Socket,
    bytes: Vec<u8>,
) -> Result<Outcome, Blame> {
    let perform = |bytes: &[u8]| match network::bind(socket.fd.as_fd(), bytes) {
        Ok(()) => Outcome::Value(0),
        Err(errno) => Outcome::Error(errno),
    };
    // By a rule: what came first may have closed the socket to all but its peers.
    let perform_open = |bytes: &[u8]| match perform(bytes) {
        Outcome::Value(value) => {
            strangers::let_in(socket).map_or_else(Outcome::Error, |()| Outcome::Value(value))
        }
        other => other,
    };
    let mut bytes = bytes;
    if socket.family == libc::AF_INET
        && address::parse(&bytes) == Ok(Address::Unspecified)
        && let Some(family) = bytes.get_mut(..2)
    {
        // On an IPv4 socket AF_UNSPEC with every-address is AF_INET, port and all (inet_bind).
        family.copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    }
    match address::parse(&bytes).map_err(Blame::Caller)? {
        Address::Inet { to, scope } => {
            let bytes = address::encode(to, scope, socket.is_v6());
            // An ephemeral port is what every client has. Of a stream only listen(2) makes it a
            // door; a datagram socket is one as it stands, and whoever binds often enough gets the
            // port that somebody outside sends to.
            if to.port() == 0 {
                if strangers::are_welcome(arbiter, to.ip()) {
                    return Ok(perform_open(&bytes));
                }
                return Ok(match strangers::keep_out(arbiter, caller, socket, None) {
                    Ok(()) => perform(&bytes),
                    Err(refused) => refused,
                });
            }
            let peer = Peer::local(to.ip(), to.port(), socket.transport());
            Ok(match settle(arbiter, caller, &peer, to.to_string()) {
                Some(outcome) => outcome,
                None => perform_open(&bytes),
            })
        }
        // No socket but IPv4's takes AF_UNSPEC.
        Address::Unspecified => Ok(perform(&bytes)),
        // A name of the kernel's choice, which anybody on the machine can send to. Of a stream only
        // listen(2) makes it a door; by a datagram socket, as it stands, descriptors come in as well.
        Address::UnixUnnamed if socket.kind == libc::SOCK_DGRAM => {
            let any = Peer::UnixAbstract(Vec::new());
            let shown = "unix:@ (a name of the kernel's choice)".to_owned();
            let hint = "none: a rule names its socket; bind it to one by name, and allow that".to_owned();
            Ok(settle_hinted(arbiter, caller, &any, shown, hint).unwrap_or_else(|| perform(&bytes)))
        }
        Address::UnixUnnamed => Ok(perform(&bytes)),
        Address::UnixAbstract(name) => {
            let shown = format!("unix:@{}", crate::report::text::visible(&name));
            Ok(match settle(arbiter, caller, &Peer::UnixAbstract(name.clone()), shown) {
                Some(outcome) => outcome,
                None => perform(&address::encode_abstract(&name)),
            })
        }
        Address::UnixPath(given) => bind_path(arbiter, caller, socket, &given),
        Address::Netlink { port: _, groups: 0 } => Ok(perform(&bytes)),
        Address::Netlink { groups, .. } => {
            Ok(refuse_family(arbiter, caller, format!("netlink groups {groups:#x}")))
        }
        Address::Other(family) => Ok(refuse_family(arbiter, caller, format!("family {family}"))),
    }
}

/// A unix socket by path is a file as well: the policy must let the function listen there *and*
/// write there, since the arbiter, which makes it, is held by no Landlock domain.
fn bind_path(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    socket: &Socket,
    given: &[u8],
) -> Result<Outcome, Blame> {
    use std::os::fd::AsRawFd;
    let resolved = match resolve_unix(arbiter, caller, given, false)? {
        Ok(resolved) => resolved,
        Err(outcome) => return Ok(outcome),
    };
    if resolved.object.is_some() {
        return Err(Blame::Caller(Errno(libc::EADDRINUSE)));
    }
    let shown = format!("unix:{}", resolved.text);
    if let Some(outcome) = settle(arbiter, caller, &Peer::UnixPath(resolved.text.clone()), shown) {
        return Ok(outcome);
    }
    if arbiter.policy.decide_write(&resolved.text).action == model::Action::Deny {
        return Ok(super::files::refuse_write(arbiter, caller, &resolved.text, Action::Blocked));
    }
    let Some((parent, last)) = resolved.text.rsplit_once('/') else {
        return Err(Blame::Caller(Errno(libc::EINVAL)));
    };
    let parent = std::ffi::CString::new(if parent.is_empty() { "/" } else { parent })
        .map_err(|_| Blame::Caller(Errno(libc::EINVAL)))?;
    let directory =
        crate::sys::path::open(&parent, libc::O_PATH | libc::O_DIRECTORY).map_err(Blame::Caller)?;
    // The directory may have been exchanged since it was resolved: what was opened must be the
    // same place.
    let place = crate::sys::path::path_of(directory.as_fd()).map_err(Blame::Guard)?;
    if place != parent.as_bytes() {
        return Err(Blame::Guard(Errno(libc::EXDEV)));
    }
    let by_object = format!("/proc/self/fd/{}/{last}", directory.as_raw_fd());
    let bytes = address::encode_unix(by_object.as_bytes()).ok_or(Blame::Caller(Errno(libc::ENAMETOOLONG)))?;
    Ok(match network::bind(socket.fd.as_fd(), &bytes) {
        Ok(()) => Outcome::Value(0),
        Err(errno) => Outcome::Error(errno),
    })
}

pub(super) fn listen(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    let socket = Socket::take(caller, caller.int(0))?;
    let bytes = network::local_address(socket.fd.as_fd()).map_err(Blame::Caller)?;
    let refused = match address::parse(&bytes).map_err(Blame::Caller)? {
        // Not bound: listen(2) would open an ephemeral port.
        Address::Inet { to, .. } => {
            // A rule for any free port says 0. A port of the function's own choice was decided at
            // bind(2), so this one is either that or the kernel's.
            let any = Peer::local(to.ip(), 0, socket.transport());
            if arbiter.policy.decide_listen(&any).action == model::Action::Allow {
                None
            } else {
                let peer = Peer::local(to.ip(), to.port(), socket.transport());
                settle(arbiter, caller, &peer, SocketAddr::to_string(&to))
            }
        }
        Address::UnixPath(path) => {
            let path = String::from_utf8_lossy(&path).into_owned();
            // The arbiter itself made the file (see `bind_path`); its name then is its own.
            if path.starts_with("/proc/self/fd/") {
                None
            } else {
                settle(arbiter, caller, &Peer::UnixPath(path.clone()), format!("unix:{path}"))
            }
        }
        Address::UnixAbstract(name) => {
            let shown = format!("unix:@{}", crate::report::text::visible(&name));
            settle(arbiter, caller, &Peer::UnixAbstract(name), shown)
        }
        _ => Some(refuse_family(arbiter, caller, "listening on a socket without an address".to_owned())),
    };
    if let Some(outcome) = refused {
        return Ok(outcome);
    }
    Ok(match network::listen(socket.fd.as_fd(), caller.int(1)) {
        Ok(()) => Outcome::Value(0),
        Err(errno) => Outcome::Error(errno),
    })
}

/// Decides whether others may reach the function at `peer`; the outcome where they may not.
fn settle(arbiter: &Arbiter, caller: &Caller<'_>, peer: &Peer, shown: String) -> Option<Outcome> {
    settle_hinted(arbiter, caller, peer, shown, narrowest_listen_rule(peer))
}

fn settle_hinted(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    peer: &Peer,
    shown: String,
    hint: String,
) -> Option<Outcome> {
    let decision = arbiter.policy.decide_listen(peer);
    let action = match decision.action {
        model::Action::Allow => return None,
        model::Action::Audit => Action::Audited,
        model::Action::Deny => Action::Blocked,
    };
    let outcome = Refused::new(Control::Network, decision.rule.key, Errno(libc::EACCES))
        .address(shown)
        .hint(hint)
        .report(arbiter, caller, action);
    (action == Action::Blocked).then_some(outcome)
}
