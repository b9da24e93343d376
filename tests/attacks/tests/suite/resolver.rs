//! Names: who is asked, and which resolvers the proxy serves.

use crate::attack::{ALLOWED, FORBIDDEN, Guard, fresh, is_root, text, victim};
use fnguard_attacks::program::Program;
use fnguard_attacks::sink::{Nameserver, Tcp};

fnguard_attacks::tests! { "resolver": resolv_conf_rewritten, every_way_of_asking, patterns_of_names }

const NAME: &str = "orders.example";

/// The program with `file` as its /etc/resolv.conf, in a mount namespace of its own.
pub fn with_resolv_conf(program: Program, file: &str) -> Program {
    let user: &[&str] = if is_root() { &[] } else { &["-U", "-r"] };
    let mount = format!("mount --bind {file} /etc/resolv.conf && exec \"$@\"");
    let words: Vec<&str> =
        ["unshare"].into_iter().chain(user.iter().copied()).chain(["-m", "sh", "-c", &mount, "sh"]).collect();
    program.under(words)
}

/// The nameservers are the platform's: what the function writes into the file comes too late, also
/// before its first look-up.
fn resolv_conf_rewritten() {
    let (platforms, own) =
        (Nameserver::on(ALLOWED, [192, 0, 2, 1]), Nameserver::on(FORBIDDEN, [192, 0, 2, 2]));
    let file = fresh("resolv.conf");
    let reset = || std::fs::write(&file, format!("nameserver {ALLOWED}\n")).expect("a file");
    reset();
    let attack = victim(["rewrite-resolver", text(&file), FORBIDDEN, NAME]);
    let plain = with_resolv_conf(attack.clone(), text(&file)).run();
    plain.finished();
    assert_eq!((platforms.queries(), own.queries()), (0, 1), "unguarded its own is asked\n{}", plain.text());
    reset();
    let policy = format!("[network]\nallow = [\"{NAME}:443\"]\n[files]\nwrite = [\"{}\"]\n", text(&file));
    let guarded = with_resolv_conf(attack.guard(&policy), text(&file)).run();
    guarded.finished();
    assert_eq!((platforms.queries(), own.queries()), (1, 0), "{}", guarded.text());
    assert!(guarded.said("answer") > 0, "{}", guarded.text());
    let written = std::fs::read_to_string(&file).expect("a file");
    assert!(written.contains(FORBIDDEN), "the file was rewritten: {written}");
}

/// An allowed name resolves, whichever server is asked and however; its address may be connected to,
/// and was not before.
fn every_way_of_asking() {
    let platforms = Nameserver::on(ALLOWED, [198, 51, 100, 7]);
    let (file, sink) = (fresh("resolv.conf"), Tcp::on(ALLOWED));
    std::fs::write(&file, format!("nameserver {ALLOWED}\n")).expect("a file");
    let port = sink.address.port().to_string();
    let policy = format!("[network]\nallow = [\"{NAME}:{port}\"]\n");
    for way in ["connected", "stream", "fast-open", "sendto"] {
        // A server that is not there: the proxy answers in its place.
        let honest = victim(["resolve-and-connect", way, "192.0.2.53", NAME, &port]);
        let guarded = with_resolv_conf(honest.guard(&policy), text(&file)).run();
        guarded.finished().no_record();
        assert_eq!((guarded.said("asked"), guarded.said("answers")), (0, 1), "{way}\n{}", guarded.text());
        assert_eq!(guarded.said("connect"), 0, "{way}\n{}", guarded.text());
        assert_eq!((platforms.queries(), sink.connections()), (1, 1), "{way}");
        let hostile = victim(["resolve-and-connect", way, "192.0.2.53", "other.example", &port]);
        let guarded = with_resolv_conf(hostile.guard(&policy), text(&file)).run();
        guarded.finished().one_record("network", "lookup", "other.example");
        assert_eq!((platforms.queries(), sink.connections()), (0, 0), "{way}");
    }
    let guarded = victim(["connect", &sink.address.to_string()]).under_guard(&policy);
    assert_eq!(sink.connections(), 0);
    guarded.only_record("network", "connect", &sink.address.to_string());
}

/// A pattern opens names with one label more than its base, and nothing that only looks like them.
fn patterns_of_names() {
    let platforms = Nameserver::on(ALLOWED, [198, 51, 100, 7]);
    let (file, sink) = (fresh("resolv.conf"), Tcp::on(ALLOWED));
    std::fs::write(&file, format!("nameserver {ALLOWED}\n")).expect("a file");
    let port = sink.address.port().to_string();
    let asking = |name: &str, port: &str| victim(["resolve-and-connect", "sendto", ALLOWED, name, port]);
    let policy = format!("[network]\nallow = [\"*.{NAME}:{port}\"]\n");
    for name in ["eu.orders.example", "US.Orders.Example"] {
        let guarded = with_resolv_conf(asking(name, &port).guard(&policy), text(&file)).run();
        guarded.finished().no_record();
        assert_eq!(guarded.said("connect"), 0, "{name}\n{}", guarded.text());
        assert_eq!((platforms.queries(), sink.connections()), (1, 1), "{name}");
    }
    for name in
        ["orders.example", "x.eu.orders.example", "evilorders.example", "eu.orders.example.evil.example"]
    {
        let attack = asking(name, &port);
        attack.plain();
        assert_eq!((platforms.queries(), sink.connections()), (1, 1), "unguarded it is reached: {name}");
        let guarded = with_resolv_conf(attack.guard(&policy), text(&file)).run();
        guarded.finished().one_record("network", "lookup", name);
        assert_eq!((platforms.queries(), sink.connections()), (0, 0), "{name}");
    }
    // A name of the pattern that leads where no name may lead.
    let metadata = Nameserver::on(FORBIDDEN, [169, 254, 169, 254]);
    std::fs::write(&file, format!("nameserver {FORBIDDEN}\n")).expect("a file");
    let guarded = with_resolv_conf(asking("eu.orders.example", &port).guard(&policy), text(&file)).run();
    guarded.finished();
    assert_eq!((metadata.queries(), guarded.said("answers")), (1, 0), "{}", guarded.text());
}
