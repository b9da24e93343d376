//! The words of the policy's choices: from text to model and back. Their meaning stands in
//! `keys.rs`; a test holds the two lists together.

use crate::model::{DebugArming, Executable, Mechanism, Mode, OnUnsupported, OnWeak, OwnCode, ReleaseArming};

/// A choice of the model and its words.
pub(super) trait Words: Copy + PartialEq + 'static {
    /// Every word, in the order of the table of keys.
    const WORDS: &'static [(&'static str, Self)];

    /// The choice of that word.
    fn of(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, choice)| *choice)
    }

    /// The word of this choice.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, choice)| *choice == self).map_or("", |(word, _)| word)
    }
}

impl Words for Mode {
    const WORDS: &'static [(&'static str, Self)] = &[("enforce", Mode::Enforce), ("audit", Mode::Audit)];
}

impl Words for ReleaseArming {
    const WORDS: &'static [(&'static str, Self)] =
        &[("always", ReleaseArming::Always), ("never", ReleaseArming::Never)];
}

impl Words for DebugArming {
    const WORDS: &'static [(&'static str, Self)] =
        &[("enforce", DebugArming::Enforce), ("audit", DebugArming::Audit), ("off", DebugArming::Off)];
}

impl Words for Mechanism {
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", Mechanism::Auto), ("seccomp", Mechanism::Seccomp), ("sealed", Mechanism::Sealed)];
}

impl Words for OnUnsupported {
    const WORDS: &'static [(&'static str, Self)] =
        &[("refuse", OnUnsupported::Refuse), ("degrade", OnUnsupported::Degrade)];
}

impl Words for OnWeak {
    const WORDS: &'static [(&'static str, Self)] = &[("warn", OnWeak::Warn), ("refuse", OnWeak::Refuse)];
}

impl Words for OwnCode {
    const WORDS: &'static [(&'static str, Self)] = &[("allow", OwnCode::Allow), ("deny", OwnCode::Deny)];
}

impl Words for Executable {
    const WORDS: &'static [(&'static str, Self)] =
        &[("load-phase", Executable::LoadPhase), ("files", Executable::Files), ("any", Executable::Any)];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::keys::{Kind, SECTIONS, TOP_LEVEL};

    fn same<W: Words>(section: &str, key: &str) {
        let mut sections = SECTIONS.iter().chain([&TOP_LEVEL]);
        let section = sections.find(|s| s.name == section).unwrap();
        let Kind::Choice(choices) = section.key(key).unwrap().kind else {
            panic!("{key} is no choice");
        };
        let documented: Vec<&str> = choices.iter().map(|c| c.word).collect();
        let parsed: Vec<&str> = W::WORDS.iter().map(|(word, _)| *word).collect();
        assert_eq!(documented, parsed, "{} {key}", section.title);
    }

    #[test]
    fn the_table_of_keys_has_the_same_words() {
        same::<Mode>("", "mode");
        same::<Mode>("network", "mode");
        same::<Mode>("exec", "mode");
        same::<Mode>("files", "mode");
        same::<ReleaseArming>("arm", "release");
        same::<DebugArming>("arm", "debug");
        same::<Mechanism>("arm", "mechanism");
        same::<OnUnsupported>("arm", "on_unsupported");
        same::<OnWeak>("secrets", "on_weak");
        same::<OwnCode>("files", "own_code");
        same::<Executable>("memory", "executable");
    }
}
