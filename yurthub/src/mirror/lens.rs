//! What one client sees of a scope: of one that it shares with others the objects that its selector matches, with events
//! as the apiserver would send them for that selector; and what the kubelet sees otherwise than the cloud sent it.

use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;
use yurthub_object::watch::{self as frames, EventType, FrameDecoder};
use yurthub_object::{Encoding, Malformed, edit, fields, meta, single};

use super::filter::{Filter, FilterError};
use super::key::ScopeKey;
use super::ring::Entry;
use super::scope::Wire;
use crate::filters::NodeFilters;

/// Why an event cannot be shown.
#[derive(Debug, Error)]
pub enum LensError {
    /// The selector cannot be evaluated.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The event cannot be read.
    #[error("failed to read an event of the mirror")]
    Malformed(#[from] Malformed),
}

/// See the module.
#[derive(Clone, Default)]
pub struct Lens {
    /// What the client selects of a scope that holds more.
    selector: Option<Filter>,
    /// What the kubelet sees otherwise.
    filters: Option<Arc<NodeFilters>>,
    group: String,
    resource: String,
}

impl Lens {
    /// Sees what `selector` matches; `None` where only the apiserver can evaluate it.
    pub fn new(selector: Filter) -> Option<Self> {
        let group_resource = (selector.group.as_str(), selector.resource.as_str());
        let known = selector
            .fields
            .terms()
            .iter()
            .all(|term| fields::is_supported(group_resource, term.field()));
        known.then(|| Self {
            group: selector.group.clone(),
            resource: selector.resource.clone(),
            selector: Some(selector),
            filters: None,
        })
    }

    /// Sees all of a resource, but through filters.
    pub fn filtered(group: &str, resource: &str, filters: Arc<NodeFilters>) -> Self {
        Self {
            selector: None,
            filters: Some(filters),
            group: group.to_owned(),
            resource: resource.to_owned(),
        }
    }

    /// The same through filters.
    #[must_use]
    pub fn through(mut self, filters: Arc<NodeFilters>) -> Self {
        self.filters = Some(filters);
        self
    }

    /// Whether it hides or changes anything.
    pub fn is_needed(&self) -> bool {
        let hides = |selector: &Filter| {
            selector.namespace.is_some()
                || !selector.labels.is_everything()
                || !selector.fields.is_everything()
        };
        self.filters.is_some() || self.selector.as_ref().is_some_and(hides)
    }

    /// The object as the client sees it; `None` where it does not.
    pub fn object(&self, encoding: Encoding, item: &Bytes) -> Result<Option<Bytes>, LensError> {
        if !self.selects(encoding, item)? {
            return Ok(None);
        }
        Ok(Some(self.shown(encoding, item).unwrap_or_else(|| item.clone())))
    }

    fn selects(&self, encoding: Encoding, item: &Bytes) -> Result<bool, LensError> {
        match &self.selector {
            Some(selector) => Ok(selector.selects(encoding, item)?),
            None => Ok(true),
        }
    }

    /// What the filters make of an object; `None` where they leave it.
    fn shown(&self, encoding: Encoding, item: &Bytes) -> Option<Bytes> {
        let filters = self.filters.as_ref()?;
        filters.show((&self.group, &self.resource), encoding, item)
    }

    /// The frame by which the client learns of an event; `None` where it concerns nothing that it sees.
    ///
    /// The rules are those of the apiserver's cache (`convertToWatchEvent` in
    /// `k8s.io/apiserver/pkg/storage/cacher/cache_watcher.go`): an object that begins to match is ADDED, one that
    /// ceases to is DELETED with the content that did match and the version of the change.
    pub fn event(&self, wire: &Wire, entry: &Entry) -> Result<Option<Bytes>, LensError> {
        if matches!(entry.event, EventType::Bookmark | EventType::Error) {
            return Ok(Some(entry.frame.clone()));
        }
        let item = match &entry.content {
            Some(content) => content.item.clone(),
            None => item_of(wire, &entry.frame)?, // the scope was made for this client
        };
        let previous = entry
            .content
            .as_ref()
            .and_then(|content| content.previous.as_ref());
        let now = self.selects(wire.encoding, &item)?;
        let before = match previous {
            Some(previous) if entry.event == EventType::Modified => self.selects(wire.encoding, previous)?,
            _ => now, // as far as a selector can tell, nothing has changed
        };
        let (event, item) = match (before, now, previous) {
            (true, false, Some(previous)) => {
                let last = edit::set_resource_version(wire.encoding, previous, entry.version)?;
                (EventType::Deleted, last)
            }
            (_, false, _) => return Ok(None),
            (false, true, _) => (EventType::Added, item),
            (true, true, _) => (entry.event, item),
        };
        let shown = self.shown(wire.encoding, &item);
        if event == entry.event && shown.is_none() {
            return Ok(Some(entry.frame.clone()));
        }
        let item = shown.unwrap_or(item);
        Ok(Some(frames::encode(wire.encoding, event, &wire.item_type, &item)))
    }
}

fn item_of(wire: &Wire, frame: &Bytes) -> Result<Bytes, Malformed> {
    let mut decoder = FrameDecoder::new(wire.encoding, frame.len());
    decoder.push(frame.clone());
    let object = decoder.next()?.map(|frame| frame.object).unwrap_or_default();
    Ok(single::split(wire.encoding, &object)?.1)
}

/// Whether a change may have made an object match a selector that it did not match before, or the reverse.
pub(super) fn selectable_changed(key: &ScopeKey, encoding: Encoding, before: &Bytes, after: &Bytes) -> bool {
    // Of these no field can be selected by that a change could touch.
    let by_labels_only = matches!(key.resource.as_str(), "endpointslices" | "endpoints");
    let labels = |item: &Bytes| meta::labels(encoding, item).ok();
    !by_labels_only || labels(before) != labels(after)
}

#[cfg(test)]
mod tests {
    use yurthub_object::{Style, TypeMeta};
    use yurthub_request::{FieldSelector, LabelSelector};

    use super::*;
    use crate::mirror::ring::Content;

    fn lens(labels: &str, fields: &str) -> Option<Lens> {
        Lens::new(Filter {
            group: String::new(),
            resource: "services".into(),
            namespace: None,
            labels: LabelSelector::parse(labels).unwrap(),
            fields: FieldSelector::parse(fields).unwrap(),
        })
    }

    fn wire() -> Wire {
        let list_type = TypeMeta {
            style: Style::Struct,
            ..TypeMeta::new("v1", "ServiceList")
        };
        Wire::new(Encoding::Json, list_type)
    }

    fn service(version: u64, app: &str) -> Bytes {
        let object = serde_json::json!({
            "metadata": {"name": "web", "resourceVersion": version.to_string(), "labels": {"app": app}},
            "spec": {"clusterIP": "10.0.0.1"},
        });
        object.to_string().into()
    }

    fn entry(event: EventType, item: Bytes, previous: Option<Bytes>) -> Entry {
        let wire = wire();
        let frame = frames::encode(wire.encoding, event, &wire.item_type, &item);
        let mut ring = crate::mirror::ring::Ring::new(
            crate::mirror::ring::Limit {
                entries: 10,
                bytes: 1 << 20,
            },
            0,
        );
        ring.push(20, event, frame, Some(Content { item, previous }));
        match ring.at(1) {
            crate::mirror::ring::Next::Entry(entry) => entry.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Type, version and label of the event that a client who follows `app=web` gets.
    fn seen(entry: &Entry) -> Option<(String, String, String)> {
        let frame = lens("app=web", "").unwrap().event(&wire(), entry).unwrap()?;
        let frame: serde_json::Value = serde_json::from_slice(&frame).unwrap();
        let metadata = &frame["object"]["metadata"];
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        Some((
            text(&frame["type"]),
            text(&metadata["resourceVersion"]),
            text(&metadata["labels"]["app"]),
        ))
    }

    #[test]
    fn an_object_is_added_when_it_begins_to_match_and_deleted_when_it_ceases() {
        use EventType::{Added, Deleted, Modified};
        for (event, before, after, expected) in [
            (Added, None, "web", Some(("ADDED", "20", "web"))),
            (Added, None, "db", None),
            (Modified, None, "web", Some(("MODIFIED", "20", "web"))),
            (Modified, None, "db", None),
            (Modified, Some("web"), "web", Some(("MODIFIED", "20", "web"))),
            (Modified, Some("db"), "web", Some(("ADDED", "20", "web"))),
            // The content that did match, with the version of the change.
            (Modified, Some("web"), "db", Some(("DELETED", "20", "web"))),
            (Modified, Some("cache"), "db", None),
            (Deleted, None, "web", Some(("DELETED", "20", "web"))),
            (Deleted, None, "db", None),
        ] {
            let entry = entry(event, service(20, after), before.map(|app| service(10, app)));
            let expected = expected.map(|(kind, version, app)| (kind.into(), version.into(), app.into()));
            assert_eq!(seen(&entry), expected, "{event:?} {before:?} {after}");
        }
    }

    #[test]
    fn a_field_that_only_the_apiserver_knows_gives_no_lens() {
        assert!(lens("", "spec.clusterIP!=None").is_some());
        assert!(lens("", "spec.loadBalancerIP=1").is_none());
    }

    #[test]
    fn only_changes_that_a_selector_could_see_keep_the_object_before() {
        let key = |resource: &str| ScopeKey {
            client: crate::identity::Client::Shared,
            group: String::new(),
            version: "v1".into(),
            resource: resource.into(),
            namespace: None,
            labels: String::new(),
            fields: String::new(),
            protobuf: false,
        };
        let (same, other) = (service(11, "web"), service(11, "db"));
        let before = service(10, "web");
        for (resource, after, expected) in [
            ("endpointslices", &same, false),
            ("endpointslices", &other, true),
            ("services", &same, true),
        ] {
            let changed = selectable_changed(&key(resource), Encoding::Json, &before, after);
            assert_eq!(changed, expected, "{resource}");
        }
    }
}
