//! Endpoints of mirror pods that were replaced while the cloud was away ([`crate::offline::mirror_pods`]): objects of
//! the cloud still tell of the pod from before, by its UID. Pure.
//!
//! The heir is the pod that has the name now. Two times it is known from before: the cloud, when it is back, shows its
//! old pod until the kubelet has deleted that, and then a new one of which nothing is reported for up to ten seconds.

use std::collections::{BTreeMap, VecDeque};

use yurthub_endpoints::LocalPod;

use super::pods::Found;
use crate::mirror::scope::Heir;

/// How many are remembered.
const MOST: usize = 64;

/// What is remembered of an heir.
#[derive(Debug, Clone)]
struct Known {
    heir: Heir,
    /// As it was shown last while it stood in.
    last: Found,
}

/// See the module. In the order in which they came.
#[derive(Debug, Clone, Default)]
pub(super) struct Heirs(VecDeque<Known>);

impl Heirs {
    /// Takes in those that stand in now, by the pods that are shown.
    pub(super) fn note(&mut self, heirs: Vec<Heir>, pods: &BTreeMap<Box<str>, Found>) {
        for heir in heirs {
            let Some(last) = pods.get(&heir.key).filter(|found| found.uid == heir.uid) else {
                continue;
            };
            self.0.retain(|known| known.heir.of != heir.of);
            self.0.push_back(Known {
                heir,
                last: last.clone(),
            });
            if self.0.len() > MOST {
                self.0.pop_front();
            }
        }
    }

    /// Whose endpoints are to be shown by which pod.
    pub(super) fn pods<'a>(
        &'a self,
        pods: &'a BTreeMap<Box<str>, Found>,
    ) -> impl Iterator<Item = (&'a str, &'a Found)> {
        let found = |known: &'a Known| Some((known.heir.of.as_str(), known.now(pods)?));
        self.0.iter().filter_map(found)
    }
}

impl Known {
    /// The pod that the endpoints are of now; `None`: the one that they tell of, or none.
    fn now<'a>(&'a self, pods: &'a BTreeMap<Box<str>, Found>) -> Option<&'a Found> {
        let found = pods.get(&self.heir.key)?;
        let same = found.mirrors.is_some() && found.mirrors == self.last.mirrors;
        if found.uid == self.heir.uid {
            Some(found)
        } else if found.uid == self.heir.of {
            // The kubelet keeps it where the static pod is again what it was.
            (!same).then_some(&self.last)
        } else if same && found.pod.ips.is_empty() {
            Some(&self.last)
        } else {
            Some(found)
        }
    }
}

impl Found {
    /// What rules need of it, where the kubelet has reported these pods, by UID, since the boot or not.
    pub(super) fn reported(&self, reported: &BTreeMap<String, bool>) -> LocalPod {
        LocalPod {
            reported: reported.get(&self.uid).is_none_or(|reported| *reported),
            ..self.pod.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(uid: &str, mirrors: &str, ip: Option<&str>) -> Found {
        Found {
            version: 7,
            uid: uid.into(),
            mirrors: Some(mirrors.into()),
            pod: LocalPod {
                ips: ip.into_iter().map(|ip| ip.parse().unwrap()).collect(),
                ready: ip.is_some(),
                ..LocalPod::default()
            },
        }
    }

    fn named(found: Found) -> BTreeMap<Box<str>, Found> {
        BTreeMap::from([("ns/web".into(), found)])
    }

    fn heir(of: &str) -> Heir {
        Heir {
            key: "ns/web".into(),
            uid: "here".into(),
            of: of.into(),
        }
    }

    #[test]
    fn endpoints_of_the_pod_from_before_follow_the_one_that_has_its_name() {
        let stand_in = found("here", "v2", Some("10.0.0.2"));
        let mut heirs = Heirs::default();
        heirs.note(vec![heir("old")], &named(stand_in.clone()));
        for (now, expected, why) in [
            (Some(stand_in.clone()), Some("10.0.0.2"), "it stands in"),
            (Some(found("here", "v2", None)), None, "its sandbox is gone"),
            (
                Some(found("old", "v1", Some("10.0.0.1"))),
                Some("10.0.0.2"),
                "the cloud's word from before, which the kubelet takes back",
            ),
            (
                Some(found("new", "v2", None)),
                Some("10.0.0.2"),
                "the same in the cloud, not reported yet",
            ),
            (
                Some(found("new", "v2", Some("10.0.0.3"))),
                Some("10.0.0.3"),
                "reported",
            ),
            (Some(found("new", "v3", None)), None, "yet another one"),
        ] {
            let pods = now.map(named).unwrap_or_default();
            let shown: Vec<_> = heirs.pods(&pods).collect();
            let [(of, pod)] = shown[..] else {
                panic!("{why}: {shown:?}");
            };
            let ip = pod.pod.ips.first().map(ToString::to_string);
            assert_eq!((of, ip.as_deref()), ("old", expected), "{why}");
        }
        for (now, why) in [
            (None, "the static pod is gone"),
            (
                Some(found("old", "v2", Some("10.0.0.1"))),
                "the static pod is again what it was",
            ),
        ] {
            let pods = now.map(named).unwrap_or_default();
            assert_eq!(heirs.pods(&pods).count(), 0, "{why}");
        }
    }

    #[test]
    fn only_so_many_are_remembered_and_each_once() {
        let pods = named(found("here", "v2", Some("10.0.0.2")));
        let mut heirs = Heirs::default();
        for index in 0..2 * MOST {
            for _ in 0..2 {
                heirs.note(vec![heir(&format!("old-{index}"))], &pods);
            }
        }
        let of: Vec<_> = heirs.pods(&pods).map(|(of, _)| of.to_owned()).collect();
        assert_eq!(of.len(), MOST);
        assert_eq!(of.last().map(String::as_str), Some("old-127"));
        heirs.note(vec![heir("unseen")], &BTreeMap::new());
        assert_eq!(
            heirs.pods(&pods).count(),
            MOST,
            "one that is not shown counts for nothing"
        );
    }
}
