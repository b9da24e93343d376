//! A [`Write`] that redacts what passes. For code that already has a writer; a pump that waits for
//! its input uses [`Stream`] and tells it when nothing comes.

use std::io::{self, Write};

use super::matcher::Matcher;
use super::stream::Stream;

/// Redacts what is written and passes it on.
///
/// [`flush`](Write::flush) lets go of what was held back, masked where it could tell a secret (see
/// [`Stream::idle`]). [`finish`](Redactor::finish) does so and gives the inner writer back; a
/// redactor that is dropped does the same as far as it can, and loses errors.
///
/// ```
/// use std::io::Write;
/// use fnguard::redact::{Matcher, Redactor, Secret};
///
/// let matcher = Matcher::build([Secret::new("API_KEY", "q7mVx2LpR9dKw4Zt")])?;
/// let mut log = Redactor::new(matcher, Vec::new());
/// write!(log, "GET /?key={}", "q7mVx2LpR9dKw4Zt")?;
/// assert_eq!(log.finish()?, b"GET /?key=[redacted:API_KEY]");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Redactor<W: Write> {
    matcher: Matcher,
    stream: Stream,
    /// Redacted text that the inner writer has not taken.
    unwritten: Vec<u8>,
    /// Gone once it was given back.
    inner: Option<W>,
}

impl<W: Write> Redactor<W> {
    /// Redacts what goes to `inner`.
    pub fn new(matcher: Matcher, inner: W) -> Self {
        Redactor { matcher, stream: Stream::new(), unwritten: Vec::new(), inner: Some(inner) }
    }

    /// Goes on with another matcher, for instance one that knows more secrets.
    pub fn replace_matcher(&mut self, matcher: Matcher) {
        self.matcher = matcher;
    }

    /// Ends the text and gives the inner writer back.
    ///
    /// # Errors
    ///
    /// The inner writer's; it is dropped then.
    pub fn finish(mut self) -> io::Result<W> {
        self.end()?;
        self.inner.take().ok_or_else(|| io::Error::other("the redactor was finished before"))
    }

    fn end(&mut self) -> io::Result<()> {
        self.stream.finish(&self.matcher, &mut self.unwritten);
        self.pass_on()?;
        self.inner.as_mut().map_or(Ok(()), Write::flush)
    }

    /// Writes what is unwritten; what the inner writer doesn't take stays so.
    fn pass_on(&mut self) -> io::Result<()> {
        let Some(inner) = self.inner.as_mut() else { return Ok(()) };
        let mut written = 0;
        let result = loop {
            let rest = self.unwritten.get(written..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            match inner.write(rest) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.unwritten.drain(..written.min(self.unwritten.len()));
        result
    }
}

impl<W: Write> Write for Redactor<W> {
    /// Takes all of the bytes, or, when earlier ones could not be passed on, none.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pass_on()?;
        self.stream.push(&self.matcher, bytes, &mut self.unwritten);
        // The bytes are taken; should passing them on fail, the next call says so.
        let _ = self.pass_on();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.idle(&self.matcher, &mut self.unwritten);
        self.pass_on()?;
        self.inner.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl<W: Write> Drop for Redactor<W> {
    fn drop(&mut self) {
        if self.inner.is_some() {
            let _ = self.end();
        }
    }
}

impl<W: Write> std::fmt::Debug for Redactor<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").field("stream", &self.stream).finish_non_exhaustive()
    }
}
