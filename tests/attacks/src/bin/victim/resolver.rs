//! Asking for names: as resolvers do, and past the platform's nameserver.

use crate::call;
use crate::raw::{address, say, socket_for};

pub fn run(technique: &str, words: &[&str]) -> bool {
    match (technique, words) {
        ("rewrite-resolver", [file, server, name]) => rewrite(file, server, name),
        ("resolve-and-connect", [way, server, name, port]) => resolve_and_connect(way, server, name, port),
        _ => return false,
    }
    true
}

/// A query for the A record of a name.
pub fn query(name: &str) -> Vec<u8> {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for part in name.split('.') {
        query.push(part.len() as u8);
        query.extend(part.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    query
}

/// Asks a server in one of the ways that resolvers have; the answer, if one came.
fn ask(way: &str, server: &str, name: &str) -> Vec<u8> {
    let (bytes, query) = (address(&format!("{server}:53")), query(name));
    let mut answer = vec![0u8; 512];
    let received = match way {
        // Go's net package and others: a connected socket takes what its peer sends.
        "connected" => {
            let socket = socket_for(&bytes, libc::SOCK_DGRAM);
            say("asked", call!(SYS_connect, socket, bytes.as_ptr(), bytes.len()));
            call!(SYS_write, socket, query.as_ptr(), query.len());
            wait_for(socket);
            call!(SYS_read, socket, answer.as_mut_ptr(), answer.len())
        }
        // By TCP, as glibc does with use-vc: a length before each message.
        "stream" => {
            let socket = socket_for(&bytes, libc::SOCK_STREAM);
            say("asked", call!(SYS_connect, socket, bytes.as_ptr(), bytes.len()));
            let framed = [&(query.len() as u16).to_be_bytes()[..], &query].concat();
            call!(SYS_write, socket, framed.as_ptr(), framed.len());
            wait_for(socket);
            let received = call!(SYS_read, socket, answer.as_mut_ptr(), answer.len());
            answer.drain(..2);
            received - 2
        }
        // The same by one call (RFC 7413).
        "fast-open" => {
            let socket = socket_for(&bytes, libc::SOCK_STREAM);
            let framed = [&(query.len() as u16).to_be_bytes()[..], &query].concat();
            let flags = libc::MSG_FASTOPEN;
            let asked =
                call!(SYS_sendto, socket, framed.as_ptr(), framed.len(), flags, bytes.as_ptr(), bytes.len());
            say("asked", asked.min(0));
            wait_for(socket);
            let received = call!(SYS_read, socket, answer.as_mut_ptr(), answer.len());
            answer.drain(..2);
            received - 2
        }
        "sendto" => {
            let socket = socket_for(&bytes, libc::SOCK_DGRAM);
            let asked =
                call!(SYS_sendto, socket, query.as_ptr(), query.len(), 0, bytes.as_ptr(), bytes.len());
            say("asked", asked.min(0));
            wait_for(socket);
            call!(SYS_recvfrom, socket, answer.as_mut_ptr(), answer.len(), 0, 0, 0)
        }
        _ => panic!("no such way: {way}"),
    };
    answer.truncate(usize::try_from(received).unwrap_or(0));
    answer
}

/// Until there is something to read, at most ten seconds.
fn wait_for(socket: i64) {
    let mut entry = libc::pollfd { fd: socket as i32, events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry.
    unsafe { libc::poll(&mut entry, 1, 10_000) };
}

/// Puts a nameserver of one's own into resolv.conf, and asks whichever stands there.
fn rewrite(file: &str, server: &str, name: &str) {
    std::fs::write(file, format!("nameserver {server}\n")).expect("the file may be written");
    let text = std::fs::read_to_string("/etc/resolv.conf").expect("resolv.conf");
    let server = text.split_whitespace().nth(1).expect("a nameserver");
    say("answer", ask("sendto", server, name).len() as i64);
}

/// The address in the answer is connected to.
fn resolve_and_connect(way: &str, server: &str, name: &str, port: &str) {
    let answer = ask(way, server, name);
    say("answers", answer.get(7).copied().map_or(-1, i64::from));
    let Some(octets) = answer.last_chunk::<4>() else { return };
    let to = crate::raw::v4_address(*octets, port.parse().expect("a port"), libc::AF_INET);
    let socket = socket_for(&to, libc::SOCK_STREAM);
    say("connect", call!(SYS_connect, socket, to.as_ptr(), to.len()));
}
