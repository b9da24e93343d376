//! The pumps: each reads one pipe of the function's, or the master of its terminal, into a buffer of
//! its own and hands it to the outlet, which redacts and writes. Never splice(2): the page could change
//! between the look and the write.
//!
//! A pump waits for nothing but its pipe and its wake-up. What it holds back, of a pipe, is the line
//! that has no end yet: programs write lines piece by piece, and a record that comes in between stands
//! before the line, not inside it. The outlet holds back the tail that could be the beginning of a
//! secret. Both are let go, the second masked, when nothing more comes.

use super::Outlet;
use super::outlet::{MAX_LINE, Until};
use crate::redact;
use crate::report::Stream;
use crate::sys::descriptor::{self, PollFd};
use crate::sys::{Errno, process};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use zeroize::{Zeroize, Zeroizing};

/// How much is read at once: a pipe's usual size, so that a packet of packet mode is never cut.
const CHUNK: usize = 64 * 1024;
/// How long a live prefix, or the beginning of a line, is held while nothing more comes.
const IDLE_MS: i32 = 20;

/// What a pump tells the arbiter, and asks it.
pub(crate) trait PumpEvents: Send + Sync {
    /// The matcher to redact with, now.
    fn matcher(&self) -> Arc<redact::Matcher>;
    /// Bytes of the function's have been read.
    fn wrote(&self, stream: Stream, bytes: usize);
    /// Secrets were replaced.
    fn redacted(&self, stream: Stream, counts: &[(String, u64)]);
}

/// What one pump is made of.
pub(crate) struct Start {
    pub(crate) stream: Stream,
    pub(crate) source: Source,
    pub(crate) reader: Arc<OwnedFd>,
    pub(crate) outlet: Arc<Outlet>,
}

/// What a pump reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The reading end of a pipe.
    Pipe,
    /// The master of a pseudo-terminal: EIO is its end, and what was written to it may be on its
    /// way still.
    Terminal,
}

impl Source {
    /// The most that a terminal holds, twice over: its queue of 4 KiB, and 8 KiB on their way.
    const TERMINAL: usize = 32 * 1024;

    /// How many bytes can be read now.
    fn waiting(self, reader: &OwnedFd) -> Result<usize, Errno> {
        if self == Source::Terminal {
            // poll(2) fetches what is on its way into the queue that FIONREAD counts (n_tty_poll).
            let _ = descriptor::poll(&mut [PollFd::new(reader.as_fd(), libc::POLLIN)], 0);
        }
        descriptor::readable_bytes(reader.as_fd())
    }
}

/// Both pumps, from outside.
pub(crate) struct Output {
    controls: Vec<Arc<Control>>,
}

struct Control {
    source: Source,
    wake: OwnedFd,
    /// Set when the function has ended: drain what is there and leave.
    ending: AtomicBool,
    /// How often the pump has written on.
    moved: AtomicU64,
    /// How many bytes the pump has read and not written.
    in_hand: AtomicU64,
    state: Mutex<ControlState>,
    changed: Condvar,
}

struct ControlState {
    /// The pipe, until the pump leaves.
    reader: Option<Arc<OwnedFd>>,
    /// Whether the pump may hold bytes that it has not written: set before the pipe is read,
    /// cleared when all that was read is out.
    busy: bool,
    /// Barriers asked for, and answered.
    asked: u64,
    answered: u64,
    /// Whether the pump has left.
    done: bool,
}

impl Output {
    /// Starts a thread for each pump.
    pub(crate) fn start(
        pumps: impl IntoIterator<Item = Start>,
        events: Arc<dyn PumpEvents>,
    ) -> Result<Self, Errno> {
        let mut controls = Vec::new();
        for Start { stream, source, reader, outlet } in pumps {
            let state = ControlState {
                reader: Some(Arc::clone(&reader)),
                busy: false,
                asked: 0,
                answered: 0,
                done: false,
            };
            let control = Arc::new(Control {
                source,
                wake: descriptor::event()?,
                ending: AtomicBool::new(false),
                moved: AtomicU64::new(0),
                in_hand: AtomicU64::new(0),
                state: Mutex::new(state),
                changed: Condvar::new(),
            });
            controls.push(Arc::clone(&control));
            outlet.join();
            let events = Arc::clone(&events);
            std::thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn(move || {
                    process::set_thread_name(c"fnguard-pump");
                    Pump {
                        name: stream,
                        reader,
                        outlet,
                        control: &control,
                        events: &*events,
                        // Never grown: that would leave copies of it behind.
                        line: Zeroizing::new(Vec::with_capacity(MAX_LINE + CHUNK)),
                        held: 0,
                    }
                    .run();
                    control.leave();
                })
                .map_err(|error| Errno(error.raw_os_error().unwrap_or(libc::EAGAIN)))?;
        }
        Ok(Output { controls })
    }

    /// Waits until every byte that stands in the pipes at this moment has been written, at most
    /// `limit`. Whether that was reached; an endless writer can't stretch it.
    pub(crate) fn barrier(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let tickets: Vec<(&Control, u64)> = self
            .controls
            .iter()
            .filter(|control| !control.is_clear())
            .map(|control| (&**control, control.ask()))
            .collect();
        tickets.iter().all(|(control, ticket)| control.wait(deadline, |state| state.answered >= *ticket))
    }

    /// How many bytes stand in the pipes or in the pumps' hands. Those in hand are counted as they
    /// were read, and what has been redacted already as it will be written.
    pub(crate) fn bytes_left(&self) -> u64 {
        let left = |control: &Arc<Control>| {
            let reader = control.lock().reader.clone();
            let waiting = reader.and_then(|reader| descriptor::readable_bytes(reader.as_fd()).ok());
            control.in_hand.load(Ordering::Relaxed).saturating_add(waiting.unwrap_or(0) as u64)
        };
        self.controls.iter().map(left).fold(0, u64::saturating_add)
    }

    /// Lets the pumps write what is left and leave. They have as long as they get on: only once
    /// nothing was written for `limit` are they left behind, as where the platform does not read.
    /// What is left is bounded by what the pipes hold at this moment, so an endless writer that the
    /// function left behind can't stretch it.
    pub(crate) fn end(&self, limit: Duration) -> bool {
        self.hang_up();
        // Both may wait for one outlet, so that one's progress is the other's.
        let moved = || {
            self.controls
                .iter()
                .fold(0u64, |sum, control| sum.wrapping_add(control.moved.load(Ordering::Relaxed)))
        };
        self.controls.iter().all(|control| {
            loop {
                let before = moved();
                if control.wait(Instant::now() + limit, |_| false) {
                    return true;
                }
                if moved() == before {
                    return false;
                }
            }
        })
    }

    /// Has the pumps write what is left and leave, without waiting: then the function's side breaks,
    /// or hangs up.
    pub(crate) fn hang_up(&self) {
        for control in &self.controls {
            control.ending.store(true, Ordering::Release);
            descriptor::notify_event(control.wake.as_fd());
        }
    }
}

impl Control {
    fn lock(&self) -> std::sync::MutexGuard<'_, ControlState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether every byte that was written to the pipe before is out already, so that there is
    /// nothing to wake the pump for. The pump reads only after it has set `busy`, which needs the
    /// lock that is held here: with an empty pipe and a pump that is not busy there is no third
    /// place where a byte could be.
    fn is_clear(&self) -> bool {
        let state = self.lock();
        let Some(reader) = state.reader.as_ref() else { return true };
        !state.busy && self.source.waiting(reader) == Ok(0)
    }

    fn set_busy(&self, busy: bool) {
        self.lock().busy = busy;
    }

    fn ask(&self) -> u64 {
        let ticket = {
            let mut state = self.lock();
            state.asked += 1;
            state.asked
        };
        descriptor::notify_event(self.wake.as_fd());
        ticket
    }

    fn answer(&self, ticket: u64) {
        self.lock().answered = ticket;
        self.changed.notify_all();
    }

    fn leave(&self) {
        let mut state = self.lock();
        state.done = true;
        // The last one that holds it: the function's side breaks.
        state.reader = None;
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for `reached`, or for the pump's end.
    fn wait(&self, deadline: Instant, reached: impl Fn(&ControlState) -> bool) -> bool {
        let mut state = self.lock();
        while !state.done && !reached(&state) {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return false };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

struct Pump<'a> {
    name: Stream,
    reader: Arc<OwnedFd>,
    outlet: Arc<Outlet>,
    control: &'a Control,
    events: &'a dyn PumpEvents,
    /// The beginning of a line, as it was read.
    line: Zeroizing<Vec<u8>>,
    /// How many bytes the outlet held back for this pump when it wrote last.
    held: usize,
}

/// Whether a pump goes on.
#[derive(PartialEq)]
enum Next {
    Go,
    Leave,
}

impl Pump<'_> {
    fn run(mut self) {
        let mut buffer = Zeroizing::new(Vec::with_capacity(CHUNK));
        loop {
            let holding = self.held > 0 || !self.line.is_empty();
            self.control.set_busy(holding);
            let mut entries = [
                PollFd::new(self.reader.as_fd(), libc::POLLIN),
                PollFd::new(self.control.wake.as_fd(), libc::POLLIN),
            ];
            let timeout = if holding { IDLE_MS } else { -1 };
            let polled = descriptor::poll(&mut entries, timeout);
            self.control.set_busy(true);
            match polled {
                Ok(0) => {
                    if self.let_go(Until::Quiet) == Next::Leave {
                        return;
                    }
                    continue;
                }
                Ok(_) => {}
                // poll(2) fails here for want of memory only; the next round tries again.
                Err(_) => continue,
            }
            if entries[1].happened() != 0 {
                descriptor::clear_event(self.control.wake.as_fd());
                let ticket = self.control.lock().asked;
                // Before the pipe is drained: an end that comes after it rings again, and what was
                // written up to then is read in that round.
                let ending = self.control.ending.load(Ordering::Acquire);
                // Whoever wrote last to the outlet: it may be the other pump, which was asked before
                // this one or not at all, after bytes that this one had handed over.
                if self.drain(&mut buffer) == Next::Leave || self.let_go(Until::Now) == Next::Leave {
                    return;
                }
                self.control.answer(ticket);
                if ending {
                    let _ = self.let_go(Until::End);
                    return;
                }
            } else if entries[0].happened() != 0 && self.read_once(CHUNK, &mut buffer) == Next::Leave {
                return;
            }
        }
    }

    /// Reads and writes what the pipe holds now, and no more.
    fn drain(&mut self, buffer: &mut Vec<u8>) -> Next {
        let source = self.control.source;
        let waiting = |pump: &Self| source.waiting(&pump.reader).unwrap_or(0);
        let (mut left, mut read) = (waiting(self), 0usize);
        while left > 0 {
            match self.read_up_to(left.min(CHUNK), buffer) {
                Some(count) if count > 0 => {
                    left = left.saturating_sub(count);
                    read = read.saturating_add(count);
                }
                _ => return Next::Leave,
            }
            // Room in a terminal's queue is filled by what was on its way at the beginning.
            if left == 0 && source == Source::Terminal && read < Source::TERMINAL {
                left = waiting(self);
            }
        }
        Next::Go
    }

    fn read_once(&mut self, limit: usize, buffer: &mut Vec<u8>) -> Next {
        match self.read_up_to(limit, buffer) {
            Some(0) => {
                let _ = self.let_go(Until::End);
                Next::Leave
            }
            Some(_) => Next::Go,
            None => Next::Leave,
        }
    }

    /// Reads once and hands on; how many bytes were read, `None` where writing failed.
    fn read_up_to(&mut self, limit: usize, buffer: &mut Vec<u8>) -> Option<usize> {
        let count = descriptor::read_into(self.reader.as_fd(), buffer, limit).unwrap_or(0);
        if count > 0 {
            self.events.wrote(self.name, count);
            if self.take_in(buffer) == Next::Leave {
                return None;
            }
        }
        Some(count)
    }

    /// Hands on what is ready: whole lines, or all of what a terminal was written.
    fn take_in(&mut self, read: &[u8]) -> Next {
        let whole = read.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at.saturating_add(1));
        let too_long = self.line.len().saturating_add(read.len()).saturating_sub(whole) > MAX_LINE;
        let (ready, until) = if self.control.source == Source::Terminal || too_long {
            (read.len(), Until::Secret)
        } else {
            (whole, Until::Line)
        };
        let (now, later) = read.split_at_checked(ready).unwrap_or((read, &[]));
        if now.is_empty() {
            self.line.extend_from_slice(later);
            self.control.in_hand.store(self.in_hand(), Ordering::Relaxed);
            return Next::Go;
        }
        let next = if self.line.is_empty() {
            self.hand_on(now, later.len(), until)
        } else {
            let mut line = std::mem::take(&mut *self.line);
            line.extend_from_slice(now);
            let next = self.hand_on(&line, later.len(), until);
            *self.line = emptied(line);
            next
        };
        self.line.extend_from_slice(later);
        next
    }

    /// Hands on the beginning of a line, and has the outlet let go of what it holds back.
    fn let_go(&mut self, until: Until) -> Next {
        let line = std::mem::take(&mut *self.line);
        let next = self.hand_on(&line, 0, until);
        *self.line = emptied(line);
        next
    }

    /// Has the outlet write, while `later` bytes more are in hand. Where the platform's reader has gone
    /// the pump leaves and its pipe breaks, so that the function is told as if it had written there
    /// itself.
    fn hand_on(&mut self, bytes: &[u8], later: usize, until: Until) -> Next {
        let count = |held: usize, more: usize| held.saturating_add(more).saturating_add(later) as u64;
        self.control.in_hand.store(count(self.held, bytes.len()), Ordering::Relaxed);
        let written = self.outlet.write_function(self.name, bytes, until, self.events);
        self.control.moved.fetch_add(1, Ordering::Relaxed);
        let Ok(held) = written else { return Next::Leave };
        self.held = held;
        self.control.in_hand.store(count(held, 0), Ordering::Relaxed);
        Next::Go
    }

    fn in_hand(&self) -> u64 {
        self.held.saturating_add(self.line.len()) as u64
    }
}

/// A buffer without its bytes, overwritten: they may have been a secret's.
fn emptied(mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.as_mut_slice().zeroize();
    buffer.clear();
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{network, terminal};
    use std::io::{Read, Seek};

    struct Matching(Arc<redact::Matcher>);

    impl PumpEvents for Matching {
        fn matcher(&self) -> Arc<redact::Matcher> {
            Arc::clone(&self.0)
        }
        fn wrote(&self, _stream: Stream, _bytes: usize) {}
        fn redacted(&self, _stream: Stream, _counts: &[(String, u64)]) {}
    }

    fn pump(source: Source, reader: OwnedFd, outlet: OwnedFd) -> Output {
        pump_to(source, reader, Arc::new(Outlet::new(outlet)))
    }

    const SECRET: &str = "sk_live_4eC39HqLyjWDarjtT1";

    fn matching() -> Arc<Matching> {
        let secret = redact::Secret::new("KEY", SECRET);
        Arc::new(Matching(Arc::new(redact::Matcher::build([secret]).unwrap())))
    }

    fn pump_to(source: Source, reader: OwnedFd, outlet: Arc<Outlet>) -> Output {
        let start = Start { stream: Stream::Stdout, source, reader: Arc::new(reader), outlet };
        Output::start([start], matching()).unwrap()
    }

    /// Both streams into one file.
    fn pumps_to_one(file: &std::fs::File, events: Arc<dyn PumpEvents>) -> (Output, [OwnedFd; 2]) {
        let outlet = Arc::new(Outlet::new(file.try_clone().unwrap().into()));
        let mut writers = Vec::new();
        let pumps = [Stream::Stdout, Stream::Stderr].map(|stream| {
            let (reader, writer) = descriptor::pipe().unwrap();
            writers.push(writer);
            let (source, outlet) = (Source::Pipe, Arc::clone(&outlet));
            Start { stream, source, reader: Arc::new(reader), outlet }
        });
        (Output::start(pumps, events).unwrap(), writers.try_into().unwrap())
    }

    fn content(file: &mut std::fs::File) -> String {
        let mut all = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut all).unwrap();
        all
    }

    /// Pieces of which none tells anything, by turns on two streams that are one file; each is out
    /// before the next is written.
    #[test]
    fn a_secret_in_pieces_on_two_streams_is_replaced() {
        for size in [1, 2, 3, 5, 11, 13, 20] {
            for closes in [false, true] {
                let mut file = tempfile(&format!("pieces-{size}-{closes}"));
                let (output, writers) = pumps_to_one(&file, matching());
                let mut writers = writers.map(Some);
                for (at, piece) in SECRET.as_bytes().chunks(size).enumerate() {
                    let number = if closes { usize::from(at > 0) } else { at % 2 };
                    descriptor::write_all(writers[number].as_ref().unwrap().as_fd(), piece).unwrap();
                    assert!(output.barrier(Duration::from_secs(20)));
                    if closes && at == 0 {
                        writers[0] = None;
                        // The pump has left when its control says so.
                        assert!(output.controls[0].wait(Instant::now() + Duration::from_secs(20), |_| false));
                    }
                }
                assert!(output.end(Duration::from_secs(20)));
                let all = content(&mut file);
                assert!(!all.contains(SECRET) && all.contains("[redacted:KEY"), "{size} {closes}: {all}");
            }
        }
    }

    /// What each stream wrote stays in its order, in whole lines, and who wrote a secret is told.
    #[test]
    fn two_streams_in_one_file_keep_their_order() {
        #[derive(Default)]
        struct Counted([AtomicU64; 2]);
        struct Telling(Arc<Matching>, Arc<Counted>);
        impl PumpEvents for Telling {
            fn matcher(&self) -> Arc<redact::Matcher> {
                self.0.matcher()
            }
            fn wrote(&self, _stream: Stream, _bytes: usize) {}
            fn redacted(&self, stream: Stream, counts: &[(String, u64)]) {
                let sum = counts.iter().map(|(_, count)| count).sum();
                self.1.0[usize::from(stream == Stream::Stderr)].fetch_add(sum, Ordering::Relaxed);
            }
        }
        const LINES: usize = 2000;
        let mut file = tempfile("order");
        let counted = Arc::new(Counted::default());
        let (output, writers) = pumps_to_one(&file, Arc::new(Telling(matching(), Arc::clone(&counted))));
        std::thread::scope(|scope| {
            for (number, writer) in writers.iter().enumerate() {
                scope.spawn(move || {
                    for at in 0..LINES {
                        // In two pieces; every tenth line of the second stream has the secret, cut.
                        let (first, second) = if number == 1 && at % 10 == 0 {
                            SECRET.split_at(at % SECRET.len())
                        } else {
                            ("some", "thing")
                        };
                        descriptor::write_all(writer.as_fd(), format!("{number} {at} {first}").as_bytes())
                            .unwrap();
                        descriptor::write_all(writer.as_fd(), format!("{second}.\n").as_bytes()).unwrap();
                    }
                });
            }
        });
        assert!(output.barrier(Duration::from_secs(20)));
        let all = content(&mut file);
        for number in 0..2 {
            let start = format!("{number} ");
            let mine: Vec<&str> = all.lines().filter(|line| line.starts_with(&start)).collect();
            assert_eq!(mine.len(), LINES);
            for (at, line) in mine.iter().enumerate() {
                let what = if number == 1 && at % 10 == 0 { "[redacted:KEY]" } else { "something" };
                assert_eq!(*line, format!("{number} {at} {what}."));
            }
        }
        assert_eq!(counted.0.each_ref().map(|sum| sum.load(Ordering::Relaxed)), [0, LINES as u64 / 10]);
        drop(output);
    }

    /// Nobody waits longer for a beginning of a secret than it is held, whoever wrote it.
    #[test]
    fn the_last_writer_lets_go_of_what_is_held() {
        let mut file = tempfile("held");
        let (output, writers) = pumps_to_one(&file, matching());
        descriptor::write_all(writers[0].as_fd(), b"line sk\n").unwrap();
        descriptor::write_all(writers[1].as_fd(), b"line sk_\n").unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while content(&mut file).lines().count() < 2 && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!(content(&mut file).lines().count(), 2);
        drop(output);
    }

    /// Rounds that race the pump: it may be asleep, reading, writing, or hold back the beginning
    /// of a secret. Whatever it is at, a barrier that says yes has let every byte out.
    #[test]
    fn a_barrier_leaves_nothing_behind() {
        let (reader, writer) = descriptor::pipe().unwrap();
        nothing_is_left_behind(Source::Pipe, reader, writer, 20_000);
    }

    /// The same of a terminal, where what was written may not have arrived at the other end yet.
    #[test]
    fn a_barrier_leaves_nothing_behind_in_a_terminal() {
        let terminal::Pair { master, slave } = terminal::pair().unwrap();
        let raw = terminal::settings(slave.as_fd()).unwrap().raw();
        terminal::set_settings(slave.as_fd(), &raw).unwrap();
        nothing_is_left_behind(Source::Terminal, master, slave, 5_000);
    }

    fn nothing_is_left_behind(source: Source, reader: OwnedFd, writer: OwnedFd, rounds: u64) {
        let mut file = tempfile(if source == Source::Pipe { "pipe" } else { "terminal" });
        let output = pump(source, reader, file.try_clone().unwrap().into());
        let mut expected = 0u64;
        for round in 0..rounds {
            let line = match round % 5 {
                0 => "a line\n".to_owned(),
                1 => "x".repeat(usize::try_from(round % 3000).unwrap()),
                2 => "ends like a key: sk_live_4eC3".to_owned(),
                _ => String::new(),
            };
            descriptor::write_all(writer.as_fd(), line.as_bytes()).unwrap();
            assert!(output.barrier(Duration::from_secs(20)));
            expected += line.len() as u64;
            // What is held back goes out masked, so lengths may differ there; it is no less.
            if round % 5 != 2 {
                assert!(file.metadata().unwrap().len() >= expected, "round {round}");
            }
            expected = file.metadata().unwrap().len();
        }
        drop(writer);
        assert!(output.end(Duration::from_secs(20)));
        file.rewind().unwrap();
        let mut all = String::new();
        file.read_to_string(&mut all).unwrap();
        assert!(all.starts_with("a line\n"));
        assert!(!all.contains("sk_live_4eC3"));
    }

    /// A line whose end is held back, since it could be the beginning of a secret, is whole in the log
    /// all the same, whatever is recorded at that moment.
    #[test]
    fn a_record_stands_in_no_line() {
        let (reader, writer) = descriptor::pipe().unwrap();
        let mut file = tempfile("record");
        let outlet = Arc::new(Outlet::new(file.try_clone().unwrap().into()));
        let output = pump_to(Source::Pipe, reader, Arc::clone(&outlet));
        const ROUNDS: usize = 500;
        for _ in 0..ROUNDS {
            descriptor::write_all(writer.as_fd(), b"a line with plurals\n").unwrap();
            outlet.write_record("{}").unwrap();
        }
        drop(writer);
        assert!(output.end(Duration::from_secs(20)));
        file.rewind().unwrap();
        let mut all = String::new();
        file.read_to_string(&mut all).unwrap();
        let count = |wanted: &str| all.lines().filter(|line| *line == wanted).count();
        assert_eq!((count("a line with plurals"), count("{}")), (ROUNDS, ROUNDS));
        assert_eq!(all.lines().count(), 2 * ROUNDS);
    }

    /// What the pump has read and can't write is left as much as what it has not read.
    #[test]
    fn bytes_that_cannot_be_written_are_left() {
        let (reader, writer) = descriptor::pipe().unwrap();
        let (_log, theirs) = descriptor::pipe().unwrap();
        descriptor::set_pipe_size(theirs.as_fd(), 4096).unwrap();
        let output = pump(Source::Pipe, reader, theirs);
        let lines = [b"eight b\n".as_slice(); 4096].concat();
        descriptor::write_all(writer.as_fd(), &lines).unwrap();
        assert!(!output.barrier(Duration::from_millis(100)));
        let left = output.bytes_left();
        assert!(left >= (lines.len() - 4096) as u64 && left <= lines.len() as u64, "{left}");
    }

    #[test]
    fn a_pump_that_has_left_breaks_the_pipe_and_holds_no_barrier() {
        let (ours, theirs) = network::packet_pair().unwrap();
        // An outlet whose reader is gone: the pump leaves at its first write.
        drop(ours);
        let (reader, writer) = descriptor::pipe().unwrap();
        let output = pump(Source::Pipe, reader, theirs);
        descriptor::write_all(writer.as_fd(), b"a line\n").unwrap();
        assert!(output.end(Duration::from_secs(20)));
        assert!(output.barrier(Duration::ZERO));
        assert_eq!(descriptor::write_all(writer.as_fd(), b"x"), Err(Errno(libc::EPIPE)));
    }

    /// A platform that takes longer to read it all than the pumps may stand still.
    #[test]
    fn an_end_leaves_nothing_behind_where_the_log_is_slow() {
        const LIMIT: Duration = Duration::from_millis(500);
        let (reader, writer) = descriptor::pipe().unwrap();
        descriptor::set_pipe_size(writer.as_fd(), 1 << 20).unwrap();
        let (log, theirs) = descriptor::pipe().unwrap();
        let slow = std::thread::spawn(move || {
            let (mut all, mut some) = (0, Vec::with_capacity(32 * 1024));
            while descriptor::read_into(log.as_fd(), &mut some, 32 * 1024).is_ok_and(|count| count > 0) {
                all += some.len();
                std::thread::park_timeout(LIMIT / 10);
            }
            all
        });
        let line = [b'x'; 4096];
        for _ in 0..200 {
            descriptor::write_all(writer.as_fd(), &line).unwrap();
        }
        let output = pump(Source::Pipe, reader, theirs);
        // The writing end stays open, as in a process that the function left behind.
        assert!(output.end(LIMIT));
        drop(output);
        assert_eq!(slow.join().unwrap(), 200 * line.len());
        drop(writer);
    }

    #[test]
    fn an_end_does_not_wait_for_a_log_that_nobody_reads() {
        let (reader, writer) = descriptor::pipe().unwrap();
        let (_log, theirs) = descriptor::pipe().unwrap();
        descriptor::set_pipe_size(writer.as_fd(), 1 << 20).unwrap();
        descriptor::write_all(writer.as_fd(), &[b'x'; 200_000]).unwrap();
        let output = pump(Source::Pipe, reader, theirs);
        assert!(!output.end(Duration::from_millis(100)));
    }

    fn tempfile(name: &str) -> std::fs::File {
        let path = std::env::temp_dir().join(format!("fnguard-pump-{name}-{}", std::process::id()));
        let file = std::fs::File::options().read(true).append(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file
    }
}
