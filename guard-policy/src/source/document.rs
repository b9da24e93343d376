//! From the parsed TOML document to the model: which keys stand there, of which type, and what
//! each means. Every fault is collected, with its place; none stops the reading.
//!
//! Which keys exist is the table's word (`keys.rs`), what a rule, path or name says is its own
//! reader's (`rule.rs`, `paths.rs`).

use super::diagnostic::{Diagnostic, Lines};
use super::fault::Fault;
use super::keys::{self, Key, Kind, NETWORK_RULE, SECTIONS, Section, TOP_LEVEL};
use super::rule::{self, List};
use super::words::Words;
use super::{paths, syntax, variables};
use crate::model::{
    Arm, Exec, Files, Memory, Mode, Network, NetworkRule, Policy, Report, SecretPattern, Secrets,
};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The namespace of `emf = true`.
const DEFAULT_NAMESPACE: &str = "fnguard";

/// Reads a policy, as far as it can be read, and says what is wrong with it.
pub(super) fn read(text: &str, origin: &str) -> (Policy, Vec<Diagnostic>) {
    let mut reader = Reader { lines: Lines::new(text, origin), found: Vec::new(), programs: Vec::new() };
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut is_whole = true;
    for error in errors {
        let span = error.span().unwrap_or(text.len()..text.len());
        if error.message() == "duplicate key" {
            reader.duplicate(document.get_ref(), span);
        } else {
            is_whole = false;
            let what = error.message();
            let written = reader.lines.slice(span.clone());
            let fault = syntax::fault(what, written);
            reader.add(span, fault);
        }
    }
    // What recovery made of a broken text would be judged for what nobody wrote.
    let policy = if is_whole { reader.policy(document.get_ref(), text.len()) } else { Policy::default() };
    let mut found = reader.found;
    found.sort_by_key(|d| (d.line, d.column));
    (policy, found)
}

struct Reader<'a> {
    lines: Lines<'a>,
    found: Vec<Diagnostic>,
    /// The programs of `[exec] allow`, and where they stand.
    programs: Vec<(String, Range<usize>)>,
}

/// The known keys that stand in a table, with their values.
struct Fields<'t, 'i> {
    section: &'static Section,
    values: Vec<(&'static Key, &'t Spanned<DeValue<'i>>)>,
}

impl<'t, 'i> Fields<'t, 'i> {
    fn get(&self, name: &str) -> Option<(&'static Key, &'t Spanned<DeValue<'i>>)> {
        self.values.iter().find(|(key, _)| key.name == name).copied()
    }
}

/// A string of an array, and where it stands.
struct Item<'t> {
    text: &'t str,
    span: Range<usize>,
}

impl Reader<'_> {
    fn policy(&mut self, document: &DeTable<'_>, end: usize) -> Policy {
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
    fn version(&mut self, document: &DeTable<'_>, end: usize) -> bool {
        const SET: &str = "write `version = 1` as the first line";
        let Some(value) = document.get("version") else {
            // An empty file has no other place than its end.
            let fault = Fault::error("the policy states no version").expected("the integer 1").help(SET);
            self.add(0..end.min(1), fault);
            return true;
        };
        let DeValue::Integer(integer) = value.get_ref() else {
            self.wrong_type(&TOP_LEVEL, "version", Kind::Version, value);
            return true;
        };
        match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(1) => true,
            Ok(version) if version < 1 => {
                let fault = Fault::error(format!("there is no policy version {version}"));
                self.add(value.span(), fault.expected("the integer 1").help("write `version = 1`"));
                true
            }
            _ => {
                let fault = Fault::error(format!("policy version {integer} is from the future"));
                self.add(
                    value.span(),
                    fault
                        .expected("version 1, the only one that this fnguard knows")
                        .help("build with a fnguard that knows it: nothing of the policy was read"),
                );
                false
            }
        }
    }

    /// The sections that stand in the document and are tables.
    fn sections<'t, 'i>(&mut self, document: &'t DeTable<'i>) -> Vec<(&'static Section, Fields<'t, 'i>)> {
        let mut found = Vec::new();
        for section in SECTIONS {
            let Some((key, value)) = document.get_key_value(section.name) else {
                continue;
            };
            match value.get_ref() {
                _ if section.reserved => {
                    let fault = Fault::error(format!(
                        "section {} is reserved: this version does not enforce it",
                        section.title
                    ));
                    self.add(key.span(), fault.help("remove it"));
                }
                DeValue::Table(table) => {
                    let fields = self.fields(section, table);
                    found.push((section, fields));
                }
                other => {
                    let mut fault = Fault::error(format!("`{}` is a section", section.name))
                        .expected(format!("a table: {}", section.title));
                    if matches!(other, DeValue::Array(_)) {
                        fault = fault.help(format!("write {} once, in single brackets", section.title));
                    }
                    self.add_found(value.span(), fault, Some(describe(other)));
                }
            }
        }
        found
    }

    /// The known keys of a table; unknown and reserved ones are faults.
    fn fields<'t, 'i>(&mut self, section: &'static Section, table: &'t DeTable<'i>) -> Fields<'t, 'i> {
        let mut values = Vec::new();
        for (name, value) in table {
            match section.key(name.get_ref()) {
                Some(key) if key.kind.is_reserved() => {
                    let message = format!(
                        "`{}` in {} is reserved: this version does not enforce it",
                        key.name, section.title
                    );
                    self.add(name.span(), Fault::error(message).help("remove it"));
                }
                Some(key) => values.push((key, value)),
                None if std::ptr::eq(section, &TOP_LEVEL)
                    && SECTIONS.iter().any(|known| known.name == name.get_ref().as_ref()) => {}
                None => self.unknown_key(section, name, value.get_ref()),
            }
        }
        Fields { section, values }
    }

    fn unknown_key(
        &mut self,
        section: &'static Section,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &DeValue<'_>,
    ) {
        let word = name.get_ref().as_ref();
        let is_top = std::ptr::eq(section, &TOP_LEVEL);
        let is_section = is_top && matches!(value, DeValue::Table(_));
        // A section whose keys are all reserved can't be used, so nobody is sent there.
        let is_usable =
            |section: &Section| !section.reserved && section.keys.iter().any(|key| !key.kind.is_reserved());
        let known: Vec<&'static str> = if is_section {
            SECTIONS.iter().filter(|section| is_usable(section)).map(|section| section.name).collect()
        } else {
            section.keys.iter().filter(|key| !key.kind.is_reserved()).map(|key| key.name).collect()
        };
        let mut fault = if is_section {
            Fault::error(format!("unknown section [{word}]"))
        } else if is_top {
            Fault::error(format!("unknown key `{word}` at the top level"))
        } else {
            Fault::error(format!("unknown key `{word}` in {}", section.title))
        };
        let listed: Vec<String> = known
            .iter()
            .map(|known| if is_section { format!("[{known}]") } else { format!("`{known}`") })
            .collect();
        fault = fault.expected(if known.is_empty() {
            "no key: all are reserved".to_owned()
        } else if let [only] = listed.as_slice() {
            only.clone()
        } else {
            format!("one of {}", listed.join(", "))
        });
        let homes: Vec<&str> = SECTIONS
            .iter()
            .filter(|other| !std::ptr::eq(*other, section) && other.key(word).is_some())
            .map(|other| other.title)
            .collect();
        if let Some(near) = nearest(word, &known) {
            let near = if is_section { format!("[{near}]") } else { format!("`{near}`") };
            fault = fault.help(format!("did you mean {near}?"));
        } else if !homes.is_empty() {
            fault = fault.help(format!("`{word}` is a key of {}", homes.join(" and ")));
        } else if TOP_LEVEL.key(word).is_some() {
            fault = fault.help(format!("`{word}` stands at the top level, above the first section"));
        } else {
            fault = fault.help("remove it, or write one of these");
        }
        self.add(name.span(), fault);
    }

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
            let twin = rules.iter().find(|(other, _)| {
                (&other.to, &other.ports, other.transport) == (&rule.to, &rule.ports, rule.transport)
            });
            if let Some((_, line)) = twin {
                let fault = Fault::warning(format!("the rule stands on line {line} already"));
                self.add(span.clone(), fault.help("the first one decides: remove this one"));
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

    fn choice<W: Words>(&mut self, fields: &Fields<'_, '_>, name: &str) -> Option<W> {
        let (key, value) = fields.get(name)?;
        let DeValue::String(word) = value.get_ref() else {
            self.wrong_type(fields.section, name, key.kind, value);
            return None;
        };
        if keys::RESERVED_WORDS.contains(&(name, word.as_ref())) {
            let message = format!(
                "\"{word}\" of `{name}`{} is reserved: this version does not enforce it",
                place(fields.section)
            );
            self.add(value.span(), Fault::error(message).expected(key.kind.expected()));
            return None;
        }
        let choice = W::of(word);
        if choice.is_none() {
            let known: Vec<&str> = W::WORDS.iter().map(|(word, _)| *word).collect();
            let mut fault =
                Fault::error(format!("unknown word \"{word}\" for `{name}`{}", place(fields.section)))
                    .expected(key.kind.expected());
            if let Some(near) = nearest(word, &known) {
                fault = fault.help(format!("did you mean \"{near}\"?"));
            }
            self.add(value.span(), fault);
        }
        choice
    }

    fn boolean(&mut self, fields: &Fields<'_, '_>, name: &str) -> Option<bool> {
        let (key, value) = fields.get(name)?;
        let DeValue::Boolean(on) = value.get_ref() else {
            self.wrong_type(fields.section, name, key.kind, value);
            return None;
        };
        Some(*on)
    }

    fn array<'t, 'i>(&mut self, fields: &Fields<'t, 'i>, name: &str) -> Vec<&'t Spanned<DeValue<'i>>> {
        let Some((key, value)) = fields.get(name) else {
            return Vec::new();
        };
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type(fields.section, name, key.kind, value);
            return Vec::new();
        };
        array.iter().collect()
    }

    fn strings<'t>(&mut self, fields: &Fields<'t, '_>, name: &str) -> Vec<Item<'t>> {
        let mut items: Vec<Item<'t>> = Vec::new();
        for element in self.array(fields, name) {
            let DeValue::String(text) = element.get_ref() else {
                let title = fields.section.title;
                let fault = Fault::error(format!("wrong type in `{name}` in {title}")).expected("a string");
                self.add_found(element.span(), fault, Some(describe(element.get_ref())));
                continue;
            };
            if let Some(twin) = items.iter().find(|item| item.text == text.as_ref()) {
                let line = self.lines.line_of(twin.span.start);
                let fault =
                    Fault::warning(format!("it stands on line {line} already")).help("remove this one");
                self.add(element.span(), fault);
            }
            items.push(Item { text: text.as_ref(), span: element.span() });
        }
        items
    }

    fn wrong_type(&mut self, section: &Section, name: &str, kind: Kind, value: &Spanned<DeValue<'_>>) {
        let mut fault =
            Fault::error(format!("wrong type for `{name}`{}", place(section))).expected(kind.expected());
        match (kind, value.get_ref()) {
            (Kind::Boolean, DeValue::String(text)) if matches!(text.as_ref(), "true" | "false") => {
                fault = fault.help(format!("write {text} without quotes"));
            }
            (Kind::Version, DeValue::String(text)) if text == "1" => {
                fault = fault.help("write 1 without quotes");
            }
            (
                Kind::PeerRules
                | Kind::ListenRules
                | Kind::Programs
                | Kind::Paths
                | Kind::VariablePatterns
                | Kind::VariableNames,
                DeValue::String(text),
            ) => {
                fault = fault.help(format!("write [{}]", crate::model::hint::quoted(text)));
            }
            _ => {}
        }
        self.add_found(value.span(), fault, Some(describe(value.get_ref())));
    }

    /// A key or section that stands twice. The parser names the second; the first is looked for in
    /// what it kept.
    fn duplicate(&mut self, document: &DeTable<'_>, span: Range<usize>) {
        let word = self.lines.slice(span.clone()).trim_matches(['"', '\'']);
        let is_header = self
            .lines
            .slice(0..span.start)
            .rsplit('\n')
            .next()
            .is_some_and(|line| line.trim_start().starts_with('['));
        // The parser keeps the first of two keys, and the second of two sections.
        let first = if is_header {
            self.lines.header(word).filter(|header| *header < span.start)
        } else {
            first_of(document, word, span.start)
        };
        let mut fault = Fault::error(if is_header {
            format!("section [{word}] stands twice")
        } else {
            format!("key `{word}` stands twice")
        });
        if let Some(offset) = first {
            let line = self.lines.line_of(offset);
            fault = fault.help(format!("the first is on line {line}: join the two"));
        }
        self.add(span, fault);
    }

    fn add(&mut self, span: Range<usize>, fault: Fault) {
        self.add_found(span, fault, None);
    }

    /// Places a fault of an array's string: on the part it means, where the string is written
    /// without escapes.
    fn add_within(&mut self, item: &Item<'_>, fault: Fault) {
        let raw = self.lines.slice(item.span.clone());
        let inner = raw.get(1..raw.len().saturating_sub(1)).filter(|inner| *inner == item.text);
        let span = match (&fault.within, inner) {
            (Some(within), Some(_)) => {
                let base = item.span.start.saturating_add(1);
                base.saturating_add(within.start)..base.saturating_add(within.end)
            }
            _ => item.span.clone(),
        };
        self.add(span, fault);
    }

    fn add_found(&mut self, span: Range<usize>, fault: Fault, found: Option<String>) {
        let place = self.lines.diagnostic(fault.severity, span, fault.message);
        self.found.push(Diagnostic { found, expected: fault.expected, help: fault.help, ..place });
    }
}

/// Which section a message speaks of; nothing for the top level.
fn place(section: &Section) -> String {
    if section.name.is_empty() { String::new() } else { format!(" in {}", section.title) }
}

/// Where the key of that name stands that is nearest before `offset`. A table's keys stand
/// together, so the nearest is of the same table.
fn first_of(document: &DeTable<'_>, word: &str, offset: usize) -> Option<usize> {
    fn collect(table: &DeTable<'_>, word: &str, offset: usize, best: &mut Option<usize>) {
        for (key, value) in table {
            let start = key.span().start;
            if key.get_ref() == word && start < offset {
                *best = Some(best.map_or(start, |b| b.max(start)));
            }
            match value.get_ref() {
                DeValue::Table(inner) => collect(inner, word, offset, best),
                DeValue::Array(items) => {
                    for table in items.iter().filter_map(|item| item.get_ref().as_table()) {
                        collect(table, word, offset, best);
                    }
                }
                _ => {}
            }
        }
    }
    let mut best = None;
    collect(document, word, offset, &mut best);
    best
}

/// The known word nearest to what was written, if it is near enough to be a slip.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_lowercase().replace('-', "_");
    let (distance, near) = known
        .iter()
        .map(|candidate| (strsim::osa_distance(&word, &candidate.replace('-', "_")), *candidate))
        .min_by_key(|(distance, _)| *distance)?;
    let slips = near.chars().count().max(word.chars().count()) / 3;
    (distance <= slips.max(1)).then_some(near)
}

/// What stands there, for `found`.
fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => {
            let mut shown: String = text.chars().take(40).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            format!("the string {shown:?}")
        }
        DeValue::Integer(integer) => format!("the integer {integer}"),
        DeValue::Float(float) => format!("the float {float}"),
        DeValue::Boolean(on) => format!("the boolean {on}"),
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
