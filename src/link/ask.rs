//! The asking half: what the function process sends, and how it finds its link.
//!
//! It runs in hostile memory and decides nothing: whoever can call it could send the same bytes.

use super::inbox::{Inbox, Packet};
use super::{Answer, LINK_VARIABLE, LONGEST_TEXT, Leaves, QUESTION, Request, Told, VERSION};
use crate::error::Error;
use crate::sys::descriptor::{self, PollFd};
use crate::sys::{Errno, network, process};
use once_cell::sync::Lazy;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// The link of this process, as far as it has one.
struct Link {
    socket: OwnedFd,
    /// The process that opened it: a fork must open its own, or two processes share one stream.
    owner: i32,
    /// The socket's inode, so that a number that was closed and reused is noticed.
    inode: u64,
    inbox: Inbox,
}

static LINK: Lazy<Mutex<Option<Link>>> = Lazy::new(|| Mutex::new(None));

/// Whether this process is armed: an arbiter answers.
pub(crate) fn is_armed() -> bool {
    done(&Request::Hello { version: VERSION }).is_ok()
}

/// Takes the link that arming left behind, where no listener can give one.
pub(crate) fn adopt(socket: OwnedFd) {
    if let Ok(link) = hold(socket) {
        *LINK.lock().unwrap_or_else(PoisonError::into_inner) = Some(link);
    }
}

/// The value of a captured secret.
pub(crate) fn secret(name: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    exchange(&Request::Secret { name }, |answer| match answer {
        Answer::Secret(value) => Ok(Zeroizing::new(value.to_vec())),
        Answer::NoSuchSecret | Answer::Refused(_) => Err(Error::NoSuchSecret { name: name.to_owned() }),
        _ => Err(Error::Protocol("a secret was asked for")),
    })?
}

/// Opens an invocation.
pub(crate) fn start(id: &str) -> Result<(), Error> {
    done(&Request::Start { id })
}

/// Closes an invocation once everything that stood in the pipes at this moment is out.
pub(crate) fn finish(id: &str) -> Result<(), Error> {
    done(&Request::Finish { id, soon: false })
}

/// Closes an invocation if that takes next to no time, as it does where the bytes are out already.
/// `None`: they are not, or another thread is using the link. Then [`finish`] is to be called,
/// where blocking does no harm.
pub(crate) fn finish_soon(id: &str) -> Option<Result<(), Error>> {
    let mut link = LINK.try_lock().ok()?;
    let answer = exchange_by(&mut link, &Request::Finish { id, soon: true }, |answer| match answer {
        Answer::Done => Some(Ok(())),
        Answer::NotYet => None,
        Answer::Refused(reason) => Some(Err(Error::Refused { reason: reason.to_owned() })),
        _ => Some(Err(Error::Protocol("another answer was expected"))),
    });
    answer.unwrap_or_else(|error| Some(Err(error)))
}

/// Redacts a text by the arbiter's tables. What is longer than a message may be is cut.
pub(crate) fn redact(text: &str, leaves: Leaves) -> Result<String, Error> {
    let mut end = text.len().min(LONGEST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text.get(..end).unwrap_or_default();
    exchange(&Request::Redact { text, leaves }, |answer| match answer {
        Answer::Text(text) => Ok(text.to_owned()),
        _ => Err(Error::Protocol("a text was to be redacted")),
    })?
}

/// Registers a late secret; in effect when this returns.
pub(crate) fn protect(name: &str, value: &[u8]) -> Result<(), Error> {
    exchange(&Request::Protect { name, value }, |answer| match answer {
        Answer::Done => Ok(()),
        Answer::Refused(reason) => {
            Err(Error::NotRegistered { name: name.to_owned(), reason: reason.to_owned() })
        }
        _ => Err(Error::Protocol("a secret was to be registered")),
    })?
}

/// The posture line.
pub(crate) fn describe() -> Result<String, Error> {
    exchange(&Request::Describe, |answer| match answer {
        Answer::Text(text) => Ok(text.to_owned()),
        _ => Err(Error::Protocol("the posture was asked for")),
    })?
}

/// Violations after the one numbered `after`: the first's number, they, and the newest's number.
pub(crate) fn violations(after: u64) -> Result<(u64, Vec<Told>, u64), Error> {
    exchange(&Request::Violations { after }, |answer| match answer {
        Answer::Violations { first, told, newest } => Ok((first, told, newest)),
        _ => Err(Error::Protocol("violations were asked for")),
    })?
}

fn done(request: &Request<'_>) -> Result<(), Error> {
    exchange(request, |answer| match answer {
        Answer::Done => Ok(()),
        Answer::Refused(reason) => Err(Error::Refused { reason: reason.to_owned() }),
        _ => Err(Error::Protocol("another answer was expected")),
    })?
}

/// Sends one request and hands its answer to `read`.
fn exchange<T>(request: &Request<'_>, read: impl FnOnce(Answer<'_>) -> T) -> Result<T, Error> {
    exchange_by(&mut LINK.lock().unwrap_or_else(PoisonError::into_inner), request, read)
}

fn exchange_by<T>(
    held: &mut Option<Link>,
    request: &Request<'_>,
    read: impl FnOnce(Answer<'_>) -> T,
) -> Result<T, Error> {
    let message = Zeroizing::new(
        postcard::to_allocvec(request).map_err(|_| Error::Protocol("the request cannot be encoded"))?,
    );
    let link = match held.take() {
        Some(link) if link.is_ours() => link,
        Some(stale) => {
            // The number is another's by now, or the parent's: it must not be closed here.
            std::mem::forget(stale.socket);
            open()?
        }
        None => open()?,
    };
    let link = held.insert(link);
    let result = link.converse(&message).map(|packet| {
        postcard::from_bytes(packet.bytes()).map(read).map_err(|_| Error::Protocol("it cannot be decoded"))
    });
    result.unwrap_or_else(|source| {
        *held = None;
        Err(Error::ArbiterGone { source })
    })
}

impl Link {
    fn converse(&mut self, message: &[u8]) -> Result<Packet<'_>, Errno> {
        network::send_to(self.socket.as_fd(), message, libc::MSG_NOSIGNAL, &[])?;
        self.inbox.receive(self.socket.as_fd())
    }

    fn is_ours(&self) -> bool {
        self.owner == process::own_pid()
            && descriptor::identify(self.socket.as_fd()).is_ok_and(|identity| identity.inode == self.inode)
    }
}

/// Asks the listener's owner for a link; where there is no listener, takes the inherited one.
fn open() -> Result<Link, Error> {
    match process::ask_listener(QUESTION.0, QUESTION.1, VERSION) {
        Ok(socket) => hold(socket).map_err(|source| Error::ArbiterGone { source }),
        Err(_) => inherited().ok_or(Error::NotArmed),
    }
}

fn hold(socket: OwnedFd) -> Result<Link, Errno> {
    let inode = descriptor::identify(socket.as_fd())?.inode;
    Ok(Link { socket, owner: process::own_pid(), inode, inbox: Inbox::new() })
}

/// Whether a launcher's arbiter holds this process where there is no listener to ask; `environment` is
/// the initial one.
///
/// The variable only says where to ask. What is believed is an answer, on a socket whose other end the
/// parent made, to a question that nothing but an arbiter understands: so the variable alone, or a
/// socket that happens to stand behind its number, keeps nobody from arming. A parent that answers as
/// an arbiter does can; it could as well start another program.
pub(crate) fn inherited_from_launcher(environment: &crate::sys::stack::InitialEnvironment) -> bool {
    (0..environment.count())
        .filter_map(|index| environment.get(index).strip_prefix(LINK_VARIABLE.as_bytes()))
        .filter_map(|rest| std::str::from_utf8(rest.strip_prefix(b"=")?).ok()?.parse().ok())
        .filter_map(from_parent)
        .any(|fd| answers(fd).is_ok_and(|answers| answers))
}

/// A descriptor, if it is a packet socket whose other end the parent made.
fn from_parent(number: RawFd) -> Option<BorrowedFd<'static>> {
    let fd = descriptor::borrow_number(number).filter(|_| number > 2)?;
    let packets = network::socket_option(fd, libc::SO_TYPE) == Ok(libc::SOCK_SEQPACKET);
    (packets && network::peer_pid(fd) == Ok(process::parent_pid())).then_some(fd)
}

/// Whether an arbiter of this version answers, within a time that allows for a busy machine.
fn answers(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    const PATIENCE_MS: i32 = 5_000;
    let hello =
        postcard::to_allocvec(&Request::Hello { version: VERSION }).map_err(|_| Errno(libc::EINVAL))?;
    network::send_to(fd, &hello, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT, &[])?;
    if descriptor::poll(&mut [PollFd::new(fd, libc::POLLIN)], PATIENCE_MS)? == 0 {
        return Ok(false);
    }
    let mut inbox = Inbox::new();
    let packet = inbox.receive(fd)?;
    Ok(matches!(postcard::from_bytes(packet.bytes()), Ok(Answer::Done)))
}

/// The link that a launcher left open, if the socket's other end was made by the parent.
#[allow(unsafe_code)]
fn inherited() -> Option<Link> {
    let number: RawFd = std::env::var(LINK_VARIABLE).ok()?.parse().ok()?;
    from_parent(number)?;
    // SAFETY: open, a socket, and left for exactly this purpose; nobody else in this program
    // owns it.
    hold(unsafe { OwnedFd::from_raw_fd(number) }).ok()
}
