//! Label selectors: meaning, matching and canonical text (`k8s.io/apimachinery/pkg/labels/selector.go`).
//!
//! Parsing is in `label/parse.rs`. It does not know objects, only their labels.
//! Invariant: requirements are sorted by key, the values of each are sorted and distinct, so the text of a selector
//! parses to an equal selector.

mod lex;
mod parse;

use std::collections::BTreeMap;
use std::fmt;

/// A conjunction of requirements on labels; without any it selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

/// One requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    key: String,
    operator: Operator,
}

/// What a requirement asks of the label's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `key=value`
    Equals(String),
    /// `key==value`: means the same, but is printed as it was written.
    DoubleEquals(String),
    /// `key!=value`; an absent label matches.
    NotEquals(String),
    /// `key in (a,b)`
    In(Vec<String>),
    /// `key notin (a,b)`; an absent label matches.
    NotIn(Vec<String>),
    /// `key`
    Exists,
    /// `!key`
    DoesNotExist,
    /// `key>1`; a label that is no integer does not match.
    GreaterThan(i64, String),
    /// `key<1`; a label that is no integer does not match.
    LessThan(i64, String),
}

/// Why a label selector cannot be parsed, in the apiserver's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LabelSelectorError(String);

// === impl LabelSelector ===

impl LabelSelector {
    /// Parses the value of a `labelSelector` parameter.
    pub fn parse(text: &str) -> Result<Self, LabelSelectorError> {
        let mut requirements = parse::requirements(text)?;
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements })
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches_with(|key| labels.get(key).map(String::as_str))
    }

    /// Like [`Self::matches`], for labels that are kept in any other form.
    pub fn matches_with<'a>(&self, mut label: impl FnMut(&str) -> Option<&'a str>) -> bool {
        self.requirements
            .iter()
            .all(|requirement| requirement.operator.matches(label(&requirement.key)))
    }

    /// Whether nothing is required.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The requirements, sorted by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether everything that `other` selects is certainly selected by `self` too.
    /// `false` may also mean that this is not easily seen.
    pub fn is_superset_of(&self, other: &Self) -> bool {
        self.requirements
            .iter()
            .all(|wanted| other.requirements.iter().any(|given| given.implies(wanted)))
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

// === impl Requirement ===

impl Requirement {
    /// The label's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is asked of its value.
    pub fn operator(&self) -> &Operator {
        &self.operator
    }

    fn implies(&self, other: &Self) -> bool {
        self.key == other.key && (self.operator == other.operator || self.operator.implies(&other.operator))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.operator {
            Operator::Equals(value) => write!(f, "{key}={value}"),
            Operator::DoubleEquals(value) => write!(f, "{key}=={value}"),
            Operator::NotEquals(value) => write!(f, "{key}!={value}"),
            Operator::In(values) => write!(f, "{key} in ({})", values.join(",")),
            Operator::NotIn(values) => write!(f, "{key} notin ({})", values.join(",")),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan(_, text) => write!(f, "{key}>{text}"),
            Operator::LessThan(_, text) => write!(f, "{key}<{text}"),
        }
    }
}

// === impl Operator ===

impl Operator {
    fn matches(&self, label: Option<&str>) -> bool {
        match self {
            Self::Equals(value) | Self::DoubleEquals(value) => label == Some(value),
            Self::NotEquals(value) => label != Some(value),
            Self::In(values) => label.is_some_and(|label| values.iter().any(|value| value == label)),
            Self::NotIn(values) => label.is_none_or(|label| values.iter().all(|value| value != label)),
            Self::Exists => label.is_some(),
            Self::DoesNotExist => label.is_none(),
            Self::GreaterThan(bound, _) => number(label).is_some_and(|number| number > *bound),
            Self::LessThan(bound, _) => number(label).is_some_and(|number| number < *bound),
        }
    }

    fn implies(&self, other: &Self) -> bool {
        if let Some(allowed) = self.allowed() {
            return allowed.iter().all(|value| other.matches(Some(value)));
        }
        match (self, other) {
            (Self::GreaterThan(..) | Self::LessThan(..), Self::Exists) => true,
            (Self::GreaterThan(given, _), Self::GreaterThan(wanted, _)) => given >= wanted,
            (Self::LessThan(given, _), Self::LessThan(wanted, _)) => given <= wanted,
            (Self::DoesNotExist, _) => other.matches(None),
            (Self::NotEquals(_) | Self::NotIn(_), Self::NotEquals(_) | Self::NotIn(_)) => other
                .excluded()
                .iter()
                .all(|value| self.excluded().contains(value)),
            _ => false,
        }
    }

    /// The values one of which the label must have, if there is such a list.
    fn allowed(&self) -> Option<&[String]> {
        match self {
            Self::Equals(value) | Self::DoubleEquals(value) => Some(std::slice::from_ref(value)),
            Self::In(values) => Some(values),
            _ => None,
        }
    }

    /// The values that the label must not have.
    fn excluded(&self) -> &[String] {
        match self {
            Self::NotEquals(value) => std::slice::from_ref(value),
            Self::NotIn(values) => values,
            _ => &[],
        }
    }
}

fn number(label: Option<&str>) -> Option<i64> {
    label?.parse().ok()
}
