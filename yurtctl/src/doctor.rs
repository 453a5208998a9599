//! `yurtctl doctor`: the checks of `convert`, and what would break on a node that is cut off. Changes nothing.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use crate::app::Ending;
use crate::args::{ClusterArgs, Doctor, Format, Selection};
use crate::check::{self, Acceptable, Finding, Severity, autonomy, images, offline};
use crate::cluster::{Cluster, Purpose};
use crate::objects;
use crate::plan::{Routes, Seen, Sight};
use crate::progress::Progress;
use crate::selection::NodeView;
use crate::session::{self, Leave, Session};
use crate::show::{DIRECT, THROUGH, data, findings, pods};
use crate::status::{now, print};
use crate::survey;

/// What was found on a node.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Diagnosis {
    node: String,
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
    let progress = Progress::begin();
    let session = Session::open(&cluster, what.image.as_deref(), progress).await?;
    let diagnoses = diagnose(&session, nodes, &what.accept, &version, progress).await;
    session.close(Leave::AsBefore, progress).await?;
    let diagnoses = diagnoses?;
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
                node: seen.view.name.clone(),
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
        let _ = writeln!(text, "{} ({kind}):{fine}", diagnosis.node);
        findings(&mut text, &diagnosis.findings);
        if let Some(routes) = diagnosis.pods.as_ref().filter(|_| diagnosis.converted) {
            pods(&mut text, DIRECT, &routes.direct);
            pods(&mut text, THROUGH, &routes.through_yurthub);
        }
    }
    text
}
