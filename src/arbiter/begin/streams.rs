//! The streams at the beginning: where the function's output goes, and where its input comes from.

use super::super::Arbiter;
use super::super::assess::LogFile;
use super::super::output::{Outlet, Source, Start, carry};
use super::super::terminal::Terminal;
use crate::confine::Kept;
use crate::error::ArmError;
use crate::posture;
use crate::report::Stream;
use crate::sys::{Errno, descriptor, path, process};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// The platform's stdout and stderr; one outlet where they are one file. A terminal among them is
/// raw while the function has one of its own.
pub(super) fn outlets(raw: bool) -> Result<(Arc<Outlet>, Arc<Outlet>), ArmError> {
    let copy = |number| {
        let fd = descriptor::borrow_number(number)
            .map_or_else(|| path::open(c"/dev/null", libc::O_WRONLY), |fd| descriptor::duplicate_from(fd, 3));
        fd.map_err(ArmError::call("keeping the platform's stdout and stderr"))
    };
    let (out, err) = (copy(1)?, copy(2)?);
    let same = descriptor::identify(out.as_fd()).ok() == descriptor::identify(err.as_fd()).ok();
    let outlet = |fd: OwnedFd| {
        let raw = raw && descriptor::is_terminal(fd.as_fd());
        Arc::new(if raw { Outlet::raw(fd) } else { Outlet::new(fd) })
    };
    let err = outlet(err);
    let out = if same { Arc::clone(&err) } else { outlet(out) };
    Ok((out, err))
}

/// The file that a number of the platform's leads to, where it is one that can be found by its name.
pub(super) fn log_file(number: i32) -> Option<LogFile> {
    let fd = descriptor::borrow_number(number)?;
    let identity = descriptor::identify(fd).ok()?;
    let has_name = identity.kind() == libc::S_IFREG && identity.links > 0;
    let path = posture::own_target(number).filter(|_| has_name)?;
    Some(LogFile { number, path: String::from_utf8_lossy(&path).into_owned() })
}

/// How what comes in reaches the function.
pub(super) enum Input {
    /// It has the platform's own file.
    Inherited,
    /// By a pipe, this being the writing end.
    Pipe(OwnedFd),
    /// By its terminal.
    Terminal(Arc<Terminal>),
}

impl Input {
    pub(super) fn terminal(&self) -> Option<Arc<Terminal>> {
        match self {
            Input::Terminal(terminal) => Some(Arc::clone(terminal)),
            Input::Inherited | Input::Pipe(_) => None,
        }
    }
}

/// The arbiter's ends of the function's streams: what is read where, and the way in.
pub(super) fn ends(
    streams: Kept,
    out: Arc<Outlet>,
    err: &Arc<Outlet>,
) -> Result<(Vec<Start>, Input), ArmError> {
    match streams {
        Kept::Pipes { stdin, stdout, stderr } => {
            let (source, err) = (Source::Pipe, Arc::clone(err));
            let sources = vec![
                Start { stream: Stream::Stdout, source, reader: Arc::new(stdout), outlet: out },
                Start { stream: Stream::Stderr, source, reader: Arc::new(stderr), outlet: err },
            ];
            Ok((sources, stdin.map_or(Input::Inherited, Input::Pipe)))
        }
        Kept::Terminal(pair) => {
            let (terminal, master) =
                Terminal::new(*pair).map_err(ArmError::call("keeping the platform's terminal"))?;
            let source = Source::Terminal;
            let sources = vec![Start { stream: Stream::Stdout, source, reader: master, outlet: out }];
            Ok((sources, Input::Terminal(Arc::new(terminal))))
        }
    }
}

/// Makes the platform's terminal raw; a breakdown of the arbiter restores it too.
pub(super) fn make_raw(terminal: &Arc<Terminal>) {
    let broken = Arc::clone(terminal);
    std::panic::set_hook(Box::new(move |_| {
        broken.restore();
        process::exit(125)
    }));
    terminal.begin();
}

/// Carries the platform's input to the function, where it has not the descriptor itself.
pub(super) fn start_input(arbiter: &Arc<Arbiter>, input: Input) -> Result<(), ArmError> {
    let run: Box<dyn FnOnce() + Send> = match input {
        Input::Inherited => return Ok(()),
        Input::Pipe(writer) => {
            let Some(platform) = descriptor::borrow_number(0) else { return Ok(()) };
            let platform = descriptor::duplicate_from(platform, 3)
                .map_err(ArmError::call("keeping the platform's stdin"))?;
            Box::new(move || carry(platform, writer))
        }
        Input::Terminal(terminal) => {
            let arbiter = Arc::clone(arbiter);
            Box::new(move || {
                if let Some(output) = arbiter.output.get() {
                    terminal.carry(output);
                }
            })
        }
    };
    std::thread::Builder::new().stack_size(128 * 1024).spawn(run).map(drop).map_err(|error| ArmError::Call {
        failing: "starting a thread",
        source: Errno(error.raw_os_error().unwrap_or(libc::EAGAIN)),
    })
}
