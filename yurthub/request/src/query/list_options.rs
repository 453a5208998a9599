//! Which list options fit together (`k8s.io/apimachinery/pkg/apis/meta/internalversion/validation`).
//!
//! The cluster is taken to have the `WatchList` feature; where it lacks it, its own answer says so.
//! It does not look at selectors. Invariant: with an error, all contradictions are reported.

use super::{Match, Parameters};
use crate::invalid::{Invalid, ListOptionsErrors};
use crate::validation::quoted;

const FORBIDDEN: &str = "resourceVersionMatch: Forbidden:";
const MATCH: &str = "resourceVersionMatch: Forbidden: resourceVersionMatch";

/// Checks the options and returns the match.
///
/// As in the apiserver, it is the `watch` parameter that decides which rules hold, not the deprecated path prefix.
pub(super) fn validate(parameters: &Parameters<'_>) -> Result<Option<Match>, Invalid> {
    let text = parameters.resource_version_match();
    let known = match text {
        Some("Exact") => Some(Match::Exact),
        Some("NotOlderThan") => Some(Match::NotOlderThan),
        _ => None,
    };
    let errors = if parameters.watch() {
        watch_errors(parameters, text, known)
    } else {
        list_errors(parameters, text, known)
    };
    if errors.is_empty() {
        Ok(known)
    } else {
        Err(Invalid::ListOptions(ListOptionsErrors(errors)))
    }
}

fn list_errors(parameters: &Parameters<'_>, text: Option<&str>, known: Option<Match>) -> Vec<String> {
    let mut errors = Vec::new();
    if let Some(text) = text {
        if parameters.resource_version_text().is_none() {
            errors.push(format!("{MATCH} is forbidden unless resourceVersion is provided"));
        }
        if parameters.continue_token().is_some() {
            errors.push(format!("{MATCH} is forbidden when continue is provided"));
        }
        if known.is_none() {
            errors.push(unsupported(text, r#""Exact", "NotOlderThan", """#));
        }
        if known == Some(Match::Exact) && parameters.resource_version_text() == Some("0") {
            errors.push(format!(
                "{MATCH} \"exact\" is forbidden for resourceVersion \"0\""
            ));
        }
    }
    if parameters.send_initial_events().is_some() {
        errors.push("sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list".to_owned());
    }
    errors
}

fn watch_errors(parameters: &Parameters<'_>, text: Option<&str>, known: Option<Match>) -> Vec<String> {
    let mut errors = Vec::new();
    let initial_events = parameters.send_initial_events().is_some();
    // Without both, a watch from no version is taken for one with initial events (`SetListOptionsDefaults`).
    let defaulted = !initial_events && text.is_none() && parameters.version_is_any();
    let not_older = known == Some(Match::NotOlderThan);
    if initial_events && !not_older {
        errors.push(format!(
            "{FORBIDDEN} sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        ));
    }
    if let Some(text) = text {
        if !initial_events {
            errors.push(format!(
                "{MATCH} is forbidden for watch unless sendInitialEvents is provided"
            ));
        }
        if !not_older {
            errors.push(unsupported(text, r#""NotOlderThan""#));
        }
    }
    if (text.is_some() || defaulted) && parameters.continue_token().is_some() {
        errors.push(format!("{MATCH} is forbidden when continue is provided"));
    }
    errors
}

fn unsupported(text: &str, supported: &str) -> String {
    format!(
        "resourceVersionMatch: Unsupported value: {}: supported values: {supported}",
        quoted(text)
    )
}
