//! execve(2) and execveat(2). An exec can't be performed for somebody else, and letting it go on
//! is racy: its path may be another by then. So an allowed program goes on only where Landlock
//! holds execution to exactly the allowed files and their interpreters; and since an interpreter
//! runs any file, the new image is compared with what was allowed before its first executable
//! map (see `images`).

use super::super::Arbiter;
use super::super::target::{Blame, Caller, path};
use super::refuse::Refused;
use super::{Outcome, Proceed};
use crate::report::{Action, Control};
use crate::sys::Errno;
use fnguard_policy::model::{self, narrowest_exec_rule};

/// `first` is the index of the path argument.
pub(super) fn execute(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    directory: i32,
    first: usize,
    flags: i32,
) -> Result<Outcome, Blame> {
    let process = caller.process()?;
    if arbiter.images.take_launch(process) {
        return Ok(Outcome::Proceed(Proceed::Launch));
    }
    let given = caller.read_string(caller.arg(first), 4096)?;
    let shown = crate::report::text::visible(&given);
    let decided = if given.is_empty() || flags & libc::AT_EMPTY_PATH != 0 {
        // A memfd or another file without a name: no rule can name it.
        Err(format!("descriptor {directory}"))
    } else {
        match path::resolve(caller, directory, &given, flags & libc::AT_SYMLINK_NOFOLLOW == 0) {
            Ok(path::Resolved { object: Some(_), text }) => Ok(text),
            Ok(path::Resolved { object: None, .. }) => return Err(Blame::Caller(Errno(libc::ENOENT))),
            // A magic link of /proc: /proc/self/fd/3 and the like.
            Err(Blame::Caller(Errno(libc::ELOOP))) => Err(shown.clone()),
            Err(blame) => return Err(blame),
        }
    };
    let (text, decision) = match decided {
        Ok(text) => {
            let decision = arbiter.policy.decide_exec(&text);
            (text, decision)
        }
        Err(what) => {
            let decision = arbiter.policy.decide_exec("");
            (what, decision)
        }
    };
    let refuse = |action, detail: Option<&str>| {
        let mut refused = Refused::new(Control::Exec, decision.rule.key, Errno(libc::EACCES))
            .program(text.clone())
            .hint(narrowest_exec_rule(&text));
        if let Some(detail) = detail {
            refused = refused.detail(detail.to_owned());
        } else if shown != text && !shown.is_empty() {
            refused = refused.detail(format!("given as {shown}"));
        }
        refused.report(arbiter, caller, action)
    };
    match decision.action {
        model::Action::Deny => Ok(refuse(Action::Blocked, None)),
        model::Action::Audit => {
            arbiter.images.loading(process);
            Ok(refuse(Action::Audited, None))
        }
        model::Action::Allow if arbiter.policy.exec.any => {
            arbiter.images.loading(process);
            Ok(Outcome::Proceed(Proceed::PolicyAny))
        }
        model::Action::Allow if arbiter.domain.execute => {
            arbiter.images.loading(process);
            Ok(Outcome::Proceed(Proceed::ExecHeld))
        }
        model::Action::Allow => {
            Ok(refuse(Action::Blocked, Some("the rule can't be held here: it needs Landlock, Linux 5.13")))
        }
    }
}
