//! `#[guarded] fn main`: a release build that is not armed ends here. Where there is no guard to arm
//! (another platform than Linux's) it goes on and says so, unless real events wait for it.

use super::Site;
use crate::report::{Options, Refusal, Reporter};
use std::time::SystemTime;

/// The exit status of a refusal, as env(1) and timeout(1) have it for failures of their own.
const REFUSED: i32 = 125;

/// Goes on if the process is armed or need not be; ends it otherwise.
pub fn main(site: &'static Site) {
    if cfg!(not(guarded_platform)) && !crate::start::initial_runtime_api() {
        // A laptop. Asking says on stderr, once, that nothing is guarded.
        crate::link::ask::is_armed();
        return;
    }
    if site.debug_build || site.test || site.never_in_release || crate::link::ask::is_armed() {
        return;
    }
    eprintln!("{}", refusal(site, SystemTime::now()));
    std::process::exit(REFUSED);
}

/// The one line that says why.
fn refusal(site: &Site, now: SystemTime) -> String {
    let refusal = Refusal {
        code: "not_armed".to_owned(),
        message: format!("{} is guarded, and this process is not armed", site.function),
        found: Some("a release build that no guard has armed".to_owned()),
        expected: Some("arming before main by the attribute, or a start by `fnguard run`".to_owned()),
        remedy: Some(format!(
            "start it by `fnguard run`, or set [arm] release = \"never\" in its policy ({})",
            site.policy
        )),
    };
    Reporter::new(Options::default()).record(&refusal.into(), now, &|text| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_json_line() {
        let site = Site {
            function: "orders::main",
            policy: "guard.toml",
            debug_build: false,
            test: false,
            never_in_release: false,
        };
        let line = refusal(&site, SystemTime::UNIX_EPOCH);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["fnguard"], "refusal");
        assert_eq!(line["code"], "not_armed");
        assert!(line["message"].as_str().unwrap().contains("orders::main"));
        for field in ["found", "expected", "remedy"] {
            assert!(line[field].is_string(), "{field}");
        }
    }
}
