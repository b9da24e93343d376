//! Classic BPF as seccomp(2) runs it, written from linux/filter.h, linux/seccomp.h and
//! Documentation/networking/filter.rst for the tests alone. It shares nothing with the crate: an
//! error that the compiler and the crate's own interpreter had in common would not be seen by
//! either. What a compiled filter has no need of (division, index register, scratch words) is not
//! here, and a program that has it fails its test.
#![allow(dead_code)] // each test file uses its part

/// Code, true branch, false branch, operand: `struct sock_filter`.
pub type Instruction = (u16, u8, u8, u32);

// Classes, and within each what the rest of the code chooses.
const LD: u16 = 0x00;
const ALU: u16 = 0x04;
const JMP: u16 = 0x05;
const RET: u16 = 0x06;

/// A call, as the kernel shows it to a filter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Syscall {
    /// Its number.
    pub nr: i32,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Where it was made.
    pub instruction_pointer: u64,
    /// Six registers.
    pub args: [u64; 6],
}

impl Syscall {
    /// `struct seccomp_data`, byte by byte, as a little-endian machine has it.
    fn bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[0..4].copy_from_slice(&self.nr.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.arch.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.instruction_pointer.to_le_bytes());
        for (place, register) in bytes[16..].chunks_exact_mut(8).zip(self.args) {
            place.copy_from_slice(&register.to_le_bytes());
        }
        bytes
    }
}

/// What a run did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// What was returned: `SECCOMP_RET_*`.
    pub value: u32,
    /// How many instructions it took, the return among them.
    pub steps: usize,
    /// Whether anything behind number and architecture was read.
    pub read_arguments: bool,
}

/// A program.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    program: &'a [Instruction],
}

impl<'a> Machine<'a> {
    /// Takes a program that the kernel would take: 1 to 4096 instructions of which the last returns.
    #[track_caller]
    pub fn new(program: &'a [Instruction]) -> Self {
        assert!((1..=4096).contains(&program.len()), "{} instructions", program.len());
        assert_eq!(program[program.len() - 1].0 & 7, RET, "the last instruction does not return");
        Machine { program }
    }

    /// What it returns for a call.
    #[track_caller]
    pub fn run(&self, call: &Syscall) -> u32 {
        self.trace(call).value
    }

    /// The same, with what it took.
    #[track_caller]
    pub fn trace(&self, call: &Syscall) -> Run {
        let memory = call.bytes();
        let mut accumulator = 0u32;
        let (mut at, mut steps, mut read_arguments) = (0usize, 0, false);
        loop {
            let &(code, if_true, if_false, k) =
                self.program.get(at).unwrap_or_else(|| panic!("ran to {at}, which is past the end"));
            steps += 1;
            let unknown = || -> ! { panic!("instruction {at}: code {code:#x} is not for this machine") };
            let mut over = 0usize;
            match code & 0x07 {
                // BPF_W | BPF_ABS: seccomp takes aligned words of its structure and no other load.
                LD if code == 0x20 => {
                    let from = k as usize;
                    assert!(from.is_multiple_of(4) && from <= 60, "instruction {at}: a load from {from}");
                    read_arguments |= from >= 8;
                    accumulator = u32::from_le_bytes(memory[from..from + 4].try_into().unwrap());
                }
                ALU => {
                    // Bit 3 would choose the index register.
                    accumulator = match code & 0xf8 {
                        0x00 => accumulator.wrapping_add(k),
                        0x10 => accumulator.wrapping_sub(k),
                        0x40 => accumulator | k,
                        0x50 => accumulator & k,
                        0x60 if k < 32 => accumulator << k,
                        0x70 if k < 32 => accumulator >> k,
                        0xa0 => accumulator ^ k,
                        _ => unknown(),
                    }
                }
                JMP => {
                    let holds = match code & 0xf8 {
                        0x00 => {
                            over = k as usize;
                            None
                        }
                        0x10 => Some(accumulator == k),
                        0x20 => Some(accumulator > k),
                        0x30 => Some(accumulator >= k),
                        0x40 => Some(accumulator & k != 0),
                        _ => unknown(),
                    };
                    if let Some(holds) = holds {
                        over = usize::from(if holds { if_true } else { if_false });
                    }
                }
                RET => {
                    let value = match code & 0xf8 {
                        0x00 => k,
                        0x10 => accumulator,
                        _ => unknown(),
                    };
                    return Run { value, steps, read_arguments };
                }
                _ => unknown(),
            }
            at += 1 + over;
        }
    }
}
