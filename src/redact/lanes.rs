//! The lanes: each reads the text in one way of writing bytes and walks the automaton with what it
//! decodes. They report stretches of text that match and beginnings that may become matches. What
//! is then done about them is [`stream`](super::stream)'s matter.
//!
//! Positions are offsets in the stream. A decoded byte has a place in the text, from which a match's
//! place follows: by arithmetic in hex and base64, where each byte takes as much text as the next;
//! from a list of recent places where escapes mix with bytes that stand for themselves.

use super::automaton::{Automaton, NodeId, ROOT, SETTLED_DEPTH};
use super::forms::{self, Escape, Read};
use super::matcher::Tables;

/// A beginning that takes this much text counts as a match, however few bytes it decodes to.
const SETTLED_TEXT: u64 = 240;
/// How many readings of the escapes are followed at once; of more, the shortest are given up.
const MAX_READINGS: usize = 16;
/// How many places of decoded bytes a reading remembers: at least [`SETTLED_DEPTH`].
const PLACES: usize = 128;
const _: () = assert!(PLACES >= SETTLED_DEPTH);

/// A stretch of text that matches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Match {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Index of the secret's name.
    pub(super) name: u16,
}

/// A beginning at the end of the text so far that more text could make, or keep, a match.
#[derive(Clone, Copy)]
pub(super) struct Live {
    /// Where it begins.
    pub(super) start: u64,
    /// It is a match already, and its name is decided.
    pub(super) settled: bool,
    /// From here on, text can't go out.
    pub(super) held_from: u64,
    /// The part that must not be shown as it is, with the name to give it.
    pub(super) masked: Option<Match>,
}

/// All lanes of one stream.
#[derive(Clone)]
pub(super) struct Lanes {
    tokens: TokenLane,
    escapes: EscapeLane,
    hex: HexLane,
    base64: Base64Lane,
    /// Steps taken in the automata.
    pub(super) work: u64,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Lanes {
            tokens: TokenLane::default(),
            escapes: EscapeLane::new(),
            hex: HexLane::default(),
            base64: Base64Lane::default(),
            work: 0,
        }
    }

    /// Reads the byte at `at`, and adds the matches that end with it.
    pub(super) fn read(&mut self, tables: &Tables, byte: u8, at: u64, matches: &mut Vec<Match>) {
        let work = &mut self.work;
        if !tables.tokens.is_empty() {
            self.tokens.read(&tables.tokens, byte, at, matches, work);
        }
        if tables.strong.is_empty() {
            return;
        }
        self.escapes.read(&tables.strong, byte, at, matches, work);
        self.hex.read(&tables.strong, byte, at, matches, work);
        self.base64.read(&tables.strong, byte, at, matches, work);
    }

    /// The text ends: adds the matches that needed to know.
    pub(super) fn end(&mut self, matches: &mut Vec<Match>) {
        matches.append(&mut self.tokens.ending);
    }

    /// Calls back with every live beginning, `now` being the end of the text so far.
    pub(super) fn live(&self, tables: &Tables, now: u64, mut each: impl FnMut(Live)) {
        self.tokens.live(&tables.tokens, now).into_iter().for_each(&mut each);
        for reading in &self.escapes.readings {
            reading.live(&tables.strong, now).into_iter().for_each(&mut each);
        }
        self.hex.live(&tables.strong, now, &mut each);
        self.base64.live(&tables.strong, now, &mut each);
    }

    /// Takes over from lanes that walked other tables. `self` has read the recent text with the new
    /// ones; `old` knows of beginnings that are longer than that.
    pub(super) fn take_over(&mut self, tables: &Tables, old: &Lanes, old_tables: &Tables) {
        let work = &mut self.work;
        let mut translate = |id: NodeId| {
            let bytes = old_tables.strong.bytes(id);
            bytes.iter().fold(ROOT, |node, &byte| tables.strong.step(node, byte, work))
        };
        let longer = |mine: &mut NodeId, theirs: NodeId| {
            if tables.strong.node(theirs).depth > tables.strong.node(*mine).depth {
                *mine = theirs;
            }
        };
        for (node, &old) in self.hex.nodes.iter_mut().zip(&old.hex.nodes) {
            longer(node, translate(old));
        }
        for (node, &old) in self.base64.nodes.iter_mut().zip(&old.base64.nodes) {
            longer(node, translate(old));
        }
        for old in &old.escapes.readings {
            let mut reading = old.clone();
            reading.node = translate(old.node);
            self.escapes.next.push(reading);
        }
        let mut translated = std::mem::take(&mut self.escapes.next);
        for reading in translated.drain(..) {
            admit(&mut self.escapes.readings, reading, &tables.strong);
        }
        self.escapes.next = translated;
    }
}

/// The match that the bytes read so far end with, if they do, with its place.
#[inline]
fn covered(strong: &Automaton, id: NodeId, start: impl Fn(u64) -> u64, end: u64) -> Option<Match> {
    if id == ROOT {
        return None;
    }
    let node = strong.node(id);
    (node.covered > 0).then(|| Match { start: start(u64::from(node.covered)), end, name: node.name })
}

/// What is live, when the automaton stands at `id` and the next byte's `mask` bits are `bits`.
/// `start` gives the place of an ending by its depth, `partial` that of the byte in the making.
fn live(
    automaton: &Automaton,
    id: NodeId,
    (mask, bits): (u8, u8),
    start: impl Fn(u64) -> u64,
    partial: u64,
    now: u64,
) -> Option<Live> {
    if automaton.is_empty() {
        return None;
    }
    let id = automaton.extensible(id, mask, bits)?;
    let node = automaton.node(id);
    let begins = if node.depth == 0 { partial } else { start(u64::from(node.depth)) };
    if begins >= now {
        return None;
    }
    let settled = node.settled || now - begins >= SETTLED_TEXT;
    let masked = if settled { None } else { automaton.ending(id, |node| node.identifying) }.map(|id| {
        let node = automaton.node(id);
        // What is a match already needs no mask; of the byte after it nothing is known worth one.
        let end = if u64::from(node.covered) == u64::from(node.depth) { partial } else { now };
        Match { start: start(u64::from(node.depth)), end, name: node.guess }
    });
    Some(Live { start: begins, settled, held_from: if settled { partial } else { begins }, masked })
}

/// Short values: as they are, as whole tokens.
#[derive(Clone, Default)]
struct TokenLane {
    node: NodeId,
    /// The last eight bytes, the newest lowest.
    recent: u64,
    /// How many bytes were read, up to eight.
    read: u32,
    /// Values that end here, if no token goes on: their places and names.
    ending: Vec<Match>,
}

impl TokenLane {
    fn read(&mut self, tokens: &Automaton, byte: u8, at: u64, matches: &mut Vec<Match>, work: &mut u64) {
        if !(self.byte_back(1).is_some_and(forms::is_word) && forms::is_word(byte)) {
            matches.append(&mut self.ending);
        }
        self.ending.clear();
        self.recent = self.recent << 8 | u64::from(byte);
        self.read = (self.read + 1).min(8);
        self.node = tokens.step(self.node, byte, work);
        let mut id = self.node;
        while let Some(whole) = tokens.ending(id, |node| node.whole && self.begins_token(node.depth)) {
            let node = tokens.node(whole);
            let start = (at + 1).saturating_sub(u64::from(node.depth));
            self.ending.push(Match { start, end: at + 1, name: node.name });
            id = tokens.shorter(whole);
        }
    }

    /// The byte read `back` bytes ago, 1 being the newest.
    fn byte_back(&self, back: u32) -> Option<u8> {
        (back <= self.read && back > 0).then(|| (self.recent >> (8 * (back - 1)) & 0xff) as u8)
    }

    /// Whether no token goes on into the last `depth` bytes from before.
    fn begins_token(&self, depth: u32) -> bool {
        let first = self.byte_back(depth).is_some_and(forms::is_word);
        let before = self.byte_back(depth + 1).is_some_and(forms::is_word);
        !(first && before)
    }

    fn live(&self, tokens: &Automaton, now: u64) -> Option<Live> {
        let growing = tokens.ending(self.node, |node| node.goes_on() && self.begins_token(node.depth));
        let growing = growing.map(|id| {
            let node = tokens.node(id);
            let start = now.saturating_sub(u64::from(node.depth));
            (start, node.identifying.then_some(Match { start, end: now, name: node.guess }))
        });
        let ending = self.ending.first().map(|&ending| (ending.start, Some(ending)));
        let (start, masked) = match (growing, ending) {
            (Some(growing), Some(ending)) if ending.0 < growing.0 => ending,
            (Some((start, masked)), ending) => (start, masked.or(ending.and_then(|(_, masked)| masked))),
            (None, Some(ending)) => ending,
            (None, None) => return None,
        };
        Some(Live { start, settled: false, held_from: start, masked })
    }
}

/// Bytes as they are, and escapes among them. Whether a backslash or a percent sign stands for
/// itself can't be told from where it stands, so both readings are followed.
#[derive(Clone)]
struct EscapeLane {
    /// At least one, and one of them without an open escape.
    readings: Vec<Reading>,
    /// The readings after the byte at hand; empty between bytes.
    next: Vec<Reading>,
}

#[derive(Clone)]
struct Reading {
    node: NodeId,
    escape: Option<Escape>,
    /// How many bytes were decoded.
    count: u64,
    /// Where the last of them begin in the text, by their number modulo [`PLACES`].
    places: [u64; PLACES],
}

impl EscapeLane {
    fn new() -> Self {
        let first = Reading { node: ROOT, escape: None, count: 0, places: [0; PLACES] };
        EscapeLane { readings: vec![first], next: Vec::new() }
    }

    fn read(&mut self, strong: &Automaton, byte: u8, at: u64, matches: &mut Vec<Match>, work: &mut u64) {
        let opens = matches!(byte, b'\\' | b'%' | b'+');
        // Ordinary text: one reading, and a byte that stands for itself.
        if let ([only], false) = (self.readings.as_mut_slice(), opens)
            && only.escape.is_none()
        {
            only.decode(strong, &[byte], (at, at + 1), matches, work);
            return;
        }
        let mut current = std::mem::take(&mut self.readings);
        for mut reading in current.drain(..) {
            match reading.escape {
                Some(escape) => match escape.read(byte) {
                    Read::More(more) => {
                        reading.escape = Some(more);
                        admit(&mut self.next, reading, strong);
                    }
                    Read::Done(bytes, len) => {
                        reading.escape = None;
                        let start = at.saturating_sub(escape.len());
                        let bytes = bytes.get(..len).unwrap_or_default();
                        reading.decode(strong, bytes, (start, at + 1), matches, work);
                        admit(&mut self.next, reading, strong);
                    }
                    Read::Not => {}
                },
                None => {
                    if byte == b'+' {
                        // A space in a form (application/x-www-form-urlencoded).
                        let mut space = reading.clone();
                        space.decode(strong, b" ", (at, at + 1), matches, work);
                        admit(&mut self.next, space, strong);
                    }
                    if let Some(escape) = Escape::open(byte) {
                        let mut escaped = reading.clone();
                        escaped.escape = Some(escape);
                        admit(&mut self.next, escaped, strong);
                    }
                    reading.decode(strong, &[byte], (at, at + 1), matches, work);
                    admit(&mut self.next, reading, strong);
                }
            }
        }
        self.readings = std::mem::replace(&mut self.next, current);
    }
}

/// Adds a reading to those that are followed. Equal ones become one, which remembers the earliest
/// place of each byte; one that has decoded nothing of a secret tells no more than any other.
fn admit(readings: &mut Vec<Reading>, reading: Reading, strong: &Automaton) {
    let same_escape = |other: &&mut Reading| other.escape == reading.escape;
    let depth = strong.node(reading.node).depth;
    if let Some(equal) = readings.iter_mut().filter(same_escape).find(|other| other.node == reading.node) {
        for back in 1..=u64::from(depth).min(PLACES as u64) {
            let earliest = equal.place(back).min(reading.place(back));
            equal.set_place(back, earliest);
        }
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
    let kept = readings.iter().position(|other| other.escape.is_none());
    let shortest = (0..readings.len())
        .filter(|&index| Some(index) != kept)
        .min_by_key(|&index| readings.get(index).map_or(0, |other| strong.node(other.node).depth));
    if let Some(slot) = shortest.and_then(|index| readings.get_mut(index))
        && strong.node(slot.node).depth < depth
    {
        *slot = reading;
    }
}

impl Reading {
    /// Goes on with the bytes that the text from `start` to `end` stands for: one, or those of a
    /// character. A match ends with the text, never inside.
    #[inline]
    fn decode(
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
    fn place(&self, back: u64) -> u64 {
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

    fn live(&self, strong: &Automaton, now: u64) -> Option<Live> {
        let partial = now - self.escape.map_or(0, Escape::len).min(now);
        let known = self.escape.map_or((0, 0), Escape::known_bits);
        live(strong, self.node, known, |depth| self.place(depth), partial, now)
    }
}

/// Hex digits. Which of them pair up can't be told, so pairs are read from even and odd positions.
#[derive(Clone, Default)]
struct HexLane {
    /// By the position of a pair's first digit, modulo two.
    nodes: [NodeId; 2],
    /// The last digits, the newest lowest.
    digits: u8,
    /// How many digits stand in a row, up to two.
    run: u8,
}

impl HexLane {
    fn read(&mut self, strong: &Automaton, byte: u8, at: u64, matches: &mut Vec<Match>, work: &mut u64) {
        let Some(digit) = forms::hex_digit(byte) else {
            if self.run > 0 {
                *self = HexLane::default();
            }
            return;
        };
        self.digits = self.digits << 4 | digit;
        if self.run == 0 {
            self.run = 1;
            return;
        }
        self.run = 2;
        if let Some(node) = self.nodes.get_mut((at.wrapping_sub(1) % 2) as usize) {
            *node = strong.step(*node, self.digits, work);
            let start = |depth| (at + 1).saturating_sub(2 * depth);
            matches.extend(covered(strong, *node, start, at + 1));
        }
    }

    fn live(&self, strong: &Automaton, now: u64, mut each: impl FnMut(Live)) {
        if self.run == 0 {
            return;
        }
        for (&node, phase) in self.nodes.iter().zip(0..) {
            let half = now % 2 != phase;
            let partial = now - u64::from(half);
            let known = if half { (0xf0, self.digits << 4) } else { (0, 0) };
            live(strong, node, known, |depth| partial.saturating_sub(2 * depth), partial, now).map(&mut each);
        }
    }
}

/// Base64 digits. Where groups of four begin can't be told, so they are read from all positions.
#[derive(Clone, Default)]
struct Base64Lane {
    /// By the position of a group's first digit, modulo four.
    nodes: [NodeId; 4],
    /// The last digits, the newest lowest.
    digits: u16,
    /// How many digits stand in a row, up to two.
    run: u8,
    /// How much padding follows them.
    padding: u8,
    /// The matches that end here, and how much padding each may have.
    padded: Vec<(Match, u8)>,
}

impl Base64Lane {
    fn read(&mut self, strong: &Automaton, byte: u8, at: u64, matches: &mut Vec<Match>, work: &mut u64) {
        let Some(digit) = forms::base64_digit(byte) else {
            return self.read_other(byte, at, matches);
        };
        if self.padding > 0 {
            self.reset();
        }
        self.padded.clear();
        self.digits = self.digits << 6 | u16::from(digit);
        if self.run == 0 {
            self.run = 1;
            return;
        }
        self.run = 2;
        // Two digits hold a whole byte, be they the first two of a group, the middle or the last.
        for second in 1..=3 {
            let phase = at.wrapping_sub(second) % 4;
            let Some(node) = self.nodes.get_mut(phase as usize) else { continue };
            let byte = (self.digits >> (6 - 2 * second)) as u8;
            *node = strong.step(*node, byte, work);
            if let Some(found) = covered(strong, *node, |depth| place(phase, at + 1, depth), at + 1) {
                matches.push(found);
                self.padded.push((found, 3 - second as u8));
            }
        }
    }

    /// Padding after a match belongs to it; anything else ends the run.
    fn read_other(&mut self, byte: u8, at: u64, matches: &mut Vec<Match>) {
        if self.run == 0 {
            return;
        }
        let padding = self.padding + 1;
        self.padded.retain(|&(_, room)| room >= padding);
        if byte != b'=' || self.padded.is_empty() {
            return self.reset();
        }
        self.padding = padding;
        for (found, _) in &mut self.padded {
            found.end = at + 1;
            matches.push(*found);
        }
    }

    fn reset(&mut self) {
        self.nodes = [ROOT; 4];
        (self.digits, self.run, self.padding) = (0, 0, 0);
        self.padded.clear();
    }

    fn live(&self, strong: &Automaton, now: u64, mut each: impl FnMut(Live)) {
        if self.run == 0 || self.padding > 0 {
            return;
        }
        for (&node, phase) in self.nodes.iter().zip(0..) {
            // The last digit holds the first six, four or two bits of the byte to come, or none.
            let digits = (now + 4 - phase) % 4;
            let known_bits = if digits == 0 { 0 } else { 8 - 2 * digits };
            let mask = if digits == 0 { 0 } else { 0xff_u8 << (8 - known_bits) };
            let known = (mask, (u32::from(self.digits) << (8 - known_bits)) as u8 & mask);
            let partial = if digits == 1 { now - 1 } else { now };
            live(strong, node, known, |depth| place(phase, now, depth), partial, now).map(&mut each);
        }
    }
}

/// Where the last `depth` bytes begin that are decoded before `now` from groups of one phase: at the
/// first digit all of whose bits are theirs.
fn place(phase: u64, now: u64, depth: u64) -> u64 {
    // Counted from four before the first group, lest it be negative.
    let decoded = 3 * (now + 4 - phase) / 4;
    ((4 * decoded.saturating_sub(depth)).div_ceil(3) + phase).saturating_sub(4)
}
