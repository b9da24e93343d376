//! DNS messages in and out (RFC 1035): the one place where bytes become questions and records.
//! No sockets, no decisions.
//!
//! What the function sends is read by [`query`] alone: a header, and one question whose name is
//! walked label by label. Nothing behind the question is looked at, so EDNS options, a second
//! message behind the first and trailing bytes have no effect and go nowhere: what is asked of a
//! nameserver is built anew from the [`Name`] by [`fresh_query`].
//!
//! What a nameserver sends is read by [`reply`]: header and question by the same walk, records by
//! `simple-dns`. Before that crate sees a message, its counts are cut: it reserves memory for as
//! many records as the header claims (9 MiB a section for a header of 12 bytes), and the
//! authority and additional sections are of no interest, so they are never parsed.
//!
//! `simple-dns` brings itself and `bitflags`; `hickory-proto` without its default features brings
//! 41 crates to a function that has `lambda_runtime` already (`cargo tree -e normal`: 67 crates
//! alone, 69 and 108 with either; measured with 0.13.0 and 0.26.3).

use fnguard_policy::model::Name;
use simple_dns::rdata::{A, AAAA, CNAME, OPT, RData};
use simple_dns::{
    CLASS, Label, Packet, PacketFlag, QTYPE, Question as WireQuestion, RCODE, ResourceRecord, TYPE,
};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The largest datagram that is read, from either side.
pub(super) const MAX_DATAGRAM: usize = 4096;

/// The largest datagram that is sent to a function: it is never told of EDNS, so what does not
/// fit is asked again over TCP (RFC 1035 section 4.2.1).
const MAX_ANSWER_DATAGRAM: usize = 512;

/// How many records of an answer are read; what follows is as if it had not come.
pub(super) const MAX_ANSWERS: u16 = 64;

/// The datagram size that nameservers are offered: what passes without fragments anywhere
/// (the value that the DNS flag day of 2020 settled on).
const OFFERED_DATAGRAM: u16 = 1232;

const HEADER: usize = 12;
const MAX_LABEL: u8 = 63;
const MAX_NAME: usize = 255;
const INTERNET: u16 = 1;

/// The bits of the header's second 16-bit word (RFC 1035 section 4.1.1).
mod flag {
    pub(super) const RESPONSE: u16 = 0x8000;
    pub(super) const OPCODE: u16 = 0x7800;
    pub(super) const TRUNCATED: u16 = 0x0200;
    pub(super) const RECURSION_DESIRED: u16 = 0x0100;
    pub(super) const RECURSION_AVAILABLE: u16 = 0x0080;
    pub(super) const RESERVED: u16 = 0x0040;
    pub(super) const CODE: u16 = 0x000f;
}

/// A record type by its number (the IANA registry of DNS parameters).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordType(pub u16);

impl RecordType {
    /// An IPv4 address.
    pub const A: RecordType = RecordType(1);
    /// An IPv6 address.
    pub const AAAA: RecordType = RecordType(28);

    /// Whether the proxy asks for this type at all.
    pub(super) fn is_address(self) -> bool {
        self == Self::A || self == Self::AAAA
    }
}

impl fmt::Display for RecordType {
    /// The mnemonic of the types that are met in practice, else `TYPE123` (RFC 3597 section 5).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mnemonic = match self.0 {
            1 => "A",
            2 => "NS",
            5 => "CNAME",
            6 => "SOA",
            10 => "NULL",
            12 => "PTR",
            15 => "MX",
            16 => "TXT",
            28 => "AAAA",
            33 => "SRV",
            35 => "NAPTR",
            43 => "DS",
            48 => "DNSKEY",
            64 => "SVCB",
            65 => "HTTPS",
            251 => "IXFR",
            252 => "AXFR",
            255 => "ANY",
            number => return write!(f, "TYPE{number}"),
        };
        f.write_str(mnemonic)
    }
}

/// A question: a name as it stood in the message, a type and a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    labels: Vec<Vec<u8>>,
    pub(super) kind: RecordType,
    class: u16,
}

impl Question {
    /// The normal form, if it is a host name.
    pub(super) fn host(&self) -> Option<Name> {
        Name::from_labels(self.labels.iter().map(Vec::as_slice)).ok()
    }

    /// The presentation format of RFC 1035 section 5.1 with everything escaped that is not a
    /// visible ASCII character: a record of it can neither break a line nor hide a label's dot.
    pub(super) fn presentation(&self) -> String {
        if self.labels.is_empty() {
            return ".".to_owned();
        }
        let mut text = String::new();
        for label in &self.labels {
            if !text.is_empty() {
                text.push('.');
            }
            for &byte in label {
                match byte {
                    b'.' | b'\\' | b'"' => {
                        text.push('\\');
                        text.push(char::from(byte));
                    }
                    0x21..=0x7e => text.push(char::from(byte)),
                    _ => text.push_str(&format!("\\{byte:03}")),
                }
            }
        }
        text
    }

    fn wire_name(&self) -> simple_dns::Name<'_> {
        let labels: Vec<Label<'_>> =
            self.labels.iter().map(|label| Label::new_unchecked(label.as_slice())).collect();
        simple_dns::Name::new_with_labels(&labels)
    }
}

/// A query of the function's that has one question of class IN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    id: u16,
    recursion_desired: bool,
    pub(super) question: Question,
}

/// A query that is answered without a look at its name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unservable {
    /// Why.
    pub(super) fault: Fault,
    /// The question, as far as there was one.
    pub(super) question: Option<Question>,
    /// What to answer; nothing to what is no query at all (an answer to an answer can loop).
    pub(super) reply: Option<Vec<u8>>,
}

/// What is wrong with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Not a well-formed message with exactly one question and no records.
    Format,
    /// An operation other than QUERY.
    Operation,
    /// A class other than IN.
    Class,
}

/// A record of an answer section, of the three kinds that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) owner: Name,
    /// In seconds; a value with the highest bit set is 0 (RFC 2181 section 8).
    pub(super) ttl: u32,
    pub(super) data: Data,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Data {
    /// A CNAME.
    Alias(Name),
    /// An A or AAAA record.
    Address(IpAddr),
}

/// What a nameserver says to a query of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Ask again over TCP.
    Truncated,
    /// NOERROR or NXDOMAIN.
    Answer { exists: bool, records: Vec<Record> },
    /// Any other code.
    Error(u8),
}

/// Why bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadReply {
    /// Not the answer to what was asked: another id, another question, or no answer. Somebody
    /// may be guessing; the real one may still come.
    Foreign,
    /// The answer, and its records cannot be read.
    Broken,
}

/// Reads a query of the function's.
pub(super) fn query(bytes: &[u8]) -> Result<Query, Unservable> {
    let silent = Unservable { fault: Fault::Format, question: None, reply: None };
    let Some(header) = Header::read(bytes) else { return Err(silent) };
    if header.flags & flag::RESPONSE != 0 {
        return Err(silent);
    }
    let question = read_question(bytes);
    let unservable = |fault, code| {
        let reply = Some(header.error(code));
        Err(Unservable { fault, question: question.clone(), reply })
    };
    if header.flags & flag::OPCODE != 0 {
        return unservable(Fault::Operation, RCODE::NotImplemented);
    }
    // Additional records are let be: EDNS stands there.
    if header.questions != 1 || header.answers != 0 || header.authorities != 0 {
        return unservable(Fault::Format, RCODE::FormatError);
    }
    match question {
        None => unservable(Fault::Format, RCODE::FormatError),
        Some(ref question) if question.class != INTERNET => unservable(Fault::Class, RCODE::Refused),
        Some(question) => Ok(Query {
            id: header.id,
            recursion_desired: header.flags & flag::RECURSION_DESIRED != 0,
            question,
        }),
    }
}

/// Builds the query that a nameserver gets.
///
/// # Errors
/// When the name cannot be written, which no [`Name`] should cause.
pub(super) fn fresh_query(id: u16, name: &Name, kind: RecordType, edns: bool) -> Result<Vec<u8>, BadReply> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(WireQuestion::new(wire_name(name), wire_type(kind), CLASS::IN.into(), false));
    if edns {
        *packet.opt_mut() =
            Some(OPT { opt_codes: Vec::new(), udp_packet_size: OFFERED_DATAGRAM, version: 0 });
    }
    packet.build_bytes_vec().map_err(|_| BadReply::Broken)
}

/// Reads a nameserver's reply to the query with this id, name and type.
pub(super) fn reply(bytes: &[u8], id: u16, name: &Name, kind: RecordType) -> Result<Reply, BadReply> {
    let header = Header::read(bytes).ok_or(BadReply::Foreign)?;
    if header.id != id || header.flags & flag::RESPONSE == 0 || header.flags & flag::OPCODE != 0 {
        return Err(BadReply::Foreign);
    }
    let code = u8::try_from(header.flags & flag::CODE).unwrap_or(u8::MAX);
    let answered = code == RCODE::NoError as u8 || code == RCODE::NameError as u8;
    // An error may come without the question (RFC 1035 leaves it open, servers that do not know
    // EDNS do it); nothing else may.
    if header.questions != 0 || answered {
        let question = read_question(bytes).ok_or(BadReply::Foreign)?;
        let ours = header.questions == 1
            && question.class == INTERNET
            && question.kind == kind
            && question.host().as_ref() == Some(name);
        if !ours {
            return Err(BadReply::Foreign);
        }
    }
    if !answered {
        return Ok(Reply::Error(code));
    }
    if header.flags & flag::TRUNCATED != 0 {
        return Ok(Reply::Truncated);
    }
    let cut = header.cut_to_answers(bytes).ok_or(BadReply::Broken)?;
    let packet = Packet::parse(&cut).map_err(|_| BadReply::Broken)?;
    let records = packet.answers.iter().filter_map(record).collect();
    Ok(Reply::Answer { exists: code == RCODE::NoError as u8, records })
}

/// The code that a function gets for an answer of the proxy's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// The name is there; with no records, it has none of this type.
    Answer,
    /// The name does not exist.
    NoSuchName,
    /// The nameservers gave no usable answer.
    Failure,
}

/// Builds what the function gets, for a stream.
pub(super) fn answer(query: &Query, code: Code, records: &[Record]) -> Vec<u8> {
    build_answer(query, code, records, false).unwrap_or_else(|| bare_failure(query))
}

/// Builds what the function gets, for a datagram: truncated where it does not fit.
pub(super) fn answer_datagram(query: &Query, code: Code, records: &[Record]) -> Vec<u8> {
    let whole = answer(query, code, records);
    if whole.len() <= MAX_ANSWER_DATAGRAM {
        return whole;
    }
    build_answer(query, code, &[], true).unwrap_or_else(|| bare_failure(query))
}

fn bare_failure(query: &Query) -> Vec<u8> {
    let flags = if query.recursion_desired { flag::RECURSION_DESIRED } else { 0 };
    let header = Header { id: query.id, flags, questions: 0, answers: 0, authorities: 0 };
    header.error(RCODE::ServerFailure)
}

fn build_answer(query: &Query, code: Code, records: &[Record], truncated: bool) -> Option<Vec<u8>> {
    let mut packet = Packet::new_reply(query.id);
    packet.set_flags(PacketFlag::RECURSION_AVAILABLE);
    if query.recursion_desired {
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    if truncated {
        packet.set_flags(PacketFlag::TRUNCATION);
    }
    *packet.rcode_mut() = match code {
        Code::Answer => RCODE::NoError,
        Code::NoSuchName => RCODE::NameError,
        Code::Failure => RCODE::ServerFailure,
    };
    let question = &query.question;
    let host = question.host();
    packet.questions.push(WireQuestion::new(
        question.wire_name(),
        wire_type(question.kind),
        CLASS::IN.into(),
        false,
    ));
    for record in records {
        // In the letters that were asked: some resolvers compare them.
        let owner = if host.as_ref() == Some(&record.owner) {
            question.wire_name()
        } else {
            wire_name(&record.owner)
        };
        let data = match &record.data {
            Data::Alias(target) => RData::CNAME(CNAME(wire_name(target))),
            Data::Address(IpAddr::V4(v4)) => RData::A(A { address: u32::from(*v4) }),
            Data::Address(IpAddr::V6(v6)) => RData::AAAA(AAAA { address: u128::from(*v6) }),
        };
        packet.answers.push(ResourceRecord::new(owner, CLASS::IN, record.ttl, data));
    }
    packet.build_bytes_vec_compressed().ok()
}

fn wire_name(name: &Name) -> simple_dns::Name<'_> {
    let labels: Vec<Label<'_>> =
        name.labels().iter().map(|label| Label::new_unchecked(label.as_bytes())).collect();
    simple_dns::Name::new_with_labels(&labels)
}

fn wire_type(kind: RecordType) -> QTYPE {
    QTYPE::TYPE(TYPE::from(kind.0))
}

/// A record, if it is of class IN, one of the three kinds, and between host names.
fn record(record: &ResourceRecord<'_>) -> Option<Record> {
    // The crate takes the top bit of the class for mDNS's cache-flush; here it makes a class
    // that is not IN.
    if record.class != CLASS::IN || record.cache_flush {
        return None;
    }
    let host = |name: &simple_dns::Name<'_>| Name::from_labels(name.as_bytes()).ok();
    let data = match &record.rdata {
        RData::CNAME(CNAME(target)) => Data::Alias(host(target)?),
        RData::A(a) => Data::Address(IpAddr::V4(Ipv4Addr::from(a.address))),
        RData::AAAA(aaaa) => Data::Address(IpAddr::V6(Ipv6Addr::from(aaaa.address))),
        _ => return None,
    };
    let ttl = if record.ttl > u32::MAX / 2 { 0 } else { record.ttl };
    Some(Record { owner: host(&record.name)?, ttl, data })
}

struct Header {
    id: u16,
    flags: u16,
    questions: u16,
    answers: u16,
    authorities: u16,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let [i0, i1, f0, f1, q0, q1, a0, a1, n0, n1, _, _] = *header;
        Some(Header {
            id: u16::from_be_bytes([i0, i1]),
            flags: u16::from_be_bytes([f0, f1]),
            questions: u16::from_be_bytes([q0, q1]),
            answers: u16::from_be_bytes([a0, a1]),
            authorities: u16::from_be_bytes([n0, n1]),
        })
    }

    fn write(&self) -> [u8; HEADER] {
        let [i0, i1] = self.id.to_be_bytes();
        let [f0, f1] = self.flags.to_be_bytes();
        let [q0, q1] = self.questions.to_be_bytes();
        let [a0, a1] = self.answers.to_be_bytes();
        [i0, i1, f0, f1, q0, q1, a0, a1, 0, 0, 0, 0]
    }

    /// A reply that is a header alone, without the question: there may be none to repeat.
    fn error(&self, code: RCODE) -> Vec<u8> {
        let kept = self.flags & (flag::OPCODE | flag::RECURSION_DESIRED);
        let flags = flag::RESPONSE | flag::RECURSION_AVAILABLE | kept | code as u16;
        Header { id: self.id, flags, questions: 0, answers: 0, authorities: 0 }.write().to_vec()
    }

    /// The message with at most [`MAX_ANSWERS`] records announced in its answer section, and
    /// none elsewhere; what lies behind them is then trailing bytes. The reserved bit, over which
    /// the parser stumbles, is cleared.
    fn cut_to_answers(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let cut = Header {
            id: self.id,
            flags: self.flags & !flag::RESERVED,
            questions: self.questions,
            answers: self.answers.min(MAX_ANSWERS),
            authorities: 0,
        };
        let mut message = cut.write().to_vec();
        message.extend_from_slice(bytes.get(HEADER..)?);
        Some(message)
    }
}

/// The question behind the header. Its name stands first in the message, so there is nothing
/// it could be compressed against: a pointer is an error (RFC 1035 section 4.1.4).
fn read_question(bytes: &[u8]) -> Option<Question> {
    let mut rest = bytes.get(HEADER..)?;
    let mut labels = Vec::new();
    let mut length = 1usize;
    loop {
        let (&size, behind) = rest.split_first()?;
        if size == 0 {
            rest = behind;
            break;
        }
        if size > MAX_LABEL {
            return None;
        }
        let (label, behind) = behind.split_at_checked(usize::from(size))?;
        length = length.checked_add(label.len())?.checked_add(1)?;
        if length > MAX_NAME {
            return None;
        }
        labels.push(label.to_vec());
        rest = behind;
    }
    let [t0, t1, c0, c1] = *rest.first_chunk()?;
    Some(Question {
        labels,
        kind: RecordType(u16::from_be_bytes([t0, t1])),
        class: u16::from_be_bytes([c0, c1]),
    })
}

#[cfg(test)]
mod tests {
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
                Record {
                    owner: name("edge.test"),
                    ttl: 5,
                    data: Data::Address("203.0.113.9".parse().unwrap()),
                },
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
        let Ok(Reply::Answer { records, .. }) = read_reply(&message(7, 0x8180, [1, 4000, 0, 0], &body))
        else {
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
}
