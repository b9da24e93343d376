//! What is wrong with a policy's text, and where. Not the finding of it, which the parser does.

use std::fmt;
use std::ops::Range;

/// How much a [`Diagnostic`] weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The policy is no policy.
    Error,
    /// The policy holds, and is probably not what was meant.
    Warning,
}

/// One fault of a policy's text. `Display` prints it as compilers do: the place, the message, the
/// line with a mark below it, what was found, what was expected, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How much it weighs.
    pub severity: Severity,
    /// The file's name, as given to [`super::parse`].
    pub origin: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// How many characters from there on are meant; at least 1.
    pub length: usize,
    /// The line's text.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// What stands there, where the message does not say it.
    pub found: Option<String>,
    /// What may stand there.
    pub expected: Option<String>,
    /// What to do.
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        let origin = printable(&self.origin);
        let message = printable(&self.message);
        writeln!(f, "{origin}:{}:{}: {severity}{message}", self.line, self.column)?;
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        // A tab stays a tab below itself, so that the mark stands where the text does.
        let indent: String = (self.text.chars().take(self.column.saturating_sub(1)))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", one_for_one(&self.text))?;
        write!(f, "{margin} | {indent}{}", "^".repeat(self.length))?;
        for (label, text) in [("found", &self.found), ("expected", &self.expected), ("help", &self.help)] {
            if let Some(text) = text {
                write!(f, "\n{margin} = {label}: {}", printable(text))?;
            }
        }
        Ok(())
    }
}

/// All that is wrong with a policy's text, in the order of the text; at least one error, and the
/// warnings beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    pub(super) fn new(list: Vec<Diagnostic>) -> Self {
        Diagnostics(list)
    }

    /// The errors and warnings, in the order of the text.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// How many of them are errors.
    pub fn errors(&self) -> usize {
        self.0.iter().filter(|d| d.severity == Severity::Error).count()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.0 {
            write!(f, "{diagnostic}\n\n")?;
        }
        match self.errors() {
            1 => f.write_str("1 error in the policy"),
            n => write!(f, "{n} errors in the policy"),
        }
    }
}

impl std::error::Error for Diagnostics {}

/// A policy's text and where its lines begin: from a byte range to a place.
pub(super) struct Lines<'a> {
    text: &'a str,
    origin: &'a str,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str, origin: &'a str) -> Self {
        Lines { text, origin }
    }

    /// What stands in a byte range.
    pub(super) fn slice(&self, span: Range<usize>) -> &'a str {
        self.text.get(span).unwrap_or("")
    }

    /// Where the first header of that section begins.
    pub(super) fn header(&self, name: &str) -> Option<usize> {
        let mut offset = 0usize;
        self.text.split_inclusive('\n').find_map(|line| {
            let start = offset;
            offset = offset.saturating_add(line.len());
            let inner = line.trim_start().strip_prefix('[')?.split(']').next()?;
            (inner.trim() == name).then_some(start)
        })
    }

    /// The line of a byte offset, from 1.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        let before = self.text.get(..self.boundary(offset)).unwrap_or("");
        before.matches('\n').count().saturating_add(1)
    }

    /// A diagnostic for a byte range with nothing but its message.
    pub(super) fn diagnostic(&self, severity: Severity, span: Range<usize>, message: String) -> Diagnostic {
        let start = self.boundary(span.start);
        let end = self.boundary(span.end).max(start);
        let before = self.text.get(..start).unwrap_or("");
        let line_start = before.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
        let rest = self.text.get(line_start..).unwrap_or("");
        let text = rest.split('\n').next().unwrap_or("").trim_end_matches('\r');
        // A range may go over several lines; the mark ends with the first.
        let line_end = line_start.saturating_add(text.len());
        let meant = self.text.get(start..end.min(line_end).max(start)).unwrap_or("");
        Diagnostic {
            severity,
            origin: self.origin.to_owned(),
            line: self.line_of(start),
            column: self.text.get(line_start..start).unwrap_or("").chars().count().saturating_add(1),
            length: meant.chars().count().max(1),
            text: text.to_owned(),
            message,
            found: None,
            expected: None,
            help: None,
        }
    }

    fn boundary(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset.min(self.text.len()))
    }
}

/// Whether a character steers a terminal or hides itself: control characters, and the format
/// characters that reorder or vanish (Unicode bidirectional controls, zero-width characters).
pub(super) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// As [`printable`], with every character one column wide, for the line above the mark.
fn one_for_one(text: &str) -> String {
    text.chars().map(|c| if c != '\t' && steers(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, span: Range<usize>) -> Diagnostic {
        Lines::new(text, "guard.toml").diagnostic(Severity::Error, span, "m".to_owned())
    }

    #[test]
    fn places() {
        for (text, span, line, column, length, shown) in [
            ("", 0..0, 1, 1, 1, ""),
            ("abc", 1..3, 1, 2, 2, "abc"),
            ("abc\r\ndef\r\n", 5..8, 2, 1, 3, "def"),
            ("é = 1\n", 3..4, 1, 3, 1, "é = 1"),
            // The middle of a character counts as its beginning.
            ("é", 1..9, 1, 1, 1, "é"),
            ("a\n\nb", 1..4, 1, 2, 1, "a"),
            ("a\n", 2..2, 2, 1, 1, ""),
            ("a", 77..99, 1, 2, 1, "a"),
        ] {
            let found = at(text, span.clone());
            assert_eq!(
                (found.line, found.column, found.length, found.text.as_str()),
                (line, column, length, shown),
                "{text:?} {span:?}"
            );
        }
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let mut diagnostic = at("a\u{1b}[2J\tb\u{202e}c", 6..7);
        diagnostic.message = "\u{1b}]0;title".to_owned();
        let shown = diagnostic.to_string();
        assert_eq!(shown, "guard.toml:1:7: \\u{1b}]0;title\n  |\n1 | a\u{fffd}[2J\tb\u{fffd}c\n  |      \t^");
    }
}
