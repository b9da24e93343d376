//! Entry points for fuzz targets into the DNS messages. See `crate::fuzzing`.

use super::message::{self, Code, RecordType, Reply};
use fnguard_policy::model::Name;

/// A query of the function's: read or refused. What a record says of it is visible ASCII, what is
/// answered fits a datagram, and the query that is asked for it reads the same.
pub fn query(bytes: &[u8]) {
    match message::query(bytes) {
        Ok(query) => {
            let presentation = query.question.presentation();
            assert!(presentation.bytes().all(|byte| (0x21..=0x7e).contains(&byte)), "{presentation}");
            for code in [Code::Answer, Code::NoSuchName, Code::Failure] {
                assert!(message::answer_datagram(&query, code, &[]).len() <= 512);
            }
            if let Some(host) = query.question.host() {
                let fresh = message::fresh_query(7, &host, query.question.kind, true);
                let Ok(fresh) = fresh else { panic!("{host} can't be asked") };
                let Ok(again) = message::query(&fresh) else { panic!("our own query for {host} is refused") };
                assert_eq!(again.question.host(), Some(host));
            }
        }
        Err(unservable) => {
            if let Some(reply) = unservable.reply {
                assert!(reply.len() <= 512);
            }
        }
    }
}

/// A nameserver's reply to a query for `a.example`, type A or AAAA by the first byte.
pub fn reply(bytes: &[u8]) {
    let Some((first, message)) = bytes.split_first() else { return };
    let Ok(name) = Name::parse("a.example") else { return };
    let kind = if first & 1 == 0 { RecordType::A } else { RecordType::AAAA };
    if let Ok(Reply::Answer { records, .. }) = message::reply(message, 7, &name, kind) {
        let _ = super::answer::follow(&name, kind, &records);
    }
}
