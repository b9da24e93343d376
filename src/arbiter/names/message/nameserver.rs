//! With a nameserver: the query that it is asked, which is built anew, and its reply.

use super::{Data, Header, INTERNET, Record, RecordType, flag, read_question, wire_name, wire_type};
use fnguard_policy::model::Name;
use simple_dns::rdata::{CNAME, OPT, RData};
use simple_dns::{CLASS, Packet, PacketFlag, Question as WireQuestion, RCODE, ResourceRecord};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The datagram size that nameservers are offered: what passes without fragments anywhere
/// (the value that the DNS flag day of 2020 settled on).
pub(super) const OFFERED_DATAGRAM: u16 = 1232;

/// What a nameserver says to a query of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::arbiter::names) enum Reply {
    /// Ask again over TCP.
    Truncated,
    /// NOERROR or NXDOMAIN.
    Answer { exists: bool, records: Vec<Record> },
    /// Any other code.
    Error(u8),
}

/// Why bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::arbiter::names) enum BadReply {
    /// Not the answer to what was asked: another id, another question, or no answer. Somebody
    /// may be guessing; the real one may still come.
    Foreign,
    /// The answer, and its records cannot be read.
    Broken,
}

/// Builds the query that a nameserver gets.
///
/// # Errors
/// When the name cannot be written, which no [`Name`] should cause.
pub(in crate::arbiter::names) fn fresh_query(
    id: u16,
    name: &Name,
    kind: RecordType,
    edns: bool,
) -> Result<Vec<u8>, BadReply> {
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
pub(in crate::arbiter::names) fn reply(
    bytes: &[u8],
    id: u16,
    name: &Name,
    kind: RecordType,
) -> Result<Reply, BadReply> {
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
