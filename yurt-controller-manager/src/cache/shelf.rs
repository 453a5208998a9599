//! Views of the objects of one kind, found by their key or by their node.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use kube::Resource;
use tokio::sync::watch;

/// What is kept of an object.
pub trait View: Clone + PartialEq + Send + Sync + 'static {
    /// The object as it is read.
    type Object: Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static;

    /// What is kept of `object`.
    fn of(object: Self::Object) -> Self;

    /// The node that it is about; empty: none.
    fn node(&self) -> &Arc<str>;

    /// Whether it stands as `other` does: what may differ between views that are equal, because few ask about it.
    fn stands_like(&self, _other: &Self) -> bool {
        true
    }
}

/// To whom a change makes a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The nodes that it is about.
    pub nodes: Vec<Arc<str>>,
    /// Whether only [`View::stands_like`] tells the new view from the old one.
    pub only_standing: bool,
}

impl Touched {
    /// What makes no difference to anybody.
    pub fn nothing() -> Self {
        Self::whole(Vec::new())
    }

    /// A difference to all that ask about these nodes.
    pub fn whole(nodes: Vec<Arc<str>>) -> Self {
        Self {
            nodes,
            only_standing: false,
        }
    }
}

/// Namespace and name.
pub type Key = (Box<str>, Box<str>);

/// The views of one kind.
pub struct Shelf<V> {
    content: RwLock<Content<V>>,
    complete: watch::Sender<bool>,
}

struct Content<V> {
    views: HashMap<Key, V>,
    of_node: HashMap<Arc<str>, HashSet<Key>>,
}

impl<V> Default for Shelf<V> {
    fn default() -> Self {
        Self {
            content: RwLock::new(Content {
                views: HashMap::new(),
                of_node: HashMap::new(),
            }),
            complete: watch::Sender::new(false),
        }
    }
}

impl<V: View> Shelf<V> {
    /// Puts one there. Returns to whom that makes a difference.
    pub fn put(&self, key: Key, view: V) -> Touched {
        let mut content = self.content.write().unwrap_or_else(PoisonError::into_inner);
        let old = content.views.get(&key);
        let before = old.map(|old| Arc::clone(old.node()));
        let same = old.is_some_and(|old| *old == view);
        let stands = old.is_some_and(|old| old.stands_like(&view));
        let node = Arc::clone(view.node());
        content.views.insert(key.clone(), view);
        if same {
            let nodes = [node].into_iter().filter(|node| !stands && !node.is_empty());
            return Touched {
                nodes: nodes.collect(),
                only_standing: true,
            };
        }
        if let Some(before) = before.as_ref().filter(|before| **before != node) {
            content.leave(before, &key);
        }
        content.of_node.entry(Arc::clone(&node)).or_default().insert(key);
        let others = before.into_iter().filter(|before| *before != node);
        let nodes = others.chain([Arc::clone(&node)]).filter(|node| !node.is_empty());
        Touched::whole(nodes.collect())
    }

    /// Takes one away. Returns the node to which that makes a difference.
    pub fn take(&self, key: &Key) -> Option<Arc<str>> {
        let mut content = self.content.write().unwrap_or_else(PoisonError::into_inner);
        let old = content.views.remove(key)?;
        content.leave(old.node(), key);
        Some(Arc::clone(old.node())).filter(|node| !node.is_empty())
    }

    /// The keys of all that is there.
    pub fn keys(&self) -> HashSet<Key> {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        content.views.keys().cloned().collect()
    }

    /// The views of one node.
    pub fn of_node(&self, node: &str) -> Vec<V> {
        self.select(node, |view| Some(view.clone()))
    }

    /// What `select` takes of the views of one node.
    pub fn select<T>(&self, node: &str, select: impl FnMut(&V) -> Option<T>) -> Vec<T> {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        let keys = content.of_node.get(node).into_iter().flatten();
        keys.filter_map(|key| content.views.get(key))
            .filter_map(select)
            .collect()
    }

    /// Whether `is` holds for any view.
    pub fn any(&self, is: impl FnMut(&V) -> bool) -> bool {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        content.views.values().any(is)
    }

    /// All nodes that something here is about.
    pub fn nodes(&self) -> Vec<Arc<str>> {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        content
            .of_node
            .keys()
            .filter(|node| !node.is_empty())
            .cloned()
            .collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        content.views.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Says that all that the cluster has was here once.
    pub fn set_complete(&self) {
        self.complete.send_replace(true);
    }

    /// Whether it was.
    pub fn is_complete(&self) -> bool {
        *self.complete.borrow()
    }

    /// Waits until it was.
    pub async fn wait_complete(&self) {
        let mut complete = self.complete.subscribe();
        // Only fails where the shelf is gone, and then nobody waits.
        drop(complete.wait_for(|complete| *complete).await);
    }
}

impl<V: View> Content<V> {
    fn leave(&mut self, node: &Arc<str>, key: &Key) {
        if let Some(keys) = self.of_node.get_mut(node) {
            keys.remove(key);
            if keys.is_empty() {
                self.of_node.remove(node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::views::{PodView, ReadPod};

    fn pod(name: &str, node: &str) -> (Key, PodView) {
        let object: ReadPod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": name, "namespace": "n", "uid": name},
            "spec": {"nodeName": node},
        }))
        .unwrap();
        (("n".into(), name.into()), PodView::of(object))
    }

    fn names(nodes: impl IntoIterator<Item = Arc<str>>) -> Vec<String> {
        let mut names: Vec<_> = nodes.into_iter().map(|node| node.to_string()).collect();
        names.sort();
        names
    }

    #[test]
    fn it_says_which_nodes_a_change_is_about() {
        let shelf = Shelf::default();
        let put = |name, node| {
            let (key, view) = pod(name, node);
            names(shelf.put(key, view).nodes)
        };
        assert!(put("a", "").is_empty(), "bound to no node");
        assert_eq!(put("a", "edge1"), ["edge1"]);
        assert!(put("a", "edge1").is_empty(), "nothing has changed");
        assert_eq!(put("b", "edge1"), ["edge1"]);
        assert_eq!(put("a", "edge2"), ["edge1", "edge2"]);
        assert_eq!(names(shelf.nodes()), ["edge1", "edge2"]);
        assert_eq!(shelf.of_node("edge1").len(), 1);
        let taken = shelf.take(&pod("b", "").0);
        assert_eq!(taken.as_deref(), Some("edge1"));
        assert_eq!(shelf.take(&pod("b", "").0), None);
        assert_eq!(names(shelf.nodes()), ["edge2"]);
        assert_eq!(shelf.len(), 1);
    }
}
