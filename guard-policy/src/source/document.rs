//! From the parsed TOML document to its keys: which stand there, and of which type. Every fault is
//! collected, with its place; none stops the reading.
//!
//! Which keys exist is the table's word (`keys.rs`), what each section means is `sections.rs`'s, and what a
//! rule, path or name says is its own reader's (`rule.rs`, `paths.rs`).

use super::diagnostic::{Diagnostic, Lines};
use super::fault::Fault;
use super::keys::{Key, Kind, SECTIONS, Section, TOP_LEVEL};
use super::syntax;
use super::words::Words;
use crate::model::Policy;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads a policy, as far as it can be read, and says what is wrong with it.
pub(super) fn read(text: &str, origin: &str) -> (Policy, Vec<Diagnostic>) {
    let mut reader = Reader { lines: Lines::new(text, origin), found: Vec::new(), programs: Vec::new() };
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut is_whole = true;
    for error in &errors {
        let follows = |other: &toml::de::Error| {
            other.span() == error.span() && syntax::follows(error.message(), other.message())
        };
        if errors.iter().any(follows) {
            continue;
        }
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

pub(super) struct Reader<'a> {
    pub(super) lines: Lines<'a>,
    found: Vec<Diagnostic>,
    /// The programs of `[exec] allow`, and where they stand.
    pub(super) programs: Vec<(String, Range<usize>)>,
}

/// The known keys that stand in a table, with their values.
pub(super) struct Fields<'t, 'i> {
    pub(super) section: &'static Section,
    values: Vec<(&'static Key, &'t Spanned<DeValue<'i>>)>,
}

impl<'t, 'i> Fields<'t, 'i> {
    pub(super) fn get(&self, name: &str) -> Option<(&'static Key, &'t Spanned<DeValue<'i>>)> {
        self.values.iter().find(|(key, _)| key.name == name).copied()
    }
}

/// A string of an array, and where it stands.
pub(super) struct Item<'t> {
    pub(super) text: &'t str,
    pub(super) span: Range<usize>,
}

impl Reader<'_> {
    pub(super) fn version(&mut self, document: &DeTable<'_>, end: usize) -> bool {
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
    pub(super) fn sections<'t, 'i>(
        &mut self,
        document: &'t DeTable<'i>,
    ) -> Vec<(&'static Section, Fields<'t, 'i>)> {
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
    pub(super) fn fields<'t, 'i>(
        &mut self,
        section: &'static Section,
        table: &'t DeTable<'i>,
    ) -> Fields<'t, 'i> {
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

    pub(super) fn choice<W: Words>(&mut self, fields: &Fields<'_, '_>, name: &str) -> Option<W> {
        let (key, value) = fields.get(name)?;
        let DeValue::String(word) = value.get_ref() else {
            self.wrong_type(fields.section, name, key.kind, value);
            return None;
        };
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

    pub(super) fn boolean(&mut self, fields: &Fields<'_, '_>, name: &str) -> Option<bool> {
        let (key, value) = fields.get(name)?;
        let DeValue::Boolean(on) = value.get_ref() else {
            self.wrong_type(fields.section, name, key.kind, value);
            return None;
        };
        Some(*on)
    }

    pub(super) fn array<'t, 'i>(
        &mut self,
        fields: &Fields<'t, 'i>,
        name: &str,
    ) -> Vec<&'t Spanned<DeValue<'i>>> {
        let Some((key, value)) = fields.get(name) else {
            return Vec::new();
        };
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type(fields.section, name, key.kind, value);
            return Vec::new();
        };
        array.iter().collect()
    }

    pub(super) fn strings<'t>(&mut self, fields: &Fields<'t, '_>, name: &str) -> Vec<Item<'t>> {
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

    pub(super) fn wrong_type(
        &mut self,
        section: &Section,
        name: &str,
        kind: Kind,
        value: &Spanned<DeValue<'_>>,
    ) {
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
    pub(super) fn duplicate(&mut self, document: &DeTable<'_>, span: Range<usize>) {
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

    pub(super) fn add(&mut self, span: Range<usize>, fault: Fault) {
        self.add_found(span, fault, None);
    }

    /// Places a fault of an array's string: on the part it means, where the string is written
    /// without escapes.
    pub(super) fn add_within(&mut self, item: &Item<'_>, fault: Fault) {
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

    pub(super) fn add_found(&mut self, span: Range<usize>, fault: Fault, found: Option<String>) {
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
pub(super) fn describe(value: &DeValue<'_>) -> String {
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
