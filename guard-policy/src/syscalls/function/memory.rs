//! Memory: mapping it, advising on it. New executable memory is notified: the arbiter allows it
//! while a program loads, and not after.

use super::super::abi::mman;
use super::super::row::{Rule, Set, When, allow, allow_if, int, rule, rule_when};

// `prot` is an unsigned long of which the kernel tests bits, so the lower half is all there is.
const MAP_WITHOUT_EXEC: &[Rule] = &[
    rule("without PROT_EXEC", &[int(2).without(mman::PROT_EXEC)], "data"),
    // A file-backed one stays notified: it is how the arbiter tells, at a new program's first
    // mapping, that the program is the one it allowed.
    rule_when(
        When::ExecutableMemory,
        "MAP_ANONYMOUS",
        &[int(3).with(mman::MAP_ANONYMOUS)],
        "a just-in-time compiler, as the policy says",
    ),
];
const PROTECT_WITHOUT_EXEC: &[Rule] = &[
    rule("without PROT_EXEC", &[int(2).without(mman::PROT_EXEC)], "data"),
    rule_when(When::ExecutableMemory, "", &[], "a just-in-time compiler, as the policy says"),
];

const ADVICE: &[Rule] = &[
    rule("MADV_DONTNEED", &[int(2).is(mman::DONTNEED)], "allocators give memory back by it"),
    rule("MADV_FREE", &[int(2).is(mman::FREE)], "allocators give memory back by it"),
    rule("MADV_NORMAL", &[int(2).is(mman::NORMAL)], "a hint"),
    rule("MADV_RANDOM", &[int(2).is(mman::RANDOM)], "a hint"),
    rule("MADV_SEQUENTIAL", &[int(2).is(mman::SEQUENTIAL)], "a hint"),
    rule("MADV_WILLNEED", &[int(2).is(mman::WILLNEED)], "a hint"),
    rule("MADV_HUGEPAGE", &[int(2).is(mman::HUGEPAGE)], "page size"),
    rule("MADV_NOHUGEPAGE", &[int(2).is(mman::NOHUGEPAGE)], "page size"),
    rule("MADV_COLLAPSE", &[int(2).is(mman::COLLAPSE)], "page size"),
    rule("MADV_DONTDUMP", &[int(2).is(mman::DONTDUMP)], "keeps memory out of core dumps"),
    rule("MADV_DONTFORK", &[int(2).is(mman::DONTFORK)], "the process's own children"),
    rule("MADV_DOFORK", &[int(2).is(mman::DOFORK)], "the process's own children"),
    rule("MADV_WIPEONFORK", &[int(2).is(mman::WIPEONFORK)], "the process's own children"),
    rule("MADV_KEEPONFORK", &[int(2).is(mman::KEEPONFORK)], "the process's own children"),
    rule("MADV_COLD", &[int(2).is(mman::COLD)], "a hint"),
    rule("MADV_PAGEOUT", &[int(2).is(mman::PAGEOUT)], "a hint"),
    rule("MADV_GUARD_INSTALL", &[int(2).is(mman::GUARD_INSTALL)], "thread stacks since glibc 2.42"),
    rule("MADV_GUARD_REMOVE", &[int(2).is(mman::GUARD_REMOVE)], "thread stacks since glibc 2.42"),
];

/// The address space.
pub(super) const MEMORY: Set = Set {
    name: "Memory",
    note: "Advice is by a list: MADV_DODUMP undoes a protection, MADV_MERGEABLE tells secrets by timing, MADV_POPULATE_* can stall the arbiter's reads. mincore, cachestat and process_madvise are notified.",
    rows: &[
        allow_if("mmap", MAP_WITHOUT_EXEC, "executable memory is the arbiter's to decide"),
        allow_if("mprotect", PROTECT_WITHOUT_EXEC, "executable memory is the arbiter's to decide"),
        allow_if("pkey_mprotect", PROTECT_WITHOUT_EXEC, "executable memory is the arbiter's to decide"),
        allow("pkey_alloc", "takes rights away from the process's own pages"),
        allow("pkey_free", "takes rights away from the process's own pages"),
        allow("munmap", "the process's own pages"),
        allow("mremap", "moves pages; adds no right"),
        allow("brk", "the heap"),
        allow("msync", "durability of a mapping"),
        allow("mlock", "keeps secrets out of swap, within RLIMIT_MEMLOCK"),
        allow("mlock2", "keeps secrets out of swap, within RLIMIT_MEMLOCK"),
        allow("munlock", "the process's own pages"),
        allow("get_mempolicy", "asks; allocators and the JVM do so at start"),
        allow_if("madvise", ADVICE, "by advice"),
    ],
};
