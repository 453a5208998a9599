//! `yurtctl revert`.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use yurt_common::{autonomy, pool, tunnel};
use yurtctl_node::facts::Facts;
use yurtctl_node::journal::Outcome;
use yurtctl_node::layout::{self, Site};
use yurtctl_node::transaction::{Goal, Transaction};

use crate::app::Ending;
use crate::args::{ClusterArgs, Pace, Revert, Selection};
use crate::cluster::{Cluster, HubConfig, Purpose};
use crate::convert::site;
use crate::objects::{self, Owner};
use crate::plan::{self, Action, Frame, NodePlan, Routes};
use crate::progress::Progress;
use crate::rebirth::Unready;
use crate::run::{self, Consent, Done};
use crate::selection::NodeView;
use crate::session::{self, Leave, Session};
use crate::{EDGE_LABEL, LABELLED_BY, rebirth, servant, show, summary, survey};

/// Runs the command.
pub async fn command(args: &ClusterArgs, what: &Revert) -> Result<Ending> {
    let cluster = Cluster::connect(args).await?;
    let version = cluster.version().await?;
    session::check_rights(&cluster, Purpose::Change).await?;
    let nodes = selected(&cluster, &what.selection).await?;
    let progress = Progress::begin();
    if nodes.is_empty() {
        progress.say("no node is converted");
        if what.pace.dry_run || objects::owner(&cluster).await? != Owner::Ourselves {
            return Ok(Ending::Fine);
        }
    }
    let session = Session::open(&cluster, what.pace.image.as_deref(), progress).await?;
    let ended = locked(&session, nodes, what, &version, progress).await;
    let leave = match &ended {
        Ok(ending) if *ending != Ending::Failed && !what.pace.dry_run => Leave::Nothing,
        _ => Leave::AsBefore,
    };
    session.close(leave, progress).await?;
    ended
}

/// Nodes that were asked for, or all that are converted.
async fn selected(cluster: &Cluster, selection: &Selection) -> Result<Vec<NodeView>> {
    if !selection.edge_nodes.is_empty() || selection.selector.is_some() {
        return survey::selected(cluster, selection).await;
    }
    let bound = objects::bound_nodes(cluster).await?;
    let nodes = cluster.nodes().await?;
    let mut views: Vec<_> = nodes
        .iter()
        .map(NodeView::of)
        .filter(|view| bound.contains(&view.name))
        .collect();
    views.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(views)
}

async fn locked(
    session: &Session,
    nodes: Vec<NodeView>,
    what: &Revert,
    version: &str,
    progress: Progress,
) -> Result<Ending> {
    let (cluster, config) = (&session.cluster, &session.config);
    if !what.pace.dry_run {
        forget_what_is_no_more(cluster).await?;
    }
    if nodes.is_empty() {
        return Ok(Ending::Fine);
    }
    let site = site(config)?;
    let seen = survey::of(cluster, config, nodes, progress).await?;
    let frame = Frame {
        site: &site,
        cluster_version: version,
        system_clients: &[],
        accepted: &[],
    };
    let plans: Vec<_> = seen
        .into_iter()
        .map(|seen| plan::to_revert(seen, &frame))
        .collect();
    let waves = run::waves_of(&plans, &what.pace);
    let shown = show::Plan {
        cluster: version,
        image: &config.image,
        without_tunnel: false,
        waves: &waves,
        nodes: &plans,
    };
    let consent = run::consent(&shown, &what.pace)?;
    if what.pace.dry_run {
        return Ok(Ending::Fine);
    }
    // Reverted on their own consoles: the cloud does not know yet.
    for plan in plans.iter().filter(|plan| plan.action == Action::Nothing) {
        forget(cluster, plan).await?;
    }
    if let Consent::Over(ending) = consent {
        return Ok(ending);
    }
    let walk = run::in_waves(&plans, &waves, progress, |plan| async move {
        run::or_pending(revert(cluster, config, &plan, &what.pace, progress).await)
    });
    Ok(walk.await.ending)
}

/// Takes back the rights of nodes that are no more.
async fn forget_what_is_no_more(cluster: &Cluster) -> Result<()> {
    let nodes: Vec<_> = cluster.nodes().await?.iter().map(NodeView::of).collect();
    for name in objects::bound_nodes(cluster).await? {
        if !nodes.iter().any(|view| view.name == name) {
            objects::unbind(cluster, &name).await?;
        }
    }
    Ok(())
}

/// Reverts one node.
async fn revert(
    cluster: &Cluster,
    config: &HubConfig,
    plan: &NodePlan,
    pace: &Pace,
    progress: Progress,
) -> Result<Done> {
    let node = plan.node.as_str();
    let (Some(spec), Some(facts)) = (&plan.spec, &plan.facts) else {
        bail!("there is no plan for it");
    };
    if let Err(why) = survey::ready_now(cluster, node).await {
        return Ok(Done::Pending(why));
    }
    let unready = Unready::on(cluster, node).await?;
    lead_nobody(cluster, config, facts, pace, progress).await?;
    bear_again(cluster, config, node, &unready, progress).await?;
    progress.node(node, "its pod takes it over");
    let transaction = run::transaction(Goal::Reverted, spec, pace);
    let ended = servant::carry_out(cluster, config, &transaction, progress).await?;
    run::require(ended.outcome, Outcome::Reverted, &ended.records)?;
    forget(cluster, plan).await?;
    run::wait_ready(cluster, node).await?;
    progress.node(node, "reverted, and Ready");
    Ok(Done::All)
}

/// Leads no more pods to yurthub; also where none was led when the plan was made: one may have been born since.
async fn lead_nobody(
    cluster: &Cluster,
    config: &HubConfig,
    facts: &Facts,
    pace: &Pace,
    progress: Progress,
) -> Result<()> {
    progress.node(&facts.node, "leading no more pods to yurthub");
    let unled = Site {
        hub_settings: config.leading_nobody()?,
        ..site(config)?
    };
    // A kubelet hears of changed filters a moment later. A pod that is made meanwhile would get what it knew before:
    // kube-proxy, say, a kubeconfig that names a yurthub that is gone soon. Restarted, it knows nothing from before.
    let transaction = Transaction {
        restart_kubelet: true,
        ..run::transaction(Goal::Converted, &layout::of(facts, &unled)?, pace)
    };
    let ended = servant::carry_out(cluster, config, &transaction, progress).await?;
    run::require(ended.outcome, Outcome::Converted, &ended.records)
}

/// Restarts the pods that talk to yurthub now: the plan was made before somebody agreed to it, which may be long ago.
async fn bear_again(
    cluster: &Cluster,
    config: &HubConfig,
    node: &str,
    unready: &Unready,
    progress: Progress,
) -> Result<()> {
    let facts = servant::facts(cluster, config, node).await?;
    let pods = cluster.pods(Some(node)).await?;
    let reborn = plan::reborn(&Routes::of(&facts, &pods), &pods);
    if !reborn.left.is_empty() {
        let names = plan::joined(&reborn.left);
        progress.trouble(
            node,
            &format!("nobody would make these anew; restart them yourself after the revert: {names}"),
        );
    }
    rebirth::restart(cluster, node, &reborn.restarted, unready, progress).await
}

/// The cloud knows of no conversion any more.
async fn forget(cluster: &Cluster, plan: &NodePlan) -> Result<()> {
    objects::unbind(cluster, &plan.node).await?;
    let mut labels = BTreeMap::new();
    if plan.label_is_ours {
        labels.insert(EDGE_LABEL, None);
    }
    // What its yurthub has written there, it does not take away: it is gone.
    let written = [LABELLED_BY, summary::ANNOTATION, pool::PEER, pool::VOTES];
    let annotations = written.map(|annotation| (annotation, None)).into();
    cluster.mark_node(&plan.node, &labels, &annotations).await?;
    // Whoever keeps yurt-controller-manager, and asks for autonomy still, gets that one back from it.
    let written = [tunnel::CONDITION, autonomy::CONDITION];
    cluster.clear_conditions(&plan.node, &written).await
}
