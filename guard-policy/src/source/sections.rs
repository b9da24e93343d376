//! What each section of a policy means: from its keys to the model. Which keys stand there and of
//! which type is [`document`](super::document)'s matter.

use super::document::{Fields, Item, Reader, describe};
use super::fault::Fault;
use super::keys::{NETWORK_RULE, TOP_LEVEL};
use super::rule::{self, List};
use super::{overlap, paths, variables};
use crate::model::{
    Arm, Exec, Files, Memory, Mode, Network, NetworkRule, Policy, Report, SecretPattern, Secrets,
};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The namespace of `emf = true`.
const DEFAULT_NAMESPACE: &str = "fnguard";

impl Reader<'_> {
    /// Reads what stands in a document, in the order of the sections.
    pub(super) fn policy(&mut self, document: &DeTable<'_>, end: usize) -> Policy {
        let mut policy = Policy::default();
        if !self.version(document, end) {
            return policy;
        }
        let top = self.fields(&TOP_LEVEL, document);
        policy.mode = self.choice(&top, "mode").unwrap_or(policy.mode);
        for (section, fields) in self.sections(document) {
            match section.name {
                "arm" => self.arm(&fields, &mut policy.arm),
                "secrets" => self.secrets(&fields, &mut policy.secrets),
                "network" => self.network(&fields, policy.mode, &mut policy.network),
                "exec" => self.exec(&fields, policy.mode, &mut policy.exec),
                "files" => self.files(&fields, policy.mode, &mut policy.files),
                "memory" => self.memory(&fields, &mut policy.memory),
                "report" => self.report(&fields, &mut policy.report),
                // A section whose keys are all reserved: `fields` has refused them.
                _ => {}
            }
        }
        // Absent sections follow the overall mode too.
        for (name, mode) in [
            ("network", &mut policy.network.mode),
            ("exec", &mut policy.exec.mode),
            ("files", &mut policy.files.mode),
        ] {
            if document.get(name).is_none() {
                *mode = policy.mode;
            }
        }
        self.programs_stay_as_they_are(document, &policy.files.write);
        policy
    }

    /// Refuses programs that the function may change: it would start its own code under their names.
    /// `/` in `[files] write` has said so already, by its `allow_any`.
    fn programs_stay_as_they_are(&mut self, document: &DeTable<'_>, write: &[String]) {
        let files = document.get("files").and_then(|files| files.get_ref().as_table());
        let stated = files.is_some_and(|files| files.get("write").is_some());
        for (program, span) in std::mem::take(&mut self.programs) {
            let Some(base) = write.iter().find(|base| *base != "/" && paths::is_below(&program, base)) else {
                continue;
            };
            let by = if stated { "" } else { ", which it is by default" };
            let fault = Fault::error(format!(
                "the function may write to `{program}`: its own code would be started under this name"
            ));
            let fault = fault.expected("a program that does not lie below a path of `[files] write`");
            self.add(
                span,
                fault.help(format!(
                    "`write` has `{base}`{by}: install the program elsewhere, or name narrower directories there"
                )),
            );
        }
    }

    /// Whether the rest can be judged: another version's keys cannot.
    fn arm(&mut self, fields: &Fields<'_, '_>, arm: &mut Arm) {
        *arm = Arm {
            release: self.choice(fields, "release").unwrap_or(arm.release),
            debug: self.choice(fields, "debug").unwrap_or(arm.debug),
            mechanism: self.choice(fields, "mechanism").unwrap_or(arm.mechanism),
            on_unsupported: self.choice(fields, "on_unsupported").unwrap_or(arm.on_unsupported),
            strict_init: self.boolean(fields, "strict_init").unwrap_or(arm.strict_init),
        };
    }

    fn secrets(&mut self, fields: &Fields<'_, '_>, secrets: &mut Secrets) {
        for item in self.strings(fields, "env") {
            if let Err(fault) = variables::pattern(item.text) {
                self.add_within(&item, fault);
                continue;
            }
            secrets.env.push(SecretPattern { text: item.text.to_owned() });
        }
        for item in self.strings(fields, "optional") {
            match variables::optional(item.text, &secrets.env) {
                Err(fault) => self.add_within(&item, fault),
                Ok(warning) => {
                    secrets.optional.push(item.text.to_owned());
                    if let Some(warning) = warning {
                        self.add_within(&item, warning);
                    }
                }
            }
        }
        secrets.on_weak = self.choice(fields, "on_weak").unwrap_or(secrets.on_weak);
    }

    fn network(&mut self, fields: &Fields<'_, '_>, overall: Mode, network: &mut Network) {
        network.mode = self.choice(fields, "mode").unwrap_or(overall);
        let mut unlimited = Vec::new();
        network.allow = self.rules(fields, "allow", List::Allow, &mut unlimited);
        network.listen = self.rules(fields, "listen", List::Listen, &mut unlimited);
        self.allow_any(fields, &unlimited, "this rule allows everything, or nearly", "name the peers");
    }

    fn rules(
        &mut self,
        fields: &Fields<'_, '_>,
        name: &str,
        list: List,
        unlimited: &mut Vec<Range<usize>>,
    ) -> Vec<NetworkRule> {
        let mut rules: Vec<(NetworkRule, usize)> = Vec::new();
        for element in self.array(fields, name) {
            let read = match element.get_ref() {
                DeValue::String(text) => {
                    let item = Item { text: text.as_ref(), span: element.span() };
                    self.rule(&item, list).map(|rule| (rule, item.span))
                }
                DeValue::Table(table) => self.rule_table(element, table, list),
                other => {
                    let fault = Fault::error(format!("wrong type for a rule of `{name}` in [network]"))
                        .expected("a string such as \"api.stripe.com:443\", or a table with `to`");
                    self.add_found(element.span(), fault, Some(describe(other)));
                    None
                }
            };
            let Some((rule, span)) = read else {
                continue;
            };
            if rule.is_unlimited() {
                unlimited.push(span.clone());
            }
            if let Some((earlier, line)) = rules.iter().find(|(earlier, _)| overlap::covers(earlier, &rule)) {
                let said = if (&earlier.to, &earlier.ports) == (&rule.to, &rule.ports) {
                    format!("the rule stands on line {line} already")
                } else {
                    format!("`{}` on line {line} covers all that this rule does", earlier.text)
                };
                self.add(span.clone(), Fault::warning(said).help("the first one decides: remove this one"));
            }
            rules.push((rule, self.lines.line_of(span.start)));
        }
        rules.into_iter().map(|(rule, _)| rule).collect()
    }

    fn rule(&mut self, item: &Item<'_>, list: List) -> Option<NetworkRule> {
        match rule::parse(item.text, list) {
            Err(fault) => {
                self.add_within(item, fault);
                None
            }
            Ok(read) => {
                for warning in read.warnings {
                    self.add_within(item, warning);
                }
                Some(NetworkRule {
                    text: item.text.to_owned(),
                    to: read.to,
                    ports: read.ports,
                    transport: read.transport,
                    private: false,
                    audit: false,
                })
            }
        }
    }

    fn rule_table(
        &mut self,
        element: &Spanned<DeValue<'_>>,
        table: &DeTable<'_>,
        list: List,
    ) -> Option<(NetworkRule, Range<usize>)> {
        let fields = self.fields(&NETWORK_RULE, table);
        let private = self.boolean(&fields, "private").unwrap_or(false);
        let audit = self.boolean(&fields, "audit").unwrap_or(false);
        let Some((key, to)) = fields.get("to") else {
            let fault = Fault::error("the rule names no peer").expected("`to`");
            self.add(element.span(), fault.help("write { to = \"api.stripe.com:443\" }"));
            return None;
        };
        let DeValue::String(text) = to.get_ref() else {
            self.wrong_type(fields.section, key.name, key.kind, to);
            return None;
        };
        let item = Item { text: text.as_ref(), span: to.span() };
        let mut rule = self.rule(&item, list)?;
        if private && !matches!(rule.to, crate::model::Target::Name(_)) {
            let span = fields.get("private").map_or(element.span(), |(_, value)| value.span());
            let fault = Fault::error("`private` says where a name may resolve to: this rule has no name");
            self.add(span, fault.help("remove it: a rule for an address opens that address as it is"));
        }
        rule.private = private;
        rule.audit = audit;
        Some((rule, item.span))
    }

    fn exec(&mut self, fields: &Fields<'_, '_>, overall: Mode, exec: &mut Exec) {
        exec.mode = self.choice(fields, "mode").unwrap_or(overall);
        exec.fork = self.boolean(fields, "fork").unwrap_or(exec.fork);
        let mut unlimited = Vec::new();
        for item in self.strings(fields, "allow") {
            if item.text == "*" {
                exec.any = true;
                unlimited.push(item.span);
                continue;
            }
            match paths::program(item.text) {
                Err(fault) => self.add_within(&item, fault),
                Ok((path, warning)) => {
                    self.programs.push((path.clone(), item.span.clone()));
                    exec.allow.push(path);
                    if let Some(warning) = warning {
                        self.add_within(&item, warning);
                    }
                }
            }
        }
        self.allow_any(fields, &unlimited, "`*` allows every program", "name the programs");
    }

    fn files(&mut self, fields: &Fields<'_, '_>, overall: Mode, files: &mut Files) {
        files.mode = self.choice(fields, "mode").unwrap_or(overall);
        files.own_code = self.choice(fields, "own_code").unwrap_or(files.own_code);
        let mut unlimited = Vec::new();
        if fields.get("write").is_some() {
            files.write.clear();
            for item in self.strings(fields, "write") {
                match paths::writable(item.text) {
                    Err(fault) => self.add_within(&item, fault),
                    Ok((path, warning)) => {
                        if path == "/" {
                            unlimited.push(item.span.clone());
                        }
                        files.write.push(path);
                        if let Some(warning) = warning {
                            self.add_within(&item, warning);
                        }
                    }
                }
            }
        }
        self.allow_any(fields, &unlimited, "`/` allows changing every file", "name the directories");
        if let Some((_, value)) = fields.get("read") {
            let mut read = Vec::new();
            for item in self.strings(fields, "read") {
                match paths::directory(item.text) {
                    Err(fault) => self.add_within(&item, fault),
                    Ok(path) => read.push(path),
                }
            }
            if matches!(value.get_ref(), DeValue::Array(array) if array.is_empty()) {
                let fault = Fault::warning("an empty list lets the function read no file at all");
                self.add(value.span(), fault.help("leave `read` out to leave reading alone"));
            }
            files.read = Some(read);
        }
    }

    fn memory(&mut self, fields: &Fields<'_, '_>, memory: &mut Memory) {
        memory.executable = self.choice(fields, "executable").unwrap_or(memory.executable);
    }

    fn report(&mut self, fields: &Fields<'_, '_>, report: &mut Report) {
        let Some((key, value)) = fields.get("emf") else {
            return;
        };
        match value.get_ref() {
            DeValue::Boolean(on) => report.emf = on.then(|| DEFAULT_NAMESPACE.to_owned()),
            DeValue::String(namespace) => match variables::namespace(namespace) {
                Ok(()) => report.emf = Some(namespace.as_ref().to_owned()),
                Err(fault) => self.add(value.span(), fault),
            },
            _ => self.wrong_type(fields.section, key.name, key.kind, value),
        }
    }

    /// Holds `allow_any` against the rules that need it.
    fn allow_any(&mut self, fields: &Fields<'_, '_>, unlimited: &[Range<usize>], what: &str, instead: &str) {
        let title = fields.section.title;
        let allowed = self.boolean(fields, "allow_any").unwrap_or(false);
        if !allowed {
            for span in unlimited {
                let fault = Fault::error(what).expected(format!("`allow_any = true` in {title}"));
                self.add(span.clone(), fault.help(format!("{instead}, or say that this is meant")));
            }
        } else if let Some((_, value)) = fields.get("allow_any").filter(|_| unlimited.is_empty()) {
            let fault = Fault::warning(format!("no rule of {title} allows everything"));
            self.add(value.span(), fault.help("remove `allow_any`"));
        }
    }
}
