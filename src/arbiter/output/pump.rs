//! The pumps: each reads one pipe of the function's, or the master of its terminal, into a buffer of
//! its own, redacts, and writes on. Never splice(2): the page could change between the look and the write.
//!
//! A pump waits for nothing but its pipe and its wake-up. What it holds back is the tail that
//! could be the beginning of a secret, and of a pipe the line that has no end yet: programs write
//! lines piece by piece, and a record that comes in between stands before the line, not inside it.
//! Both are let go, the first masked, when nothing more comes.

use super::Outlet;
use crate::redact;
use crate::report::Stream;
use crate::sys::descriptor::{self, PollFd};
use crate::sys::{Errno, process};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How much is read at once: a pipe's usual size, so that a packet of packet mode is never cut.
const CHUNK: usize = 64 * 1024;
/// How long a live prefix, or the beginning of a line, is held while nothing more comes.
const IDLE_MS: i32 = 20;
/// The longest beginning of a line that is held.
const MAX_LINE: usize = CHUNK;

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
                        stream: redact::Stream::new(),
                        line: Vec::new(),
                        told: Vec::new(),
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
    /// will be written, with markers in the place of secrets.
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
    stream: redact::Stream,
    /// The beginning of a line, redacted.
    line: Vec<u8>,
    /// How many redactions of each secret have been told of.
    told: Vec<(String, u64)>,
}

/// Whether a pump goes on.
#[derive(PartialEq)]
enum Next {
    Go,
    Leave,
}

impl Pump<'_> {
    fn run(mut self) {
        let mut buffer = Vec::with_capacity(CHUNK);
        let mut out = Vec::with_capacity(CHUNK);
        loop {
            let holding = self.stream.pending() > 0 || !self.line.is_empty();
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
                    if self.idle(&mut out) == Next::Leave {
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
                if self.drain(&mut buffer, &mut out) == Next::Leave || self.idle(&mut out) == Next::Leave {
                    return;
                }
                self.control.answer(ticket);
                if ending {
                    self.finish(&mut out);
                    return;
                }
            } else if entries[0].happened() != 0
                && self.read_once(CHUNK, &mut buffer, &mut out) == Next::Leave
            {
                return;
            }
        }
    }

    /// Reads and writes what the pipe holds now, and no more.
    fn drain(&mut self, buffer: &mut Vec<u8>, out: &mut Vec<u8>) -> Next {
        let source = self.control.source;
        let waiting = |pump: &Self| source.waiting(&pump.reader).unwrap_or(0);
        let (mut left, mut read) = (waiting(self), 0usize);
        while left > 0 {
            match self.read_up_to(left.min(CHUNK), buffer, out) {
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

    fn read_once(&mut self, limit: usize, buffer: &mut Vec<u8>, out: &mut Vec<u8>) -> Next {
        match self.read_up_to(limit, buffer, out) {
            Some(0) => {
                self.finish(out);
                Next::Leave
            }
            Some(_) => Next::Go,
            None => Next::Leave,
        }
    }

    /// Reads once, redacts, writes; how many bytes were read, `None` where writing failed.
    fn read_up_to(&mut self, limit: usize, buffer: &mut Vec<u8>, out: &mut Vec<u8>) -> Option<usize> {
        let count = descriptor::read_into(self.reader.as_fd(), buffer, limit).unwrap_or(0);
        if count > 0 {
            self.events.wrote(self.name, count);
            let matcher = self.events.matcher();
            out.clear();
            self.stream.push(&matcher, buffer, out);
            if !self.emit(out, self.control.source == Source::Terminal) {
                return None;
            }
        }
        Some(count)
    }

    fn idle(&mut self, out: &mut Vec<u8>) -> Next {
        let matcher = self.events.matcher();
        out.clear();
        self.stream.idle(&matcher, out);
        if self.emit(out, true) { Next::Go } else { Next::Leave }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let matcher = self.events.matcher();
        out.clear();
        self.stream.finish(&matcher, out);
        let _ = self.emit(out, true);
    }

    /// How often each secret was redacted since the last call.
    fn new_counts(&mut self) -> Vec<(String, u64)> {
        let mut new = Vec::new();
        for count in self.stream.counts() {
            let told = self.told.iter_mut().find(|(name, _)| **name == *count.name);
            let before = told.as_ref().map_or(0, |(_, before)| *before);
            if count.count > before {
                new.push((count.name.to_string(), count.count - before));
                match told {
                    Some((_, before)) => *before = count.count,
                    None => self.told.push((count.name.to_string(), count.count)),
                }
            }
        }
        new
    }

    /// Writes what is ready: whole lines, or `all`. Where the platform's reader has gone the pump
    /// leaves and its pipe breaks, so that the function is told as if it had written there itself.
    fn emit(&mut self, ready: &[u8], all: bool) -> bool {
        let counts = self.new_counts();
        if !counts.is_empty() {
            self.events.redacted(self.name, &counts);
        }
        let held = self.stream.pending().saturating_add(self.line.len());
        self.control.in_hand.store(held.saturating_add(ready.len()) as u64, Ordering::Relaxed);
        let written = self.write(ready, all);
        let held = self.stream.pending().saturating_add(self.line.len());
        if written {
            self.control.in_hand.store(held as u64, Ordering::Relaxed);
        }
        self.control.moved.fetch_add(1, Ordering::Relaxed);
        written
    }

    fn write(&mut self, ready: &[u8], all: bool) -> bool {
        let whole_lines = ready.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let too_long = self.line.len() + ready.len() - whole_lines > MAX_LINE;
        let (now, later) = ready.split_at(if all || too_long { ready.len() } else { whole_lines });
        if now.is_empty() && !all {
            self.line.extend_from_slice(later);
            return true;
        }
        let written = if self.line.is_empty() {
            self.outlet.write_function(now).is_ok()
        } else {
            self.line.extend_from_slice(now);
            self.outlet.write_function(&self.line).is_ok()
        };
        self.line.clear();
        self.line.extend_from_slice(later);
        written
    }
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

    fn pump_to(source: Source, reader: OwnedFd, outlet: Arc<Outlet>) -> Output {
        let secret = redact::Secret::new("KEY", "sk_live_4eC39HqLyjWDarjtT1");
        let matcher = Arc::new(redact::Matcher::build([secret]).unwrap());
        let start = Start { stream: Stream::Stdout, source, reader: Arc::new(reader), outlet };
        Output::start([start], Arc::new(Matching(matcher))).unwrap()
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
