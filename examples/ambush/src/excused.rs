//! The attempts that a machine may be unable to show, from `excused.toml`. An excuse holds only
//! where the kernel switch that it names stands as it says: an attempt that fails for another
//! reason is a failure.

use serde::Deserialize;
use std::fs;
use std::path::PathBuf;

/// The file, as it was when the ambush was built.
const FILE: &str = include_str!("../excused.toml");

/// The list.
pub struct Excuses(Vec<Excuse>);

/// One entry.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Excuse {
    /// The attempt.
    attempt: String,
    /// A file below /proc.
    switch: PathBuf,
    /// The values with which the attempt can't succeed; `absent` where there is no such file.
    stands_at: Vec<String>,
    /// Why.
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    excused: Vec<Excuse>,
}

/// What is wrong with the list.
#[derive(Debug, thiserror::Error)]
pub enum ExcusesError {
    /// It can't be parsed.
    #[error("excused.toml: {0}")]
    Parse(#[from] toml::de::Error),
    /// It names something that is no attempt.
    #[error("excused.toml: no attempt is named {0:?}")]
    UnknownAttempt(String),
}

impl Excuses {
    /// Reads the list, and keeps what holds on this machine. For root nothing is excused: there is no
    /// switch that root could not set, so the whole is to be shown where it can be.
    pub fn read(by_root: bool) -> Result<Self, ExcusesError> {
        let mut all = toml::from_str::<File>(FILE)?.excused;
        for excuse in &all {
            if !crate::attempts::ALL.iter().any(|attempt| attempt.name == excuse.attempt) {
                return Err(ExcusesError::UnknownAttempt(excuse.attempt.clone()));
            }
        }
        all.retain(|excuse| {
            if by_root {
                return false;
            }
            let value = fs::read_to_string(&excuse.switch).unwrap_or_else(|_| "absent".to_owned());
            excuse.stands_at.iter().any(|at| at == value.trim())
        });
        Ok(Excuses(all))
    }

    /// Why an attempt may be impossible here.
    pub fn reason(&self, attempt: &str) -> Option<&str> {
        self.0.iter().find(|excuse| excuse.attempt == attempt).map(|excuse| excuse.reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_list_is_well_formed() {
        super::Excuses::read(false).unwrap();
    }

    #[test]
    fn root_is_excused_of_nothing() {
        assert!(super::Excuses::read(true).unwrap().0.is_empty());
    }
}
