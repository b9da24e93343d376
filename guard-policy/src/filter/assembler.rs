//! Lays out a program: instructions by their successors in, `sock_filter` tuples with relative
//! jumps out. Knows nothing of system calls.
//!
//! BPF jumps forward only, so a program is built from its end: an instruction is added when what
//! follows it stands already. The same instruction with the same successors is added once, which
//! joins the ends of rules by itself. (Chromium's `bpf_dsl` code generator works the same way.)

use super::{FilterError, OWN_PROCESS_PLACEHOLDER};
use crate::model::Program;
use rustc_hash::FxHashMap;

/// `BPF_RET | BPF_K`.
pub(super) const RETURN: u16 = 0x06;
/// `BPF_LD | BPF_W | BPF_ABS`.
pub(super) const LOAD: u16 = 0x20;
/// `BPF_ALU | BPF_AND | BPF_K`.
pub(super) const AND: u16 = 0x54;
/// `BPF_JMP | BPF_JA`.
pub(super) const JUMP: u16 = 0x05;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
pub(super) const JUMP_EQUAL: u16 = 0x15;
/// `BPF_JMP | BPF_JGT | BPF_K`.
pub(super) const JUMP_ABOVE: u16 = 0x25;
/// `BPF_JMP | BPF_JGE | BPF_K`.
pub(super) const JUMP_AT_LEAST: u16 = 0x35;

/// How far a conditional jump reaches: its offsets are 8 bits.
const REACH: usize = 255;

/// An instruction that has been laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node(usize);

#[derive(Clone, Copy)]
struct Laid {
    code: u16,
    on_true: u8,
    on_false: u8,
    k: u32,
    own_process: bool,
}

/// What makes two instructions the same: `None` is no successor.
type Key = (u16, u32, bool, Option<Node>, Option<Node>);

/// A program under construction.
#[derive(Default)]
pub(super) struct Assembler {
    /// The last instruction first.
    reversed: Vec<Laid>,
    known: FxHashMap<Key, Node>,
    /// For an instruction too far away to jump to, the nearest that does the same.
    nearer: FxHashMap<Node, Node>,
}

impl Assembler {
    /// Returns `value` to the kernel.
    pub(super) fn returning(&mut self, value: u32) -> Node {
        let key = (RETURN, value, false, None, None);
        if let Some(&node) = self.known.get(&key) {
            return node;
        }
        let node = self.push(Laid { code: RETURN, on_true: 0, on_false: 0, k: value, own_process: false });
        self.known.insert(key, node);
        node
    }

    /// A load or an operation on the accumulator, then `next`.
    pub(super) fn then(&mut self, code: u16, k: u32, next: Node) -> Result<Node, FilterError> {
        self.once((code, k, false, Some(next), None), |assembler| {
            assembler.reach(next, 0)?;
            Ok(assembler.push(Laid { code, on_true: 0, on_false: 0, k, own_process: false }))
        })
    }

    /// A comparison of the accumulator with `k`.
    pub(super) fn branch(
        &mut self,
        code: u16,
        k: u32,
        on_true: Node,
        on_false: Node,
    ) -> Result<Node, FilterError> {
        if on_true == on_false {
            return Ok(on_true);
        }
        self.once((code, k, false, Some(on_true), Some(on_false)), |assembler| {
            assembler.push_branch(code, k, false, on_true, on_false)
        })
    }

    /// Whether the accumulator equals the function's own process id.
    pub(super) fn branch_on_own_process(
        &mut self,
        on_true: Node,
        on_false: Node,
    ) -> Result<Node, FilterError> {
        let k = OWN_PROCESS_PLACEHOLDER;
        self.once((JUMP_EQUAL, k, true, Some(on_true), Some(on_false)), |assembler| {
            assembler.push_branch(JUMP_EQUAL, k, true, on_true, on_false)
        })
    }

    /// The program that starts at the instruction added last.
    pub(super) fn finish(self) -> Program {
        let mut program = Program::default();
        for laid in self.reversed.into_iter().rev() {
            if laid.own_process {
                // Longer programs are refused by the caller; this index is then never used.
                program.pid_slots.push(u16::try_from(program.instructions.len()).unwrap_or(u16::MAX));
            }
            program.instructions.push((laid.code, laid.on_true, laid.on_false, laid.k));
        }
        program
    }

    fn once(
        &mut self,
        key: Key,
        add: impl FnOnce(&mut Self) -> Result<Node, FilterError>,
    ) -> Result<Node, FilterError> {
        if let Some(&node) = self.known.get(&key) {
            return Ok(node);
        }
        let node = add(self)?;
        self.known.insert(key, node);
        Ok(node)
    }

    fn push(&mut self, laid: Laid) -> Node {
        self.reversed.push(laid);
        Node(self.reversed.len() - 1)
    }

    fn push_branch(
        &mut self,
        code: u16,
        k: u32,
        own_process: bool,
        on_true: Node,
        on_false: Node,
    ) -> Result<Node, FilterError> {
        // Bringing the second within reach may add an instruction, which moves the first away by
        // one: so the first is brought nearer by one than it must be.
        let on_true = self.reach(on_true, REACH - 1)?;
        let on_false = self.reach(on_false, REACH)?;
        let short = |distance: usize| u8::try_from(distance).map_err(|_| FilterError::Jump(distance));
        let laid = Laid {
            code,
            on_true: short(self.distance(on_true))?,
            on_false: short(self.distance(on_false))?,
            k,
            own_process,
        };
        Ok(self.push(laid))
    }

    /// How many instructions would lie between one added now and `node`.
    fn distance(&self, node: Node) -> usize {
        self.reversed.len() - 1 - node.0
    }

    /// `node`, or something that does the same, at most `limit` instructions away.
    fn reach(&mut self, node: Node, limit: usize) -> Result<Node, FilterError> {
        if self.distance(node) <= limit {
            return Ok(node);
        }
        if let Some(&near) = self.nearer.get(&node)
            && self.distance(near) <= limit
        {
            return Ok(near);
        }
        let distance = self.distance(node);
        let again = match self.reversed.get(node.0) {
            // A return is as short as a jump to it.
            Some(laid) if laid.code == RETURN => *laid,
            _ => Laid {
                code: JUMP,
                on_true: 0,
                on_false: 0,
                k: u32::try_from(distance).map_err(|_| FilterError::Jump(distance))?,
                own_process: false,
            },
        };
        let near = self.push(again);
        self.nearer.insert(node, near);
        Ok(near)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::interpreter::{Interpreter, SeccompData};
    use super::*;

    /// A linear search over so many values that no branch reaches the far end, laid out and run.
    #[test]
    fn jumps_longer_than_a_branch_reaches_are_bridged() {
        for values in [1u32, 100, 127, 128, 129, 254, 255, 256, 257, 300, 1000, 1900] {
            let mut assembler = Assembler::default();
            let found = assembler.returning(1);
            // A far target that is no return: it can't be repeated, only jumped to.
            let far = assembler.then(AND, 7, found).unwrap();
            let mut next = assembler.returning(2);
            for value in 0..values {
                let target = if value % 2 == 0 { far } else { found };
                next = assembler.branch(JUMP_EQUAL, value, target, next).unwrap();
            }
            assembler.then(LOAD, 0, next).unwrap();
            let program = assembler.finish();
            let interpreter = Interpreter::new(&program.instructions).unwrap();
            for nr in 0..values + 3 {
                let data = SeccompData { nr: nr as i32, ..Default::default() };
                assert_eq!(interpreter.run(&data), if nr < values { 1 } else { 2 }, "{nr} of {values}");
            }
        }
    }

    /// What follows a load need not have been added last.
    #[test]
    fn what_comes_next_is_jumped_to_where_it_does_not_stand_next() {
        for between in 0..4 {
            let mut assembler = Assembler::default();
            let next = assembler.returning(1);
            for value in 0..between {
                assembler.returning(100 + value);
            }
            assembler.then(LOAD, 0, next).unwrap();
            let program = assembler.finish();
            let interpreter = Interpreter::new(&program.instructions).unwrap();
            assert_eq!(interpreter.run(&SeccompData::default()), 1, "{between} between");
        }
    }

    #[test]
    fn equal_instructions_are_laid_out_once() {
        let mut assembler = Assembler::default();
        let (yes, no) = (assembler.returning(1), assembler.returning(2));
        let first = assembler.branch(JUMP_EQUAL, 5, yes, no).unwrap();
        assert_eq!(assembler.branch(JUMP_EQUAL, 5, yes, no).unwrap(), first);
        assert_eq!(assembler.branch(JUMP_EQUAL, 9, first, first).unwrap(), first, "no choice, no branch");
        assert_ne!(assembler.branch(JUMP_EQUAL, 6, yes, no).unwrap(), first);
        assert_eq!(assembler.finish().instructions.len(), 4);
    }

    #[test]
    fn the_process_id_is_found_where_it_was_put() {
        let mut assembler = Assembler::default();
        let (yes, no) = (assembler.returning(1), assembler.returning(2));
        let own = assembler.branch_on_own_process(yes, no).unwrap();
        assembler.then(LOAD, 16, own).unwrap();
        let program = assembler.finish();
        assert_eq!(program.pid_slots, [1]);
        assert_eq!(program.instructions[1], (JUMP_EQUAL, 1, 0, OWN_PROCESS_PLACEHOLDER));
    }
}
