//! Hearing those that nobody asked: sockets that get a port or a name without listen(2).

use crate::call;
use crate::raw::{address, say, socket_for};

pub fn run(technique: &str, words: &[&str]) -> bool {
    match (technique, words) {
        ("await-stranger", [way, peer, port, sent]) => await_stranger(way, peer, port, sent),
        ("ask-datagrams", [way, peers @ ..]) => ask_datagrams(way, peers),
        ("await-courier", [name, sent]) => await_courier(name, sent),
        _ => return false,
    }
    true
}

/// Receives commands by a datagram socket that never listened: `way` is how it gets its port, which
/// the outside reads in the file `port`. When the file `sent` is there, everything was sent.
fn await_stranger(way: &str, peer: &str, port: &str, sent: &str) {
    let peer = address(peer);
    let own = address(match way {
        "bind-v6" | "write-v6" => "[::]:0",
        "bind-loopback" => "127.0.0.1:0",
        "bind-later" => "127.0.0.1:4559",
        _ => "0.0.0.0:0",
    });
    let socket = socket_for(&own, libc::SOCK_DGRAM);
    let bind = || say("bind", call!(SYS_bind, socket, own.as_ptr(), own.len()));
    let connect = |to: &[u8]| say("connect", call!(SYS_connect, socket, to.as_ptr(), to.len()));
    match way {
        "bind" | "bind-v6" | "bind-loopback" => bind(),
        // The first datagram takes a port.
        "send" => {
            say("send", call!(SYS_sendto, socket, b"x".as_ptr(), 1, 0, peer.as_ptr(), peer.len()));
        }
        // One that fails for want of a peer takes a port as well, and nobody is asked.
        "write" | "write-v6" => say("write", call!(SYS_write, socket, b"x".as_ptr(), 1)),
        "send-nowhere" => say("send", call!(SYS_sendto, socket, b"x".as_ptr(), 1, 0, 0, 0)),
        // As getaddrinfo(3) asks for a source address.
        "probe" => {
            let mut nowhere = peer.clone();
            nowhere[2..4].fill(0);
            connect(&nowhere);
        }
        // A server that was a client before.
        "bind-later" => {
            connect(&peer);
            connect(&[0; 16]);
            bind();
        }
        _ => panic!("no such way: {way}"),
    }
    // SAFETY: the socket is this one's, and stays open.
    let socket = std::mem::ManuallyDrop::new(unsafe {
        use std::os::fd::FromRawFd;
        std::net::UdpSocket::from_raw_fd(socket as i32)
    });
    let local = socket.local_addr().expect("an address");
    let unfinished = format!("{port}.unfinished");
    std::fs::write(&unfinished, local.to_string()).expect("a file");
    std::fs::rename(&unfinished, port).expect("in its place");
    while !std::path::Path::new(sent).exists() {
        std::thread::yield_now();
    }
    socket.set_nonblocking(true).expect("non-blocking");
    let mut buffer = [0u8; 64];
    say("received", std::iter::from_fn(|| socket.recv(&mut buffer).ok()).count() as i64);
}

/// Lets the kernel choose a unix datagram socket's name (unix(7), autobind), which the outside reads in the
/// file `name`; and writes to the descriptor that somebody sends there, once the file `sent` is there.
fn await_courier(name: &str, sent: &str) {
    let socket = call!(SYS_socket, libc::AF_UNIX, libc::SOCK_DGRAM, 0);
    let family = (libc::AF_UNIX as u16).to_ne_bytes();
    say("bind", call!(SYS_bind, socket, family.as_ptr(), family.len()));
    let (mut own, mut length) = ([0u8; 110], 110u32);
    call!(SYS_getsockname, socket, own.as_mut_ptr(), &raw mut length);
    let unfinished = format!("{name}.unfinished");
    std::fs::write(&unfinished, own.get(2..length as usize).unwrap_or_default()).expect("a file");
    std::fs::rename(&unfinished, name).expect("in its place");
    while !std::path::Path::new(sent).exists() {
        std::thread::yield_now();
    }
    let mut byte = [0u8; 1];
    let vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = [0u64; 8];
    // SAFETY: all zero is a valid header.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = (&raw const vector).cast_mut();
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = std::mem::size_of_val(&control);
    let received = call!(SYS_recvmsg, socket, &raw mut header, libc::MSG_DONTWAIT);
    say("received", received);
    // struct cmsghdr: length, level and type, then the descriptor.
    if received > 0 && header.msg_controllen >= 20 {
        let handed = control[2] as i32;
        say("written", call!(SYS_write, handed, b"stolen".as_ptr(), 6));
    }
}

/// Asks each of the peers by the same socket, in one of the ways that clients have; how many answered.
fn ask_datagrams(way: &str, peers: &[&str]) {
    let own = address(if way == "mapped" { "[::]:0" } else { "0.0.0.0:0" });
    let socket = socket_for(&own, libc::SOCK_DGRAM);
    if way == "bound" {
        say("bind", call!(SYS_bind, socket, own.as_ptr(), own.len()));
    }
    let mut answers = 0;
    for peer in peers {
        let to = match way {
            "mapped" => address(&peer.replacen("198.51.100.7", "[::ffff:198.51.100.7]", 1)),
            _ => address(peer),
        };
        if way == "connected" {
            call!(SYS_connect, socket, to.as_ptr(), to.len());
            call!(SYS_write, socket, b"ask".as_ptr(), 3);
        } else {
            call!(SYS_sendto, socket, b"ask".as_ptr(), 3, 0, to.as_ptr(), to.len());
        }
        let mut entry = libc::pollfd { fd: socket as i32, events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry.
        unsafe { libc::poll(&mut entry, 1, 10_000) };
        let mut buffer = [0u8; 16];
        let dont_wait = libc::MSG_DONTWAIT;
        let received = call!(SYS_recvfrom, socket, buffer.as_mut_ptr(), buffer.len(), dont_wait, 0, 0);
        answers += i64::from(received == 6);
    }
    say("answers", answers);
}
