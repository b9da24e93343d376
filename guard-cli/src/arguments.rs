//! The command line's grammar and its help. What the commands do stands in their own files.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// A runtime behavioural guard for function processes.
#[derive(Debug, Parser)]
#[command(
    name = "fnguard",
    version,
    about = "A runtime behavioural guard for function processes: runs a program so that the kernel holds it to its policy.",
    after_help = "Start here:\n  fnguard init                          write a commented guard.toml\n  fnguard run -- ./my-function          run it guarded\n  fnguard doctor                        what this machine allows"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a program under its policy.
    Run(Run),
    /// Put the launcher in front of a packaged function.
    Package(Package),
    /// Check a policy, and a binary against it.
    Check(Check),
    /// Say what a policy decides about one thing, and why.
    Explain(Explain),
    /// Print the table of system calls.
    Syscalls(Syscalls),
    /// Print the JSON Schema of guard.toml, for editors.
    Schema,
    /// Write a commented guard.toml.
    Init(Init),
    /// Report what this platform allows, and what fnguard would use.
    Doctor(Doctor),
}

#[derive(Debug, Args)]
#[command(
    after_help = "The policy is, in this order: --policy; the one that #[guarded] put into the program's own binary;\n./guard.toml. `run` always arms: the keys `[arm] release` and `debug` speak to the attribute.\n\nExit status: 125 if fnguard itself fails, 126 if PROGRAM can't be executed, 127 if it is not found,\nelse PROGRAM's own; killed by a signal, fnguard ends by the same one (as pid 1: 128 + its number).\n\nPROGRAM's stdout and stderr are pipes to the guard, which redacts secrets in them: isatty(3) says no\nthere, whatever fnguard's own are. Standard input is PROGRAM's, untouched, and so is the terminal's job control.\n\nWith --tty, PROGRAM gets a pseudo-terminal in a session of its own, as under script(1) or docker run -it.\nstdout and stderr are one stream then: it comes out on fnguard's stdout, redacted, and only fnguard's own\nrecords on stderr (2>guard.log keeps them off the screen). ^C and ^Z are PROGRAM's; a shell needs [exec] rules.\n\nExamples:\n  fnguard run -- ./target/release/my-function\n  fnguard run --policy guard.toml -- python3 handler.py\n  fnguard run --tty -- python3              a prompt, colours, line editing\n  fnguard run --audit -- ./my-function      let network, exec and files through, and report them\n\nIn audit too, executable memory after the start is refused: node and the JVM need a policy with\n`executable = \"any\"` in [memory]."
)]
pub(crate) struct Run {
    /// The policy to hold the program to.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Let network, exec and files through, and report what would have been refused.
    #[arg(long)]
    pub(crate) audit: bool,
    /// Give the program a pseudo-terminal; stdin and stdout must be a terminal.
    #[arg(long)]
    pub(crate) tty: bool,
    /// The program, found as the shell would find it, and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Takes the archive that `cargo lambda build --release --output-format zip` makes, and writes one in which\n`bootstrap` is fnguard's launcher and the function lies beside it as `bootstrap.function`. The policy is\nthe one in the function's own binary; with --policy, or where the binary has none and ./guard.toml\nexists, it is compiled into `guard.policy` beside them.\n\nExamples:\n  fnguard package target/lambda/orders/bootstrap.zip\n  fnguard package orders.zip -o orders-guarded.zip --policy guard.toml"
)]
pub(crate) struct Package {
    /// The function's archive.
    #[arg(value_name = "FUNCTION.zip")]
    pub(crate) archive: PathBuf,
    /// Where to write; FUNCTION-guarded.zip beside the archive if not given.
    #[arg(short, long, value_name = "OUT.zip")]
    pub(crate) output: Option<PathBuf>,
    /// The policy, in place of the one in the function's binary.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// The launcher; fnguard-launcher (or fnguard-launcher-ARCH) beside the command if not given.
    #[arg(long, value_name = "FILE")]
    pub(crate) launcher: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 if the policy holds, and the binary carries it; 1 if not.\n\nExamples:\n  fnguard check\n  fnguard check --policy guard.toml target/release/my-function"
)]
pub(crate) struct Check {
    /// The policy; ./guard.toml if not given.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// A program that #[guarded] built, to be compared with the policy.
    #[arg(value_name = "BINARY")]
    pub(crate) binary: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 if it is allowed, let through in audit, or (a system call) for the arbiter to decide;\n1 if it is denied; 2 if it can't be told: no policy, or a question that makes no sense.\n\nExamples:\n  fnguard explain connect api.stripe.com:443\n  fnguard explain connect udp/10.0.0.2:53\n  fnguard explain exec /usr/bin/id\n  fnguard explain write /var/log/app.log\n  fnguard explain syscall socket 2 3 0"
)]
pub(crate) struct Explain {
    /// The policy; ./guard.toml if not given.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) policy: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) what: Request,
}

/// What is asked about.
#[derive(Debug, Subcommand)]
pub(crate) enum Request {
    /// A connection or a datagram.
    Connect {
        /// name:port, address:port, [v6]:port, udp/…, unix:/path or unix:@name.
        #[arg(value_name = "HOST:PORT")]
        peer: String,
    },
    /// Listening on an address.
    Listen {
        /// address:port, [v6]:port, udp/… or unix:/path.
        #[arg(value_name = "ADDRESS:PORT")]
        address: String,
    },
    /// Starting a program.
    Exec {
        /// Its path.
        path: PathBuf,
    },
    /// Changing a file.
    Write {
        /// Its path.
        path: PathBuf,
    },
    /// Reading a file.
    Read {
        /// Its path.
        path: PathBuf,
    },
    /// Resolving a name.
    Lookup {
        /// The name.
        name: String,
    },
    /// A system call, with its arguments as numbers (0x… for hex); those not given are 0.
    Syscall {
        /// Its name.
        name: String,
        /// Its arguments.
        #[arg(value_parser = number, allow_negative_numbers = true, num_args = 0..=6)]
        arguments: Vec<u64>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Syscalls {
    /// As it stands under this policy.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// The architecture whose numbers are shown.
    #[arg(long, value_enum)]
    pub(crate) arch: Option<ArchName>,
    /// Print the documentation page instead: both tables, in Markdown.
    #[arg(long, conflicts_with_all = ["policy", "arch"])]
    pub(crate) markdown: bool,
}

/// An architecture.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum ArchName {
    #[value(name = "x86_64")]
    X86_64,
    Aarch64,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Where to write; a file that exists is left alone.
    #[arg(value_name = "FILE", default_value = "guard.toml")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Each line is something that was tried in a process of its own just now: some platforms kill for trying.\nExit status: 0 if fnguard can hold a policy here, 1 if not."
)]
pub(crate) struct Doctor {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Try one thing in this very process: how the command runs its own probes.
    #[arg(long, hide = true, value_name = "NAME")]
    pub(crate) probe: Option<String>,
}

/// A register's value: decimal or hex, negative as two's complement.
fn number(text: &str) -> Result<u64, String> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    let value = value.map_err(|_| format!("`{text}` is no 64-bit number such as 2, -1 or 0x80000"))?;
    Ok(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_holds() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn numbers() {
        assert_eq!(number("2"), Ok(2));
        assert_eq!(number("0x10"), Ok(16));
        assert_eq!(number("-1"), Ok(u64::MAX));
        assert!(number("0x").is_err());
        assert!(number("18446744073709551616").is_err());
    }
}
