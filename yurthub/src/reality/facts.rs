//! What is known of this node's pods and of other nodes, and what an object that lists endpoints looks like by it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use yurthub_endpoints::{Kind, LocalPod, Reality, Shown, Source, service_of, show, targets};
use yurthub_object::{Encoding, Malformed};

/// What is known. By default nothing: then everything is shown as in the cloud.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The pods of this node by UID; `None` while they are not known as a whole.
    pub pods: Option<BTreeMap<String, LocalPod>>,
    /// Services with `publishNotReadyAddresses`, by `namespace/name`.
    pub publishing: BTreeSet<String>,
    /// Other nodes that cannot be reached; empty while the cloud is there, which sees to them.
    pub unreachable: BTreeSet<String>,
    /// Nodes of this one's pool that the cloud does not hear of and whose endpoints are kept, with the UIDs of those of
    /// their pods that are not ready on their own account.
    pub kept: BTreeMap<String, BTreeSet<String>>,
}

/// Which objects a change of what is known may concern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concerns {
    /// None: it is the same.
    Nothing,
    /// Those that name this node.
    Near,
    /// Any.
    All,
}

/// An object that lists endpoints, as the cloud has it.
#[derive(Debug, Clone, Copy)]
pub struct Listing<'a> {
    /// What it is.
    pub kind: Kind,
    /// How it is encoded.
    pub encoding: Encoding,
    /// Its key in its scope, `namespace/name`.
    pub key: &'a str,
    /// The object in stored form.
    pub item: &'a Bytes,
}

/// What follows for an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// Whether a change of this node's pods may concern it.
    pub near: bool,
    /// The other nodes that it names.
    pub others: BTreeSet<String>,
    /// How it is shown; `None`: as the cloud has it.
    pub shown: Option<Bytes>,
}

impl Facts {
    /// Decides how an object is shown on the node `node`.
    pub fn judge(&self, node: &str, listing: Listing<'_>) -> Result<Judged, Malformed> {
        let Listing {
            kind,
            encoding,
            key,
            item,
        } = listing;
        let source = Source { kind, encoding, item };
        let mut targets = targets(source)?;
        // The controllers name the node of each pod that has one; where none is named, the pod may be anywhere.
        let near = targets.nodes.contains(node) || targets.nodes.is_empty() && !targets.pods.is_empty();
        targets.nodes.remove(node);
        let others = targets.nodes;
        let cut_off = !self.unreachable.is_disjoint(&others);
        let known = near && self.pods.is_some();
        let kept = others.iter().any(|other| self.kept.contains_key(other));
        if !known && !cut_off && !kept {
            return Ok(Judged {
                near,
                others,
                shown: None,
            });
        }
        let reality = Reality {
            node,
            pods: self.pods.as_ref(),
            detached: cut_off,
            unreachable_nodes: &self.unreachable,
            kept_nodes: &self.kept,
        };
        let shown = match show(source, &reality, self.publishes(source, key)?)? {
            Shown::Keep => None,
            Shown::Changed(item) => Some(item),
        };
        Ok(Judged { near, others, shown })
    }

    /// Which objects may be shown otherwise than by what was known `before`.
    pub fn concerns(&self, before: &Self) -> Concerns {
        if self == before {
            Concerns::Nothing
        } else if self.unreachable == before.unreachable && self.kept == before.kept {
            Concerns::Near
        } else {
            Concerns::All
        }
    }

    /// Whether the object's Service publishes pods before they are ready.
    fn publishes(&self, source: Source<'_>, key: &str) -> Result<bool, Malformed> {
        if self.publishing.is_empty() {
            return Ok(false);
        }
        let namespace = key.rsplit_once('/').map_or("", |(namespace, _)| namespace);
        let service = service_of(source)?;
        Ok(service.is_some_and(|name| self.publishing.contains(&format!("{namespace}/{name}"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = r#"{"addresses":["10.0.0.1"],"conditions":{"ready":true,"serving":true,"terminating":false},"nodeName":"edge1","targetRef":{"kind":"Pod","uid":"u1"}}"#;

    fn slice(endpoints: &str) -> Bytes {
        let labels = r#"{"kubernetes.io/service-name":"web"}"#;
        format!(r#"{{"metadata":{{"name":"web-1","namespace":"ns","labels":{labels}}},"addressType":"IPv4","endpoints":[{endpoints}]}}"#).into()
    }

    fn judge(facts: &Facts, item: &Bytes) -> Judged {
        let listing = Listing {
            kind: Kind::EndpointSlice,
            encoding: Encoding::Json,
            key: "ns/web-1",
            item,
        };
        facts.judge("edge1", listing).unwrap()
    }

    fn facts(pod: LocalPod) -> Facts {
        Facts {
            pods: Some(BTreeMap::from([("u1".to_owned(), pod)])),
            ..Facts::default()
        }
    }

    fn pod(address: &str, ready: bool) -> LocalPod {
        LocalPod {
            ips: vec![address.parse().unwrap()],
            ready,
            reported: true,
            ..LocalPod::default()
        }
    }

    #[test]
    fn only_what_differs_is_shown_otherwise() {
        let cloud = slice(POD);
        let near = |shown| Judged {
            near: true,
            shown,
            ..Judged::default()
        };
        assert_eq!(judge(&Facts::default(), &cloud), near(None), "nothing is known");
        assert_eq!(judge(&facts(pod("10.0.0.1", true)), &cloud), near(None));
        let moved = slice(&POD.replace("10.0.0.1", "10.0.0.9"));
        assert_eq!(judge(&facts(pod("10.0.0.9", true)), &cloud), near(Some(moved)));
        let dead = slice(&POD.replace("true", "false"));
        assert_eq!(judge(&facts(pod("10.0.0.1", false)), &cloud), near(Some(dead)));
    }

    #[test]
    fn a_service_that_publishes_early_is_known_by_namespace_and_name() {
        let cloud = slice(POD);
        let early = slice(&POD.replace(r#""serving":true"#, r#""serving":false"#));
        for (service, expected) in [
            ("ns/web", early),
            ("other/web", slice(&POD.replace("true", "false"))),
        ] {
            let facts = Facts {
                publishing: BTreeSet::from([service.to_owned()]),
                ..facts(pod("10.0.0.1", false))
            };
            assert_eq!(judge(&facts, &cloud).shown, Some(expected), "{service}");
        }
    }

    #[test]
    fn what_no_pod_of_this_node_can_change_is_not_near() {
        let known = facts(pod("10.0.0.9", true));
        for (endpoints, near) in [
            (String::new(), false),
            (POD.replace("edge1", "edge2"), false),
            (format!("{},{POD}", POD.replace("edge1", "edge2")), true),
            (POD.replace(r#""nodeName":"edge1","#, ""), true),
            (POD.replace(r#""kind":"Pod""#, r#""kind":"Other""#), false),
        ] {
            assert_eq!(judge(&known, &slice(&endpoints)).near, near, "{endpoints}");
        }
    }

    #[test]
    fn endpoints_on_nodes_that_cannot_be_reached_are_dead_and_others_as_before() {
        let (elsewhere, gone) = (POD.replace("edge1", "edge2"), POD.replace("edge1", "edge3"));
        let here = POD.replace("10.0.0.1", "10.0.0.9");
        let cut_off = |facts: Facts| Facts {
            unreachable: BTreeSet::from(["edge3".to_owned()]),
            ..facts
        };
        let dead = gone.replace("true", "false");
        for (facts, cloud, expected) in [
            (
                cut_off(facts(pod("10.0.0.9", true))),
                format!("{POD},{elsewhere},{gone}"),
                Some(format!("{here},{elsewhere},{dead}")),
            ),
            (facts(pod("10.0.0.9", true)), format!("{elsewhere},{gone}"), None),
            // Nothing is known of this node's pods.
            (
                cut_off(Facts::default()),
                format!("{POD},{gone}"),
                Some(format!("{POD},{dead}")),
            ),
            (cut_off(Facts::default()), format!("{POD},{elsewhere}"), None),
        ] {
            let judged = judge(&facts, &slice(&cloud));
            assert_eq!(judged.shown, expected.map(|shown| slice(&shown)), "{cloud}");
            let named = ["edge2", "edge3"].map(str::to_owned);
            let named = named.into_iter().filter(|name| cloud.contains(name));
            assert_eq!(judged.others, named.collect(), "{cloud}");
        }
    }

    #[test]
    fn endpoints_of_silent_mates_are_kept() {
        let mate = POD.replace("edge1", "edge2").replace("u1", "u2");
        let silent = mate.replace(
            r#""ready":true,"serving":true"#,
            r#""ready":false,"serving":false"#,
        );
        let (other, leaving) = (
            silent.replace("edge2", "edge3"),
            silent.replace(r#""terminating":false"#, r#""terminating":true"#),
        );
        let sick = silent.replace("u2", "sick");
        let facts = Facts {
            kept: BTreeMap::from([("edge2".to_owned(), BTreeSet::from(["sick".to_owned()]))]),
            ..Facts::default()
        };
        let before = format!("{silent},{other},{leaving},{sick}");
        let after = format!("{mate},{other},{leaving},{sick}");
        assert_eq!(judge(&facts, &slice(&before)).shown, Some(slice(&after)));
        assert_eq!(judge(&facts, &slice(&after)).shown, None, "as it is");
        let lost = Facts {
            unreachable: BTreeSet::from(["edge2".to_owned()]),
            ..facts
        };
        assert_eq!(judge(&lost, &slice(&silent)).shown, None, "dead, as in the cloud");
    }

    #[test]
    fn objects_that_do_not_name_this_node_are_compared_only_for_other_nodes() {
        let before = facts(pod("10.0.0.1", true));
        let cut_off = Facts {
            unreachable: BTreeSet::from(["edge3".to_owned()]),
            ..before.clone()
        };
        let kept = Facts {
            kept: BTreeMap::from([("edge3".to_owned(), BTreeSet::new())]),
            ..before.clone()
        };
        for (now, expected) in [
            (before.clone(), Concerns::Nothing),
            (facts(pod("10.0.0.1", false)), Concerns::Near),
            (cut_off, Concerns::All),
            (kept, Concerns::All),
        ] {
            assert_eq!(now.concerns(&before), expected, "{now:?}");
        }
    }
}
