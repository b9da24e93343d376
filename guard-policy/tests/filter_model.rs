//! The programs against the table: a second evaluator reads the rows directly, slowly and
//! without BPF, and both must answer alike for every call, on both architectures, under every
//! kind of policy, with arguments that just match, just fail, and carry garbage.
#![allow(clippy::unwrap_used)] // in a test, a failed unwrap is the finding

mod bpf;

use bpf::{Machine, Syscall};
use fnguard_policy::filter;
use fnguard_policy::model::{Executable, Mode, OwnCode, Policy};
use fnguard_policy::syscalls::{
    self, ARBITER, Answer, Arch, Condition, FUNCTION, Row, Table, Test, When, Width,
};
use proptest::prelude::*;
use std::sync::LazyLock;

const OWN: u32 = 31_337;

/// One policy for each combination of what the table depends on.
fn policies() -> Vec<Policy> {
    (0..16)
        .map(|bits| {
            let mut policy = Policy::default();
            if bits & 1 != 0 {
                policy.files.own_code = OwnCode::Deny;
            }
            if bits & 2 != 0 {
                policy.exec.fork = true;
            }
            if bits & 4 != 0 {
                policy = policy.into_audit();
            }
            if bits & 8 != 0 {
                policy.memory.executable = Executable::Any;
            }
            policy
        })
        .collect()
}

struct Case {
    table: Table,
    policy: Option<Policy>,
    arch: Arch,
    size: usize,
    interpreter: Machine<'static>,
}

fn case(table: Table, policy: Option<Policy>, arch: Arch) -> Case {
    let compiled = match &policy {
        Some(policy) => filter::compile(policy, arch),
        None => filter::compile_arbiter(arch),
    };
    let mut program = compiled.unwrap();
    for &slot in &program.pid_slots {
        program.instructions[usize::from(slot)].3 = OWN;
    }
    let size = program.instructions.len();
    // Kept for as long as the tests run: there are 34 of them.
    let interpreter = Machine::new(program.instructions.leak());
    Case { table, policy, arch, size, interpreter }
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let mut cases = Vec::new();
    for arch in Arch::ALL {
        cases.extend(policies().into_iter().map(|policy| case(FUNCTION, Some(policy), arch)));
        cases.push(case(ARBITER, None, arch));
    }
    cases
});

impl Case {
    /// What the table says, rule by rule.
    fn expected(&self, data: &Syscall) -> u32 {
        if data.arch != self.arch.audit_value() {
            return filter::return_value(Answer::Kill);
        }
        let row = syscalls::name(self.arch, i64::from(data.nr)).and_then(|name| self.table.row(name));
        let Some(row) = row else { return filter::return_value(self.table.default) };
        let allowed = row.rules.iter().any(|rule| {
            let stands = match (&self.policy, rule.when) {
                (_, When::Always) => true,
                (None, _) => false,
                (Some(policy), When::ReadingFree) => policy.files.own_code == OwnCode::Allow,
                (Some(policy), When::Children) => policy.exec.fork,
                (Some(policy), When::JobControl) => policy.exec.fork || policy.exec.mode == Mode::Audit,
                (Some(policy), When::ExecutableMemory) => policy.memory.executable == Executable::Any,
            };
            stands && rule.conditions.iter().all(|condition| self.holds(condition, data))
        });
        filter::return_value(if allowed { Answer::Allow } else { row.otherwise })
    }

    fn holds(&self, condition: &Condition, data: &Syscall) -> bool {
        let register = data.args[usize::from(condition.argument)];
        let seen = match condition.width {
            Width::Dword => register % (1 << 32),
            Width::Qword => register,
        };
        match condition.test {
            Test::Equals(value) => seen == value,
            Test::Masked { mask, value } => seen & mask.on(self.arch) == value,
            Test::Above(value) => seen > value,
            Test::OwnProcess => seen == u64::from(OWN),
        }
    }

    fn data(&self, nr: i32, args: [u64; 6]) -> Syscall {
        Syscall { nr, arch: self.arch.audit_value(), instruction_pointer: 0x40_1000, args }
    }

    fn number(&self, row: &Row) -> Option<i32> {
        syscalls::number(self.arch, row.name).map(|number| number as i32)
    }
}

/// A register that satisfies the condition.
fn satisfying(condition: &Condition, arch: Arch) -> u64 {
    match condition.test {
        Test::Equals(value) => value,
        Test::Masked { value, .. } if condition.width == Width::Dword => value,
        Test::Masked { mask, value } => value | !mask.on(arch),
        Test::Above(value) => value + 1,
        Test::OwnProcess => u64::from(OWN),
    }
}

/// Registers that miss the condition by as little as possible.
fn missing(condition: &Condition, arch: Arch) -> Vec<u64> {
    let good = satisfying(condition, arch);
    let bits = match condition.width {
        Width::Dword => 32,
        Width::Qword => 64,
    };
    match condition.test {
        Test::Masked { mask, .. } => {
            (0..bits).filter(|bit| mask.on(arch) & (1 << bit) != 0).map(|bit| good ^ (1 << bit)).collect()
        }
        Test::Above(value) => vec![value, 0],
        Test::Equals(_) | Test::OwnProcess => (0..bits).map(|bit| good ^ (1 << bit)).collect(),
    }
}

/// Every row, every rule: the arguments that match are allowed, each argument that misses by one
/// bit gets what the table says, and what stands above an `int` changes nothing.
#[test]
fn every_rule_holds_at_its_edges() {
    let mut tried = 0usize;
    for case in CASES.iter() {
        let interpreter = case.interpreter;
        for row in case.table.rows() {
            let Some(nr) = case.number(row) else { continue };
            for rule in row.rules {
                let mut args = [0; 6];
                for condition in rule.conditions {
                    args[usize::from(condition.argument)] |= satisfying(condition, case.arch);
                }
                let good = case.data(nr, args);
                let answer = interpreter.run(&good);
                assert_eq!(answer, case.expected(&good), "{}: {} {}", case.arch, row.name, rule.what);
                if rule.when == When::Always {
                    assert_eq!(answer, filter::return_value(Answer::Allow), "{} {}", row.name, rule.what);
                }
                for condition in rule.conditions {
                    let index = usize::from(condition.argument);
                    for bad in missing(condition, case.arch) {
                        let mut args = args;
                        args[index] = bad;
                        let data = case.data(nr, args);
                        assert_eq!(interpreter.run(&data), case.expected(&data), "{} {args:x?}", row.name);
                        tried += 1;
                    }
                    for bit in 32..64 {
                        let mut args = args;
                        args[index] ^= 1 << bit;
                        let changed = interpreter.run(&case.data(nr, args));
                        match condition.width {
                            Width::Dword => assert_eq!(changed, answer, "{} {args:x?}", row.name),
                            Width::Qword => {
                                assert_eq!(
                                    changed,
                                    filter::return_value(row.otherwise),
                                    "{} {args:x?}",
                                    row.name
                                )
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(tried > 100_000, "{tried} near misses");
}

/// Every register that no condition of a call looks at may hold anything.
#[test]
fn registers_that_nothing_looks_at_change_nothing() {
    for case in CASES.iter() {
        let interpreter = case.interpreter;
        for row in case.table.rows() {
            let Some(nr) = case.number(row) else { continue };
            let looked_at = |index: usize| {
                row.rules
                    .iter()
                    .flat_map(|rule| rule.conditions)
                    .any(|condition| usize::from(condition.argument) == index)
            };
            let plain = interpreter.run(&case.data(nr, [0; 6]));
            let mut args = [0; 6];
            for (index, register) in args.iter_mut().enumerate().filter(|(index, _)| !looked_at(*index)) {
                *register = 0xffff_ffff_0000_0001_u64.rotate_left(index as u32);
            }
            assert_eq!(interpreter.run(&case.data(nr, args)), plain, "{}", row.name);
        }
    }
}

/// Numbers of the table and beyond, x32 and negative ones; registers of small values, of values
/// the table compares with, and of both with garbage above.
fn register() -> impl Strategy<Value = u64> {
    let mut compared: Vec<u64> = FUNCTION
        .rows()
        .chain(ARBITER.rows())
        .flat_map(|row| row.rules)
        .flat_map(|rule| rule.conditions)
        .flat_map(|condition| Arch::ALL.map(|arch| satisfying(condition, arch)))
        .collect();
    compared.sort_unstable();
    compared.dedup();
    let base = prop_oneof![
        4 => prop::sample::select(compared),
        2 => 0u64..32,
        1 => any::<u64>(),
        1 => Just(u64::from(OWN)),
    ];
    let above = prop_oneof![3 => Just(0u64), 1 => any::<u32>().prop_map(|high| u64::from(high) << 32)];
    (base, above, prop::option::weighted(0.1, 0u32..64)).prop_map(|(base, above, flip)| {
        let flipped = flip.map_or(0, |bit| 1u64 << bit);
        (base | above) ^ flipped
    })
}

fn call_number() -> impl Strategy<Value = i32> {
    prop_oneof![
        8 => 0i32..480,
        1 => (0i32..1024).prop_map(|nr| nr | 0x4000_0000),
        1 => any::<i32>(),
        1 => Just(-1),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn programs_answer_as_the_table_does(
        nr in call_number(),
        args in prop::array::uniform6(register()),
        arch in prop::sample::select(vec![
            Arch::X86_64.audit_value(), Arch::Aarch64.audit_value(), 0x4000_0003u32, 0x4000_0028, 0,
        ]),
        instruction_pointer in any::<u64>(),
    ) {
        let data = Syscall { nr, arch, instruction_pointer, args };
        for case in CASES.iter() {
            prop_assert_eq!(case.interpreter.run(&data), case.expected(&data), "{} {}", case.arch, case.table.name);
        }
    }
}

/// How long the way to an answer is: a tree is no deeper than the logarithm of its leaves.
#[test]
fn the_tree_is_balanced_and_the_program_small() {
    for case in CASES.iter() {
        let interpreter = case.interpreter;
        // Ranges of neighbouring numbers: those with rules count each for itself, which is the
        // most there can be.
        let kind = |nr: u32| {
            let name = syscalls::name(case.arch, i64::from(nr))?;
            let row = case.table.row(name)?;
            let rules = row.rules.iter().filter(|rule| match &case.policy {
                Some(policy) => rule.when.holds(policy),
                None => rule.when == When::Always,
            });
            match rules.clone().count() {
                0 => Some((row.otherwise, "")),
                _ if rules.clone().any(|rule| rule.conditions.is_empty()) => Some((Answer::Allow, "")),
                _ => Some((row.otherwise, name)),
            }
        };
        let leaf = |nr| kind(nr).unwrap_or((case.table.default, ""));
        let ranges = 1 + (1..1024).filter(|&nr| leaf(nr) != leaf(nr - 1)).count();
        let depth = usize::try_from(ranges.next_power_of_two().ilog2()).unwrap();

        let mut longest = (0, 0);
        for nr in 0..1024 {
            let run = interpreter.trace(&case.data(nr, [0; 6]));
            if run.read_arguments {
                continue;
            }
            longest = longest.max((run.steps, nr));
        }
        // Two loads, the test of the architecture, the return; and now and then a jump, where a
        // leaf is further than a branch reaches.
        assert!(
            longest.0 <= depth + 4 + 3,
            "{} {}: {longest:?}, {ranges} ranges",
            case.arch,
            case.table.name
        );
        let size = case.size;
        let limit = if case.table.name == "function" { 700 } else { 220 };
        assert!(size <= limit, "{} {}: {size} instructions", case.arch, case.table.name);
    }
}

/// What a steady invocation calls is decided from the number alone, so that the kernel (5.11 and
/// later) remembers the answer in its bitmap and runs no filter at all.
#[test]
fn hot_calls_read_no_argument() {
    let hot = [
        "read",
        "write",
        "writev",
        "readv",
        "futex",
        "epoll_wait",
        "epoll_pwait",
        "recvfrom",
        "clock_gettime",
        "sched_yield",
        "getpid",
        "gettid",
        "munmap",
        "brk",
        "poll",
        "ppoll",
        "lseek",
        "fstat",
        "newfstatat",
        "statx",
        "rt_sigprocmask",
        "rt_sigreturn",
        "nanosleep",
        "clock_nanosleep",
        "epoll_ctl",
        "getrandom",
    ];
    for case in CASES.iter().filter(|case| case.table.name == "function") {
        for name in hot {
            let Some(nr) = syscalls::number(case.arch, name) else { continue };
            let run = case.interpreter.trace(&case.data(nr as i32, [u64::MAX; 6]));
            assert_eq!(run.value, filter::return_value(Answer::Allow), "{name}");
            assert!(!run.read_arguments, "{name}");
        }
    }
}

/// The table itself: each call once and known, each rule reachable and with its reason.
#[test]
fn rows_are_well_formed() {
    for table in [FUNCTION, ARBITER] {
        let mut names = std::collections::HashSet::new();
        for row in table.rows() {
            assert!(names.insert(row.name), "{} twice", row.name);
            assert!(
                Arch::ALL.into_iter().any(|arch| syscalls::number(arch, row.name).is_some()),
                "{}",
                row.name
            );
            assert!(!row.reason.is_empty(), "{}", row.name);
            for (index, rule) in row.rules.iter().enumerate() {
                let plain = rule.conditions.is_empty() && rule.when == When::Always;
                assert_eq!(plain, rule.reason.is_empty(), "{} {}", row.name, rule.what);
                assert!(!plain || row.rules.len() == 1, "{}: a rule that hides the others", row.name);
                assert!(!row.rules[..index].contains(rule), "{}: {} twice", row.name, rule.what);
                for condition in rule.conditions {
                    assert!(condition.argument < 6);
                    if let Test::Masked { mask, value } = condition.test {
                        for arch in Arch::ALL {
                            let mask = mask.on(arch);
                            assert_eq!(value & !mask, 0, "{}: {value:#x} is outside {mask:#x}", row.name);
                        }
                    }
                }
            }
        }
    }
}
