//! What of a nameserver's answer is meant, and what of that may be passed on. Pure.

use super::message::{Data, Record, RecordType};
use super::reach::{Reach, reach};
use fnguard_policy::model::Name;
use std::net::IpAddr;

/// How many aliases are followed; resolvers give up at about as many (BIND at 16).
const MAX_ALIASES: usize = 16;

/// An answer's own chain, from the name that was asked to the addresses at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// The aliases in their order.
    aliases: Vec<Record>,
    /// The address records of the last name.
    addresses: Vec<Record>,
    /// The shortest life among the aliases: the way to the addresses holds no longer.
    ttl: u32,
}

/// The aliases go in a circle, or there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Endless;

/// Follows the aliases from the asked name. Records that do not stand on the chain, or whose
/// addresses are not of the type that was asked, are ignored: they are how a cache is poisoned.
pub(super) fn follow(asked: &Name, kind: RecordType, records: &[Record]) -> Result<Chain, Endless> {
    let mut name = asked;
    let mut aliases = Vec::new();
    let mut ttl = u32::MAX;
    while let Some((link, target)) = alias_of(name, records) {
        if aliases.len() == MAX_ALIASES {
            return Err(Endless);
        }
        aliases.push(link.clone());
        ttl = ttl.min(link.ttl);
        name = target;
    }
    let wanted = |record: &&Record| {
        record.owner == *name
            && matches!(
                (&record.data, kind),
                (Data::Address(IpAddr::V4(_)), RecordType::A)
                    | (Data::Address(IpAddr::V6(_)), RecordType::AAAA)
            )
    };
    let addresses = records.iter().filter(wanted).cloned().collect();
    Ok(Chain { aliases, addresses, ttl })
}

fn alias_of<'a>(name: &Name, records: &'a [Record]) -> Option<(&'a Record, &'a Name)> {
    records.iter().find_map(|record| match &record.data {
        Data::Alias(target) if record.owner == *name => Some((record, target)),
        _ => None,
    })
}

/// A chain after [`Chain::sort`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sorted {
    /// What the function gets.
    pub(super) delivered: Vec<Record>,
    /// What the name is bound to, with the seconds for which it is.
    pub(super) bound: Vec<(IpAddr, u32)>,
    /// What the name may not lead to.
    pub(super) unbound: Vec<IpAddr>,
}

impl Chain {
    /// Sorts the addresses by where they lead. `private` is whether private networks are
    /// fine, `deliver_all` whether the function gets even what is not bound (in audit).
    pub(super) fn sort(self, private: bool, deliver_all: bool, longest: u32) -> Sorted {
        let shorten = |record: &Record| Record { ttl: record.ttl.min(longest), ..record.clone() };
        let mut sorted =
            Sorted { delivered: self.aliases.iter().map(shorten).collect(), ..Sorted::default() };
        for record in &self.addresses {
            let Data::Address(address) = record.data else { continue };
            let may = match reach(address) {
                Reach::Public => true,
                Reach::Private => private,
                Reach::Never => false,
            };
            if may {
                sorted.bound.push((address, record.ttl.min(self.ttl)));
            } else {
                sorted.unbound.push(address);
            }
            if may || deliver_all {
                sorted.delivered.push(shorten(record));
            }
        }
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;
    use std::net::Ipv4Addr;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn alias(owner: &str, target: &str, ttl: u32) -> Record {
        Record { owner: name(owner), ttl, data: Data::Alias(name(target)) }
    }

    fn address(owner: &str, address: &str, ttl: u32) -> Record {
        Record { owner: name(owner), ttl, data: Data::Address(address.parse().unwrap()) }
    }

    fn bound(records: &[Record], private: bool) -> Vec<(String, u32)> {
        let chain = follow(&name("api.test"), RecordType::A, records).unwrap();
        let sorted = chain.sort(private, false, 3600);
        sorted.bound.iter().map(|(address, ttl)| (address.to_string(), *ttl)).collect()
    }

    #[test]
    fn only_the_end_of_the_chain_binds() {
        let records = [
            address("other.test", "203.0.113.1", 60),
            address("cdn.test", "203.0.113.2", 60),
            alias("api.test", "edge.test", 20),
            alias("edge.test", "pop.test", 600),
            address("edge.test", "203.0.113.3", 60),
            address("pop.test", "203.0.113.4", 60),
            address("pop.test", "2001:db8::4", 60),
            address("pop.test", "203.0.113.5", 10),
            address("api.test", "203.0.113.6", 60),
        ];
        // By the shortest life on the way.
        let expected = [("203.0.113.4".to_owned(), 20), ("203.0.113.5".to_owned(), 10)];
        assert_eq!(bound(&records, false), expected);
        let chain = follow(&name("api.test"), RecordType::A, &records).unwrap();
        let delivered = chain.sort(false, false, 50).delivered;
        let as_sent = [
            alias("api.test", "edge.test", 20),
            alias("edge.test", "pop.test", 50),
            address("pop.test", "203.0.113.4", 50),
            address("pop.test", "203.0.113.5", 10),
        ];
        assert_eq!(delivered, as_sent);
    }

    #[test]
    fn circles_end() {
        let own = [alias("api.test", "api.test", 5), address("api.test", "203.0.113.1", 5)];
        assert_eq!(follow(&name("api.test"), RecordType::A, &own), Err(Endless));
        let two = [alias("api.test", "b.test", 5), alias("b.test", "api.test", 5)];
        assert_eq!(follow(&name("api.test"), RecordType::A, &two), Err(Endless));
    }

    #[test]
    fn places_a_name_may_not_lead_to_are_withheld() {
        let records = [
            address("api.test", "203.0.113.1", 60),
            address("api.test", "10.0.0.1", 60),
            address("api.test", "127.0.0.1", 60),
            address("api.test", "169.254.169.254", 60),
        ];
        let sort = |private, all| {
            follow(&name("api.test"), RecordType::A, &records).unwrap().sort(private, all, 3600)
        };
        let texts = |sorted: &Sorted| {
            (
                sorted.delivered.len(),
                sorted.bound.iter().map(|(address, _)| address.to_string()).collect::<Vec<_>>(),
                sorted.unbound.iter().map(ToString::to_string).collect::<Vec<_>>(),
            )
        };
        let never = ["127.0.0.1".to_owned(), "169.254.169.254".to_owned()];
        let public = "203.0.113.1".to_owned();
        let private = "10.0.0.1".to_owned();
        assert_eq!(
            texts(&sort(false, false)),
            (1, vec![public.clone()], [std::slice::from_ref(&private), &never[..]].concat())
        );
        assert_eq!(texts(&sort(true, false)), (2, vec![public.clone(), private.clone()], never.to_vec()));
        assert_eq!(texts(&sort(false, true)), (4, vec![public], [&[private], &never[..]].concat()));
    }

    /// Records over a handful of names, so that chains, circles and strays all happen.
    fn records() -> impl Strategy<Value = Vec<Record>> {
        let host = (0u8..6).prop_map(|number| name(&format!("n{number}.test")));
        let data = prop_oneof![
            host.clone().prop_map(Data::Alias),
            (1u8..=254).prop_map(|last| Data::Address(IpAddr::V4(Ipv4Addr::new(203, 0, 113, last)))),
        ];
        let record = (host, 0u32..10_000, data).prop_map(|(owner, ttl, data)| Record { owner, ttl, data });
        proptest::collection::vec(record, 0..24)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// A model of its own: everything that any walk along aliases can reach.
        #[test]
        fn nothing_outside_the_chain_binds(records in records()) {
            let asked = name("n0.test");
            let mut on_chain = HashSet::from([asked.clone()]);
            loop {
                let next: Vec<Name> = records
                    .iter()
                    .filter(|record| on_chain.contains(&record.owner))
                    .filter_map(|record| match &record.data {
                        Data::Alias(target) => Some(target.clone()),
                        Data::Address(_) => None,
                    })
                    .filter(|target| !on_chain.contains(target))
                    .collect();
                if next.is_empty() {
                    break;
                }
                on_chain.extend(next);
            }
            if let Ok(chain) = follow(&asked, RecordType::A, &records) {
                let sorted = chain.sort(false, false, 3600);
                for (address, _) in &sorted.bound {
                    let owners = records.iter().filter(|record| record.data == Data::Address(*address));
                    prop_assert!(owners.into_iter().any(|record| on_chain.contains(&record.owner)));
                }
                for record in &sorted.delivered {
                    prop_assert!(on_chain.contains(&record.owner));
                    prop_assert!(record.ttl <= 3600);
                }
                let addresses = sorted.delivered.iter().filter(|it| matches!(it.data, Data::Address(_)));
                prop_assert_eq!(addresses.count(), sorted.bound.len());
            }
        }
    }
}
