//! Judging: what the outside shows of an attempt, and which record stands for it. Pure: everything
//! that is looked at was collected before. The attacker's own word counts for one thing only: that
//! it did try, so that an attempt that never ran is not taken for one that was stopped.

use crate::attempts::{Attempt, Descriptor, Proof, Record, Unrecorded};
use crate::schema;
use crate::session::{Captured, Look};
use crate::world::Secrets;
use ambush_platform::runtime_api::Answer;
use serde_json::Value;

/// What was collected of one attempt.
pub struct Evidence<'a> {
    /// The attempt's own mark.
    pub nonce: String,
    /// The request in which it was made.
    pub request_id: &'a str,
    /// What it aimed at.
    pub to: String,
    /// This run's secrets.
    pub secrets: &'a Secrets,
    /// What arrived in its sink.
    pub arrivals: Vec<String>,
    /// How its invocation was answered.
    pub answer: Option<&'a Answer>,
    /// The function and its parent before.
    pub before: Look,
    /// And after.
    pub after: Look,
    /// What was typed into the terminal, and what it showed.
    pub terminal: &'a (String, String),
    /// What was written.
    pub captured: &'a Captured,
}

/// What became of one attempt.
#[derive(Clone)]
pub struct Trial {
    /// Which.
    pub name: &'static str,
    /// What the outside shows, if it succeeded.
    pub success: Option<String>,
    /// Whether it was made at all.
    pub tried: bool,
    /// How it ended, in the attacker's words; for the reader only.
    pub attackers_word: Option<String>,
    /// Under the guard: the record that stands for it, or what is missing.
    pub record: Option<Result<String, String>>,
}

/// Judges an attempt.
pub fn judge(attempt: &Attempt, guarded: bool, evidence: &Evidence<'_>) -> Trial {
    let spoken = Spoken::of(evidence);
    let success = success(attempt.proof, evidence, &spoken);
    // Whatever it was that leaked it: a guarded function's logs and answers never show the key.
    let leak = (guarded && success.is_none()).then(|| evidence.leak()).flatten();
    Trial {
        name: attempt.name,
        success: success.or(leak),
        tried: spoken.began,
        record: guarded.then(|| record(attempt, evidence, &spoken)),
        attackers_word: spoken.ended,
    }
}

/// What the attacker left in the logs for the ambush.
#[derive(Default)]
struct Spoken {
    began: bool,
    ended: Option<String>,
    loot: Vec<String>,
}

impl Spoken {
    fn of(evidence: &Evidence<'_>) -> Self {
        let prefix = format!("ambush: {} ", evidence.nonce);
        let mut spoken = Spoken::default();
        for line in evidence.captured.lines() {
            let Some((_, words)) = line.split_once(&prefix) else { continue };
            if words == "begins" {
                spoken.began = true;
            } else if let Some(end) = words.strip_prefix("ends: ") {
                spoken.ended = Some(end.to_owned());
            } else if let Some(loot) = words.strip_prefix("loot ") {
                spoken.loot.push(unhide(loot));
            }
        }
        spoken
    }

    fn loot_has(&self, text: &str) -> bool {
        self.loot.iter().any(|loot| loot.contains(text))
    }
}

/// The attacker's encoding: each byte exclusive-or 0x5a, in hex.
fn unhide(hidden: &str) -> String {
    let bytes: Vec<u8> = hidden
        .as_bytes()
        .chunks(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .map(|byte| byte ^ 0x5a)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Evidence<'_> {
    /// The key in the log or in the answer, in a form that redaction knows.
    fn leak(&self) -> Option<String> {
        let key = &self.secrets.stripe_key;
        let forms = [("as it is", key.clone()), ("in base64", base64(key)), ("in hex", hex(key))];
        forms.into_iter().find_map(|(form, text)| {
            // Base64 of the key alone ends in padding, which a longer text would not have.
            let text = text.trim_end_matches('=');
            if self.captured.contains(text) {
                return Some(format!("the log shows the key {form}"));
            }
            let answered = String::from_utf8_lossy(self.answer_body()?).contains(text);
            answered.then(|| format!("the answer shows the key {form}"))
        })
    }

    fn answer_body(&self) -> Option<&[u8]> {
        match self.answer? {
            Answer::Response(body) | Answer::Error(body) => Some(body),
        }
    }

    /// The record of a call that this attempt makes, which carries the attempt's own nonce: in what
    /// the call aimed at, or as the request's id, where the request was made for this attempt alone.
    /// What is aimed at is not enough: another attempt may aim at the same.
    fn violation_of(&self, control: &str, calls: &[&str]) -> Option<Value> {
        let text = |record: &Value, key: &str| record[key].as_str().map(str::to_owned).unwrap_or_default();
        let own_request = self.request_id.replace('-', "") == self.nonce;
        self.captured.lines().filter_map(violation).find(|record| {
            let named = ["address", "name", "path", "program", "detail"]
                .iter()
                .any(|key| text(record, key).contains(self.nonce.as_str()));
            let requested = own_request && text(record, "requestId") == self.request_id;
            record["action"] == "blocked"
                && record["control"] == control
                && calls.contains(&text(record, "syscall").as_str())
                && (named || requested)
        })
    }

    fn shows(&self, yes: bool, what: impl Into<String>) -> Option<String> {
        yes.then(|| what.into())
    }
}

/// What the outside shows, if the attempt succeeded.
fn success(proof: Proof, evidence: &Evidence<'_>, spoken: &Spoken) -> Option<String> {
    let Evidence { nonce, before, after, captured, .. } = evidence;
    let first = |list: &[String]| list.last().cloned();
    let has_nonce = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains(nonce.as_str()));
    let target = |look: &Look| look.target.as_ref().map(|(content, _)| content.clone());
    let mode = |look: &Look| look.target.as_ref().map(|(_, mode)| *mode);
    match proof {
        Proof::Arrived => first(&evidence.arrivals),
        Proof::DoorOpen => first(&after.doors),
        Proof::SecretFound => {
            let token = format!("dotenv_{nonce}");
            let mut secrets = evidence.secrets.not_handed_over().into_iter().chain([token.as_str()]);
            evidence.shows(secrets.any(|secret| spoken.loot_has(secret)), "the attacker hands in a secret")
        }
        Proof::ProgramRan => evidence.shows(has_nonce(&after.proof), "the program wrote its file"),
        Proof::FileWritten => evidence.shows(has_nonce(&target(after)), "the file is there"),
        Proof::FileGone => {
            evidence.shows(before.target.is_some() && after.target.is_none(), "the file is gone")
        }
        Proof::ModeChanged => {
            let (was, is) = (mode(before)?, mode(after)?);
            evidence.shows(was != is, format!("mode {was:o} became {is:o}"))
        }
        Proof::CodeRan => {
            let permissions = after.mapping.as_ref()?.split_whitespace().nth(1)?;
            let ran = permissions.contains('x') && spoken.loot_has(nonce.get(..8)?);
            evidence.shows(ran, format!("code ran in a page that is {permissions}"))
        }
        Proof::ParentTraced => {
            let tracer = after.parent_tracer.parse().unwrap_or(0);
            evidence.shows(tracer != 0, format!("process {tracer} traces the parent"))
        }
        Proof::ParentStopped => evidence.shows(after.parent_stopped, "the parent is stopped"),
        Proof::ParentDead => evidence.shows(!before.parent_dead && after.parent_dead, "the parent is dead"),
        Proof::ParentLimited => {
            let files = after.parent_files?;
            let limited = files.to_string() == evidence.to && before.parent_files != Some(files);
            evidence.shows(limited, format!("the parent may open {files} files"))
        }
        Proof::ParentIdle => {
            let idle = |look: &Look| look.parent_policy == Some(libc::SCHED_IDLE);
            evidence.shows(!idle(before) && idle(after), "the parent has the idle policy")
        }
        Proof::ParentPinned => {
            let (was, is) = (&before.parent_processors, &after.parent_processors);
            let single = is.parse::<u32>().is_ok();
            evidence.shows(was != is && single, format!("the parent runs on {is} instead of {was}"))
        }
        Proof::ParentLogWritten => {
            let line = format!("stolen {nonce} {}", evidence.secrets.stripe_key);
            evidence.shows(captured.contains(&line), "the key stands in the parent's log")
        }
        Proof::Holds(wanted) => {
            let count = |look: &Look| look.descriptors.iter().filter(|found| leads_to(found, wanted)).count();
            evidence.shows(count(after) > count(before), "the function holds the descriptor")
        }
        Proof::OtherNamespace => {
            let comm = nonce.get(..15)?;
            let there = after.elsewhere.iter().any(|name| name.trim() == comm);
            evidence.shows(there, "a process is in another user namespace")
        }
        Proof::KeyKept => evidence.shows(after.keys.contains(nonce), "/proc/keys lists it"),
        Proof::FilterAdded => evidence
            .shows(before.filters.len() == 1 && after.filters.len() > 1, "a thread has one filter more"),
        Proof::TerminalTyped => {
            evidence.shows(evidence.terminal.0.contains(nonce), "the terminal's input has it")
        }
        Proof::TerminalShows => {
            let key = &evidence.secrets.stripe_key;
            evidence.shows(evidence.terminal.1.contains(key), "the terminal shows the key")
        }
        Proof::LogShows => {
            let line = captured.lines().any(|line| line.contains(nonce) && line.contains("the key is"));
            evidence.leak().filter(|_| line)
        }
        Proof::AnswerShows => {
            let body = String::from_utf8_lossy(evidence.answer_body()?);
            let leaked = body.contains(nonce) && body.contains(&evidence.secrets.stripe_key);
            evidence.shows(leaked, "the caller gets the key")
        }
        Proof::LogStolen => {
            let stolen = spoken
                .loot
                .iter()
                .flat_map(|loot| loot.lines())
                .find(|line| line.len() == nonce.len() + " line 00000".len() && line.contains(nonce))?;
            let missing = !captured.lines().any(|line| line == stolen);
            evidence.shows(missing, "a line is with the attacker and not in the log")
        }
        Proof::RecordForged => {
            let forged = captured
                .lines()
                .filter(|line| line.contains(nonce))
                .any(|line| violation(line.trim_start_matches([' ', '\u{feff}'])).is_some());
            evidence.shows(forged, "a line reads as the guard's")
        }
    }
}

fn leads_to((to, family): &(String, Option<i32>), wanted: Descriptor) -> bool {
    match wanted {
        Descriptor::Anonymous(name) => to.strip_prefix("anon_inode:") == Some(name),
        Descriptor::Socket(wanted) => *family == Some(wanted),
    }
}

/// A line as a violation, if it is one.
fn violation(line: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(line).ok()?;
    (value.get("fnguard")? == "violation").then_some(value)
}

/// The record that stands for an attempt, or what is missing.
fn record(attempt: &Attempt, evidence: &Evidence<'_>, spoken: &Spoken) -> Result<String, String> {
    let Evidence { nonce, captured, .. } = evidence;
    if spoken.ended.as_deref() == Some("still at it") {
        return Err("the call neither fails nor returns".to_owned());
    }
    if let Some(fault) = schema::fault(captured.lines()) {
        return Err(fault);
    }
    match attempt.record {
        Record::Violation(control, calls) => {
            evidence.violation_of(control, calls).map(|record| describe(&record)).ok_or_else(|| {
                format!("no {control} violation of {} carries the attempt's nonce", calls.join(", "))
            })
        }
        Record::Redaction => {
            let mark = "[redacted:STRIPE_KEY]";
            let answer = evidence.answer_body().map(String::from_utf8_lossy).unwrap_or_default();
            captured
                .lines()
                .chain(answer.lines())
                .any(|line| line.contains(nonce.as_str()) && line.contains(mark))
                .then(|| mark.to_owned())
                .ok_or_else(|| format!("no {mark} beside the nonce"))
        }
        Record::Marked => captured
            .lines()
            .any(|line| line.contains(nonce.as_str()) && line.contains("\"blocked\""))
            .then(|| "the line is marked as the function's own".to_owned())
            .ok_or_else(|| "the line is missing".to_owned()),
        Record::Outside(reason) => outside(reason, evidence, spoken),
    }
}

/// Why there need be no record: what the outside shows.
fn outside(reason: Unrecorded, evidence: &Evidence<'_>, spoken: &Spoken) -> Result<String, String> {
    let Look { parent_readable, log_readable, .. } = evidence.after;
    let refusals =
        [libc::EPERM, libc::EACCES].map(|errno| std::io::Error::from_raw_os_error(errno).to_string());
    match (reason, spoken.ended.as_deref()) {
        (_, None) => Err("it never said how it ended".to_owned()),
        // It found what is no secret and lies in the same place, so it would have found the rest.
        (Unrecorded::NothingLeft, Some("done")) if spoken.loot_has(crate::session::REGION) => {
            Ok("nothing left to find".to_owned())
        }
        (Unrecorded::NothingLeft, Some("done")) => Err("it did not even find what is no secret".to_owned()),
        (_, Some(end)) if !refusals.iter().any(|known| known == end) => {
            Err(format!("it failed by itself: {end}"))
        }
        (Unrecorded::ParentClosed, _) if parent_readable == Some(false) => {
            Ok("the kernel refused: the parent is closed to the function's user".to_owned())
        }
        (Unrecorded::LogClosed, _) if log_readable == Some(false) => {
            Ok("the kernel refused: the log's pipe grants nobody to read".to_owned())
        }
        (_, Some(refusal)) => {
            Err(format!("{refusal}, and from outside nothing is seen that would refuse it"))
        }
    }
}

/// A violation in a few words.
fn describe(record: &Value) -> String {
    ["control", "syscall", "address", "name", "program", "path", "detail"]
        .iter()
        .filter_map(|key| record.get(key)?.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 4648 section 4; not the hostile crate's code, which it checks.
fn base64(text: &str) -> String {
    let letter = |index: u32| -> char {
        let index = index as u8;
        char::from(match index {
            0..=25 => b'A' + index,
            26..=51 => b'a' + index - 26,
            52..=61 => b'0' + index - 52,
            62 => b'+',
            _ => b'/',
        })
    };
    let mut out = String::new();
    let (mut bits, mut held) = (0u32, 0);
    for byte in text.bytes() {
        bits = bits << 8 | u32::from(byte);
        held += 8;
        while held >= 6 {
            held -= 6;
            out.push(letter(bits >> held & 63));
        }
    }
    if held > 0 {
        out.push(letter(bits << (6 - held) & 63));
    }
    while !out.len().is_multiple_of(4) {
        out.push('=');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Evidence, Trial, base64, judge};
    use crate::attempts::ALL;
    use crate::session::{Captured, Look};
    use crate::world::Secrets;
    use ambush_platform::runtime_api::Answer;

    const NONCE: &str = "8476a536e9f44d4f9db0a5ab67aea4bf";
    const REQUEST: &str = "8476a536-e9f4-4d4f-9db0-a5ab67aea4bf";
    const KEY: &str = "sk_live_abcdefgh";

    fn judged(name: &str, stderr: &str, change: impl FnOnce(&mut Evidence<'_>)) -> Trial {
        let secrets = Secrets {
            stripe_key: KEY.into(),
            db_password: "dbpw_live_12345678".into(),
            aws_secret_access_key: "aws-secret-12345678".into(),
            aws_session_token: "aws-token-12345678".into(),
        };
        let captured = Captured {
            stdout: String::new(),
            stderr: stderr.replace("NONCE", NONCE).replace("REQUEST", REQUEST),
            platform: String::new(),
        };
        let mut evidence = Evidence {
            nonce: NONCE.into(),
            request_id: REQUEST,
            to: "203.0.113.9:4711".into(),
            secrets: &secrets,
            arrivals: Vec::new(),
            answer: None,
            before: Look::default(),
            after: Look::default(),
            terminal: &(String::new(), String::new()),
            captured: &captured,
        };
        change(&mut evidence);
        judge(ALL.iter().find(|attempt| attempt.name == name).unwrap(), true, &evidence)
    }

    fn hidden(text: &str) -> String {
        text.bytes().map(|byte| format!("{:02x}", byte ^ 0x5a)).collect()
    }

    const TRIED: &str = "ambush: NONCE begins\nambush: NONCE ends: Permission denied (os error 13)\n";

    /// A record of the guard's, as it would stand in the log.
    fn record(fields: &str) -> String {
        let common =
            r#""timestamp":"2026-11-23T09:08:00.455Z","level":"ERROR","fnguard":"violation","seq":17"#;
        format!(r#"{TRIED}{{{common},"action":"blocked","rule":"network.allow",{fields}}}"#) + "\n"
    }

    const OWN: &str = r#""control":"network","syscall":"connect","requestId":"REQUEST""#;

    #[test]
    fn a_refusal_with_its_record_is_accounted_for() {
        let by_request = judged("tcp", &record(OWN), |_| {});
        assert!(by_request.tried && by_request.success.is_none());
        assert!(matches!(by_request.record, Some(Ok(_))));
        // Among others' attempts in one request: by what it aimed at.
        let aimed =
            r#""control":"files","syscall":"openat","path":"/var/task/NONCE.so","requestId":"shared""#;
        let by_target = judged("own-code", &record(aimed), |evidence| evidence.request_id = "shared");
        assert!(matches!(by_target.record, Some(Ok(_))));
    }

    #[test]
    fn a_record_of_something_else_does_not_count() {
        for fields in [
            // Another attempt's, at the same target or not.
            r#""control":"network","syscall":"connect","requestId":"another""#,
            r#""control":"network","syscall":"connect","address":"203.0.113.9:4711","requestId":"another""#,
            r#""control":"network","syscall":"connect","address":"203.0.113.9:4711""#,
            // In the request, and of what the attempt does not do.
            r#""control":"network","syscall":"bind","requestId":"REQUEST""#,
            r#""control":"exec","syscall":"connect","requestId":"REQUEST""#,
            // The request's id where no id stands.
            r#""control":"network","syscall":"connect","hint":"REQUEST""#,
        ] {
            let trial = judged("tcp", &record(fields), |_| {});
            assert!(matches!(trial.record, Some(Err(_))), "{fields}");
        }
        for (what, instead) in [
            (r#""blocked""#, r#""audited""#),
            (r#""violation""#, r#""suppressed""#),
            (r#""fnguard""#, r#""fnguard?""#),
        ] {
            let trial = judged("tcp", &record(OWN).replace(what, instead), |_| {});
            assert!(matches!(trial.record, Some(Err(_))), "{instead}");
        }
    }

    #[test]
    fn a_target_that_is_a_number_is_found_in_no_sequence() {
        let fields = r#""control":"process","syscall":"prlimit64","requestId":"another","pid":417,"seq":417"#;
        let trial = judged("prlimit-parent", &record(fields), |evidence| evidence.to = "417".into());
        assert!(matches!(trial.record, Some(Err(_))));
    }

    #[test]
    fn a_request_of_several_attempts_is_none_s_nonce() {
        let shared = record(OWN).replace("REQUEST", "00000000-0000-4000-8000-000000000000");
        let trial = judged("tcp", &shared, |evidence| {
            evidence.request_id = "00000000-0000-4000-8000-000000000000";
        });
        assert!(matches!(trial.record, Some(Err(_))));
    }

    #[test]
    fn one_empty_connection_is_a_success_whatever_the_records_say() {
        let trial = judged("tcp", &record(OWN), |evidence| {
            evidence.arrivals = vec!["a connection with 0 bytes".into()];
        });
        assert!(trial.success.is_some());
    }

    #[test]
    fn an_attempt_that_never_began_was_not_tried() {
        assert!(!judged("tcp", "", |_| {}).tried);
        let other = TRIED.replace("NONCE", "another");
        assert!(!judged("tcp", &other, |_| {}).tried);
    }

    #[test]
    fn a_call_that_hangs_is_not_accounted_for() {
        let hangs = record(OWN).replace("Permission denied (os error 13)", "still at it");
        assert!(matches!(judged("tcp", &hangs, |_| {}).record, Some(Err(_))));
    }

    #[test]
    fn a_secret_in_the_loot_is_a_success() {
        let loot = format!("{TRIED}ambush: NONCE loot {}\n", hidden("A=1\nDB_PASSWORD=dbpw_live_12345678\n"));
        assert!(judged("env-std", &loot, |_| {}).success.is_some());
    }

    #[test]
    fn nothing_found_counts_only_of_one_who_can_find_something() {
        let done = "ambush: NONCE begins\nambush: NONCE ends: done\n";
        assert!(matches!(judged("env-std", done, |_| {}).record, Some(Err(_))));
        let sighted = format!("{done}ambush: NONCE loot {}\n", hidden("AWS_REGION=eu-west-1"));
        let trial = judged("env-std", &sighted, |_| {});
        assert!(trial.success.is_none() && matches!(trial.record, Some(Ok(_))));
        let own_fault = "ambush: NONCE begins\nambush: NONCE ends: no stack in maps\n";
        assert!(matches!(judged("env-stack", own_fault, |_| {}).record, Some(Err(_))));
    }

    #[test]
    fn a_refusal_of_the_kernel_s_has_to_be_seen_from_outside() {
        let refused = |name: &str, look: Look| judged(name, TRIED, |evidence| evidence.after = look).record;
        let parent = |readable| Look { parent_readable: readable, ..Look::default() };
        let log = |readable| Look { log_readable: readable, ..Look::default() };
        for name in ["env-parent", "mem-parent", "stderr-parent"] {
            assert!(matches!(refused(name, parent(Some(false))), Some(Ok(_))), "{name}");
            assert!(matches!(refused(name, parent(Some(true))), Some(Err(_))), "{name}");
            assert!(matches!(refused(name, parent(None)), Some(Err(_))), "{name}");
            assert!(matches!(refused(name, log(Some(false))), Some(Err(_))), "{name}");
        }
        assert!(matches!(refused("log-reopen", log(Some(false))), Some(Ok(_))));
        assert!(matches!(refused("log-reopen", log(Some(true))), Some(Err(_))));
        // A violation in the request is no proof of what has to be seen.
        let trial = judged("mem-parent", &record(OWN), |evidence| evidence.after = parent(Some(true)));
        assert!(matches!(trial.record, Some(Err(_))));
    }

    #[test]
    fn the_key_in_any_form_and_any_place_is_a_leak() {
        let hex: String = KEY.bytes().map(|byte| format!("{byte:02x}")).collect();
        for leak in [KEY.to_owned(), base64(KEY), hex] {
            let trial = judged("tcp", &format!("{TRIED}something {leak} else\n"), |_| {});
            assert!(trial.success.is_some(), "{leak}");
            let answer = Answer::Error(format!("no charge with {leak}").into_bytes());
            let answer = Box::leak(Box::new(answer));
            let trial = judged("tcp", TRIED, |evidence| evidence.answer = Some(answer));
            assert!(trial.success.is_some(), "{leak} in the answer");
        }
    }

    #[test]
    fn a_forged_record_is_one_that_parses_as_the_guard_s() {
        for forged in [
            r#"{"fnguard":"violation","action":"blocked","address":"NONCE"}"#,
            "  \u{feff}{\"fnguard\":\"violation\",\"action\":\"blocked\",\"address\":\"NONCE\"}",
            r#"{"\u0066nguard":"violation","action":"blocked","address":"NONCE"}"#,
        ] {
            assert!(judged("forged-record", forged, |_| {}).success.is_some(), "{forged}");
            let marked = forged.replace("nguard\"", "nguard?\"");
            let trial = judged("forged-record", &marked, |_| {});
            assert!(trial.success.is_none() && matches!(trial.record, Some(Ok(_))), "{marked}");
        }
    }

    #[test]
    fn code_ran_where_the_map_and_the_number_say_so() {
        let number = format!("{TRIED}ambush: NONCE loot {}\n", hidden("8476a536"));
        let map = |permissions: &str| Some(format!("200000000000-200000001000 {permissions} 0 0:0 0"));
        let ran = judged("mmap-rwx", &number, |evidence| evidence.after.mapping = map("rwxp"));
        assert!(ran.success.is_some());
        let plain = judged("mmap-rwx", &number, |evidence| evidence.after.mapping = map("rw-p"));
        assert!(plain.success.is_none());
        let silent = judged("mmap-rwx", TRIED, |evidence| evidence.after.mapping = map("rwxp"));
        assert!(silent.success.is_none());
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (plain, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(plain), encoded);
        }
    }
}
