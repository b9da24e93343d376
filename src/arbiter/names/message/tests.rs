//! Messages of both sides, well-formed and not.

use super::function::MAX_ANSWER_DATAGRAM;
use super::nameserver::OFFERED_DATAGRAM;
use super::*;
use proptest::prelude::*;

/// A message by hand, so that nothing under test builds what it is tested with.
fn message(id: u16, flags: u16, counts: [u16; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [id, flags].into_iter().chain(counts) {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.extend_from_slice(body);
    bytes
}

fn wire(labels: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in labels {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend_from_slice(label);
    }
    bytes.push(0);
    bytes
}

fn question(labels: &[&[u8]], kind: u16, class: u16) -> Vec<u8> {
    let mut bytes = wire(labels);
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&class.to_be_bytes());
    bytes
}

fn resource(owner: &[u8], kind: u16, class: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = owner.to_vec();
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&class.to_be_bytes());
    bytes.extend_from_slice(&ttl.to_be_bytes());
    bytes.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// `api.test`, type A, class IN.
fn api() -> Vec<u8> {
    question(&[b"api", b"test"], 1, 1)
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

const RD: u16 = 0x0100;
/// A pointer to the first byte behind the header.
const TO_QUESTION: [u8; 2] = [0xc0, 12];

#[test]
fn an_ordinary_query() {
    let read = query(&message(7, RD, [1, 0, 0, 0], &api())).unwrap();
    assert_eq!(read.id, 7);
    assert!(read.recursion_desired);
    assert_eq!(read.question.kind, RecordType::A);
    assert_eq!(read.question.host(), Some(name("api.test")));
}

#[test]
fn what_stands_behind_the_question_has_no_effect() {
    let plain = query(&message(7, RD, [1, 0, 0, 0], &api())).unwrap();
    // EDNS with an option of 4 bytes; a second message; bytes that are nothing.
    let edns = resource(&[0], 41, 1232, 0, &[0xfd, 0xe9, 0, 4, 1, 2, 3, 4]);
    let second = message(8, RD, [1, 0, 0, 0], &question(&[b"evil", b"test"], 16, 1));
    for (additional, tail) in [(1, edns), (0, second), (0, vec![0xff; 300]), (9, Vec::new())] {
        let body = [api(), tail].concat();
        assert_eq!(query(&message(7, RD, [1, 0, 0, additional], &body)).unwrap(), plain);
    }
}

#[test]
fn a_label_with_a_dot_is_no_host_name_and_shows_its_dot() {
    let read = query(&message(7, RD, [1, 0, 0, 0], &question(&[b"api.test"], 1, 1))).unwrap();
    assert_eq!(read.question.host(), None);
    assert_eq!(read.question.presentation(), r"api\.test");
    let odd = question(&[b"a\x00\n\x1b\"\\ \xff", b"test"], 1, 1);
    let read = query(&message(7, RD, [1, 0, 0, 0], &odd)).unwrap();
    assert_eq!(read.question.host(), None);
    assert_eq!(read.question.presentation(), r#"a\000\010\027\"\\\032\255.test"#);
    let read = query(&message(7, RD, [1, 0, 0, 0], &question(&[], 2, 1))).unwrap();
    assert_eq!((read.question.host(), read.question.presentation().as_str()), (None, "."));
}

#[test]
fn queries_that_are_not_served() {
    let two = [api(), question(&[b"evil", b"test"], 1, 1)].concat();
    let long = question(&[&[b'a'; 63], &[b'a'; 63], &[b'a'; 63], &[b'a'; 63]], 1, 1);
    let mut over_long_label = vec![64];
    over_long_label.extend_from_slice(&[b'a'; 64]);
    over_long_label.extend_from_slice(&[0, 0, 1, 0, 1]);
    let table: &[(&str, Vec<u8>, Fault, Option<u16>)] = &[
        ("nothing", Vec::new(), Fault::Format, None),
        ("half a header", vec![0; 11], Fault::Format, None),
        ("an answer", message(7, 0x8000, [1, 0, 0, 0], &api()), Fault::Format, None),
        ("two questions", message(7, RD, [2, 0, 0, 0], &two), Fault::Format, Some(1)),
        ("no question", message(7, RD, [0, 0, 0, 0], &[]), Fault::Format, Some(1)),
        ("a question that is not there", message(7, RD, [1, 0, 0, 0], &[]), Fault::Format, Some(1)),
        ("an answer section", message(7, RD, [1, 1, 0, 0], &api()), Fault::Format, Some(1)),
        ("an authority section", message(7, RD, [1, 0, 1, 0], &api()), Fault::Format, Some(1)),
        ("a cut question", message(7, RD, [1, 0, 0, 0], &api()[..12]), Fault::Format, Some(1)),
        ("a name of 257 octets", message(7, RD, [1, 0, 0, 0], &long), Fault::Format, Some(1)),
        ("a label of 64 octets", message(7, RD, [1, 0, 0, 0], &over_long_label), Fault::Format, Some(1)),
        (
            "a pointer to itself",
            message(7, RD, [1, 0, 0, 0], &[0xc0, 12, 0, 1, 0, 1]),
            Fault::Format,
            Some(1),
        ),
        (
            "a pointer into the header",
            message(7, RD, [1, 0, 0, 0], &[3, b'a', b'p', b'i', 0xc0, 2, 0, 1, 0, 1]),
            Fault::Format,
            Some(1),
        ),
        ("UPDATE", message(7, 5 << 11, [1, 0, 0, 0], &api()), Fault::Operation, Some(4)),
        ("NOTIFY", message(7, 4 << 11, [1, 0, 0, 0], &api()), Fault::Operation, Some(4)),
        (
            "class CH",
            message(7, RD, [1, 0, 0, 0], &question(&[b"api", b"test"], 1, 3)),
            Fault::Class,
            Some(5),
        ),
        (
            "class IN with mDNS's top bit",
            message(7, RD, [1, 0, 0, 0], &question(&[b"api", b"test"], 1, 0x8001)),
            Fault::Class,
            Some(5),
        ),
        (
            "class ANY",
            message(7, RD, [1, 0, 0, 0], &question(&[b"api", b"test"], 1, 255)),
            Fault::Class,
            Some(5),
        ),
    ];
    for (what, bytes, fault, code) in table {
        let refused = query(bytes).unwrap_err();
        assert_eq!(refused.fault, *fault, "{what}");
        match code {
            None => assert_eq!(refused.reply, None, "{what}"),
            Some(code) => {
                let reply = refused.reply.unwrap();
                assert_eq!(reply.len(), 12, "{what}");
                assert_eq!(reply[..2], [0, 7], "{what}");
                assert_eq!(reply[2] & 0x80, 0x80, "{what}");
                assert_eq!(u16::from(reply[3] & 0x0f), *code, "{what}");
                assert_eq!(reply[4..], [0; 8], "{what}");
            }
        }
    }
}

#[test]
fn a_fresh_query_has_one_question_and_nothing_of_anybody_elses() {
    let built = fresh_query(0x1234, &name("API.Test"), RecordType::A, false).unwrap();
    assert_eq!(built, message(0x1234, RD, [1, 0, 0, 0], &api()));
    let built = fresh_query(0x1234, &name("api.test"), RecordType::AAAA, true).unwrap();
    let edns = resource(&[0], 41, OFFERED_DATAGRAM, 0, &[]);
    let body = [question(&[b"api", b"test"], 28, 1), edns].concat();
    assert_eq!(built, message(0x1234, RD, [1, 0, 0, 1], &body));
}

fn read_reply(bytes: &[u8]) -> Result<Reply, BadReply> {
    reply(bytes, 7, &name("api.test"), RecordType::A)
}

#[test]
fn an_answer_and_its_records() {
    let alias = resource(&TO_QUESTION, 5, 1, 60, &wire(&[b"Edge", b"test"]));
    let address = resource(&wire(&[b"edge", b"TEST"]), 1, 1, 5, &[203, 0, 113, 9]);
    let v6 = resource(&wire(&[b"edge", b"test"]), 28, 1, u32::MAX, &[0xfd; 16]);
    let text = resource(&TO_QUESTION, 16, 1, 5, b"\x04text");
    let unknown = resource(&TO_QUESTION, 65280, 1, 5, &[9; 9]);
    let chaos = resource(&TO_QUESTION, 1, 3, 5, &[203, 0, 113, 10]);
    let flushed = resource(&TO_QUESTION, 1, 0x8001, 5, &[203, 0, 113, 11]);
    let dotted = resource(&wire(&[b"api.test"]), 1, 1, 5, &[203, 0, 113, 12]);
    let body = [api(), alias, address, v6, text, unknown, chaos, flushed, dotted].concat();
    let expected = Reply::Answer {
        exists: true,
        records: vec![
            Record { owner: name("api.test"), ttl: 60, data: Data::Alias(name("edge.test")) },
            Record { owner: name("edge.test"), ttl: 5, data: Data::Address("203.0.113.9".parse().unwrap()) },
            Record {
                owner: name("edge.test"),
                ttl: 0,
                data: Data::Address("fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd".parse().unwrap()),
            },
        ],
    };
    assert_eq!(read_reply(&message(7, 0x8180, [1, 8, 0, 0], &body)), Ok(expected.clone()));
    // The reserved bit, and sections that are garbage but of no interest.
    let garbage = [body, vec![0xc0; 50]].concat();
    assert_eq!(read_reply(&message(7, 0x81c0, [1, 8, 9000, 9000], &garbage)), Ok(expected));
}

#[test]
fn replies_to_something_else_are_foreign() {
    let table: &[(&str, Vec<u8>)] = &[
        ("another id", message(8, 0x8180, [1, 0, 0, 0], &api())),
        ("a query", message(7, 0x0100, [1, 0, 0, 0], &api())),
        ("another operation", message(7, 0x8180 | 4 << 11, [1, 0, 0, 0], &api())),
        ("another name", message(7, 0x8180, [1, 0, 0, 0], &question(&[b"evil", b"test"], 1, 1))),
        ("the dotted label", message(7, 0x8180, [1, 0, 0, 0], &question(&[b"api.test"], 1, 1))),
        ("another type", message(7, 0x8180, [1, 0, 0, 0], &question(&[b"api", b"test"], 28, 1))),
        ("another class", message(7, 0x8180, [1, 0, 0, 0], &question(&[b"api", b"test"], 1, 3))),
        ("two questions", message(7, 0x8180, [2, 0, 0, 0], &[api(), api()].concat())),
        ("an answer without the question", message(7, 0x8180, [0, 0, 0, 0], &[])),
        ("NXDOMAIN without the question", message(7, 0x8183, [0, 0, 0, 0], &[])),
        ("nothing", Vec::new()),
    ];
    for (what, bytes) in table {
        assert_eq!(read_reply(bytes), Err(BadReply::Foreign), "{what}");
    }
}

#[test]
fn other_replies() {
    assert_eq!(read_reply(&message(7, 0x8181, [0, 0, 0, 0], &[])), Ok(Reply::Error(1)));
    assert_eq!(read_reply(&message(7, 0x8182, [1, 0, 0, 0], &api())), Ok(Reply::Error(2)));
    assert_eq!(read_reply(&message(7, 0x8380, [1, 0, 0, 0], &api())), Ok(Reply::Truncated));
    let none = Reply::Answer { exists: false, records: Vec::new() };
    assert_eq!(read_reply(&message(7, 0x8183, [1, 0, 1, 0], &api())), Ok(none));
}

#[test]
fn broken_answers() {
    let loops = resource(&[0xc0, 12 + 14], 1, 1, 5, &[203, 0, 113, 9]);
    let forward = resource(&[0xc0, 200], 1, 1, 5, &[203, 0, 113, 9]);
    let lies = {
        let mut bytes = resource(&TO_QUESTION, 1, 1, 5, &[203, 0, 113, 9]);
        bytes[11] = 200;
        bytes
    };
    let circle = resource(&TO_QUESTION, 5, 1, 5, &[1, b'a', 0xc0, 12 + 14 + 12]);
    for (what, record) in [
        ("a pointer to itself", loops),
        ("a forward pointer", forward),
        ("more data than there is", lies),
        ("a pointer in a circle", circle),
        ("a record that is not there", Vec::new()),
    ] {
        let bytes = message(7, 0x8180, [1, 1, 0, 0], &[api(), record].concat());
        assert_eq!(read_reply(&bytes), Err(BadReply::Broken), "{what}");
    }
}

#[test]
fn no_more_records_are_read_than_are_wanted() {
    let one = resource(&TO_QUESTION, 1, 1, 5, &[203, 0, 113, 9]);
    let body = [api(), one.repeat(4000)].concat();
    let Ok(Reply::Answer { records, .. }) = read_reply(&message(7, 0x8180, [1, 4000, 0, 0], &body)) else {
        panic!("not an answer")
    };
    assert_eq!(records.len(), usize::from(MAX_ANSWERS));
}

#[test]
fn an_answer_repeats_the_question_in_its_own_letters() {
    let asked = query(&message(7, RD, [1, 0, 0, 0], &question(&[b"aPi", b"tEsT"], 1, 1))).unwrap();
    let record =
        Record { owner: name("api.test"), ttl: 5, data: Data::Address("203.0.113.9".parse().unwrap()) };
    let expected =
        [question(&[b"aPi", b"tEsT"], 1, 1), resource(&TO_QUESTION, 1, 1, 5, &[203, 0, 113, 9])].concat();
    let built = answer(&asked, Code::Answer, std::slice::from_ref(&record));
    assert_eq!(built, message(7, 0x8180, [1, 1, 0, 0], &expected));
    let none = answer(&asked, Code::NoSuchName, &[]);
    assert_eq!(none, message(7, 0x8183, [1, 0, 0, 0], &question(&[b"aPi", b"tEsT"], 1, 1)));

    let many = vec![record; 60];
    assert!(answer(&asked, Code::Answer, &many).len() > MAX_ANSWER_DATAGRAM);
    let cut = answer_datagram(&asked, Code::Answer, &many);
    assert_eq!(cut, message(7, 0x8380, [1, 0, 0, 0], &question(&[b"aPi", b"tEsT"], 1, 1)));
}

#[test]
fn any_type_can_be_refused_by_its_number() {
    for kind in [0, 10, 41, 65, 252, 255, 257, 65280, 65535] {
        let asked = query(&message(7, 0, [1, 0, 0, 0], &question(&[b"api", b"test"], kind, 1))).unwrap();
        let built = answer(&asked, Code::NoSuchName, &[]);
        assert_eq!(
            built,
            message(7, 0x8083, [1, 0, 0, 0], &question(&[b"api", b"test"], kind, 1)),
            "type {kind}"
        );
    }
}

/// Bytes that get further than noise does: a right header, and records with pointers.
fn nearly_a_message() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(TO_QUESTION.to_vec()),
        Just(api()),
        (any::<u16>(), any::<u32>(), proptest::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(kind, ttl, data)| resource(&TO_QUESTION, kind % 70, 1, ttl, &data)),
        (0u8..=255).prop_map(|low| vec![0xc0, low]),
        proptest::collection::vec(any::<u8>(), 0..20),
    ];
    let flags = prop_oneof![Just(0x8180u16), Just(RD), any::<u16>()];
    (flags, any::<[u16; 4]>(), proptest::bool::ANY, proptest::collection::vec(piece, 0..20)).prop_map(
        |(flags, mut counts, sane, pieces)| {
            if sane {
                counts = [1, counts[1] % 12, 0, counts[3] % 3];
            }
            message(7, flags, counts, &[api(), pieces.concat()].concat())
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = query(&bytes);
        let _ = read_reply(&bytes);
    }

    #[test]
    fn nor_bytes_that_look_like_a_message(bytes in nearly_a_message()) {
        if let Ok(query) = query(&bytes) {
            let _ = answer_datagram(&query, Code::NoSuchName, &[]);
        }
        if let Ok(Reply::Answer { records, .. }) = read_reply(&bytes) {
            prop_assert!(records.len() <= usize::from(MAX_ANSWERS));
        }
    }

    #[test]
    fn every_name_survives_the_way_out_and_back(
        labels in proptest::collection::vec("[a-zA-Z0-9_-]{1,63}", 1..4),
        id in any::<u16>(),
        edns in any::<bool>(),
    ) {
        let name = Name::parse(&labels.join(".")).unwrap();
        let built = fresh_query(id, &name, RecordType::AAAA, edns).unwrap();
        let read = query(&built).unwrap();
        prop_assert_eq!(read.id, id);
        prop_assert_eq!(read.question.host(), Some(name));
    }

    #[test]
    fn a_presentation_is_visible_ascii_and_tells_labels_apart(
        labels in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 1..6),
    ) {
        let parts: Vec<&[u8]> = labels.iter().map(Vec::as_slice).collect();
        let read = query(&message(7, RD, [1, 0, 0, 0], &question(&parts, 1, 1))).unwrap();
        let text = read.question.presentation();
        prop_assert!(text.bytes().all(|byte| (0x21..=0x7e).contains(&byte)));
        prop_assert!(text.len() <= 1020);
        // Read back by a reader of its own.
        let mut back: Vec<Vec<u8>> = vec![Vec::new()];
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            let label = back.last_mut().unwrap();
            match byte {
                b'.' => back.push(Vec::new()),
                b'\\' => match bytes.next().unwrap() {
                    digit @ b'0'..=b'9' => {
                        let digits = [digit, bytes.next().unwrap(), bytes.next().unwrap()];
                        label.push(std::str::from_utf8(&digits).unwrap().parse().unwrap());
                    }
                    other => label.push(other),
                },
                other => label.push(other),
            }
        }
        prop_assert_eq!(back, labels);
    }
}
