//! DNS messages in and out (RFC 1035): the one place where bytes become questions and records.
//! No sockets, no decisions. Here stands what both sides share.
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

mod function;
mod nameserver;
#[cfg(test)]
mod tests;

pub(super) use function::{Code, Fault, Query, answer, answer_datagram, query};
pub(super) use nameserver::{BadReply, Reply, fresh_query, reply};

use fnguard_policy::model::Name;
use simple_dns::{Label, QTYPE, RCODE, TYPE};
use std::fmt;
use std::net::IpAddr;

/// The largest datagram that is read, from either side.
pub(super) const MAX_DATAGRAM: usize = 4096;

/// How many records of an answer are read; what follows is as if it had not come.
pub(super) const MAX_ANSWERS: u16 = 64;

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

fn wire_name(name: &Name) -> simple_dns::Name<'_> {
    let labels: Vec<Label<'_>> =
        name.labels().iter().map(|label| Label::new_unchecked(label.as_bytes())).collect();
    simple_dns::Name::new_with_labels(&labels)
}

fn wire_type(kind: RecordType) -> QTYPE {
    QTYPE::TYPE(TYPE::from(kind.0))
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
