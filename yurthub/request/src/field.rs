//! Field selectors: parsing, matching and canonical text (`k8s.io/apimachinery/pkg/fields/selector.go`).
//!
//! It does not know which fields a resource can be selected by; the caller's lookup says so.
//! Invariant: terms are in the order of their texts, as the apiserver sorts them.

use std::borrow::Cow;
use std::fmt;

/// A conjunction of terms on fields; without any it selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector {
    terms: Vec<FieldTerm>,
}

/// One comparison of one field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldTerm {
    field: String,
    operator: FieldOperator,
    value: String,
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldOperator {
    /// `=` or `==`
    Equals,
    /// `!=`
    NotEquals,
}

/// Why a field selector cannot be parsed, in the apiserver's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldSelectorError {
    /// A term has no operator.
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    NoOperator {
        /// The whole selector.
        selector: String,
        /// The term in question.
        term: String,
    },
    /// A backslash before anything but a backslash, a comma or an equals sign.
    #[error("invalid field selector: invalid escape sequence: {0}")]
    Escape(String),
    /// An equals sign in a value without a backslash; Go prints the number of the character.
    #[error("invalid field selector: unescaped character in value: {}", u32::from(*.0))]
    Unescaped(char),
}

// === impl FieldSelector ===

impl FieldSelector {
    /// Parses the value of a `fieldSelector` parameter.
    pub fn parse(text: &str) -> Result<Self, FieldSelectorError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let mut parts = split_terms(text);
        parts.sort_unstable();
        let mut terms = Vec::with_capacity(parts.len());
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let term = FieldTerm::parse(part, text)?;
            if !(term.field.is_empty() && term.value.is_empty()) {
                terms.push(term);
            }
        }
        Ok(Self { terms })
    }

    /// The selector that asks for one field to have one value.
    pub fn equals(field: &str, value: &str) -> Self {
        let operator = FieldOperator::Equals;
        Self {
            terms: vec![FieldTerm {
                field: field.to_owned(),
                operator,
                value: value.to_owned(),
            }],
        }
    }

    /// Whether an object is selected, given its fields; `None` if a field of the selector is unknown to the lookup.
    /// A known field that the object leaves out is the empty string.
    pub fn matches<V: AsRef<str>>(&self, mut field: impl FnMut(&str) -> Option<V>) -> Option<bool> {
        let mut selected = true;
        for term in &self.terms {
            let equal = field(&term.field)?.as_ref() == term.value;
            selected &= equal == (term.operator == FieldOperator::Equals);
        }
        Some(selected)
    }

    /// Whether nothing is required.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The terms in canonical order.
    pub fn terms(&self) -> &[FieldTerm] {
        &self.terms
    }

    /// The value that a field must have, if there is one (`RequiresExactMatch`).
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.terms
            .iter()
            .find(|term| term.operator == FieldOperator::Equals && term.field == field)
            .map(|term| term.value.as_str())
    }

    /// Whether everything that `other` selects is certainly selected by `self` too.
    /// `false` may also mean that this is not easily seen.
    pub fn is_superset_of(&self, other: &Self) -> bool {
        self.terms
            .iter()
            .all(|wanted| other.terms.iter().any(|given| given.implies(wanted)))
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            term.fmt(f)?;
        }
        Ok(())
    }
}

// === impl FieldTerm ===

impl FieldTerm {
    /// The field, such as `spec.nodeName`.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// How it is compared.
    pub fn operator(&self) -> FieldOperator {
        self.operator
    }

    /// The value to compare with, unescaped.
    pub fn value(&self) -> &str {
        &self.value
    }

    fn parse(part: &str, selector: &str) -> Result<Self, FieldSelectorError> {
        // The first operator splits; nothing can be escaped to the left of it.
        let split = part.char_indices().find_map(|(index, _)| {
            let rest = &part[index..];
            if let Some(value) = rest.strip_prefix("!=") {
                return Some((&part[..index], FieldOperator::NotEquals, value));
            }
            let value = rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?;
            Some((&part[..index], FieldOperator::Equals, value))
        });
        let Some((field, operator, value)) = split else {
            return Err(FieldSelectorError::NoOperator {
                selector: selector.to_owned(),
                term: part.to_owned(),
            });
        };
        Ok(Self {
            field: field.to_owned(),
            operator,
            value: unescape(value)?.into_owned(),
        })
    }

    fn implies(&self, other: &Self) -> bool {
        self == other
            || (self.field == other.field
                && self.operator == FieldOperator::Equals
                && other.operator == FieldOperator::NotEquals
                && self.value != other.value)
    }
}

impl fmt::Display for FieldTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = match self.operator {
            FieldOperator::Equals => "=",
            FieldOperator::NotEquals => "!=",
        };
        write!(f, "{}{operator}", self.field)?;
        let mut rest = self.value.as_str();
        while let Some(special) = rest.find(['\\', ',', '=']) {
            write!(f, "{}\\{}", &rest[..special], &rest[special..=special])?;
            rest = &rest[special + 1..];
        }
        f.write_str(rest)
    }
}

/// Splits at commas that no backslash precedes; the backslashes stay.
fn split_terms(text: &str) -> Vec<&str> {
    let mut escaped = false;
    text.split(|character| {
        let splits = character == ',' && !escaped;
        escaped = character == '\\' && !escaped;
        splits
    })
    .collect()
}

fn unescape(value: &str) -> Result<Cow<'_, str>, FieldSelectorError> {
    if !value.contains(['\\', ',', '=']) {
        return Ok(Cow::Borrowed(value));
    }
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                other => {
                    return Err(FieldSelectorError::Escape(
                        std::iter::once('\\').chain(other).collect(),
                    ));
                }
            },
            ',' | '=' => return Err(FieldSelectorError::Unescaped(character)),
            other => plain.push(other),
        }
    }
    Ok(Cow::Owned(plain))
}
