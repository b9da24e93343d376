//! What a policy leaves open or only reports: named in the posture, and nothing else loosened by it.

use crate::attack::{FORBIDDEN, Guard, fresh, text, victim};
use fnguard_attacks::sink::Tcp;

fnguard_attacks::tests! { "modes":
    wide_rules, one_section, one_rule, metrics, own_code_when_launched,
}

/// A rule that allows everything leaves its control open: the posture says so and quotes the rule.
fn wide_rules() {
    for (policy, control, rule) in [
        ("[network]\nallow_any = true\nallow = [\"*\"]\n", "network", "network.allow"),
        ("[exec]\nallow_any = true\nallow = [\"*\"]\n", "exec", "exec.allow"),
        ("[files]\nallow_any = true\nwrite = [\"/\"]\n", "files", "files.write"),
        ("[memory]\nexecutable = \"any\"\n", "exec_memory", ""),
    ] {
        let posture = victim(["nothing"]).under_guard(policy).posture();
        for (name, held) in posture["controls"].as_object().expect("controls") {
            let expected = if name == control { "open" } else { "held" };
            assert_eq!(held, expected, "{name} under {policy}\n{posture}");
        }
        assert!(posture["warnings"].to_string().contains(rule), "{policy}\n{posture}");
    }
    let sink = Tcp::on(FORBIDDEN);
    let attack = victim(["connect", &sink.address.to_string()]);
    attack.under_guard("[network]\nallow_any = true\nallow = [\"*\"]\n").no_record();
    assert_eq!(sink.connections(), 1);
}

/// One section in audit: what it would refuse goes through and is reported; the others hold.
fn one_section() {
    let policy = "[network]\nmode = \"audit\"\n[files]\nwrite = [\"/dev/shm\"]\n";
    let (sink, file) = (Tcp::on(FORBIDDEN), fresh("trace"));
    let audited = victim(["connect", &sink.address.to_string()]).under_guard(policy);
    assert_eq!(sink.connections(), 1);
    let posture = audited.posture();
    assert_eq!(
        (&posture["controls"]["network"], &posture["controls"]["files"], &posture["mode"]),
        (&"audit".into(), &"held".into(), &"enforce".into()),
        "{posture}"
    );
    let records = audited.records("violation");
    assert_eq!(records.len(), 1, "{}", audited.text());
    assert_eq!((&records[0]["action"], &records[0]["level"]), (&"audited".into(), &"WARN".into()));
    assert_eq!(records[0]["address"], sink.address.to_string().as_str());

    let attack = victim(["write-create", text(&file)]);
    attack.plain();
    std::fs::remove_file(&file).expect("unguarded it was made");
    attack.under_guard(policy).only_record("files", "*", text(&file));
    assert!(!file.exists());
}

/// One rule in audit: its match goes through and is reported; what no rule names is refused.
fn one_rule() {
    let (watched, other) = (Tcp::on(FORBIDDEN), Tcp::on(FORBIDDEN));
    let policy = format!("[network]\nallow = [{{ to = \"{}\", audit = true }}]\n", watched.address);
    let audited = victim(["connect", &watched.address.to_string()]).under_guard(&policy);
    assert_eq!(watched.connections(), 1);
    let records = audited.records("violation");
    assert_eq!(records.len(), 1, "{}", audited.text());
    assert_eq!(records[0]["action"], "audited", "{}", audited.text());
    assert_eq!(audited.posture()["controls"]["network"], "held");
    let blocked = victim(["connect", &other.address.to_string()]).under_guard(&policy);
    assert_eq!(other.connections(), 0);
    blocked.only_record("network", "connect", &other.address.to_string());
}

/// A line of an armed run is a metric, in the namespace that the policy names; without the key it is none.
fn metrics() {
    let sink = Tcp::on(FORBIDDEN);
    let attack = victim(["connect", &sink.address.to_string()]);
    let record = attack.under_guard("[report]\nemf = \"Orders\"\n").only_record("network", "connect", "");
    assert_eq!(record["Violations"], 1, "{record}");
    assert_eq!(record["_aws"]["CloudWatchMetrics"][0]["Namespace"], "Orders", "{record}");
    let record = attack.under_guard("").only_record("network", "connect", "");
    assert!(record.get("_aws").is_none(), "{record}");
    assert_eq!(sink.connections(), 0);
}

/// A launched program reads itself to load: the key is refused by its name, or named as not held.
fn own_code_when_launched() {
    let file = fresh("trace");
    let attack = victim(["write-create", text(&file)]);
    let refused = attack.guard("[files]\nown_code = \"deny\"\n").run();
    assert_eq!(refused.status, Some(125), "{}", refused.text());
    assert!(!file.exists(), "nothing was started");
    let refusal = refused.records("refusal").remove(0);
    assert_eq!(refusal["code"], "not_built", "{refusal}");
    assert!(refusal["message"].to_string().contains("own_code"), "{refusal}");
    let degrade = "[files]\nown_code = \"deny\"\n[arm]\non_unsupported = \"degrade\"\n";
    let posture = victim(["nothing"]).under_guard(degrade).posture();
    assert_eq!(posture["controls"]["own_code"], "not_held", "{posture}");
    assert!(posture["not_held"].to_string().contains("a launched program reads itself"), "{posture}");
}
