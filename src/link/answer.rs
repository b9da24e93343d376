//! The answering half: reads one packet, has it answered, never trusts it.

use super::inbox::Inbox;
use super::{Answer, LONGEST_ID, LONGEST_NAME, LONGEST_TEXT, Leaves, Request, Told, VERSION};
use crate::sys::{Errno, network};
use std::os::fd::BorrowedFd;
use zeroize::Zeroizing;

/// Who answers: the arbiter.
pub(crate) trait Answering {
    /// Gives a secret's value to `give`, if there is one.
    fn secret(&self, name: &str, give: &mut dyn FnMut(&[u8])) -> bool;
    /// Opens an invocation.
    fn start(&self, id: &str) -> Result<(), &'static str>;
    /// Closes an invocation after a barrier. `soon` allows that a millisecond; false if it took
    /// longer, and nothing is closed.
    fn finish(&self, id: &str, soon: bool) -> Result<bool, &'static str>;
    /// Redacts a text.
    fn redact(&self, text: &str, leaves: Leaves) -> String;
    /// Registers a late secret.
    fn protect(&self, name: &str, value: &[u8]) -> Result<(), &'static str>;
    /// Ends the load phase.
    fn loaded(&self);
    /// A message was dropped, since it breaks the rules: its name, and what is wrong with it.
    fn dropped(&self, message: &'static str, problem: &'static str);
    /// The posture line.
    fn describe(&self) -> String;
    /// Violations after one: the first's number, they, and the newest's number.
    fn violations(&self, after: u64) -> (u64, Vec<Told>, u64);
}

/// Reads one request from `socket` and answers it.
///
/// # Errors
///
/// The link is over: closed, or its peer gone. A packet that makes no sense is answered with a
/// refusal and is no error.
pub(crate) fn serve_one(
    socket: BorrowedFd<'_>,
    inbox: &mut Inbox,
    arbiter: &dyn Answering,
) -> Result<(), Errno> {
    let packet = inbox.receive(socket)?;
    let send = |answer: &Answer<'_>| -> Result<(), Errno> {
        let bytes = Zeroizing::new(postcard::to_allocvec(answer).map_err(|_| Errno(libc::EINVAL))?);
        // MSG_DONTWAIT: a function that does not read its answers loses them; the arbiter goes on.
        match network::send_to(socket, &bytes, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT, &[]) {
            Err(errno) if errno != Errno(libc::EAGAIN) => Err(errno),
            _ => Ok(()),
        }
    };
    let drop_it = |message, problem| {
        arbiter.dropped(message, problem);
        send(&Answer::Refused(problem))
    };
    let Ok(request) = postcard::from_bytes::<Request<'_>>(packet.bytes()) else {
        return drop_it("unknown", "it cannot be understood");
    };
    let settle = |result: Result<(), &'static str>| match result {
        Ok(()) => Answer::Done,
        Err(reason) => Answer::Refused(reason),
    };
    match request {
        Request::Hello { version: VERSION } => send(&Answer::Done),
        Request::Hello { .. } => drop_it("Hello", "another version of the link"),
        Request::Secret { name } if name.len() <= LONGEST_NAME => {
            let mut sent = Ok(());
            let found = arbiter.secret(name, &mut |value| sent = send(&Answer::Secret(value)));
            if found { sent } else { send(&Answer::NoSuchSecret) }
        }
        Request::Start { id } if is_id(id) => send(&settle(arbiter.start(id))),
        Request::Finish { id, soon } if is_id(id) => send(&match arbiter.finish(id, soon) {
            Ok(true) => Answer::Done,
            Ok(false) => Answer::NotYet,
            Err(reason) => Answer::Refused(reason),
        }),
        Request::Redact { text, leaves } if text.len() <= LONGEST_TEXT => {
            send(&Answer::Text(&arbiter.redact(text, leaves)))
        }
        Request::Protect { name, value } if name.len() <= LONGEST_NAME => {
            send(&settle(arbiter.protect(name, value)))
        }
        Request::Loaded => {
            arbiter.loaded();
            send(&Answer::Done)
        }
        Request::Describe => send(&Answer::Text(&arbiter.describe())),
        Request::Violations { after } => {
            let (first, told, newest) = arbiter.violations(after);
            send(&Answer::Violations { first, told, newest })
        }
        Request::Secret { .. } => drop_it("Secret", "its name is too long"),
        Request::Start { .. } => drop_it("Start", "its id is none"),
        Request::Finish { .. } => drop_it("Finish", "its id is none"),
        Request::Redact { .. } => drop_it("Redact", "its text is too long"),
        Request::Protect { .. } => drop_it("Protect", "its name is too long"),
    }
}

/// Request ids are UUIDs at AWS and shorter words elsewhere; anything that could break a record
/// or a log is no id.
fn is_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= LONGEST_ID
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:.".contains(&byte))
}
