//! Evaluates selectors on stored objects, for lists and gets that no scope was made for. Pure.

use bytes::Bytes;
use thiserror::Error;
use yurthub_object::{Encoding, Malformed, fields, meta};
use yurthub_request::{FieldSelector, LabelSelector};

/// What a client asked for.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Group and resource.
    pub group: String,
    /// Resource, in the plural.
    pub resource: String,
    /// Namespace; `None` for all.
    pub namespace: Option<String>,
    /// Labels.
    pub labels: LabelSelector,
    /// Fields.
    pub fields: FieldSelector,
}

/// Why a selector cannot be evaluated here.
#[derive(Debug, Error)]
pub enum FilterError {
    /// The object cannot be read.
    #[error("failed to read a stored object")]
    Malformed(#[from] Malformed),
    /// Only the apiserver knows this field.
    #[error("field selector `{0}` can only be evaluated by the apiserver")]
    UnknownField(String),
}

impl Filter {
    /// Whether the object is selected.
    pub fn selects(&self, encoding: Encoding, item: &Bytes) -> Result<bool, FilterError> {
        if let Some(namespace) = &self.namespace
            && meta::key(encoding, item)?.namespace != namespace.as_str()
        {
            return Ok(false);
        }
        if !self.labels.is_everything() && !self.labels.matches(&meta::read(encoding, item)?.labels) {
            return Ok(false);
        }
        let group_resource = (self.group.as_str(), self.resource.as_str());
        self.fields
            .matches(|field| fields::value(encoding, group_resource, item, field))
            .ok_or_else(|| FilterError::UnknownField(self.fields.to_string()))
    }
}
