//! The machine as a report names it: kernel, architecture, user, and what narrows it from outside.

use serde_json::{Value, json};
use std::fmt;
use std::fs;

/// Facts that explain why a probe is refused. What can't be read is left out.
#[derive(Debug)]
pub(super) struct Machine {
    kernel: Option<String>,
    user: u32,
    /// Whether a filter is in force already: a container's, or an outer fnguard's.
    filtered: Option<bool>,
    /// Yama's ptrace_scope (Documentation/admin-guide/LSM/Yama.rst).
    ptrace_scope: Option<String>,
    /// The security modules in their order.
    modules: Option<String>,
    on_lambda: bool,
}

impl Machine {
    pub(super) fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let status = read("/proc/self/status");
        let field = |name: &str| {
            let line = status.as_deref()?.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_start_matches(':').trim().to_owned())
        };
        Machine {
            kernel: read("/proc/sys/kernel/osrelease"),
            user: nix::unistd::getuid().as_raw(),
            filtered: field("Seccomp").map(|mode| mode != "0"),
            ptrace_scope: read("/proc/sys/kernel/yama/ptrace_scope"),
            modules: read("/sys/kernel/security/lsm"),
            on_lambda: std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some(),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "kernel": self.kernel,
            "arch": std::env::consts::ARCH,
            "uid": self.user,
            "seccomp_filter_inherited": self.filtered,
            "yama_ptrace_scope": self.ptrace_scope,
            "security_modules": self.modules,
            "lambda": self.on_lambda,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kernel = self.kernel.as_deref().unwrap_or("of unknown version");
        write!(f, "Linux {kernel}, {}, uid {}", std::env::consts::ARCH, self.user)?;
        if self.filtered == Some(true) {
            f.write_str(", under a seccomp filter already")?;
        }
        if let Some(scope) = self.ptrace_scope.as_deref().filter(|scope| *scope != "0") {
            write!(f, ", Yama ptrace_scope {scope}")?;
        }
        if let Some(modules) = &self.modules {
            write!(f, ", security modules {modules}")?;
        }
        if self.on_lambda {
            f.write_str(", in a Lambda function")?;
        }
        Ok(())
    }
}
