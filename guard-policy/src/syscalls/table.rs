//! A whole table: sets of rows, and what becomes of a call that no row names. Not the rows: the
//! function's are in `function/`, the arbiter's in `arbiter`.

use super::{Answer, FUNCTION, Row, Set};

/// A table of system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Whose it is, for error messages.
    pub name: &'static str,
    /// What it says.
    pub sets: &'static [Set],
    /// What becomes of a call that no row names, of a number above every row, of x32 numbers.
    pub default: Answer,
}

impl Table {
    /// Every row, in the order written.
    pub fn rows(&self) -> impl Iterator<Item = &'static Row> + use<> {
        self.sets.iter().flat_map(|set| set.rows)
    }

    /// The row of a call.
    pub fn row(&self, name: &str) -> Option<&'static Row> {
        self.rows().find(|row| row.name == name)
    }
}

/// The rows of the function's table with the set each is in, for printing.
///
/// ```
/// # use fnguard_policy::syscalls::rows;
/// assert!(rows().any(|(set, row)| set.name == "Sockets" && row.name == "socket"));
/// ```
pub fn rows() -> impl Iterator<Item = (&'static Set, &'static Row)> {
    FUNCTION.sets.iter().flat_map(|set| set.rows.iter().map(move |row| (set, row)))
}
