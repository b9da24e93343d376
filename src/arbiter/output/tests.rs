//! The pumps as a whole: nothing is lost, nothing is shown that is a secret, and who waits is told the truth.

use super::*;
use crate::redact;
use crate::report::Stream;
use crate::sys::{network, terminal};
use std::io::{Read, Seek};
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;

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
    // Twenty-five turns of a twentieth: more than the limit together, and each far from it on a busy machine too.
    const LIMIT: Duration = Duration::from_secs(2);
    let (reader, writer) = descriptor::pipe().unwrap();
    descriptor::set_pipe_size(writer.as_fd(), 1 << 20).unwrap();
    let (log, theirs) = descriptor::pipe().unwrap();
    let slow = std::thread::spawn(move || {
        let (mut all, mut some) = (0, Vec::with_capacity(32 * 1024));
        while descriptor::read_into(log.as_fd(), &mut some, 32 * 1024).is_ok_and(|count| count > 0) {
            all += some.len();
            std::thread::park_timeout(LIMIT / 20);
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
