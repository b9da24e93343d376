//! Which names led to which addresses, and until when. Not how they were asked (`upstream`),
//! nor which addresses a name may lead to (`reach`).
//!
//! A binding is *live* for the answer's TTL, held between [`TTL_FLOOR`] and [`TTL_CEILING`],
//! and then in *grace* for [`GRACE`]: connection pools keep an address long after its TTL, and
//! TTLs of CDNs and S3 are as short as 5 seconds. Live and in grace are the same for a
//! decision. The longest that an address outlives its last answer is therefore two hours,
//! which bounds how long an address that a cloud has given to somebody else stays reachable.

use super::clock::Clock;
use super::reach::normal;
use fnguard_policy::model::Name;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A shorter TTL counts as this: getaddrinfo may wait for the other family's answer, and a
/// client tries several addresses one after the other.
pub const TTL_FLOOR: Duration = Duration::from_secs(30);

/// A longer TTL counts as this, here and in what the function is told.
pub const TTL_CEILING: Duration = Duration::from_secs(3600);

/// For how long an address may still be connected after its TTL.
pub const GRACE: Duration = Duration::from_secs(3600);

/// How many pairs of an address and a name are kept, expired ones among them. One takes
/// less than half a kilobyte.
pub const MAX_BINDINGS: usize = 10_000;

/// How many are dropped at once when the table is full, so that the search for them is paid
/// by many insertions.
const EVICTED_AT_ONCE: usize = MAX_BINDINGS / 16;

/// What the proxy knows of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Answers with these names are live or in grace.
    Live(Vec<Name>),
    /// Answers with these names led there, and their grace is over.
    Expired(Vec<Name>),
    /// No answer led there, or so long ago that it has been forgotten.
    NeverAsked,
}

pub(super) struct Bindings {
    clock: Arc<dyn Clock>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    by_address: HashMap<IpAddr, Vec<Bound>>,
    bindings: usize,
}

struct Bound {
    /// A [`Name`]'s text: a tenth of its size, and shared by the addresses of one answer.
    name: Arc<str>,
    /// Whether a rule names it exactly.
    exact: bool,
    expires: Duration,
}

/// What is dropped first when the table is full; the order of the variants is the order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Expired,
    /// Under a wildcard or no rule at all, where the function can make up as many as it likes.
    Inexact,
    Grace,
    Live,
}

impl Bound {
    fn over(&self) -> Duration {
        self.expires.saturating_add(GRACE)
    }

    fn worth(&self, now: Duration) -> Worth {
        match (now >= self.over(), self.exact, now >= self.expires) {
            (true, _, _) => Worth::Expired,
            (false, false, _) => Worth::Inexact,
            (false, true, true) => Worth::Grace,
            (false, true, false) => Worth::Live,
        }
    }
}

impl Bindings {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Bindings { clock, table: Mutex::default() }
    }

    /// Binds the addresses to the name, each for its TTL in seconds. A binding that is there
    /// already keeps the later of the two ends: both answers were received.
    pub(super) fn bind(&self, name: &Name, exact: bool, addresses: &[(IpAddr, u32)]) {
        if addresses.is_empty() {
            return;
        }
        let text: Arc<str> = name.to_string().into();
        let now = self.clock.now();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        for (address, ttl) in addresses {
            let lifetime = Duration::from_secs(u64::from(*ttl)).clamp(TTL_FLOOR, TTL_CEILING);
            let expires = now.saturating_add(lifetime);
            table.insert(normal(*address), Bound { name: text.clone(), exact, expires }, now);
        }
    }

    /// What is known of an address.
    pub(super) fn of(&self, address: IpAddr) -> Binding {
        let now = self.clock.now();
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bounds) = table.by_address.get(&normal(address)) else { return Binding::NeverAsked };
        let names = |expired: bool| -> Vec<Name> {
            bounds
                .iter()
                .filter(|bound| (now >= bound.over()) == expired)
                .filter_map(|bound| Name::parse(&bound.name).ok())
                .collect()
        };
        let live = names(false);
        if live.is_empty() { Binding::Expired(names(true)) } else { Binding::Live(live) }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(table.bindings, table.by_address.values().map(Vec::len).sum::<usize>());
        assert!(table.by_address.values().all(|bounds| !bounds.is_empty()));
        table.bindings
    }
}

impl Table {
    fn insert(&mut self, address: IpAddr, new: Bound, now: Duration) {
        if let Some(bounds) = self.by_address.get_mut(&address)
            && let Some(bound) = bounds.iter_mut().find(|bound| bound.name == new.name)
        {
            bound.expires = bound.expires.max(new.expires);
            bound.exact |= new.exact;
            return;
        }
        if self.bindings >= MAX_BINDINGS {
            self.evict(now);
        }
        self.by_address.entry(address).or_default().push(new);
        self.bindings = self.bindings.saturating_add(1);
    }

    /// Drops the [`EVICTED_AT_ONCE`] of least worth, those that end soonest first.
    fn evict(&mut self, now: Duration) {
        let key = |bound: &Bound| (bound.worth(now), bound.expires);
        let mut keys: Vec<_> = self.by_address.values().flatten().map(key).collect();
        let last = EVICTED_AT_ONCE.min(keys.len()).saturating_sub(1);
        if keys.is_empty() {
            return;
        }
        let (below, threshold, _) = keys.select_nth_unstable(last);
        let threshold = *threshold;
        // Many may be equal to the threshold; only so many of them go that the sum is right.
        let mut equal =
            last.saturating_add(1).saturating_sub(below.iter().filter(|k| **k < threshold).count());
        let mut kept = 0usize;
        self.by_address.retain(|_, bounds| {
            bounds.retain(|bound| match key(bound).cmp(&threshold) {
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Equal if equal > 0 => {
                    equal = equal.saturating_sub(1);
                    false
                }
                _ => true,
            });
            kept = kept.saturating_add(bounds.len());
            !bounds.is_empty()
        });
        self.bindings = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::SeqCst))
        }
    }

    fn table() -> (Arc<Hand>, Bindings) {
        let hand = Arc::new(Hand::default());
        (hand.clone(), Bindings::new(hand))
    }

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number))
    }

    #[test]
    fn a_binding_lives_for_its_ttl_within_floor_and_ceiling_and_then_for_the_grace() {
        let floor = TTL_FLOOR.as_secs();
        let ceiling = TTL_CEILING.as_secs();
        let grace = GRACE.as_secs();
        let table_of_ttls =
            [(0, floor), (1, floor), (30, 30), (31, 31), (600, 600), (86_400, ceiling), (u32::MAX, ceiling)];
        for (ttl, lifetime) in table_of_ttls {
            let (hand, bindings) = table();
            hand.0.store(1000, Ordering::SeqCst);
            bindings.bind(&name("api.test"), true, &[(address(1), ttl)]);
            assert_eq!(bindings.of(address(2)), Binding::NeverAsked);
            let live = Binding::Live(vec![name("api.test")]);
            for (offset, expected) in [
                (0, &live),
                (lifetime, &live),
                (lifetime + grace - 1, &live),
                (lifetime + grace, &Binding::Expired(vec![name("api.test")])),
            ] {
                hand.0.store(1000 + offset, Ordering::SeqCst);
                assert_eq!(&bindings.of(address(1)), expected, "ttl {ttl}, after {offset} s");
            }
        }
    }

    #[test]
    fn the_later_end_counts() {
        let (hand, bindings) = table();
        bindings.bind(&name("api.test"), true, &[(address(1), 3000)]);
        bindings.bind(&name("api.test"), true, &[(address(1), 0)]);
        hand.0.store(3000 + GRACE.as_secs() - 1, Ordering::SeqCst);
        assert_eq!(bindings.of(address(1)), Binding::Live(vec![name("api.test")]));
        assert_eq!(bindings.len(), 1);
    }

    #[test]
    fn an_address_keeps_the_names_that_lead_to_it_apart() {
        let (hand, bindings) = table();
        bindings.bind(&name("a.test"), true, &[(address(1), 30)]);
        bindings.bind(&name("b.test"), true, &[(address(1), 3600)]);
        assert_eq!(bindings.of(address(1)), Binding::Live(vec![name("a.test"), name("b.test")]));
        let mapped = IpAddr::V6(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
        assert_eq!(bindings.of(mapped), bindings.of(address(1)));
        hand.0.store(30 + GRACE.as_secs(), Ordering::SeqCst);
        assert_eq!(bindings.of(address(1)), Binding::Live(vec![name("b.test")]));
    }

    #[test]
    fn a_flood_stays_in_bounds_and_never_pushes_out_what_a_rule_names() {
        let (hand, bindings) = table();
        bindings.bind(&name("api.test"), true, &[(address(0), 60)]);
        for number in 1..100_000 {
            bindings.bind(&name(&format!("n{number}.flood.test")), false, &[(address(number), 60)]);
            if number % 10_000 == 0 {
                assert!(bindings.len() <= MAX_BINDINGS);
            }
        }
        assert_eq!(bindings.of(address(0)), Binding::Live(vec![name("api.test")]));
        assert!(bindings.len() <= MAX_BINDINGS);
        assert!(bindings.len() >= MAX_BINDINGS - EVICTED_AT_ONCE);

        // Everything so far is expired; a live inexact one outlives it.
        hand.0.store(60 + GRACE.as_secs(), Ordering::SeqCst);
        bindings.bind(&name("fresh.flood.test"), false, &[(address(1_000_000), 60)]);
        for number in 200_000..205_000 {
            bindings.bind(&name("api.test"), true, &[(address(number), 60)]);
        }
        assert_eq!(bindings.of(address(1_000_000)), Binding::Live(vec![name("fresh.flood.test")]));
        for number in 200_000..205_000 {
            assert_eq!(bindings.of(address(number)), Binding::Live(vec![name("api.test")]));
        }
    }

    #[test]
    fn eviction_drops_as_many_as_it_says_when_all_are_equal() {
        let (_, bindings) = table();
        for number in 0..=u32::try_from(MAX_BINDINGS).unwrap() {
            bindings.bind(&name("api.test"), true, &[(address(number), 60)]);
        }
        assert_eq!(bindings.len(), MAX_BINDINGS - EVICTED_AT_ONCE + 1);
    }
}
