//! The conditions of one call: compiled by seccompiler, taken apart again, and laid out by our
//! assembler. Not the way to the call, which is the tree's.
//!
//! seccompiler 0.5 has one match action and one mismatch action a filter, and no notify action;
//! so each call is compiled alone, with two return values of which each is known to stand for
//! one thing, and those are replaced here. Nothing but `ret` instructions is replaced.

use super::assembler::{AND, Assembler, JUMP, JUMP_ABOVE, JUMP_AT_LEAST, JUMP_EQUAL, LOAD, Node, RETURN};
use super::{FilterError, OWN_PROCESS_PLACEHOLDER, return_value};
use crate::model::Policy;
use crate::syscalls::{self, Answer, Arch, Condition, Rule, Table, Test, Width};
use rustc_hash::{FxHashMap, FxHashSet};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};
use std::collections::BTreeMap;

/// What seccompiler is told to return where a rule matched, and where none did. The kernel never
/// sees them: `Trace` is the one action that carries a number of our own.
const MATCHED: SeccompAction = SeccompAction::Trace(1);
const NOT_MATCHED: SeccompAction = SeccompAction::Trace(2);

/// One call as the tree sees it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// Its number.
    pub(super) number: u32,
    /// What becomes of it.
    pub(super) body: Body,
}

/// What becomes of a call once it is found.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// The same whatever its arguments.
    Always(Answer),
    /// It depends on them.
    ByArguments(Compiled),
}

/// A call's conditions as seccompiler compiled them, checked.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    name: &'static str,
    /// From the first rule on: what came before is the way to the call.
    instructions: Vec<sock_filter>,
    otherwise: Answer,
}

/// The calls of a table that exist on this architecture, with the rules that stand under this
/// policy, by number.
pub(super) fn collect(table: &Table, policy: Option<&Policy>, arch: Arch) -> Result<Vec<Call>, FilterError> {
    let numbers: FxHashMap<&str, u32> =
        syscalls::all(arch).iter().map(|&(number, name)| (name, number)).collect();
    let mut seen = FxHashSet::default();
    let mut calls = Vec::new();
    for row in table.rows() {
        if !seen.insert(row.name) {
            return Err(FilterError::Twice { table: table.name, name: row.name });
        }
        let Some(&number) = numbers.get(row.name) else {
            if Arch::ALL.into_iter().all(|arch| syscalls::number(arch, row.name).is_none()) {
                return Err(FilterError::UnknownCall { table: table.name, name: row.name });
            }
            continue;
        };
        let rules: Vec<&Rule> = row.rules_under(policy).collect();
        let body = if rules.iter().any(|rule| rule.conditions.is_empty()) {
            Body::Always(Answer::Allow)
        } else if rules.is_empty() {
            Body::Always(row.otherwise)
        } else {
            let instructions = compile(row.name, number, &rules, arch)?;
            Body::ByArguments(Compiled { name: row.name, instructions, otherwise: row.otherwise })
        };
        calls.push(Call { number, body });
    }
    calls.sort_by_key(|call| call.number);
    Ok(calls)
}

/// Has seccompiler compile the rules of one call, and returns what follows the test of its number.
fn compile(
    name: &'static str,
    number: u32,
    rules: &[&Rule],
    arch: Arch,
) -> Result<Vec<sock_filter>, FilterError> {
    let refused =
        |error: seccompiler::BackendError| FilterError::Seccompiler { name, reason: error.to_string() };
    let shape = |at, expected| FilterError::Shape { name, at, expected };
    let target = match arch {
        Arch::X86_64 => TargetArch::x86_64,
        Arch::Aarch64 => TargetArch::aarch64,
    };
    let mut chain = Vec::new();
    for rule in rules {
        // seccompiler tests a rule's conditions from the last to the first.
        let conditions = rule
            .conditions
            .iter()
            .rev()
            .map(|condition| translate(name, condition, arch))
            .collect::<Result<Vec<_>, _>>()?;
        chain.push(SeccompRule::new(conditions).map_err(refused)?);
    }
    let filter =
        SeccompFilter::new(BTreeMap::from([(i64::from(number), chain)]), NOT_MATCHED, MATCHED, target)
            .map_err(refused)?;
    let program = BpfProgram::try_from(filter).map_err(refused)?;

    // Load the architecture, compare, kill; load the number, compare.
    let head: [(u16, u32, &'static str); 5] = [
        (LOAD, 4, "the load of the architecture"),
        (JUMP_EQUAL, arch.audit_value(), "the test of the architecture"),
        (RETURN, u32::from(SeccompAction::KillProcess), "the end of a foreign architecture"),
        (LOAD, 0, "the load of the number"),
        (JUMP_EQUAL, number, "the test of the number"),
    ];
    for (at, &(code, k, expected)) in head.iter().enumerate() {
        if !program.get(at).is_some_and(|found| found.code == code && found.k == k) {
            return Err(shape(at, expected));
        }
    }
    let body = program.get(head.len()..).unwrap_or_default().to_vec();

    // A match for each rule, and a mismatch after the last rule and at the end of the program.
    let (mut matched, mut not_matched) = (0, 0);
    for (at, instruction) in body.iter().enumerate() {
        match instruction.code {
            RETURN if instruction.k == u32::from(MATCHED) => matched += 1,
            RETURN if instruction.k == u32::from(NOT_MATCHED) => not_matched += 1,
            LOAD | AND | JUMP | JUMP_EQUAL | JUMP_ABOVE | JUMP_AT_LEAST => {}
            _ => {
                return Err(shape(
                    head.len() + at,
                    "one of the seven kinds of instruction it is known to emit",
                ));
            }
        }
    }
    if (matched, not_matched) != (rules.len(), 2) {
        return Err(shape(program.len(), "one match for each rule and two mismatches"));
    }
    Ok(body)
}

fn translate(name: &'static str, condition: &Condition, arch: Arch) -> Result<SeccompCondition, FilterError> {
    let (operator, value) = match condition.test {
        Test::Equals(value) => (SeccompCmpOp::Eq, value),
        Test::Masked { mask, value } => (SeccompCmpOp::MaskedEq(mask.on(arch)), value),
        Test::Above(value) => (SeccompCmpOp::Gt, value),
        Test::OwnProcess => (SeccompCmpOp::Eq, u64::from(OWN_PROCESS_PLACEHOLDER)),
    };
    let numbers = match operator {
        SeccompCmpOp::MaskedEq(mask) => vec![value, mask],
        _ => vec![value],
    };
    for number in numbers {
        if condition.width == Width::Dword && number > u64::from(u32::MAX) {
            return Err(FilterError::TooWide { name, argument: condition.argument, value: number });
        }
        let placeholder = u64::from(OWN_PROCESS_PLACEHOLDER);
        let is_placeholder = number & 0xffff_ffff == placeholder || number >> 32 == placeholder;
        if is_placeholder && condition.test != Test::OwnProcess {
            return Err(FilterError::Placeholder { name });
        }
    }
    let width = match condition.width {
        Width::Dword => SeccompCmpArgLen::Dword,
        Width::Qword => SeccompCmpArgLen::Qword,
    };
    SeccompCondition::new(condition.argument, width, operator, value)
        .map_err(|error| FilterError::Seccompiler { name, reason: error.to_string() })
}

impl Compiled {
    /// Lays the conditions out, and returns where they start.
    ///
    /// seccompiler loads an argument again for each comparison; a load of what the accumulator
    /// holds already is left out. So an instruction may be laid out more than once, for what the
    /// accumulator may hold when it is reached.
    pub(super) fn emit(&self, assembler: &mut Assembler) -> Result<Node, FilterError> {
        // Jumps are forward only. So one pass forward meets every state that can be reached ...
        let start = State { at: 0, accumulator: Accumulator::Other };
        let mut reached: Vec<Vec<Accumulator>> = vec![Vec::new(); self.instructions.len()];
        self.reach(&mut reached, start)?;
        let mut states = Vec::new();
        for at in 0..reached.len() {
            for accumulator in reached.get_mut(at).map(std::mem::take).unwrap_or_default() {
                let state = State { at, accumulator };
                states.push(state);
                for successor in self.step(state)?.successors() {
                    self.reach(&mut reached, successor)?;
                }
            }
        }
        // ... and one pass backward finds everything that follows laid out.
        let mut laid = FxHashMap::default();
        let follow = |laid: &FxHashMap<State, Node>, to: State| {
            laid.get(&to).copied().ok_or_else(|| self.shape(to.at, "a jump forward"))
        };
        for &state in states.iter().rev() {
            let node = match self.step(state)? {
                Step::Return(answer) => assembler.returning(return_value(answer)),
                Step::Skip(to) => follow(&laid, to)?,
                Step::Then { code, k, to } => assembler.then(code, k, follow(&laid, to)?)?,
                Step::Branch { code, k, on_true, on_false } => {
                    let (on_true, on_false) = (follow(&laid, on_true)?, follow(&laid, on_false)?);
                    match (code, k) {
                        (JUMP_EQUAL, OWN_PROCESS_PLACEHOLDER) => {
                            assembler.branch_on_own_process(on_true, on_false)?
                        }
                        _ => assembler.branch(code, k, on_true, on_false)?,
                    }
                }
            };
            laid.insert(state, node);
        }
        follow(&laid, start)
    }

    /// Notes that an instruction is reached in a state.
    fn reach(&self, reached: &mut [Vec<Accumulator>], to: State) -> Result<(), FilterError> {
        let states = reached.get_mut(to.at).ok_or_else(|| self.shape(to.at, "a jump within the program"))?;
        if !states.contains(&to.accumulator) {
            states.push(to.accumulator);
        }
        Ok(())
    }

    /// What one instruction does in one state.
    fn step(&self, State { at, accumulator }: State) -> Result<Step, FilterError> {
        let instruction =
            self.instructions.get(at).ok_or_else(|| self.shape(at, "a jump within the program"))?;
        let &sock_filter { code, jt, jf, k } = instruction;
        let over = |distance: usize, accumulator| State { at: at + 1 + distance, accumulator };
        Ok(match code {
            RETURN if k == u32::from(MATCHED) => Step::Return(Answer::Allow),
            RETURN => Step::Return(self.otherwise),
            LOAD if accumulator == Accumulator::Word(k) => Step::Skip(over(0, accumulator)),
            LOAD => Step::Then { code, k, to: over(0, Accumulator::Word(k)) },
            AND => Step::Then { code, k, to: over(0, Accumulator::Other) },
            // No program is as long as 16 bits can say; a longer jump leads nowhere.
            JUMP => Step::Skip(over(usize::from(u16::try_from(k).unwrap_or(u16::MAX)), accumulator)),
            _ => Step::Branch {
                code,
                k,
                on_true: over(usize::from(jt), accumulator),
                on_false: over(usize::from(jf), accumulator),
            },
        })
    }

    fn shape(&self, at: usize, expected: &'static str) -> FilterError {
        FilterError::Shape { name: self.name, at, expected }
    }
}

/// What the accumulator holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Accumulator {
    /// The word of `seccomp_data` at this offset, unchanged.
    Word(u32),
    /// Something else.
    Other,
}

/// An instruction about to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    at: usize,
    accumulator: Accumulator,
}

/// What running it does.
enum Step {
    /// It ends the program.
    Return(Answer),
    /// It changes nothing.
    Skip(State),
    /// It changes the accumulator.
    Then { code: u16, k: u32, to: State },
    /// It compares the accumulator.
    Branch { code: u16, k: u32, on_true: State, on_false: State },
}

impl Step {
    fn successors(&self) -> impl Iterator<Item = State> + use<> {
        let (first, second) = match *self {
            Step::Return(_) => (None, None),
            Step::Skip(to) | Step::Then { to, .. } => (Some(to), None),
            Step::Branch { on_true, on_false, .. } => (Some(on_true), Some(on_false)),
        };
        first.into_iter().chain(second)
    }
}
