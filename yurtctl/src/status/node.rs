//! What is known of one edge node in the cloud (pure).

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use crate::born;
use crate::check::{Finding, Severity, autonomy, images, offline};
use crate::plan::Routes;
use crate::selection::{Autonomy, NodeView};
use crate::summary::Summary;

/// A node, converted or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EdgeNode {
    pub(super) node: String,
    /// As the cloud sees it.
    pub(super) ready: bool,
    /// How its yurthub is, in a word.
    pub(super) state: &'static str,
    /// Version of yurthub.
    pub(super) version: String,
    /// Version of its kubelet.
    pub(super) kubelet: String,
    /// What runs its containers, and its version.
    pub(super) runtime: String,
    /// When its conversion began.
    pub(super) converted_since: Option<String>,
    /// Since when the cloud hears of it without a break.
    pub(super) connected_since: String,
    /// Since when its mirror, or a part of it, does not follow the cloud; nothing: all of it does.
    pub(super) mirror_since: Option<String>,
    pub(super) scopes_live: usize,
    pub(super) scopes_behind: usize,
    pub(super) scopes_denied: usize,
    /// Statuses and events that wait for the cloud.
    pub(super) waiting: usize,
    pub(super) waiting_statuses: usize,
    pub(super) waiting_events: usize,
    pub(super) store: String,
    /// When the kubelet's certificate ends.
    pub(super) certificate_ends: String,
    /// Whether its pods stay while the cloud does not hear of it; nothing: nobody asked for that.
    pub(super) autonomy: Option<Autonomy>,
    /// Whether new containers are led to yurthub.
    pub(super) pods_led: bool,
    /// Its pods, by the times at which their containers were started.
    pub(super) pods: Routes,
}

impl EdgeNode {
    /// `since`: when its conversion began, where it is converted.
    pub(super) fn of(view: &NodeView, since: Option<Timestamp>, pods: &[Pod]) -> Self {
        let summary = Summary::of(&view.annotations);
        let state = state(view, since.is_some(), summary.as_ref());
        let known = summary.unwrap_or_default();
        Self {
            node: view.name.clone(),
            ready: view.ready.is_ok(),
            state,
            mirror_since: since.and_then(|_| mirror_since(view, &known)),
            version: known.version,
            kubelet: view.kubelet.clone(),
            runtime: view.runtime.clone(),
            converted_since: since.map(|since| since.to_string()),
            connected_since: known.connected,
            scopes_live: known.scopes.live,
            scopes_behind: known.scopes.behind,
            scopes_denied: known.scopes.denied,
            waiting: known.waiting.statuses + known.waiting.events,
            waiting_statuses: known.waiting.statuses,
            waiting_events: known.waiting.events,
            store: known.store,
            certificate_ends: known.certificate.unwrap_or_default(),
            autonomy: view.autonomy.clone(),
            pods_led: known.led,
            pods: since.map_or_else(Routes::default, |since| born::routes(pods, since, known.led)),
        }
    }
}

/// In a word, the worst first.
fn state(view: &NodeView, bound: bool, summary: Option<&Summary>) -> &'static str {
    match summary {
        _ if !bound => "not converted",
        _ if view.ready.is_err() => "unheard",
        None => "silent",
        Some(summary) if summary.store != "fine" => "store",
        Some(summary) if summary.scopes.behind > 0 => "behind",
        Some(_) => "fine",
    }
}

/// A node that nobody hears of has a mirror of then, or an older one.
fn mirror_since(view: &NodeView, summary: &Summary) -> Option<String> {
    let behind = summary.oldest.as_ref().filter(|_| summary.scopes.behind > 0);
    let behind = behind.map(|oldest| oldest.since.clone());
    let unheard = view.ready_since.clone().filter(|_| view.ready.is_err());
    // Both are in UTC, in one form: the text sorts as the time does.
    [behind, unheard].into_iter().flatten().min()
}

/// What is wrong with it, as far as the cloud can tell.
pub(super) fn findings(view: &NodeView, pods: &[Pod], node: &EdgeNode, now: i64) -> Vec<Finding> {
    let mut found = Vec::from_iter(autonomy::answer(view));
    if node.converted_since.is_some() {
        found.extend(offline::summary(view, now));
        found.extend(offline::dns(pods, Severity::Warning));
        found.extend(offline::pods(pods));
        found.extend(images::missing(view, pods));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use crate::summary::{Oldest, Scopes};

    fn node(ready: Result<(), String>) -> NodeView {
        NodeView {
            ready,
            ready_since: Some("2026-01-01T10:00:00Z".to_owned()),
            ..samples::view()
        }
    }

    fn behind() -> Summary {
        Summary {
            store: "fine".to_owned(),
            scopes: Scopes {
                behind: 1,
                ..Scopes::default()
            },
            oldest: Some(Oldest {
                since: "2026-01-01T09:00:00Z".to_owned(),
                ..Oldest::default()
            }),
            ..Summary::default()
        }
    }

    fn fine() -> Summary {
        Summary {
            store: "fine".to_owned(),
            ..Summary::default()
        }
    }

    #[test]
    fn the_worst_is_told_first() {
        let up = node(Ok(()));
        assert_eq!(state(&up, false, Some(&fine())), "not converted");
        assert_eq!(state(&node(Err(String::new())), true, Some(&fine())), "unheard");
        assert_eq!(state(&up, true, None), "silent");
        assert_eq!(state(&up, true, Some(&Summary::default())), "store");
        assert_eq!(state(&up, true, Some(&behind())), "behind");
        assert_eq!(state(&up, true, Some(&fine())), "fine");
    }

    #[test]
    fn a_mirror_is_as_old_as_the_oldest_thing_that_is_known_of_it() {
        let (up, down) = (node(Ok(())), node(Err(String::new())));
        assert_eq!(mirror_since(&up, &fine()), None);
        assert_eq!(
            mirror_since(&up, &behind()).as_deref(),
            Some("2026-01-01T09:00:00Z")
        );
        assert_eq!(
            mirror_since(&down, &fine()).as_deref(),
            Some("2026-01-01T10:00:00Z")
        );
        assert_eq!(
            mirror_since(&down, &behind()).as_deref(),
            Some("2026-01-01T09:00:00Z")
        );
    }
}
