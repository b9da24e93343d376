//! The compiler on tables other than ours: every combination of conditions, not only those the
//! function's table happens to have, and every fault that a table can have.

use super::interpreter::{Interpreter, SeccompData};
use super::*;
use crate::syscalls::{self, Condition, Row, Rule, Set, Test, Value, When, Width};
use proptest::prelude::*;

const OWN: u32 = 4711;

/// A table of one call. Tests leak what the compiler wants for ever; there are few.
fn table_of(rows: Vec<Row>, default: Answer) -> Table {
    let set = Set { name: "tested", note: "", rows: rows.leak() };
    Table { name: "tested", sets: vec![set].leak(), default }
}

fn row(name: &'static str, rules: Vec<Vec<Condition>>, otherwise: Answer) -> Row {
    let rules: Vec<Rule> = rules
        .into_iter()
        .map(|conditions| Rule { what: "", conditions: conditions.leak(), when: When::Always, reason: "" })
        .collect();
    Row { name, rules: rules.leak(), otherwise, reason: "" }
}

fn condition(argument: u8, width: Width, test: Test) -> Condition {
    Condition { argument, width, test }
}

fn holds(condition: &Condition, args: &[u64; 6]) -> bool {
    let register = args[usize::from(condition.argument)];
    let seen = match condition.width {
        Width::Dword => register & 0xffff_ffff,
        Width::Qword => register,
    };
    match condition.test {
        Test::Equals(value) => seen == value,
        Test::Masked { mask, value } => seen & mask.on(Arch::X86_64) == value,
        Test::Above(value) => seen > value,
        Test::OwnProcess => seen == u64::from(OWN),
    }
}

/// Small numbers in both halves, so that conditions meet each other.
fn number(width: Width) -> BoxedStrategy<u64> {
    match width {
        Width::Dword => (0u64..4).boxed(),
        Width::Qword => (0u64..4, 0u64..3).prop_map(|(low, high)| low | high << 32).boxed(),
    }
}

fn any_condition() -> impl Strategy<Value = Condition> {
    (0u8..3, prop_oneof![Just(Width::Dword), Just(Width::Qword)]).prop_flat_map(|(argument, width)| {
        let test = prop_oneof![
            number(width).prop_map(Test::Equals),
            (number(width), number(width))
                .prop_map(|(mask, value)| Test::Masked { mask: Value::Number(mask), value: value & mask }),
            number(width).prop_map(Test::Above),
            Just(Test::OwnProcess),
        ];
        test.prop_map(move |test| condition(argument, width, test))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_rules_compile_to_what_they_say(
        rules in prop::collection::vec(prop::collection::vec(any_condition(), 1..4), 1..40),
        registers in prop::collection::vec(prop::array::uniform3((0u64..4, 0u64..3, any::<bool>())), 64),
    ) {
        let table = table_of(vec![row("ioctl", rules.clone(), Answer::Errno(1))], Answer::Notify);
        let mut program = compile_table(&table, None, Arch::X86_64).unwrap();
        for &slot in &program.pid_slots {
            program.instructions[usize::from(slot)].3 = OWN;
        }
        let interpreter = Interpreter::new(&program.instructions).unwrap();
        let nr = syscalls::number(Arch::X86_64, "ioctl").unwrap() as i32;
        for three in registers {
            let mut args = [u64::MAX; 6];
            for (register, (low, high, own)) in args.iter_mut().zip(three) {
                *register = (if own { u64::from(OWN) } else { low }) | high << 32;
            }
            let arch = Arch::X86_64.audit_value();
            let found = interpreter.run(&SeccompData { nr, arch, instruction_pointer: 0, args });
            let allowed = rules.iter().any(|rule| rule.iter().all(|condition| holds(condition, &args)));
            let expected = return_value(if allowed { Answer::Allow } else { Answer::Errno(1) });
            prop_assert_eq!(found, expected, "{:x?} {:?}", args, rules);
        }
    }
}

/// A load may be left out only while the accumulator holds that word, not what a mask made of it.
#[test]
fn a_masked_word_is_loaded_again() {
    let masked = Test::Masked { mask: Value::Number(1), value: 1 };
    let rules =
        vec![vec![condition(1, Width::Dword, masked)], vec![condition(1, Width::Dword, Test::Equals(4))]];
    let table = table_of(vec![row("ioctl", rules, Answer::Notify)], Answer::Notify);
    let program = compile_table(&table, None, Arch::X86_64).unwrap();
    let interpreter = Interpreter::new(&program.instructions).unwrap();
    for (command, expected) in
        [(0, Answer::Notify), (1, Answer::Allow), (4, Answer::Allow), (6, Answer::Notify)]
    {
        let nr = syscalls::number(Arch::X86_64, "ioctl").unwrap() as i32;
        let args = [0, command, 0, 0, 0, 0];
        let data = SeccompData { nr, arch: Arch::X86_64.audit_value(), instruction_pointer: 0, args };
        assert_eq!(interpreter.run(&data), return_value(expected), "{command}");
    }
}

/// More rules than a branch reaches over, so that seccompiler's own helper jumps and our bridges
/// are both met.
#[test]
fn long_chains_are_bridged() {
    for count in [10u64, 60, 120, 200] {
        let rules: Vec<Vec<Condition>> = (0..count)
            .map(|value| {
                let mut rule = vec![condition(2, Width::Qword, Test::Above(value << 32)); 60];
                rule.push(condition(1, Width::Dword, Test::Equals(value)));
                rule.truncate(if value % 50 == 0 { 61 } else { 2 });
                rule
            })
            .collect();
        let table = table_of(vec![row("ioctl", rules.clone(), Answer::Notify)], Answer::Notify);
        let program = compile_table(&table, None, Arch::Aarch64).unwrap();
        let interpreter = Interpreter::new(&program.instructions).unwrap();
        let nr = syscalls::number(Arch::Aarch64, "ioctl").unwrap() as i32;
        for command in 0..count + 2 {
            for third in [0, command << 32, (command << 32) + 1, u64::MAX] {
                let args = [0, command, third, 0, 0, 0];
                let data =
                    SeccompData { nr, arch: Arch::Aarch64.audit_value(), instruction_pointer: 0, args };
                let allowed = rules.iter().any(|rule| rule.iter().all(|condition| holds(condition, &args)));
                let expected = return_value(if allowed { Answer::Allow } else { Answer::Notify });
                assert_eq!(interpreter.run(&data), expected, "{command} of {count}, {third:#x}");
            }
        }
    }
}

#[test]
fn faults_of_a_table_are_named() {
    let equals = |width, value| vec![vec![condition(0, width, Test::Equals(value))]];
    let one = |row| compile_table(&table_of(vec![row], Answer::Notify), None, Arch::X86_64).unwrap_err();

    let error = one(row("opennat", vec![], Answer::Notify));
    assert_eq!(error, FilterError::UnknownCall { table: "tested", name: "opennat" });
    assert!(error.to_string().contains("`opennat`"), "{error}");

    let error = one(row("dup", equals(Width::Dword, 1 << 32), Answer::Notify));
    assert_eq!(error, FilterError::TooWide { name: "dup", argument: 0, value: 1 << 32 });

    let placeholder = u64::from(OWN_PROCESS_PLACEHOLDER);
    for value in [placeholder, placeholder << 32] {
        let error = one(row("dup", equals(Width::Qword, value), Answer::Notify));
        assert_eq!(error, FilterError::Placeholder { name: "dup" });
    }

    let past_the_last = vec![vec![condition(6, Width::Dword, Test::Equals(0))]];
    assert!(matches!(
        one(row("dup", past_the_last, Answer::Notify)),
        FilterError::Seccompiler { name: "dup", .. }
    ));

    let twice = vec![row("dup", vec![], Answer::Notify), row("dup", vec![], Answer::Kill)];
    let error = compile_table(&table_of(twice, Answer::Notify), None, Arch::X86_64).unwrap_err();
    assert_eq!(error, FilterError::Twice { table: "tested", name: "dup" });

    // Each value once, on three arguments in turn: nothing to join.
    let long = (0..1500).map(|value| vec![condition((value % 3) as u8, Width::Dword, Test::Equals(value))]);
    let error = one(row("dup", long.collect(), Answer::Notify));
    assert!(matches!(error, FilterError::TooLong { .. } | FilterError::Seccompiler { .. }), "{error:?}");
}

#[test]
fn the_last_look_finds_what_should_not_be_there() {
    let table = &FUNCTION;
    let good = compile(&Policy::default(), Arch::X86_64).unwrap();
    assert_eq!(check(table, good.clone()), Ok(good.clone()));

    // One of seccompiler's own return values, left behind.
    let mut stray = good.clone();
    let at = stray.instructions.iter().rposition(|instruction| instruction.0 == assembler::RETURN).unwrap();
    stray.instructions[at].3 = 0x7ff0_0001;
    assert_eq!(
        check(table, stray),
        Err(FilterError::StrayReturn { table: "function", found: 0x7ff0_0001, at })
    );

    let mut forgotten = good.clone();
    forgotten.pid_slots.pop();
    assert!(matches!(check(table, forgotten), Err(FilterError::ProcessId { .. })));

    let mut open = good.clone();
    open.instructions.push((assembler::LOAD, 0, 0, 0));
    let reason = interpreter::Invalid::Open;
    assert_eq!(check(table, open), Err(FilterError::Invalid { table: "function", reason }));

    let mut long = good;
    long.instructions.resize(seccomp::MAX_INSTRUCTIONS + 1, (assembler::RETURN, 0, 0, seccomp::RET_ALLOW));
    assert!(matches!(check(table, long), Err(FilterError::TooLong { found: 4097, .. })));
}
