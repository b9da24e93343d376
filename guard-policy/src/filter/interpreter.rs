//! Runs a filter the way the kernel does, without a kernel: for tests, and to explain a policy.
//! Classic BPF as seccomp takes it (kernel/seccomp.c, `seccomp_check_filter`, on top of
//! net/core/filter.c, `bpf_check_classic`), which is less than classic BPF has.

use crate::syscalls::abi::seccomp;

/// `struct seccomp_data` of linux/seccomp.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeccompData {
    /// The number of the call.
    pub nr: i32,
    /// `AUDIT_ARCH_*` of the call.
    pub arch: u32,
    /// Where it was made.
    pub instruction_pointer: u64,
    /// Its arguments, whole registers.
    pub args: [u64; 6],
}

impl SeccompData {
    /// The words of the structure as little-endian machines lay it out, by offset / 4.
    fn word(&self, offset: u32) -> Option<u32> {
        let halves = |value: u64, high: bool| (value >> if high { 32 } else { 0 }) as u32;
        let high = offset & 4 != 0;
        match offset {
            0 => Some(self.nr as u32),
            4 => Some(self.arch),
            8 | 12 => Some(halves(self.instruction_pointer, high)),
            16..64 if offset.is_multiple_of(4) => {
                let index = usize::try_from((offset - 16) / 8).ok()?;
                self.args.get(index).map(|&value| halves(value, high))
            }
            _ => None,
        }
    }
}

/// Why the kernel would refuse a program with EINVAL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is empty or longer than `BPF_MAXINSNS`.
    #[error("it has {0} instructions, expected 1 to {max}", max = seccomp::MAX_INSTRUCTIONS)]
    Length(usize),
    /// An instruction that seccomp does not take.
    #[error("instruction {at}: code {code:#06x} is none that seccomp takes")]
    Code {
        /// Which instruction.
        at: usize,
        /// Its code.
        code: u16,
    },
    /// A load from beyond `seccomp_data`, or of a part of a word.
    #[error("instruction {at}: a load from offset {offset}, expected a multiple of 4 below 64")]
    Load {
        /// Which instruction.
        at: usize,
        /// The offset.
        offset: u32,
    },
    /// A jump to or past the end.
    #[error("instruction {at}: a jump past the end of the program")]
    Jump {
        /// Which instruction.
        at: usize,
    },
    /// The last instruction does not return.
    #[error("the last instruction does not return")]
    Open,
    /// A scratch word that does not exist, or is read before it is written.
    #[error("instruction {at}: scratch word {word} does not exist or was not written")]
    Scratch {
        /// Which instruction.
        at: usize,
        /// The word.
        word: u32,
    },
    /// A division by a constant zero, or a shift by 32 bits or more.
    #[error("instruction {at}: the operation is not defined for the constant {constant}")]
    Operand {
        /// Which instruction.
        at: usize,
        /// The constant.
        constant: u32,
    },
}

/// What a run did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The value returned: `SECCOMP_RET_*`.
    pub value: u32,
    /// How many instructions were executed, the return among them.
    pub steps: usize,
    /// Whether anything but the architecture and the number was read. What was decided without
    /// is constant for the call, and the kernel (5.11 and later) remembers it in a bitmap.
    pub read_arguments: bool,
}

type Instruction = (u16, u8, u8, u32);

const SCRATCH_WORDS: usize = 16;

/// Checks a program as the kernel does before it takes it.
///
/// # Errors
///
/// [`Invalid`] says what the kernel would answer EINVAL to.
pub fn validate(program: &[Instruction]) -> Result<(), Invalid> {
    if program.is_empty() || program.len() > seccomp::MAX_INSTRUCTIONS {
        return Err(Invalid::Length(program.len()));
    }
    // For each instruction, the scratch words that every way to it has written (the kernel's
    // `check_load_and_stores`). Jumps go forward, so one pass is enough.
    let mut written = vec![u16::MAX; program.len()];
    let mut straight = 0u16;
    for (at, &(code, jt, jf, k)) in program.iter().enumerate() {
        straight &= written.get(at).copied().unwrap_or_default();
        let mut jump = |over: u32, written_now: u16| {
            let target = usize::try_from(over).ok().and_then(|over| (at + 1).checked_add(over));
            match target.and_then(|target| written.get_mut(target)) {
                Some(words) => {
                    *words &= written_now;
                    Ok(())
                }
                None => Err(Invalid::Jump { at }),
            }
        };
        let scratch = usize::try_from(k).ok().filter(|&word| word < SCRATCH_WORDS);
        match code {
            // ret k, ret a; ld len, ldx len, ld imm, ldx imm; tax, txa; neg
            0x06 | 0x16 | 0x80 | 0x81 | 0x00 | 0x01 | 0x07 | 0x87 | 0x84 => {}
            // ld [k]
            0x20 => {
                if k >= 64 || !k.is_multiple_of(4) {
                    return Err(Invalid::Load { at, offset: k });
                }
            }
            // add, sub, mul, and, or, xor, by k and by x; div, lsh, rsh by x
            0x04 | 0x0c | 0x14 | 0x1c | 0x24 | 0x2c | 0x54 | 0x5c | 0x44 | 0x4c | 0xa4 | 0xac | 0x3c
            | 0x6c | 0x7c => {}
            // div by k
            0x34 if k == 0 => return Err(Invalid::Operand { at, constant: k }),
            0x34 => {}
            // lsh, rsh by k
            0x64 | 0x74 if k >= 32 => return Err(Invalid::Operand { at, constant: k }),
            0x64 | 0x74 => {}
            // ld m[k], ldx m[k]
            0x60 | 0x61 => match scratch {
                Some(word) if straight & (1 << word) != 0 => {}
                _ => return Err(Invalid::Scratch { at, word: k }),
            },
            // st m[k], stx m[k]
            0x02 | 0x03 => match scratch {
                Some(word) => straight |= 1 << word,
                None => return Err(Invalid::Scratch { at, word: k }),
            },
            // ja
            0x05 => {
                jump(k, straight)?;
                straight = u16::MAX;
            }
            // jeq, jgt, jge, jset, by k and by x
            0x15 | 0x1d | 0x25 | 0x2d | 0x35 | 0x3d | 0x45 | 0x4d => {
                jump(u32::from(jt), straight)?;
                jump(u32::from(jf), straight)?;
                straight = u16::MAX;
            }
            _ => return Err(Invalid::Code { at, code }),
        }
    }
    match program.last() {
        Some((0x06 | 0x16, ..)) => Ok(()),
        _ => Err(Invalid::Open),
    }
}

/// A program that the kernel would take.
///
/// ```
/// use fnguard_policy::filter::{self, interpreter::{Interpreter, SeccompData}};
/// use fnguard_policy::syscalls::Arch;
/// let program = filter::compile(&Default::default(), Arch::X86_64)?;
/// let read = SeccompData { nr: 0, arch: Arch::X86_64.audit_value(), ..Default::default() };
/// assert_eq!(Interpreter::new(&program.instructions)?.run(&read), 0x7fff_0000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Interpreter<'a> {
    program: &'a [Instruction],
}

impl<'a> Interpreter<'a> {
    /// Checks the program once, for any number of runs.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the kernel would not take it.
    pub fn new(program: &'a [Instruction]) -> Result<Self, Invalid> {
        validate(program)?;
        Ok(Interpreter { program })
    }

    /// What the kernel would answer to a call: the value the program returns.
    pub fn run(&self, data: &SeccompData) -> u32 {
        self.trace(data).value
    }

    /// As [`Interpreter::run`], with what it took.
    pub fn trace(&self, data: &SeccompData) -> Run {
        let (mut a, mut x) = (0u32, 0u32);
        let mut scratch = [0u32; SCRATCH_WORDS];
        let mut run = Run { value: seccomp::RET_KILL_PROCESS, steps: 0, read_arguments: false };
        let mut at = 0usize;
        // A checked program jumps forward, within itself, and ends in a return, and its operands
        // exist; so no `None` below is met, and each of them would end the process.
        while let Some(&(code, jt, jf, k)) = self.program.get(at) {
            run.steps += 1;
            at += 1;
            let word = usize::try_from(k).unwrap_or(usize::MAX);
            // The operand of an operation or comparison: bit 3 chooses the index register.
            let operand = if code & 0x08 == 0 { k } else { x };
            let branch = |taken: bool| usize::from(if taken { jt } else { jf });
            match code {
                0x06 => return Run { value: k, ..run },
                0x16 => return Run { value: a, ..run },
                0x20 => {
                    let Some(loaded) = data.word(k) else { break };
                    a = loaded;
                    run.read_arguments |= k >= 8;
                }
                // The length of seccomp_data.
                0x80 => a = 64,
                0x81 => x = 64,
                0x00 => a = k,
                0x01 => x = k,
                0x60 | 0x61 => {
                    let Some(&stored) = scratch.get(word) else { break };
                    *(if code == 0x60 { &mut a } else { &mut x }) = stored;
                }
                0x02 | 0x03 => {
                    let Some(stored) = scratch.get_mut(word) else { break };
                    *stored = if code == 0x02 { a } else { x };
                }
                0x07 => x = a,
                0x87 => a = x,
                0x84 => a = a.wrapping_neg(),
                0x04 | 0x0c => a = a.wrapping_add(operand),
                0x14 | 0x1c => a = a.wrapping_sub(operand),
                0x24 | 0x2c => a = a.wrapping_mul(operand),
                // A division by a zero in the index register ends the program with 0.
                0x34 | 0x3c => match a.checked_div(operand) {
                    Some(quotient) => a = quotient,
                    None => return Run { value: 0, ..run },
                },
                0x44 | 0x4c => a |= operand,
                0x54 | 0x5c => a &= operand,
                0x64 | 0x6c => a = a.wrapping_shl(operand),
                0x74 | 0x7c => a = a.wrapping_shr(operand),
                0xa4 | 0xac => a ^= operand,
                0x05 => at = at.saturating_add(word),
                0x15 | 0x1d => at += branch(a == operand),
                0x25 | 0x2d => at += branch(a > operand),
                0x35 | 0x3d => at += branch(a >= operand),
                0x45 | 0x4d => at += branch(a & operand != 0),
                _ => break,
            }
        }
        run
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const RET_A: Instruction = (0x16, 0, 0, 0);

    #[test]
    fn refuses_what_the_kernel_refuses() {
        let ret = (0x06, 0, 0, 0);
        let cases: [(&[Instruction], Invalid); 12] = [
            (&[], Invalid::Length(0)),
            (&[(0x20, 0, 0, 0)], Invalid::Open),
            (&[(0x20, 0, 0, 64), ret], Invalid::Load { at: 0, offset: 64 }),
            (&[(0x20, 0, 0, 2), ret], Invalid::Load { at: 0, offset: 2 }),
            // ldh, ldb, ld [x + k]: classic BPF has them, seccomp does not
            (&[(0x28, 0, 0, 0), ret], Invalid::Code { at: 0, code: 0x28 }),
            (&[(0x30, 0, 0, 0), ret], Invalid::Code { at: 0, code: 0x30 }),
            (&[(0x40, 0, 0, 0), ret], Invalid::Code { at: 0, code: 0x40 }),
            (&[(0x15, 1, 0, 0), ret], Invalid::Jump { at: 0 }),
            (&[(0x05, 0, 0, u32::MAX), ret], Invalid::Jump { at: 0 }),
            (&[(0x34, 0, 0, 0), ret], Invalid::Operand { at: 0, constant: 0 }),
            (&[(0x60, 0, 0, 3), ret], Invalid::Scratch { at: 0, word: 3 }),
            (&[(0x02, 0, 0, 16), ret], Invalid::Scratch { at: 0, word: 16 }),
        ];
        for (program, expected) in cases {
            assert_eq!(validate(program), Err(expected), "{program:?}");
        }
        assert_eq!(validate(&vec![ret; 4097]), Err(Invalid::Length(4097)));
        assert_eq!(validate(&vec![ret; 4096]), Ok(()));
        // Written on one way only.
        let one_way = [(0x15, 0, 1, 0), (0x02, 0, 0, 0), (0x60, 0, 0, 0), RET_A];
        assert_eq!(validate(&one_way), Err(Invalid::Scratch { at: 2, word: 0 }));
    }

    #[test]
    fn reads_seccomp_data_as_the_kernel_lays_it_out() {
        let data = SeccompData {
            nr: -1,
            arch: 0x1111_1111,
            instruction_pointer: 0x2222_2222_3333_3333,
            args: [0x4444_4444_5555_5555, 0, 0, 0, 0, 0x6666_6666_7777_7777],
        };
        for (offset, expected) in [
            (0, u32::MAX),
            (4, 0x1111_1111),
            (8, 0x3333_3333),
            (12, 0x2222_2222),
            (16, 0x5555_5555),
            (20, 0x4444_4444),
            (56, 0x7777_7777),
            (60, 0x6666_6666),
        ] {
            let program = [(0x20, 0, 0, offset), RET_A];
            assert_eq!(Interpreter::new(&program).unwrap().run(&data), expected, "{offset}");
        }
    }

    #[test]
    fn computes() {
        let value = |steps: &[Instruction]| {
            let program = [steps, &[RET_A]].concat();
            Interpreter::new(&program).unwrap().run(&SeccompData::default())
        };
        assert_eq!(value(&[(0x00, 0, 0, 6), (0x24, 0, 0, 7)]), 42);
        assert_eq!(value(&[(0x00, 0, 0, 1), (0x14, 0, 0, 2)]), u32::MAX);
        assert_eq!(value(&[(0x00, 0, 0, 5), (0x07, 0, 0, 0), (0x0c, 0, 0, 0)]), 10);
        assert_eq!(value(&[(0x00, 0, 0, 5), (0x02, 0, 0, 9), (0x00, 0, 0, 1), (0x60, 0, 0, 9)]), 5);
        assert_eq!(value(&[(0x00, 0, 0, 0xff), (0x54, 0, 0, 0x0f), (0x64, 0, 0, 4)]), 0xf0);
        assert_eq!(value(&[(0x80, 0, 0, 0)]), 64);
        // Division by a zero in the index register returns 0 at once.
        assert_eq!(value(&[(0x00, 0, 0, 8), (0x3c, 0, 0, 0), (0x00, 0, 0, 9)]), 0);
    }
}
