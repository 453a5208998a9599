//! `yurtctl doctor`: the checks of `convert`, and what would break on a node that is cut off. Changes nothing.

use std::fmt::Write as _;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams};
use serde::Serialize;

use crate::app::Ending;
use crate::args::{ClusterArgs, Doctor, Format, Selection};
use crate::check::{self, Acceptable, Finding, Severity, autonomy, images, offline};
use crate::cluster::{Cluster, Purpose, list};
use crate::objects;
use crate::plan::{Routes, Seen, Sight};
use crate::progress::Progress;
use crate::selection::NodeView;
use crate::session::{self, Leave, Session};
use crate::show::{DIRECT, THROUGH, data, findings, pods};
use crate::status::{now, print};
use crate::survey;
use crate::tunnel::{NO_TUNNEL, Pods, view};

/// The label of konnectivity's agents, and where they run.
const KONNECTIVITY: (&str, &str) = ("kube-system", "k8s-app=konnectivity-agent");

/// What was found on a node, or in the cluster.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Diagnosis {
    /// Nothing: it is about the whole cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    converted: bool,
    /// Whom its pods talk to; nothing, where it could not be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pods: Option<Routes>,
    findings: Vec<Finding>,
}

/// Runs the command.
pub async fn command(args: &ClusterArgs, what: &Doctor) -> Result<Ending> {
    let cluster = Cluster::connect(args).await?;
    let version = cluster.version().await?;
    session::check_rights(&cluster, Purpose::Look).await?;
    let nodes = selected(&cluster, &what.selection).await?;
    let all = cluster.nodes().await?;
    let tunnel = Pods::read(&cluster).await?;
    let progress = Progress::begin();
    let session = Session::open(&cluster, what.image.as_deref(), progress).await?;
    let diagnoses = diagnose(&session, nodes, &what.accept, &version, progress).await;
    session.close(Leave::AsBefore, progress).await?;
    let mut diagnoses = diagnoses?;
    if tunnel.is_any() {
        of_tunnel(&cluster, &all, &tunnel, &mut diagnoses).await?;
    } else if diagnoses.iter().any(|diagnosis| diagnosis.converted) {
        progress.say(NO_TUNNEL);
    }
    print(&match what.output {
        Format::Json | Format::Yaml => data(&diagnoses, what.output)?,
        Format::Table | Format::Wide => text(&diagnoses),
    });
    let is_ill = diagnoses
        .iter()
        .flat_map(|diagnosis| &diagnosis.findings)
        .any(|finding| finding.severity == Severity::Error);
    Ok(if is_ill { Ending::Failed } else { Ending::Fine })
}

/// Adds what is wrong with the tunnel: of the whole cluster first, then of the nodes that were looked at.
async fn of_tunnel(
    cluster: &Cluster,
    nodes: &[Node],
    tunnel: &Pods,
    diagnoses: &mut Vec<Diagnosis>,
) -> Result<()> {
    let views: Vec<_> = nodes.iter().map(NodeView::of).collect();
    let shared = view::shared(nodes);
    for diagnosis in diagnoses.iter_mut() {
        let Some(view) = views
            .iter()
            .find(|view| Some(&view.name) == diagnosis.node.as_ref())
        else {
            continue;
        };
        let agent = view::Agent::of(tunnel.agents.get(&view.name));
        let found = check::tunnel::node(view, &agent, shared.get(&view.name));
        diagnosis.findings.extend(found);
    }
    let (namespace, label) = KONNECTIVITY;
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let konnectivity = list(
        &pods,
        &ListParams::default().labels(label),
        "pods of konnectivity",
    )
    .await?;
    let findings = check::tunnel::cluster(&views, &tunnel.ready_servers(), konnectivity.len());
    if !findings.is_empty() {
        let whole = Diagnosis {
            node: None,
            converted: false,
            pods: None,
            findings,
        };
        diagnoses.insert(0, whole);
    }
    Ok(())
}

/// Nodes that were asked for, or all edge nodes: converted ones, and those that shall be.
async fn selected(cluster: &Cluster, selection: &Selection) -> Result<Vec<NodeView>> {
    if !selection.edge_nodes.is_empty() || selection.selector.is_some() {
        return survey::selected(cluster, selection).await;
    }
    let bound = objects::bound_nodes(cluster).await?;
    let nodes: Vec<_> = cluster.nodes().await?.iter().map(NodeView::of).collect();
    let edge: Vec<_> = nodes
        .iter()
        .filter(|node| node.is_edge() || bound.contains(&node.name))
        .cloned()
        .collect();
    // Before the first conversion: every node that could become one.
    Ok(if edge.is_empty() {
        nodes.into_iter().filter(|node| !node.control_plane).collect()
    } else {
        edge
    })
}

async fn diagnose(
    session: &Session,
    nodes: Vec<NodeView>,
    accepted: &[Acceptable],
    version: &str,
    progress: Progress,
) -> Result<Vec<Diagnosis>> {
    let (cluster, config) = (&session.cluster, &session.config);
    let bound = objects::bound_nodes(cluster).await?;
    let seen = survey::of(cluster, config, nodes, progress).await?;
    let now = now();
    Ok(seen
        .into_iter()
        .map(|seen| {
            let converted = bound.contains(&seen.view.name);
            Diagnosis {
                node: Some(seen.view.name.clone()),
                converted,
                pods: match &seen.sight {
                    Sight::Seen(facts) => Some(Routes::of(facts, &seen.pods)),
                    Sight::Unreachable(_) | Sight::Unseen(_) => None,
                },
                findings: of_node(&seen, converted, accepted, (version, now)),
            }
        })
        .collect())
}

fn of_node(
    seen: &Seen,
    converted: bool,
    accepted: &[Acceptable],
    (version, now): (&str, i64),
) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &seen.sight {
        Sight::Seen(facts) => {
            findings.extend(check::node(&seen.view, facts, version, seen.now_ms));
            findings.extend(offline::drift(facts));
        }
        Sight::Unreachable(why) => findings.push(check::warning(
            "unreachable",
            format!("it cannot be looked at: {why}"),
            "if it is converted, its pods run on; look again when it is back",
        )),
        Sight::Unseen(why) => findings.push(check::error(
            "not-looked-at",
            why.clone(),
            "a pod must be able to run there",
        )),
    }
    findings.extend(autonomy::answer(&seen.view));
    findings.extend(offline::pods(&seen.pods));
    findings.extend(images::missing(&seen.view, &seen.pods));
    // What is converted was converted so; what is not would be refused.
    let severity = if converted || seen.view.control_plane {
        Severity::Warning
    } else {
        check::unless_accepted(accepted, "no-dns")
    };
    findings.extend(offline::dns(&seen.pods, severity));
    if converted {
        findings.extend(offline::summary(&seen.view, now));
    }
    findings.sort_by_key(|finding| finding.severity);
    findings
}

fn text(diagnoses: &[Diagnosis]) -> String {
    let mut text = String::new();
    for diagnosis in diagnoses {
        let kind = if diagnosis.converted {
            "converted"
        } else {
            "not converted"
        };
        let fine = if diagnosis.findings.is_empty() {
            " fine"
        } else {
            ""
        };
        let _ = match &diagnosis.node {
            Some(node) => writeln!(text, "{node} ({kind}):{fine}"),
            None => writeln!(text, "The tunnel:"),
        };
        findings(&mut text, &diagnosis.findings);
        if let Some(routes) = diagnosis.pods.as_ref().filter(|_| diagnosis.converted) {
            pods(&mut text, DIRECT, &routes.direct);
            pods(&mut text, THROUGH, &routes.through_yurthub);
        }
    }
    text
}
