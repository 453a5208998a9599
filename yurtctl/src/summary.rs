//! What yurthub tells of itself on its Node, in the annotation `yurthub.openyurt.io/summary`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The annotation.
pub const ANNOTATION: &str = "yurthub.openyurt.io/summary";

/// As yurthub writes it. What another version does not write, has a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Its version.
    pub version: String,
    /// When it began to serve.
    pub since: String,
    /// When the cloud came back last.
    pub connected: String,
    /// How many scopes it has.
    pub scopes: Scopes,
    /// Of the scopes that are behind, the one that is for longest.
    pub oldest: Option<Oldest>,
    /// What waits for the cloud.
    pub waiting: Waiting,
    /// When the kubelet's certificate ends.
    pub certificate: Option<String>,
    /// How its store is.
    pub store: String,
    /// Whether new containers are led to it.
    pub led: bool,
}

/// How many scopes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Scopes {
    /// Follow the cloud.
    pub live: usize,
    /// Do not, for more than a minute.
    pub behind: usize,
    /// The cloud refuses.
    pub denied: usize,
}

/// A scope that is behind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Oldest {
    /// Which.
    pub scope: String,
    /// How it is.
    pub state: String,
    /// Since when.
    pub since: String,
}

/// What waits for the cloud.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// Statuses.
    pub statuses: usize,
    /// Events.
    pub events: usize,
}

impl Summary {
    /// Of a Node's annotations; `None` where there is none that can be read.
    pub fn of(annotations: &BTreeMap<String, String>) -> Option<Self> {
        serde_json::from_str(annotations.get(ANNOTATION)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_version_writes_is_read_as_far_as_it_is_known() {
        let text = r#"{"version":"9","scopes":{"live":3},"waiting":{"events":2},"store":"fine","new":[1]}"#;
        let summary = Summary::of(&BTreeMap::from([(ANNOTATION.to_owned(), text.to_owned())])).unwrap();
        assert_eq!(
            (summary.scopes.live, summary.waiting.events, summary.led),
            (3, 2, false)
        );
        assert_eq!(Summary::of(&BTreeMap::new()), None);
    }
}
