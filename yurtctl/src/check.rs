//! What is wrong with a node, or would be once it is converted (pure). Each finding has its fix.

pub mod autonomy;
mod flags;
pub mod images;
pub mod machine;
pub mod offline;
pub mod tunnel;

use serde::Serialize;
use yurtctl_node::facts::Facts;
use yurtctl_node::layout::{Layout, LayoutError};

use crate::selection::NodeView;

/// What the programs take, with the copy that a transaction brings.
const PROGRAMS_SPACE: u64 = 64 << 20;
/// What yurthub's data may take, with room to spare; its quota is 512 MiB, and it drops what is old first.
const DATA_SPACE: u64 = 256 << 20;
const CONFIGURATION_SPACE: u64 = 1 << 20;
/// Clocks that differ by more make certificates and tokens seem invalid.
const SKEW_MS: u64 = 30_000;
/// systemd from which on all that our units use is there.
const SYSTEMD: u32 = 240;
/// A kubelet may be this much older than the apiserver (Kubernetes' version skew policy).
const SKEW_MINORS: u32 = 3;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Nothing is changed while it is so.
    Error,
    /// It works, until the day that it does not.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// Its name, for scripts and for docs.
    pub name: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub fix: String,
}

/// The findings that somebody may accept: they stop nothing then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Acceptable {
    /// No DNS server runs on the node
    NoDns,
}

impl Acceptable {
    const fn finding(self) -> &'static str {
        match self {
            Self::NoDns => "no-dns",
        }
    }
}

/// How much a finding matters that stops everything unless it is accepted.
pub fn unless_accepted(accepted: &[Acceptable], finding: &str) -> Severity {
    if accepted.iter().any(|accepted| accepted.finding() == finding) {
        Severity::Warning
    } else {
        Severity::Error
    }
}

/// A finding that stops everything.
pub fn error(name: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding {
        severity: Severity::Error,
        name,
        what: what.into(),
        fix: fix.into(),
    }
}

/// A finding to know of.
pub fn warning(name: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding {
        severity: Severity::Warning,
        name,
        what: what.into(),
        fix: fix.into(),
    }
}

/// What is wrong with a node that was looked at. `now_ms`: the clock here, when the facts came.
pub fn node(view: &NodeView, facts: &Facts, cluster_version: &str, now_ms: u64) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(place(view));
    found.extend(init(facts));
    found.extend(machine::of(view, facts));
    found.extend(kubelet(view, facts, cluster_version));
    found.extend(room(facts));
    found.extend(in_the_way(facts));
    found.extend(clock(facts, now_ms));
    found.sort_by_key(|finding| finding.severity);
    found
}

/// What is wrong with it before anybody looks at it.
pub fn place(view: &NodeView) -> Option<Finding> {
    view.control_plane.then(|| {
        error(
            "control-plane",
            "it is a node of the control plane",
            "name nodes at the edge only: the control plane is the cloud",
        )
    })
}

fn init(facts: &Facts) -> Option<Finding> {
    match facts.systemd {
        None => Some(error(
            "no-systemd",
            "it was not started by systemd",
            "yurtctl knows systemd only; install yurthub by hand, see docs/yurthub.md",
        )),
        Some(version) if version < SYSTEMD => Some(error(
            "old-systemd",
            format!("its systemd is {version}"),
            format!("yurthub's service needs {SYSTEMD} or newer"),
        )),
        Some(_) => None,
    }
}

fn kubelet(view: &NodeView, facts: &Facts, cluster_version: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let kubelet = &facts.kubelet;
    if facts.node != view.name {
        found.push(error(
            "other-name",
            format!("its kubelet calls it `{}`", facts.node),
            "start the kubelet with --hostname-override as the Node is called",
        ));
    }
    let flags = kubelet.kubeconfig_flags;
    match Layout::of(facts) {
        Layout::Kubeadm if flags > 1 => found.push(error(
            "several-kubeconfigs",
            LayoutError::SeveralFlags { count: flags }.to_string(),
            "leave one --kubeconfig",
        )),
        Layout::Plain if kubelet.unit_facts.exec_start.is_empty() => found.push(error(
            "no-command",
            LayoutError::NoCommand {
                unit: kubelet.unit.clone(),
            }
            .to_string(),
            "give the kubelet a unit of its own",
        )),
        _ => {}
    }
    if !kubelet.is_k3s {
        found.extend(flags::unknown(&kubelet.unit_facts.exec_start));
    }
    for path in &kubelet.unit_facts.later {
        found.push(error(
            "later-drop-in",
            format!(
                "`{}` sets what our drop-in 20-yurthub.conf would, and comes after it",
                path.display()
            ),
            "rename it so that it comes before 20-, or take the setting out of it",
        ));
    }
    if let (Some(kubelet), Some(cluster)) = (minor(&view.kubelet), minor(cluster_version))
        && (kubelet > cluster || cluster - kubelet > SKEW_MINORS)
    {
        found.push(error(
            "version-skew",
            format!("its kubelet is {}, the apiserver {cluster_version}", view.kubelet),
            "Kubernetes itself does not support that: upgrade the older one",
        ));
    }
    found
}

fn room(facts: &Facts) -> Vec<Finding> {
    let places = [
        ("/usr/local/bin", facts.free.programs, PROGRAMS_SPACE),
        ("/var/lib", facts.free.data, DATA_SPACE),
        ("/etc", facts.free.configuration, CONFIGURATION_SPACE),
    ];
    let installed = facts.installed.is_some();
    places
        .into_iter()
        .filter(|(_, free, needed)| free < needed)
        .map(|(path, free, needed)| {
            let what = format!("{path} has {} MiB free; {} are needed", free >> 20, needed >> 20);
            let fix = format!("make room: `du -xh {path} | sort -h | tail` on the node");
            if installed {
                warning("no-space", what, fix)
            } else {
                error("no-space", what, fix)
            }
        })
        .collect()
}

fn in_the_way(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    if !facts.leftovers.is_empty() {
        let paths: Vec<_> = facts
            .leftovers
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        found.push(error(
            "leftovers",
            format!(
                "files of another conversion, or of OpenYurt, are there: {}",
                paths.join(", ")
            ),
            "revert with the tool that made them, or remove them on the node, if nothing uses them",
        ));
    }
    for port in &facts.ports_taken {
        found.push(error(
            "port-taken",
            format!("somebody listens on port {port}"),
            format!("`ss -ltnp sport = :{port}` on the node says who; yurthub needs it"),
        ));
    }
    if facts.address_taken {
        found.push(error(
            "address-taken",
            "somebody has yurthub's address for pods on this node",
            "set another listenPods in yurt-hub-cfg (chart value hub.listenPods)",
        ));
    }
    if let Some(installed) = facts
        .installed
        .as_ref()
        .filter(|installed| installed.under_way.is_some())
    {
        found.push(error(
            "under-way",
            format!(
                "a transaction to version {} is under way there",
                installed.version
            ),
            "it ends by itself; run this again then",
        ));
    }
    found
}

fn clock(facts: &Facts, now_ms: u64) -> Option<Finding> {
    let skew = facts.clock_ms.abs_diff(now_ms);
    (skew > SKEW_MS).then(|| {
        warning(
            "clock-skew",
            format!("its clock differs from the one here by {} s", skew / 1000),
            "let both follow one time (chrony, systemd-timesyncd): certificates are judged by it",
        )
    })
}

/// `34` of `v1.34.4`.
fn minor(version: &str) -> Option<u32> {
    version.trim_start_matches('v').split('.').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{facts, view};
    use serde_json::{Value, json};

    fn names(change: Value) -> Vec<&'static str> {
        node(&view(), &facts(change), "v1.34.4", 1_000_000)
            .iter()
            .map(|finding| finding.name)
            .collect()
    }

    #[test]
    fn a_node_that_is_fine_has_no_findings() {
        assert!(names(json!({})).is_empty());
    }

    #[test]
    fn each_trouble_has_its_name() {
        for (change, name) in [
            (json!({"systemd": null}), "no-systemd"),
            (json!({"systemd": 219}), "old-systemd"),
            (json!({"node": "other"}), "other-name"),
            (json!({"kubelet": {"kubeconfigFlags": 2}}), "several-kubeconfigs"),
            (
                json!({"kubelet": {"unitFacts": {"takesVariable": false, "execStart": ""}}}),
                "no-command",
            ),
            (
                json!({"kubelet": {"unitFacts": {"later": ["/x/99.conf"]}}}),
                "later-drop-in",
            ),
            (json!({"free": {"data": 1000}}), "no-space"),
            (json!({"leftovers": ["/var/lib/openyurt"]}), "leftovers"),
            (json!({"portsTaken": [10267]}), "port-taken"),
            (json!({"addressTaken": true}), "address-taken"),
            (json!({"clockMs": 1}), "clock-skew"),
            (
                json!({"installed": {"version": "1", "digest": "", "drifted": [], "underWay": "converted"}}),
                "under-way",
            ),
        ] {
            assert_eq!(names(change), [name]);
        }
    }

    #[test]
    fn what_is_accepted_stops_nothing() {
        assert_eq!(unless_accepted(&[], "no-dns"), Severity::Error);
        assert_eq!(unless_accepted(&[Acceptable::NoDns], "no-dns"), Severity::Warning);
        assert_eq!(unless_accepted(&[Acceptable::NoDns], "no-space"), Severity::Error);
    }

    #[test]
    fn versions_that_kubernetes_does_not_support_together_are_refused() {
        let of = |kubelet: &str, cluster: &str| {
            let view = NodeView {
                kubelet: kubelet.to_owned(),
                ..view()
            };
            node(&view, &facts(json!({})), cluster, 1_000_000).len()
        };
        assert_eq!(of("v1.31.0", "v1.34.4"), 0);
        assert_eq!(of("v1.30.0", "v1.34.4"), 1);
        assert_eq!(of("v1.35.0", "v1.34.4"), 1);
    }

    #[test]
    fn the_control_plane_is_no_edge() {
        let view = NodeView {
            control_plane: true,
            ..view()
        };
        assert_eq!(place(&view).unwrap().name, "control-plane");
    }
}
