//! The parameters of a request, decoded as the apiserver decodes them.
//!
//! Which parameters count depends on the verb; the others are ignored, as are unknown ones. The order of the checks is
//! the apiserver's, so that of several mistakes the same one is reported.
//! It does not know field names of resources. Invariant: a returned `Query` has passed `ValidateListOptions`.

mod duration;
mod list_options;
mod parameters;

use std::time::Duration;

use crate::field::FieldSelector;
use crate::invalid::{Invalid, NumberError};
use crate::label::LabelSelector;
pub(crate) use parameters::Parameters;

/// What the parameters of a request ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// `resourceVersion`, of lists, watches, collection deletes and gets.
    pub resource_version: ResourceVersion,
    /// `resourceVersionMatch`
    pub resource_version_match: Option<Match>,
    /// `limit`; `None` also for zero and below, which mean no limit.
    pub limit: Option<u64>,
    /// `continue`; `None` also when empty.
    pub continue_token: Option<String>,
    /// `labelSelector`
    pub label_selector: LabelSelector,
    /// `fieldSelector`; with the name of a watch by the deprecated prefix added.
    pub field_selector: FieldSelector,
    /// `allowWatchBookmarks`
    pub allow_bookmarks: bool,
    /// `sendInitialEvents`, as given; see [`Query::wants_initial_events`].
    pub send_initial_events: Option<bool>,
    /// `timeoutSeconds`, how long a watch may last; `None` also for zero, a negative one is zero: it ends at once.
    pub timeout: Option<Duration>,
    /// `timeout` (a Go duration), how long the client waits for an answer; `None` for watches, streams, and if not above zero.
    pub request_timeout: Option<Duration>,
    /// `dryRun` is given, whatever its value.
    pub dry_run: bool,
    /// `force`, of an apply patch.
    pub force: Option<bool>,
    /// `fieldManager`; `None` also when empty.
    pub field_manager: Option<String>,
    /// `pretty`; `None` also when empty.
    pub pretty: Option<bool>,
    /// The parameters belong to somebody else (`proxy`, `exec`, `log`, …) and were not looked at.
    pub is_foreign: bool,
}

/// The version that a read asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ResourceVersion {
    /// Not given: the most recent.
    #[default]
    Unset,
    /// `0`: any.
    Zero,
    /// A definite one.
    At(u64),
}

/// How exact the version is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Match {
    /// Exactly that version.
    Exact,
    /// That version or a newer one.
    NotOlderThan,
}

/// Which parameters count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// List options, and write options for a collection delete.
    Collection { write: bool, long_running: bool },
    /// Options of a get.
    Object,
    /// Options of create, update, patch and delete.
    Write,
    /// Only what all requests have in common.
    Other,
    /// None: the query is passed on.
    Foreign,
}

// === impl Query ===

impl Query {
    pub(crate) fn parse(parameters: &Parameters<'_>, scope: Scope) -> Result<Self, Invalid> {
        let mut query = Self {
            is_foreign: scope == Scope::Foreign,
            ..Self::default()
        };
        if query.is_foreign {
            return Ok(query);
        }
        query.pretty = parameters.pretty();
        if !matches!(
            scope,
            Scope::Collection {
                long_running: true,
                ..
            }
        ) {
            query.request_timeout = parameters.request_timeout()?;
        }
        match scope {
            Scope::Collection { .. } => query.read_list_options(parameters)?,
            Scope::Object => query.resource_version = parameters.resource_version()?,
            _ => {}
        }
        if matches!(scope, Scope::Write | Scope::Collection { write: true, .. }) {
            query.dry_run = parameters.dry_run;
            query.force = parameters.force();
            query.field_manager = parameters.field_manager();
        }
        Ok(query)
    }

    /// Whether a watch begins with the objects that exist: asked for, or implied by the absence of a version.
    pub fn wants_initial_events(&self) -> bool {
        self.send_initial_events
            .unwrap_or(!matches!(self.resource_version, ResourceVersion::At(_)))
    }

    fn read_list_options(&mut self, parameters: &Parameters<'_>) -> Result<(), Invalid> {
        self.timeout = parameters.timeout_seconds()?;
        self.limit = parameters.limit()?;
        self.label_selector = LabelSelector::parse(parameters.text_of_labels())?;
        self.field_selector = FieldSelector::parse(parameters.text_of_fields())?;
        self.allow_bookmarks = parameters.allow_bookmarks();
        self.send_initial_events = parameters.send_initial_events();
        self.resource_version_match = list_options::validate(parameters)?;
        self.continue_token = parameters.continue_token().map(str::to_owned);
        if self.continue_token.is_some() && !parameters.watch() && !parameters.version_is_any() {
            return Err(Invalid::ContinueWithVersion);
        }
        self.resource_version = parameters.resource_version()?;
        Ok(())
    }
}

/// Go's `strconv.ParseInt(text, 10, 64)`.
fn signed(text: &str) -> Result<i64, NumberError> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    text.parse::<i64>().map_err(|error| match error.kind() {
        PosOverflow | NegOverflow => NumberError::Range,
        _ => NumberError::Syntax,
    })
}

/// Go's `strconv.ParseUint(text, 10, 64)`, which takes no sign.
fn unsigned(text: &str) -> Result<u64, NumberError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NumberError::Syntax);
    }
    text.parse::<u64>().map_err(|_| NumberError::Range)
}
