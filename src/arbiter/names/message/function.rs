//! With the function: its query, of which nothing is believed, and the answer that it gets.

use super::{Data, Header, INTERNET, Question, Record, flag, read_question, wire_name, wire_type};
use simple_dns::rdata::{A, AAAA, CNAME, RData};
use simple_dns::{CLASS, Packet, PacketFlag, Question as WireQuestion, RCODE, ResourceRecord};
use std::net::IpAddr;

/// The largest datagram that is sent to a function: it is never told of EDNS, so what does not
/// fit is asked again over TCP (RFC 1035 section 4.2.1).
pub(super) const MAX_ANSWER_DATAGRAM: usize = 512;

/// A query of the function's that has one question of class IN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::arbiter::names) struct Query {
    pub(super) id: u16,
    pub(super) recursion_desired: bool,
    pub(in crate::arbiter::names) question: Question,
}

/// A query that is answered without a look at its name.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::arbiter::names) struct Unservable {
    /// Why.
    pub(in crate::arbiter::names) fault: Fault,
    /// The question, as far as there was one.
    pub(in crate::arbiter::names) question: Option<Question>,
    /// What to answer; nothing to what is no query at all (an answer to an answer can loop).
    pub(in crate::arbiter::names) reply: Option<Vec<u8>>,
}

/// What is wrong with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::arbiter::names) enum Fault {
    /// Not a well-formed message with exactly one question and no records.
    Format,
    /// An operation other than QUERY.
    Operation,
    /// A class other than IN.
    Class,
}

/// Reads a query of the function's.
pub(in crate::arbiter::names) fn query(bytes: &[u8]) -> Result<Query, Unservable> {
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

/// The code that a function gets for an answer of the proxy's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::arbiter::names) enum Code {
    /// The name is there; with no records, it has none of this type.
    Answer,
    /// The name does not exist.
    NoSuchName,
    /// The nameservers gave no usable answer.
    Failure,
}

/// Builds what the function gets, for a stream.
pub(in crate::arbiter::names) fn answer(query: &Query, code: Code, records: &[Record]) -> Vec<u8> {
    build_answer(query, code, records, false).unwrap_or_else(|| bare_failure(query))
}

/// Builds what the function gets, for a datagram: truncated where it does not fit.
pub(in crate::arbiter::names) fn answer_datagram(query: &Query, code: Code, records: &[Record]) -> Vec<u8> {
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
