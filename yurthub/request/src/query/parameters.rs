//! The raw parameters: which ones the hub knows, and how each text becomes a value.
//!
//! Splitting follows Go's `url.ParseQuery` (a pair with a semicolon or a malformed escape is left out), conversion
//! follows `k8s.io/apimachinery/pkg/runtime/conversion.go`. It does not check whether values fit together.
//! Invariant: of a repeated parameter only the first counts.

use std::borrow::Cow;
use std::time::Duration;

use super::{ResourceVersion, duration, signed, unsigned};
use crate::escape;
use crate::invalid::Invalid;

type Text<'a> = Option<Cow<'a, str>>;

/// The parameters that are known, decoded but not yet understood.
#[derive(Default)]
pub(crate) struct Parameters<'a> {
    watch: Text<'a>,
    resource_version: Text<'a>,
    resource_version_match: Text<'a>,
    limit: Text<'a>,
    continue_token: Text<'a>,
    label_selector: Text<'a>,
    field_selector: Text<'a>,
    allow_bookmarks: Text<'a>,
    send_initial_events: Text<'a>,
    timeout_seconds: Text<'a>,
    timeout: Text<'a>,
    force: Text<'a>,
    field_manager: Text<'a>,
    pretty: Text<'a>,
    pub(super) dry_run: bool,
}

impl<'a> Parameters<'a> {
    pub(crate) fn parse(query: &'a str) -> Self {
        let mut parameters = Self::default();
        for pair in query
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.contains(';'))
        {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let (Some(key), Some(value)) = (escape::query(key), escape::query(value)) {
                parameters.keep(&key, value);
            }
        }
        parameters
    }

    fn keep(&mut self, key: &str, value: Cow<'a, str>) {
        let slot = match key {
            "watch" => &mut self.watch,
            "resourceVersion" => &mut self.resource_version,
            "resourceVersionMatch" => &mut self.resource_version_match,
            "limit" => &mut self.limit,
            "continue" => &mut self.continue_token,
            "labelSelector" => &mut self.label_selector,
            "fieldSelector" => &mut self.field_selector,
            "allowWatchBookmarks" => &mut self.allow_bookmarks,
            "sendInitialEvents" => &mut self.send_initial_events,
            "timeoutSeconds" => &mut self.timeout_seconds,
            "timeout" => &mut self.timeout,
            "force" => &mut self.force,
            "fieldManager" => &mut self.field_manager,
            "pretty" => &mut self.pretty,
            "dryRun" => {
                self.dry_run = true;
                return;
            }
            _ => return,
        };
        slot.get_or_insert(value);
    }

    pub(crate) fn watch(&self) -> bool {
        boolean(&self.watch).unwrap_or(false)
    }

    pub(super) fn allow_bookmarks(&self) -> bool {
        boolean(&self.allow_bookmarks).unwrap_or(false)
    }

    pub(super) fn send_initial_events(&self) -> Option<bool> {
        boolean(&self.send_initial_events)
    }

    pub(super) fn force(&self) -> Option<bool> {
        boolean(&self.force)
    }

    pub(super) fn field_manager(&self) -> Option<String> {
        non_empty(&self.field_manager).map(str::to_owned)
    }

    pub(super) fn text_of_labels(&self) -> &str {
        self.label_selector.as_deref().unwrap_or("")
    }

    pub(super) fn text_of_fields(&self) -> &str {
        self.field_selector.as_deref().unwrap_or("")
    }

    pub(super) fn continue_token(&self) -> Option<&str> {
        non_empty(&self.continue_token)
    }

    pub(super) fn resource_version_match(&self) -> Option<&str> {
        non_empty(&self.resource_version_match)
    }

    pub(super) fn resource_version_text(&self) -> Option<&str> {
        non_empty(&self.resource_version)
    }

    /// No version is asked for, or `0`.
    pub(super) fn version_is_any(&self) -> bool {
        matches!(self.resource_version_text(), None | Some("0"))
    }

    pub(super) fn resource_version(&self) -> Result<ResourceVersion, Invalid> {
        let Some(text) = self.resource_version_text() else {
            return Ok(ResourceVersion::Unset);
        };
        match unsigned(text) {
            Ok(0) => Ok(ResourceVersion::Zero),
            Ok(version) => Ok(ResourceVersion::At(version)),
            Err(reason) => Err(Invalid::ResourceVersion {
                value: text.to_owned(),
                reason,
            }),
        }
    }

    pub(super) fn limit(&self) -> Result<Option<u64>, Invalid> {
        let limit = integer(&self.limit)?;
        Ok(limit
            .and_then(|limit| u64::try_from(limit).ok())
            .filter(|limit| *limit > 0))
    }

    pub(super) fn timeout_seconds(&self) -> Result<Option<Duration>, Invalid> {
        let seconds = integer(&self.timeout_seconds)?.filter(|seconds| *seconds != 0);
        Ok(seconds.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0))))
    }

    pub(super) fn request_timeout(&self) -> Result<Option<Duration>, Invalid> {
        let Some(text) = non_empty(&self.timeout) else {
            return Ok(None);
        };
        let nanoseconds = duration::nanoseconds(text).ok_or(Invalid::Timeout)?;
        Ok(u64::try_from(nanoseconds)
            .ok()
            .filter(|positive| *positive > 0)
            .map(Duration::from_nanos))
    }

    /// Unlike the others a true boolean of Go (`strconv.ParseBool`); what is none is false.
    pub(super) fn pretty(&self) -> Option<bool> {
        non_empty(&self.pretty).map(|text| matches!(text, "1" | "t" | "T" | "TRUE" | "true" | "True"))
    }
}

fn non_empty<'t>(text: &'t Text<'_>) -> Option<&'t str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// All is true but `0` and `false`, even the empty string (`Convert_Slice_string_To_bool`).
fn boolean(text: &Text<'_>) -> Option<bool> {
    text.as_deref()
        .map(|text| !(text == "0" || text.eq_ignore_ascii_case("false")))
}

fn integer(text: &Text<'_>) -> Result<Option<i64>, Invalid> {
    let Some(text) = text.as_deref() else {
        return Ok(None);
    };
    match signed(text) {
        Ok(number) => Ok(Some(number)),
        Err(reason) => Err(Invalid::Number {
            value: text.to_owned(),
            reason,
        }),
    }
}
