//! The lanes: each reads the text in one way of writing bytes and walks the automaton with what it
//! decodes. They report stretches of text that match and beginnings that may become matches. What
//! is then done about them is [`stream`](super::stream)'s matter.
//!
//! Positions are offsets in the stream. A decoded byte has a place in the text, from which a match's
//! place follows: by arithmetic in hex and base64, where each byte takes as much text as the next;
//! from a list of recent places where escapes mix with bytes that stand for themselves.

use super::automaton::{Automaton, NodeId, ROOT};
use super::digits::{Decoder, Hex, Number, Spread, Step};
use super::forms;
use super::matcher::Tables;
use super::readings::{EscapeLane, Reading, admit};

/// A beginning that takes this much text counts as a match, however few bytes it decodes to.
pub(super) const SETTLED_TEXT: u64 = 240;
/// From how many bytes on a line end may stand inside a value, or a dump's line go on.
pub(super) const FOLLOWED: u32 = 4;
/// How many lines of a dump are followed at once.
const MAX_DUMPS: usize = 4;

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
    digits: DigitLane,
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
            digits: DigitLane::new(),
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
        self.digits.read(&tables.strong, byte, at, matches, work);
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
        self.digits.live(&tables.strong, now, &mut each);
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
        for (mine, old) in self.digits.threads.iter_mut().zip(&old.digits.threads) {
            let node = translate(old.walk.node);
            if tables.strong.node(node).depth > tables.strong.node(mine.walk.node).depth {
                *mine = old.clone();
                mine.walk.node = node;
            }
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
pub(super) fn covered(strong: &Automaton, id: NodeId, start: impl Fn(u64) -> u64, end: u64) -> Option<Match> {
    if id == ROOT {
        return None;
    }
    let node = strong.node(id);
    (node.covered > 0).then(|| Match { start: start(u64::from(node.covered)), end, name: node.name })
}

/// What is live, when the automaton stands at `id` and the next byte's `mask` bits are `bits`.
/// `start` gives the place of an ending by its depth, `partial` that of the byte in the making;
/// `end` is where the last whole byte ends, which is what decides whether a match was reported.
pub(super) fn live(
    automaton: &Automaton,
    id: NodeId,
    (mask, bits): (u8, u8),
    start: impl Fn(u64) -> u64,
    (end, partial): (u64, u64),
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
    let settled = node.settled || end.saturating_sub(begins) >= SETTLED_TEXT;
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
            live(strong, node, known, |depth| partial.saturating_sub(2 * depth), (partial, partial), now)
                .map(&mut each);
        }
    }
}

/// Forms in which every byte is written as digits with something between, or spread out: hex in dumps and
/// lists, numbers, bytes with something after each.
#[derive(Clone)]
struct DigitLane {
    threads: Vec<Thread>,
}

#[derive(Clone)]
struct Thread {
    decoder: Decoder,
    walk: Reading,
    /// It follows a dump's lines on an assumption, and ends with it.
    assumed: bool,
}

impl DigitLane {
    fn new() -> Self {
        let decoders = [
            Decoder::Hex(Hex::default()),
            Decoder::Number(Number::new(10)),
            Decoder::Spread(Spread::new(2, 0)),
            Decoder::Spread(Spread::new(2, 1)),
        ];
        let thread = |decoder| Thread { decoder, walk: Reading::new(), assumed: false };
        DigitLane { threads: decoders.map(thread).into() }
    }

    fn read(&mut self, strong: &Automaton, byte: u8, at: u64, matches: &mut Vec<Match>, work: &mut u64) {
        if matches!(byte, b'\n' | b' ' | b'|') {
            self.assume(strong, byte);
        }
        self.threads.retain_mut(|thread| {
            let step = thread.decoder.read(byte, at);
            if let Step::Byte(byte, start) | Step::Last(byte, start) = step {
                // What ends a number is no part of it.
                let end = if matches!(thread.decoder, Decoder::Number(_)) { at } else { at + 1 };
                thread.walk.decode(strong, &[byte], (start, end), matches, work);
            }
            let ends = matches!(step, Step::End | Step::Last(..) | Step::Anew(..));
            if ends {
                thread.walk.node = ROOT;
            }
            if let Step::Anew(byte, start) = step {
                thread.walk.decode(strong, &[byte], (start, start + 1), matches, work);
            }
            !(ends && thread.assumed)
        });
    }

    /// Where a dump's column of text or its next line may begin, follows both cases.
    fn assume(&mut self, strong: &Automaton, byte: u8) {
        for at in 0..self.threads.len() {
            let Some(thread) = self.threads.get(at) else { return };
            let Decoder::Hex(hex) = &thread.decoder else { continue };
            if strong.node(thread.walk.node).depth < FOLLOWED {
                continue;
            }
            let Some(other) = hex.in_column(byte) else { continue };
            let other = Thread { decoder: Decoder::Hex(other), walk: thread.walk.clone(), assumed: true };
            let assumed = self.threads.iter().filter(|thread| thread.assumed).count();
            if assumed >= MAX_DUMPS {
                let Some(oldest) = self.threads.iter().position(|thread| thread.assumed) else { return };
                self.threads.remove(oldest);
                self.threads.push(other);
                return;
            }
            self.threads.push(other);
        }
    }

    fn live(&self, strong: &Automaton, now: u64, mut each: impl FnMut(Live)) {
        for Thread { decoder, walk, .. } in &self.threads {
            let partial = decoder.partial(now);
            let found = live(
                strong,
                walk.node,
                decoder.known_bits(),
                |depth| walk.place(depth),
                (walk.end, partial),
                now,
            );
            // What stands after a byte is no part of the form, unless another follows.
            let held_from = |live: &Live| if live.settled { partial.min(walk.end) } else { live.held_from };
            let masked = |live: &Live| {
                live.masked.map(|mask| Match { end: if partial < now { mask.end } else { walk.end }, ..mask })
            };
            found
                .map(|live| Live { held_from: held_from(&live), masked: masked(&live), ..live })
                .map(&mut each);
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
            live(strong, node, known, |depth| place(phase, now, depth), (partial, partial), now)
                .map(&mut each);
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
