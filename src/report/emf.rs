//! CloudWatch's Embedded Metric Format: members that make a record a metric as well. The source of
//! the rules is "Specification: Embedded metric format" in the CloudWatch user guide.

/// A CloudWatch namespace for the metric `Violations`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace(String);

/// Why a text is no [`Namespace`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamespaceError {
    /// The text is empty or too long.
    #[error("a CloudWatch namespace has 1 to 255 characters, found {found}; shorten [report] emf")]
    Length {
        /// How many characters it has.
        found: usize,
    },
    /// A character that CloudWatch does not take.
    #[error(
        "{found:?} can't stand in a CloudWatch namespace: letters, digits, space and . - _ / # : can \
         (no : at the start); change [report] emf"
    )]
    Character {
        /// The character.
        found: char,
    },
    /// The namespace is one of AWS's own, where a function can't publish.
    #[error("namespaces that begin with AWS/ belong to AWS; change [report] emf")]
    Reserved,
}

impl Namespace {
    /// Checks a namespace by the rules of CloudWatch's `PutMetricData`.
    ///
    /// ```
    /// use fnguard::report::Namespace;
    /// assert!(Namespace::new("Shop/fnguard").is_ok());
    /// assert!(Namespace::new("AWS/Lambda").is_err());
    /// ```
    pub fn new(text: &str) -> Result<Self, NamespaceError> {
        let found = text.chars().count();
        if found == 0 || found > 255 {
            return Err(NamespaceError::Length { found });
        }
        if text.starts_with("AWS/") {
            return Err(NamespaceError::Reserved);
        }
        let bad = |c: &char| !(c.is_ascii_alphanumeric() || " .-_/#:".contains(*c));
        match text.chars().find(bad) {
            Some(found) => Err(NamespaceError::Character { found }),
            None if text.starts_with(':') => Err(NamespaceError::Character { found: ':' }),
            None => Ok(Namespace(text.to_owned())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The members `Violations` and `_aws` of a record that has the members `control` and
    /// `action`. The dimensions refer to those two.
    pub(super) fn members(&self, violations: u64, unix_millis: i64) -> String {
        // Nothing in a namespace needs escaping: `new` lets no quote or backslash through.
        format!(
            concat!(
                r#""Violations":{},"_aws":{{"Timestamp":{},"CloudWatchMetrics":[{{"Namespace":"{}","#,
                r#""Dimensions":[["action"],["control"],["control","action"]],"#,
                r#""Metrics":[{{"Name":"Violations","Unit":"Count"}}]}}]}}"#
            ),
            violations,
            // The specification's timestamps are not negative.
            unix_millis.max(0),
            self.0
        )
    }
}
