//! The readings of a text in which bytes stand for themselves and escapes stand among them. Forms in
//! which every byte becomes digits are [`lanes`](super::lanes)'s matter.

use super::automaton::{Automaton, NodeId, ROOT, SETTLED_DEPTH};
use super::forms::{self, Escape, MAX_ESCAPE_HELD, Read};
use super::lanes::{FOLLOWED, Live, Match, SETTLED_TEXT, covered, live};

/// How many readings of the escapes are followed at once; of more, the shortest are given up.
const MAX_READINGS: usize = 24;
/// How many escapes are open inside each other at most.
const MAX_OPEN: usize = 3;
/// How many places of decoded bytes a reading remembers: at least [`SETTLED_DEPTH`].
const PLACES: usize = 128;
const _: () = assert!(PLACES >= SETTLED_DEPTH);

/// Bytes as they are, and escapes among them. Whether a backslash or a percent sign stands for
/// itself can't be told from where it stands, so both readings are followed.
///
/// Escapes nest: a string in JSON in JSON, JSON in a URL, HTML of either. A reading has a stack of open
/// ones; what completes one is read by the one below, or as text, in which it may open another.
#[derive(Clone)]
pub(super) struct EscapeLane {
    /// At least one, and one of them without an open escape.
    pub(super) readings: Vec<Reading>,
    /// The readings after the byte at hand; empty between bytes.
    pub(super) next: Vec<Reading>,
}

#[derive(Clone)]
pub(super) struct Reading {
    pub(super) node: NodeId,
    /// The open escapes, the innermost last.
    open: [Option<Escape>; MAX_OPEN],
    /// How many bytes were decoded.
    count: u64,
    /// Where the last of them ends in the text.
    pub(super) end: u64,
    /// Where the last of them begin in the text, by their number modulo [`PLACES`].
    places: [u64; PLACES],
}

/// What reading a byte needs and adds to.
struct Reader<'a> {
    strong: &'a Automaton,
    next: &'a mut Vec<Reading>,
    matches: &'a mut Vec<Match>,
    work: &'a mut u64,
    /// The end of the text so far.
    end: u64,
}

impl EscapeLane {
    pub(super) fn new() -> Self {
        EscapeLane { readings: vec![Reading::new()], next: Vec::new() }
    }

    pub(super) fn read(
        &mut self,
        strong: &Automaton,
        byte: u8,
        at: u64,
        matches: &mut Vec<Match>,
        work: &mut u64,
    ) {
        let forks = forms::FORKING.contains(&byte);
        // Ordinary text: one reading, and a byte that stands for itself.
        if let ([only], false) = (self.readings.as_mut_slice(), forks)
            && only.open == [None; MAX_OPEN]
        {
            only.decode(strong, &[byte], (at, at + 1), matches, work);
            return;
        }
        let mut current = std::mem::take(&mut self.readings);
        let mut reader = Reader { strong, next: &mut self.next, matches, work, end: at + 1 };
        for reading in current.drain(..) {
            reader.feed(reading, byte, at);
        }
        self.readings = std::mem::replace(&mut self.next, current);
    }
}

impl Reader<'_> {
    /// Takes a byte, which stands from `start` on, into a reading, in every way in which it may be meant.
    fn feed(&mut self, mut reading: Reading, byte: u8, start: u64) {
        if let Some(escape) = reading.opens(self.strong, byte, start) {
            self.go_on(reading.clone(), escape);
        }
        let Some(escape) = reading.pop() else {
            if let Some(meant) = self.stands_for(&reading, byte) {
                let mut other = reading.clone();
                self.decode(&mut other, &[meant], start);
                self.admit(other);
            }
            self.decode(&mut reading, &[byte], start);
            return self.admit(reading);
        };
        match escape.read(byte) {
            Read::More(more) => self.go_on(reading, more),
            Read::Done([byte, ..], 1) => self.feed(reading, byte, escape.start),
            Read::Done(bytes, len) => {
                // A character outside ASCII completes no escape.
                if reading.open == [None; MAX_OPEN] {
                    self.decode(&mut reading, bytes.get(..len).unwrap_or_default(), escape.start);
                    self.admit(reading);
                }
            }
            Read::Either(done, more) => {
                self.go_on(reading.clone(), more);
                self.feed(reading, done, escape.start);
            }
            Read::Nothing => self.admit(reading),
            Read::Before => self.feed(reading, byte, start),
            Read::Not => {}
        }
    }

    /// Follows a reading in which an escape begins or goes on, unless that takes more text than a program
    /// would write for one byte: digits may be escaped themselves, and gaps follow each other.
    fn go_on(&mut self, mut reading: Reading, escape: Escape) {
        let outermost = reading.open.first().copied().flatten().unwrap_or(escape);
        let from = if reading.node == ROOT { outermost.start } else { reading.end };
        if self.end.saturating_sub(from) <= MAX_ESCAPE_HELD {
            reading.push(escape);
            self.admit(reading);
        }
    }

    fn decode(&mut self, reading: &mut Reading, bytes: &[u8], start: u64) {
        reading.decode(self.strong, bytes, (start, self.end), self.matches, self.work);
    }

    /// What else a byte may stand for, where that goes on.
    fn stands_for(&self, reading: &Reading, byte: u8) -> Option<u8> {
        let meant = match byte {
            // A space in a form (application/x-www-form-urlencoded).
            b'+' => b' ',
            // A line end in a shell's trace.
            b' ' if self.strong.node(reading.node).depth >= FOLLOWED => b'\n',
            _ => return None,
        };
        (self.strong.step(reading.node, meant, &mut 0) != ROOT).then_some(meant)
    }

    fn admit(&mut self, reading: Reading) {
        admit(self.next, reading, self.strong);
    }
}

/// Adds a reading to those that are followed. Equal ones become one, which remembers the earliest
/// place of each byte, and the earliest end; one that has decoded nothing of a secret tells no more than any other.
pub(super) fn admit(readings: &mut Vec<Reading>, reading: Reading, strong: &Automaton) {
    let open = reading.open;
    let same_escape = |other: &&mut Reading| is_open_like(&other.open, &open);
    let depth = strong.node(reading.node).depth;
    if let Some(equal) = readings.iter_mut().filter(same_escape).find(|other| other.node == reading.node) {
        for back in 1..=u64::from(depth).min(PLACES as u64) {
            let earliest = equal.place(back).min(reading.place(back));
            equal.set_place(back, earliest);
        }
        equal.end = equal.end.min(reading.end);
        return;
    }
    if let Some(other) = readings.iter_mut().find(same_escape) {
        if reading.node == ROOT {
            return;
        }
        if other.node == ROOT {
            *other = reading;
            return;
        }
    }
    if readings.len() < MAX_READINGS {
        readings.push(reading);
        return;
    }
    // One without an open escape stays in any case: it reads the text as it is.
    let kept = readings.iter().position(|other| other.open == [None; MAX_OPEN]);
    let shortest = (0..readings.len())
        .filter(|&index| Some(index) != kept)
        .min_by_key(|&index| readings.get(index).map_or(0, |other| strong.node(other.node).depth));
    if let Some(slot) = shortest.and_then(|index| readings.get_mut(index))
        && strong.node(slot.node).depth < depth
    {
        *slot = reading;
    }
}

/// Whether two stacks of escapes are at the same point, wherever each began.
fn is_open_like(one: &[Option<Escape>], other: &[Option<Escape>]) -> bool {
    one.iter().zip(other).all(|pair| match pair {
        (None, None) => true,
        (Some(one), Some(other)) => one.is_like(other),
        _ => false,
    })
}

impl Reading {
    pub(super) fn new() -> Self {
        Reading { node: ROOT, open: [None; MAX_OPEN], count: 0, end: 0, places: [0; PLACES] }
    }

    fn push(&mut self, escape: Escape) {
        if let Some(slot) = self.open.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(escape);
        }
    }

    fn pop(&mut self) -> Option<Escape> {
        self.open.iter_mut().rev().find(|slot| slot.is_some())?.take()
    }

    /// The escape that a byte opens, if it can matter here.
    fn opens(&self, strong: &Automaton, byte: u8, start: u64) -> Option<Escape> {
        let escape = Escape::open(byte, start)?;
        if self.open.last().is_some_and(Option::is_some) {
            return None;
        }
        // What means nothing, or one sign, matters inside a value only, or where it goes on.
        let depth = strong.node(self.node).depth;
        let matters = match byte {
            _ if escape.is_general() => true,
            b'\n' => self.open == [None; MAX_OPEN] && depth >= FOLLOWED,
            _ if escape.is_gap() => self.open == [None; MAX_OPEN] && depth > 0,
            b'=' | b'^' => depth > 0,
            _ => strong.step(self.node, byte, &mut 0) != ROOT,
        };
        matters.then_some(escape)
    }

    /// Goes on with the bytes that the text from `start` to `end` stands for: one, or those of a
    /// character. A match ends with the text, never inside.
    #[inline]
    pub(super) fn decode(
        &mut self,
        strong: &Automaton,
        bytes: &[u8],
        (start, end): (u64, u64),
        matches: &mut Vec<Match>,
        work: &mut u64,
    ) {
        for &byte in bytes {
            self.node = strong.step(self.node, byte, work);
            self.count += 1;
            self.end = end;
            self.set_place(1, start);
        }
        if self.node == ROOT {
            return;
        }
        let node = strong.node(self.node);
        matches.extend(covered(strong, self.node, |depth| self.place(depth), end));
        let start = self.place(u64::from(node.depth));
        if end - start >= SETTLED_TEXT {
            matches.push(Match { start, end, name: node.guess });
        }
    }

    /// Where the byte decoded `back` bytes ago begins, 1 being the newest; the oldest known for those before.
    pub(super) fn place(&self, back: u64) -> u64 {
        let back = back.min(self.count).min(PLACES as u64);
        let slot = (self.count - back) % PLACES as u64;
        self.places.get(slot as usize).copied().unwrap_or_default()
    }

    fn set_place(&mut self, back: u64, place: u64) {
        let slot = self.count.saturating_sub(back) % PLACES as u64;
        if let Some(known) = self.places.get_mut(slot as usize) {
            *known = place;
        }
    }

    pub(super) fn live(&self, strong: &Automaton, now: u64) -> Option<Live> {
        let partial = self.open.iter().flatten().map(|escape| escape.start).min().unwrap_or(now);
        let found = live(strong, self.node, (0, 0), |depth| self.place(depth), (self.end, partial), now)?;
        // What may mean nothing tells nothing.
        let gap = self.open.iter().flatten().all(|escape| escape.is_gap());
        let masked = found
            .masked
            .map(|mask| Match { end: if gap { mask.end.min(self.end) } else { mask.end }, ..mask });
        Some(Live { masked, ..found })
    }
}
