//! What comes in by sockets that listen to nobody: datagrams of strangers, descriptors in them, and the answers
//! of those that were asked.

use crate::attack::{ALLOWED, Guard, NET, fresh, text, victim};
use fnguard_attacks::sink::Udp;

fnguard_attacks::tests! { "strangers": datagrams, descriptors, by_rule, answers }

/// Has somebody outside send to a socket that the function has; how many of the datagrams it received.
fn sent_to(way: &str, peer: &str, policy: Option<&str>) -> (i64, fnguard_attacks::outcome::Outcome) {
    let (port, sent) = (fresh("port"), fresh("sent"));
    let attack = victim(["await-stranger", way, peer, text(&port), text(&sent)]);
    let running = policy.map_or_else(|| attack.clone(), |policy| attack.guard(policy)).start();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let to = loop {
        match std::fs::read_to_string(&port) {
            Ok(local) => break local.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]"),
            Err(_) if std::time::Instant::now() < deadline => std::thread::yield_now(),
            Err(_) => panic!("{way}: no port\n{}", running.finish().text()),
        }
    };
    let anywhere = if to.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    let stranger = std::net::UdpSocket::bind(anywhere).expect("a socket");
    // Connected, it would hear that nobody is there.
    stranger.connect(&to).expect("an address");
    for _ in 0..3 {
        assert_eq!(stranger.send(b"command").expect("there is a socket"), 7, "{way}");
    }
    std::fs::write(&sent, "").expect("a file");
    let outcome = running.finish();
    outcome.finished();
    (outcome.said("received"), outcome)
}

/// A datagram socket needs no listen(2), and gets its port in more ways than bind(2).
fn datagrams() {
    let allowed = Udp::on(ALLOWED);
    let peer = allowed.address.to_string();
    for way in ["bind", "bind-v6", "bind-loopback", "send", "write", "write-v6", "send-nowhere"] {
        assert_eq!(sent_to(way, &peer, None).0, 3, "{way}");
        for policy in [NET, "[network]\nallow = [\"udp/198.51.100.7:1-65535\"]\nlisten = [\"127.0.0.1:0\"]\n"]
        {
            let (received, guarded) = sent_to(way, &peer, Some(policy));
            assert_eq!(received, 0, "{way}\n{}", guarded.text());
            guarded.no_record();
        }
    }
    // Unguarded it has a peer, whose port is 0; the guard binds it, so that getsockname(2) tells the address.
    let (received, guarded) = sent_to("probe", &peer, Some(NET));
    assert_eq!(received, 0, "{}", guarded.text());
    // Audited, nothing changes.
    let (received, guarded) = sent_to("bind", &peer, Some("[network]\nmode = \"audit\"\n"));
    assert_eq!(received, 3, "{}", guarded.text());
}

/// A unix datagram socket whose name the kernel chose needs no listen(2) either, and what comes in there are
/// descriptors as well: of a connection that no rule would allow, made by somebody outside.
fn descriptors() {
    use std::os::fd::AsRawFd;
    use std::os::linux::net::SocketAddrExt;
    let run = |policy: Option<&str>| {
        let (name, sent) = (fresh("name"), fresh("sent"));
        let attack = victim(["await-courier", text(&name), text(&sent)]);
        let running = policy.map_or_else(|| attack.clone(), |policy| attack.guard(policy)).start();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let to = loop {
            match std::fs::read(&name) {
                Ok(to) => break to,
                Err(_) if std::time::Instant::now() < deadline => std::thread::yield_now(),
                Err(_) => panic!("no name\n{}", running.finish().text()),
            }
        };
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        // Without a name there is nobody to send to.
        if let Some(to) = to.strip_prefix(b"\0").filter(|to| !to.is_empty()) {
            let to = std::os::unix::net::SocketAddr::from_abstract_name(to).expect("a name");
            let courier = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
            courier.connect_addr(&to).expect("somebody is there");
            hand_over(courier.as_raw_fd(), theirs.as_raw_fd());
        }
        drop(theirs);
        std::fs::write(&sent, "").expect("a file");
        let outcome = running.finish();
        outcome.finished();
        let mut stolen = String::new();
        std::io::Read::read_to_string(&mut &ours, &mut stolen).expect("the other end is closed");
        (stolen, outcome)
    };
    assert_eq!(run(None).0, "stolen");
    let (stolen, guarded) = run(Some(NET));
    assert_eq!(stolen, "", "{}", guarded.text());
    guarded.only_record("network", "bind", "a name of the kernel's choice");
    // Audited, nothing changes.
    let (stolen, guarded) = run(Some("[network]\nmode = \"audit\"\n"));
    assert_eq!(stolen, "stolen", "{}", guarded.text());
    assert_eq!(guarded.violations("network", "bind", "a name of the kernel's choice").len(), 1);
}

/// Sends a descriptor with one byte.
fn hand_over(socket: i32, descriptor: i32) {
    let mut byte = *b"x";
    let vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    // struct cmsghdr: length (8), level (4), type (4); then the descriptor.
    let kind = u64::from(libc::SOL_SOCKET as u32) | u64::from(libc::SCM_RIGHTS as u32) << 32;
    let control = [20u64, kind, u64::from(descriptor as u32)];
    // SAFETY: all zero is a valid header; the kernel reads what it points to, which is alive.
    let sent = unsafe {
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = (&raw const vector).cast_mut();
        header.msg_iovlen = 1;
        header.msg_control = control.as_ptr().cast_mut().cast();
        header.msg_controllen = std::mem::size_of_val(&control);
        libc::sendmsg(socket, &header, 0)
    };
    assert_eq!(sent, 1, "{}", std::io::Error::last_os_error());
}

fn by_rule() {
    let allowed = Udp::on(ALLOWED);
    let peer = allowed.address.to_string();
    for (way, rule) in [
        ("bind", "udp/0.0.0.0:0"),
        ("bind-v6", "udp/[::]:0"),
        ("bind-loopback", "udp/127.0.0.1:0"),
        ("send", "udp/0.0.0.0:0"),
        ("write", "udp/0.0.0.0:0"),
        ("write-v6", "udp/[::]:0"),
        ("bind-later", "udp/127.0.0.1:4559"),
    ] {
        let policy = format!("[network]\nallow = [\"udp/198.51.100.7:1-65535\"]\nlisten = [\"{rule}\"]\n");
        let (received, guarded) = sent_to(way, &peer, Some(&policy));
        assert_eq!(received, 3, "{way}\n{}", guarded.text());
        guarded.no_record();
    }
}

/// Those that the function has asked are heard, however it asks.
fn answers() {
    let servers: Vec<std::net::UdpSocket> =
        (0..5).map(|_| std::net::UdpSocket::bind(format!("{ALLOWED}:0")).expect("a server")).collect();
    let peers: Vec<String> =
        servers.iter().map(|server| server.local_addr().expect("an address").to_string()).collect();
    for way in ["unconnected", "bound", "connected", "mapped"] {
        let client = victim(["ask-datagrams", way].into_iter().chain(peers.iter().map(String::as_str)));
        for policy in [None, Some(NET)] {
            std::thread::scope(|scope| {
                for server in &servers {
                    scope.spawn(|| {
                        let mut buffer = [0u8; 16];
                        let _ = server.set_read_timeout(Some(std::time::Duration::from_secs(60)));
                        let (_, from) = server.recv_from(&mut buffer).expect("a question");
                        server.send_to(b"answer", from).expect("an answer");
                    });
                }
                let outcome = policy.map_or_else(|| client.plain(), |policy| client.under_guard(policy));
                assert_eq!(outcome.said("answers"), 5, "{way}\n{}", outcome.text());
                outcome.no_record();
            });
        }
    }
}
