//! The way to a call: the test of the architecture and a balanced tree over the numbers.

use super::assembler::{Assembler, JUMP_AT_LEAST, JUMP_EQUAL, LOAD, Node};
use super::conditions::{Body, Call};
use super::{FilterError, return_value};
use crate::syscalls::{Answer, Arch};

/// `offsetof(struct seccomp_data, nr)` and `arch`, linux/seccomp.h.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// Neighbouring numbers with the same answer.
struct Range {
    /// The first number; the next range's first number ends it.
    from: u32,
    to: Node,
}

/// Lays out the whole program for `calls`, which are by number, no number twice.
pub(super) fn emit(calls: &[Call], default: Answer, arch: Arch) -> Result<Assembler, FilterError> {
    let mut assembler = Assembler::default();
    let elsewhere = assembler.returning(return_value(default));
    let foreign = assembler.returning(return_value(Answer::Kill));

    let mut ranges = vec![Range { from: 0, to: elsewhere }];
    // Numbers above the last call, x32 numbers and -1 among them, are in the last range.
    for call in calls {
        let to = match &call.body {
            Body::Always(answer) => assembler.returning(return_value(*answer)),
            Body::ByArguments(compiled) => compiled.emit(&mut assembler)?,
        };
        extend(&mut ranges, call.number, to);
        extend(&mut ranges, call.number.saturating_add(1), elsewhere);
    }

    let tree = subtree(&mut assembler, &ranges)?;
    let by_number = assembler.then(LOAD, NUMBER, tree)?;
    let native = assembler.branch(JUMP_EQUAL, arch.audit_value(), by_number, foreign)?;
    assembler.then(LOAD, ARCHITECTURE, native)?;
    Ok(assembler)
}

/// From `from` on the answer is `to`. A range of no numbers is replaced, one that goes on with
/// the same answer is joined.
fn extend(ranges: &mut Vec<Range>, from: u32, to: Node) {
    ranges.pop_if(|last| last.from == from);
    if ranges.last().is_none_or(|last| last.to != to) {
        ranges.push(Range { from, to });
    }
}

/// A tree whose two halves have as many ranges, but for one.
fn subtree(assembler: &mut Assembler, ranges: &[Range]) -> Result<Node, FilterError> {
    let (left, right) = ranges.split_at(ranges.len() / 2);
    match (left, right) {
        ([], [only]) => Ok(only.to),
        (_, [middle, ..]) => {
            let above = subtree(assembler, right)?;
            let below = subtree(assembler, left)?;
            assembler.branch(JUMP_AT_LEAST, middle.from, above, below)
        }
        // `ranges` is never empty; an empty half has been matched above.
        (_, []) => Err(FilterError::Jump(0)),
    }
}
