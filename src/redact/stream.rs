//! The state of one text on its way out: what is held back, what has gone, what is being swallowed.
//! What counts as a secret is the lanes' matter.
//!
//! Text goes through three stages. It is *held* from where something begins that may become a match.
//! It is *decided* once it has gone out or been dropped in favour of a marker. A match whose marker
//! has gone out may still grow: then what it grows over is dropped, so a long secret needs no long
//! buffer. Every decision depends on bytes and positions alone, at the byte where it falls, hence
//! not on how the text was cut into pieces.

use std::sync::Arc;

use zeroize::{Zeroize, Zeroizing};

use super::digits::LONGEST_GAP;
use super::forms::MAX_ESCAPE_HELD;
use super::lanes::{Lanes, Match, SETTLED_TEXT};
use super::matcher::{Count, Matcher, Tables};

/// The most bytes that a stream ever holds back.
pub const MAX_PENDING: usize = 320;
/// How much text is taken in at once.
const PIECE: usize = 4096;

/// The redaction of one stream of bytes, such as a process's standard output.
///
/// Put in bytes as they come and write out what comes back, in order:
///
/// ```
/// use fnguard::redact::{Matcher, Secret, Stream};
///
/// let matcher = Matcher::build([Secret::new("API_KEY", "q7mVx2LpR9dKw4Zt")])?;
/// let (mut stream, mut out) = (Stream::new(), Vec::new());
/// stream.push(&matcher, b"key=q7mVx2", &mut out);
/// assert_eq!(out, b"key=", "held: it may be the secret");
/// stream.push(&matcher, b"LpR9dKw4Zt.\n", &mut out);
/// assert_eq!(out, b"key=[redacted:API_KEY].\n");
/// # Ok::<(), fnguard::redact::BuildError>(())
/// ```
pub struct Stream {
    /// The tables that the lanes' states belong to.
    tables: Option<Arc<Tables>>,
    lanes: Lanes,
    /// The recent text: what is held, and before it some that is decided.
    text: Zeroizing<Vec<u8>>,
    /// Where that begins.
    text_start: u64,
    /// How much text has been read.
    now: u64,
    /// Up to here text has gone out or been dropped.
    decided: u64,
    /// Where the match ends, so far, whose marker went out last.
    open_end: u64,
    /// Matches whose markers have not gone out, in order and without overlap.
    regions: Vec<Region>,
    /// The matches of the byte at hand; empty between bytes.
    matches: Vec<Match>,
    counts: Vec<Count>,
}

/// Overlapping matches.
struct Region {
    start: u64,
    end: u64,
    /// Where the match ends that gives the name; it begins with the region.
    named_until: u64,
    name: Arc<str>,
    /// It may be no secret.
    tentative: bool,
}

impl Default for Stream {
    fn default() -> Self {
        Stream::new()
    }
}

impl Stream {
    /// A stream at its beginning.
    pub fn new() -> Self {
        Stream {
            tables: None,
            lanes: Lanes::new(),
            text: Zeroizing::new(Vec::new()),
            text_start: 0,
            now: 0,
            decided: 0,
            open_end: 0,
            regions: Vec::new(),
            matches: Vec::new(),
            counts: Vec::new(),
        }
    }

    /// Takes in bytes, and adds to `out` what may go out: all but what may be part of a secret.
    ///
    /// The matcher may be another one than before. What is held back is searched with the new one,
    /// and a secret of which a part has gone by is recognized, as far as 320 bytes back or as the
    /// former matcher knew.
    pub fn push(&mut self, matcher: &Matcher, input: &[u8], out: &mut Vec<u8>) {
        let tables = Arc::clone(matcher.tables());
        self.adopt(&tables);
        for piece in input.chunks(PIECE) {
            self.take_in(piece);
            for &byte in piece {
                self.lanes.read(&tables, byte, self.now, &mut self.matches);
                self.now += 1;
                if !self.matches.is_empty() {
                    self.add_matches(&tables);
                }
                if !self.regions.is_empty() {
                    self.emit_unblocked(&tables, out);
                }
            }
            self.release(self.free_until(&tables), out);
        }
    }

    /// Lets go of what is held back, since nothing more has come for a while. A part that could
    /// tell a secret, four bytes or more of a beginning, goes out as `[redacted:NAME?]`. What comes
    /// later is redacted as if nothing had been let go.
    pub fn idle(&mut self, matcher: &Matcher, out: &mut Vec<u8>) {
        let tables = Arc::clone(matcher.tables());
        self.adopt(&tables);
        self.let_go(&tables, out);
    }

    /// Ends the text: lets go of what is held back, as [`idle`](Stream::idle) does. Bytes that are
    /// put in afterwards begin a new text.
    pub fn finish(&mut self, matcher: &Matcher, out: &mut Vec<u8>) {
        let tables = Arc::clone(matcher.tables());
        self.adopt(&tables);
        self.lanes.end(&mut self.matches);
        self.add_matches(&tables);
        self.let_go(&tables, out);
        let work = self.lanes.work;
        self.lanes = Lanes::new();
        self.lanes.work = work;
        self.text.zeroize();
        (self.text_start, self.now, self.decided, self.open_end) = (0, 0, 0, 0);
    }

    /// How many bytes are held back: at most [`MAX_PENDING`].
    pub fn pending(&self) -> usize {
        usize::try_from(self.now - self.decided).unwrap_or(usize::MAX)
    }

    /// How often each secret was redacted, those only suspected included.
    pub fn counts(&self) -> &[Count] {
        &self.counts
    }

    /// How many steps the search has taken: a measure of its work that no clock disturbs.
    pub fn work(&self) -> u64 {
        self.lanes.work
    }

    /// Goes over to other tables.
    fn adopt(&mut self, tables: &Arc<Tables>) {
        let Some(old) = self.tables.replace(Arc::clone(tables)) else { return };
        if Arc::ptr_eq(&old, tables) {
            return;
        }
        let mut lanes = Lanes::new();
        for (&byte, at) in self.text.iter().zip(self.text_start..) {
            lanes.read(tables, byte, at, &mut self.matches);
        }
        lanes.take_over(tables, &self.lanes, &old);
        lanes.work = lanes.work.wrapping_add(self.lanes.work);
        self.lanes = lanes;
        self.add_matches(tables);
    }

    /// Appends to the recent text, of which it keeps what is held and what [`adopt`](Self::adopt) needs.
    fn take_in(&mut self, piece: &[u8]) {
        const CAPACITY: usize = PIECE + 2 * MAX_PENDING;
        if self.text.capacity() < CAPACITY {
            // Once, while it is empty: growing later would leave copies of the text behind.
            let missing = CAPACITY - self.text.len();
            self.text.reserve_exact(missing);
        }
        if self.text.len() + piece.len() > CAPACITY {
            let kept = self.pending().max(MAX_PENDING).min(self.text.len());
            let dropped = self.text.len() - kept;
            self.text.drain(..dropped);
            self.text_start += dropped as u64;
        }
        self.text.extend_from_slice(piece);
    }

    fn add_matches(&mut self, tables: &Tables) {
        let mut matches = std::mem::take(&mut self.matches);
        for found in matches.drain(..) {
            self.add(tables, found, false);
        }
        self.matches = matches;
    }

    /// Adds a match to the regions, or to what is being swallowed.
    fn add(&mut self, tables: &Tables, found: Match, tentative: bool) {
        if found.end <= self.decided {
            return;
        }
        if found.start < self.open_end && self.decided == self.open_end {
            self.swallow(found.end);
            return;
        }
        let start = found.start.max(self.decided);
        let at = self.regions.partition_point(|region| region.end <= start);
        let overlapping = self.regions.iter().skip(at).take_while(|region| region.start < found.end).count();
        let mut merged = Region {
            start,
            end: found.end,
            named_until: found.end,
            name: tables.name(found.name),
            tentative,
        };
        for region in self.regions.drain(at..at + overlapping) {
            merged.end = merged.end.max(region.end);
            // The leftmost gives the name; of those one that is certain; then the longest, then the first.
            let rank =
                |region: &Region| (region.start, region.tentative, std::cmp::Reverse(region.named_until));
            if rank(&region) <= rank(&merged) {
                merged.start = region.start;
                merged.named_until = region.named_until;
                merged.name = region.name;
                merged.tentative = region.tentative;
            }
        }
        self.regions.insert(at, merged);
    }

    /// Drops text up to `end`, and what overlaps with it.
    fn swallow(&mut self, mut end: u64) {
        let overlapping = self.regions.iter().take_while(|region| {
            let overlaps = region.start < end;
            if overlaps {
                end = end.max(region.end);
            }
            overlaps
        });
        let overlapping = overlapping.count();
        self.regions.drain(..overlapping);
        (self.decided, self.open_end) = (end, end);
    }

    /// Lets markers go out, up to the first that may yet begin earlier or be named otherwise.
    fn emit_unblocked(&mut self, tables: &Tables, out: &mut Vec<u8>) {
        let mut blocked_from = u64::MAX;
        self.lanes.live(tables, self.now, |live| {
            if !live.settled {
                blocked_from = blocked_from.min(live.start);
            }
        });
        while self.regions.first().is_some_and(|region| region.start < blocked_from) {
            let region = self.regions.remove(0);
            self.emit(region, out);
        }
    }

    fn emit(&mut self, region: Region, out: &mut Vec<u8>) {
        self.release(region.start, out);
        out.extend_from_slice(b"[redacted:");
        out.extend_from_slice(region.name.as_bytes());
        out.extend_from_slice(if region.tentative { b"?]" } else { b"]" });
        (self.decided, self.open_end) = (region.end, region.end);
        match self.counts.iter_mut().find(|count| count.name == region.name) {
            Some(count) => count.count += 1,
            None => self.counts.push(Count { name: region.name, count: 1 }),
        }
    }

    /// Up to where text may go out.
    fn free_until(&self, tables: &Tables) -> u64 {
        let mut until = self.regions.first().map_or(self.now, |region| region.start);
        self.lanes.live(tables, self.now, |live| until = until.min(live.held_from));
        until
    }

    /// Lets text go out as it is, up to `until`.
    fn release(&mut self, until: u64, out: &mut Vec<u8>) {
        let index = |at: u64| usize::try_from(at.saturating_sub(self.text_start)).unwrap_or(usize::MAX);
        out.extend_from_slice(self.text.get(index(self.decided)..index(until)).unwrap_or_default());
        self.decided = self.decided.max(until);
    }

    /// Lets everything go out, masked where it could tell a secret.
    fn let_go(&mut self, tables: &Tables, out: &mut Vec<u8>) {
        let mut masked = Vec::new();
        self.lanes.live(tables, self.now, |live| masked.extend(live.masked));
        for found in masked {
            self.add(tables, found, true);
        }
        for region in std::mem::take(&mut self.regions) {
            self.emit(region, out);
        }
        self.release(self.now, out);
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream")
            .field("read", &self.now)
            .field("pending", &self.pending())
            .finish_non_exhaustive()
    }
}

// A beginning is a match once its bytes take that much text; after them may stand an escape in the making, or
// a gap between two of them.
const _: () = assert!(SETTLED_TEXT + MAX_ESCAPE_HELD <= MAX_PENDING as u64);
const _: () = assert!(SETTLED_TEXT + LONGEST_GAP as u64 + 2 <= MAX_PENDING as u64);
