//! What would be done to each node, and why (pure).

mod pods;

use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;
use yurtctl_node::facts::Facts;
use yurtctl_node::layout::{self, Layout, Site};
use yurtctl_node::spec::NodeSpec;
use yurtctl_node::steps::Step;
use yurtctl_node::transaction::Goal;

use crate::LABELLED_BY;
use crate::check::{self, Acceptable, Finding, Severity, images, machine, offline};
use crate::selection::NodeView;

pub use pods::{PodName, Reborn, Restart, Routes, has_ended, is_of, is_servant, joined, reborn, restart};

/// A node, as it was seen when the plan is made.
#[derive(Debug)]
pub struct Seen {
    /// From the cloud.
    pub view: NodeView,
    /// By a pod there.
    pub sight: Sight,
    /// Its pods.
    pub pods: Vec<Pod>,
    /// The clock here when the facts came, in milliseconds since 1970.
    pub now_ms: u64,
}

/// What a pod there has seen.
#[derive(Debug)]
pub enum Sight {
    /// It was looked at.
    Seen(Box<Facts>),
    /// It is not Ready: nothing can be done there until it is.
    Unreachable(String),
    /// It is Ready, and could not be looked at.
    Unseen(String),
}

/// What would be done to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "camelCase")]
pub enum Action {
    /// It becomes an edge node.
    Convert,
    /// It is one, and gets something new.
    Update {
        /// What.
        why: String,
    },
    /// It is one; an earlier run was interrupted before the last of it.
    Finish,
    /// It becomes an ordinary node again.
    Revert,
    /// It is as it shall be.
    Nothing,
    /// It cannot be reached.
    Pending {
        /// Why.
        why: String,
    },
    /// Something is wrong.
    Refused,
}

/// What would be done to one node.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodePlan {
    /// Which.
    pub node: String,
    /// What.
    #[serde(flatten)]
    pub action: Action,
    /// What is wrong there.
    pub findings: Vec<Finding>,
    /// How its kubelet is started.
    pub layout: Option<&'static str>,
    /// What runs its containers, and its version.
    pub runtime: Option<String>,
    /// The steps, in order.
    pub steps: Vec<&'static str>,
    /// What shall be there, or go.
    pub spec: Option<NodeSpec>,
    /// Pods that are restarted, one at a time, at the end of a conversion, or before a revert.
    pub restarted: Vec<PodName>,
    /// Whom its pods talk to.
    #[serde(flatten)]
    pub routes: Routes,
    /// Whether it has the label of edge nodes already.
    #[serde(skip)]
    pub labelled: bool,
    /// Whether yurtctl has given it that label.
    #[serde(skip)]
    pub label_is_ours: bool,
    /// What was found there.
    #[serde(skip)]
    pub facts: Option<Box<Facts>>,
}

/// What every node's plan is made of.
#[derive(Debug)]
pub struct Frame<'a> {
    /// What all nodes get.
    pub site: &'a Site,
    /// Version of the cluster.
    pub cluster_version: &'a str,
    /// DaemonSets whose pods are restarted at the end, as `namespace/name`.
    pub system_clients: &'a [String],
    /// Findings that do not stop it.
    pub accepted: &'a [Acceptable],
}

/// The plan to convert a node.
pub fn to_convert(seen: Seen, frame: &Frame<'_>) -> NodePlan {
    let (view, pods) = (&seen.view, &seen.pods);
    let mut plan = NodePlan::new(view);
    plan.findings.extend(check::place(view));
    let facts = match seen.sight {
        _ if plan.is_refused() => return plan.with(Action::Refused),
        Sight::Unreachable(why) => return plan.with(Action::Pending { why }),
        Sight::Unseen(why) => {
            plan.findings.push(machine::unseen(why));
            return plan.with(Action::Refused);
        }
        Sight::Seen(facts) => facts,
    };
    plan.findings = check::node(view, &facts, frame.cluster_version, seen.now_ms);
    if facts.installed.is_none() {
        let severity = check::unless_accepted(frame.accepted, "no-dns");
        plan.findings.extend(offline::dns(pods, severity));
        plan.findings.extend(offline::pods(pods));
        plan.findings.extend(images::missing(view, pods));
        plan.findings.sort_by_key(|finding| finding.severity);
    }
    plan.layout = Some(Layout::of(&facts).as_str());
    plan.runtime = Some(view.runtime.clone()).filter(|runtime| !runtime.is_empty());
    plan.tell_apart(&facts, pods);
    // What is wrong with it is among the findings.
    let Ok(spec) = layout::of(&facts, frame.site) else {
        return plan.with(Action::Refused);
    };
    let action = if plan.is_refused() {
        Action::Refused
    } else {
        match &facts.installed {
            None => Action::Convert,
            Some(installed) if !installed.drifted.is_empty() => Action::Update {
                why: format!("{} of its files were changed since", installed.drifted.len()),
            },
            Some(installed) if installed.digest == spec.digest() => Action::Nothing,
            Some(installed) if installed.version != spec.version => Action::Update {
                why: format!("version {} → {}", installed.version, spec.version),
            },
            Some(_) => Action::Update {
                why: "other programs or settings".to_owned(),
            },
        }
    };
    if matches!(action, Action::Convert | Action::Update { .. }) {
        plan.steps = Step::ALL.iter().map(|step| step.about()).collect();
    }
    if matches!(action, Action::Convert | Action::Update { .. } | Action::Nothing) {
        let direct = &plan.routes.direct;
        plan.restarted = pods
            .iter()
            .filter(|pod| frame.system_clients.iter().any(|client| is_of(pod, client)))
            .map(PodName::of)
            .filter(|name| direct.contains(name) || action == Action::Convert)
            .collect();
    }
    let is_done = plan.labelled && plan.restarted.is_empty();
    let action = if action == Action::Nothing && !is_done {
        Action::Finish
    } else {
        action
    };
    plan.spec = Some(spec);
    plan.facts = Some(facts);
    plan.with(action)
}

/// The plan to revert a node.
pub fn to_revert(seen: Seen, frame: &Frame<'_>) -> NodePlan {
    let pods = &seen.pods;
    let mut plan = NodePlan::new(&seen.view);
    let facts = match seen.sight {
        Sight::Unreachable(why) => return plan.with(Action::Pending { why }),
        Sight::Unseen(why) => {
            plan.findings.push(machine::unseen(why));
            return plan.with(Action::Refused);
        }
        Sight::Seen(facts) => facts,
    };
    plan.layout = Some(Layout::of(&facts).as_str());
    plan.tell_apart(&facts, pods);
    let action = match &facts.installed {
        None => Action::Nothing,
        Some(installed) if installed.under_way.is_some_and(|goal| goal == Goal::Converted) => {
            plan.findings.push(check::error(
                "under-way",
                "a transaction is under way there",
                "it ends by itself; run this again then",
            ));
            Action::Refused
        }
        Some(_) => Action::Revert,
    };
    if action == Action::Revert {
        plan.steps = REVERT_STEPS.to_vec();
        let Reborn { restarted, left } = reborn(&plan.routes, pods);
        plan.restarted = restarted;
        if !left.is_empty() {
            plan.findings.push(check::warning(
                "not-restarted",
                format!(
                    "nobody would make these pods anew, so they are not restarted: {}",
                    joined(&left)
                ),
                "they lose the API until you restart them yourself, after the revert",
            ));
        }
    }
    // What is written there is known on the node; what would be written anew tells the paths.
    plan.spec = layout::of(&facts, frame.site).ok();
    plan.facts = Some(facts);
    plan.with(action)
}

const REVERT_STEPS: [&str; 5] = [
    "lead no more pods to yurthub, and restart those that were, one at a time",
    "remove the drop-in of the kubelet's service and restart the kubelet",
    "stop yurthub and remove its data",
    "remove its configuration and service",
    "remove the programs",
];

impl NodePlan {
    pub(crate) fn new(view: &NodeView) -> Self {
        Self {
            node: view.name.clone(),
            action: Action::Nothing,
            findings: Vec::new(),
            layout: None,
            runtime: None,
            steps: Vec::new(),
            spec: None,
            restarted: Vec::new(),
            routes: Routes::default(),
            labelled: view.is_edge(),
            label_is_ours: view.annotations.contains_key(LABELLED_BY),
            facts: None,
        }
    }

    fn with(self, action: Action) -> Self {
        Self { action, ..self }
    }

    /// Whether a finding stops everything.
    pub fn is_refused(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }

    fn tell_apart(&mut self, facts: &Facts, pods: &[Pod]) {
        self.routes = Routes::of(facts, pods);
        if !self.routes.untold.is_empty() {
            self.findings.push(check::warning(
                "untold-pods",
                format!(
                    "it has more pods than fit into a message; whom these talk to is not known: {}",
                    joined(&self.routes.untold)
                ),
                "nothing to do: a revert restarts them, too",
            ));
        }
    }

    /// Whether something would be done.
    pub fn changes(&self) -> bool {
        use Action::{Convert, Finish, Revert, Update};
        matches!(self.action, Convert | Update { .. } | Finish | Revert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use serde_json::json;

    fn site() -> Site {
        Site {
            version: "1".to_owned(),
            hub_settings: String::new(),
            pods_address: None,
        }
    }

    fn frame<'a>(site: &'a Site, accepted: &'a [Acceptable]) -> Frame<'a> {
        Frame {
            site,
            cluster_version: "v1.34.4",
            system_clients: &[],
            accepted,
        }
    }

    fn seen(sight: Sight) -> Seen {
        Seen {
            view: samples::view(),
            sight,
            pods: Vec::new(),
            now_ms: 1_000_000,
        }
    }

    #[test]
    fn a_node_without_dns_is_refused_unless_that_is_accepted_or_it_is_converted_already() {
        let site = site();
        let look = |change| Sight::Seen(Box::new(samples::facts(change)));
        let plan = to_convert(seen(look(json!({}))), &frame(&site, &[]));
        assert_eq!((plan.action, plan.findings[0].name), (Action::Refused, "no-dns"));
        let plan = to_convert(seen(look(json!({}))), &frame(&site, &[Acceptable::NoDns]));
        assert_eq!((plan.action, plan.findings[0].name), (Action::Convert, "no-dns"));
        let converted = json!({"installed": {"version": "1", "digest": "", "drifted": [], "underWay": null}});
        let plan = to_convert(seen(look(converted)), &frame(&site, &[]));
        assert!(matches!(plan.action, Action::Update { .. }), "{:?}", plan.action);
    }

    #[test]
    fn a_pod_that_ran_nowhere_tells_why() {
        let site = site();
        let of = |why: &str| to_convert(seen(Sight::Unseen(why.to_owned())), &frame(&site, &[]));
        assert_eq!(of("quota").findings[0].name, "not-looked-at");
        let other = of("its pod said \"exec /usr/local/bin/yurtctl: exec format error\"");
        assert_eq!(
            (other.action, other.findings[0].name),
            (Action::Refused, "architecture")
        );
    }

    #[test]
    fn a_node_of_the_control_plane_is_refused_before_anybody_looks_at_it() {
        let view = NodeView {
            control_plane: true,
            ..samples::view()
        };
        let site = site();
        let frame = frame(&site, &[]);
        let seen = Seen {
            view,
            sight: Sight::Unreachable(String::new()),
            pods: Vec::new(),
            now_ms: 0,
        };
        let plan = to_convert(seen, &frame);
        assert_eq!(plan.action, Action::Refused);
        assert_eq!(plan.findings[0].name, "control-plane");
    }
}
