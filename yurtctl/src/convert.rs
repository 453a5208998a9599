//! `yurtctl convert`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use k8s_openapi::api::core::v1::Node;
use kube::api::Api;
use yurtctl_node::journal::Outcome;
use yurtctl_node::layout::Site;
use yurtctl_node::transaction::{Goal, Transaction};

use crate::app::Ending;
use crate::args::{ClusterArgs, Convert, Pace};
use crate::cluster::{Cluster, HubConfig, Purpose};
use crate::plan::{self, Action, Frame, NodePlan};
use crate::progress::Progress;
use crate::rebirth::Unready;
use crate::run::{self, Consent, Done};
use crate::selection::NodeView;
use crate::servant::Silent;
use crate::session::{self, Leave, Session};
use crate::summary::Summary;
use crate::{EDGE_LABEL, LABELLED_BY, MANAGER, objects, rebirth, servant, show, survey};

/// The kubelet renews what its pods trust within some 90 s; then new containers are led to yurthub.
const LED_LIMIT: Duration = Duration::from_mins(5);
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the command.
pub async fn command(args: &ClusterArgs, what: &Convert) -> Result<Ending> {
    let cluster = Cluster::connect(args).await?;
    let version = cluster.version().await?;
    session::check_rights(&cluster, Purpose::Change).await?;
    let nodes = survey::selected(&cluster, &what.selection).await?;
    let progress = Progress::begin();
    let session = Session::open(&cluster, what.pace.image.as_deref(), progress).await?;
    let ended = locked(&session, nodes, what, &version, progress).await;
    // A look leaves nothing behind.
    session.close(Leave::AsBefore, progress).await?;
    ended
}

async fn locked(
    session: &Session,
    nodes: Vec<NodeView>,
    what: &Convert,
    version: &str,
    progress: Progress,
) -> Result<Ending> {
    let (cluster, config) = (&session.cluster, &session.config);
    let site = site(config)?;
    let seen = survey::of(cluster, config, nodes, progress).await?;
    let frame = Frame {
        site: &site,
        cluster_version: version,
        system_clients: &what.system_clients,
        accepted: &what.accept,
    };
    let plans: Vec<_> = seen
        .into_iter()
        .map(|seen| plan::to_convert(seen, &frame))
        .collect();
    let waves = run::waves_of(&plans, &what.pace);
    let shown = show::Plan {
        cluster: version,
        image: &config.image,
        without_tunnel: what.without_tunnel,
        waves: &waves,
        nodes: &plans,
    };
    if let Consent::Over(ending) = run::consent(&shown, &what.pace)? {
        return Ok(ending);
    }
    objects::manager::install(cluster, config).await?;
    if !what.without_tunnel {
        objects::tunnel::install(cluster, config).await?;
    }
    let walk = run::in_waves(&plans, &waves, progress, |plan| async move {
        run::or_pending(convert(cluster, config, &plan, &what.pace, progress).await)
    })
    .await;
    let mut ending = walk.ending;
    if ending == Ending::Failed {
        return Ok(ending);
    }
    for plan in plans
        .iter()
        .filter(|plan| walk.done.contains(&plan.node) && !plan.restarted.is_empty())
    {
        if let Err(error) = lead_system_clients(cluster, plan, progress).await {
            // What went wrong on one node is no reason to leave the others half-way.
            progress.trouble(&plan.node, &format!("FAILED: {error:#}"));
            ending = run::worse(ending, Ending::Failed);
        }
    }
    if objects::manager::available(cluster)
        .await
        .is_ok_and(|count| count == 0)
    {
        let namespace = &cluster.namespace;
        progress.say(&format!(
            "no replica of yurt-controller-manager runs yet; without one no node can be autonomous (`kubectl -n {namespace} \
             get deployments,pods`)"
        ));
    }
    Ok(ending)
}

/// Converts one node.
async fn convert(
    cluster: &Cluster,
    config: &HubConfig,
    plan: &NodePlan,
    pace: &Pace,
    progress: Progress,
) -> Result<Done> {
    let Some(spec) = &plan.spec else {
        bail!("there is no plan for it");
    };
    let node = plan.node.as_str();
    // It was Ready when the plan was made; somebody may have thought about that for long.
    if let Err(why) = survey::ready_now(cluster, node).await {
        return Ok(Done::Pending(why));
    }
    objects::bind(cluster, node).await?;
    if plan.action != Action::Finish {
        change(
            cluster,
            config,
            plan,
            &run::transaction(Goal::Converted, spec, pace),
            progress,
        )
        .await?;
    }
    if !plan.labelled {
        let label = BTreeMap::from([(EDGE_LABEL, Some("true".to_owned()))]);
        let ours = BTreeMap::from([(LABELLED_BY, Some(MANAGER.to_owned()))]);
        cluster.mark_node(node, &label, &ours).await?;
    }
    run::wait_ready(cluster, node).await?;
    objects::manager::leave(cluster, node).await?;
    progress.node(node, "converted, and Ready through yurthub");
    Ok(Done::All)
}

/// Carries the transaction out on its node.
async fn change(
    cluster: &Cluster,
    config: &HubConfig,
    plan: &NodePlan,
    transaction: &Transaction,
    progress: Progress,
) -> Result<()> {
    let node = plan.node.as_str();
    progress.node(node, "its pod takes it over");
    let ended = servant::carry_out(cluster, config, transaction, progress).await;
    let outcome = match &ended {
        Ok(ended) => run::require(ended.outcome, Outcome::Converted, &ended.records),
        Err(error) => match error.downcast_ref::<Silent>() {
            Some(silent) => Err(silent.clone().into()),
            None => Err(anyhow::anyhow!(
                "{error:#}; the node goes on by itself: it ends converted, or as it was. Run this again to see which"
            )),
        },
    };
    let rolled_back = ended.is_ok_and(|ended| ended.outcome == Outcome::RolledBack);
    if rolled_back && plan.action == Action::Convert {
        objects::unbind(cluster, node).await?;
    }
    outcome
}

/// Restarts those pods of the system that shall reach the API through yurthub, once new containers are led there.
async fn lead_system_clients(cluster: &Cluster, plan: &NodePlan, progress: Progress) -> Result<()> {
    let node = plan.node.as_str();
    progress.node(node, "waiting until its pods trust yurthub (up to 90 s)");
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let start = Instant::now();
    loop {
        let led = nodes.get(node).await.is_ok_and(|node| {
            Summary::of(&node.metadata.annotations.unwrap_or_default()).is_some_and(|summary| summary.led)
        });
        if led {
            break;
        }
        if start.elapsed() >= LED_LIMIT {
            let pods: Vec<_> = plan.restarted.iter().map(ToString::to_string).collect();
            bail!(
                "{node} is converted, but its yurthub does not lead pods to itself after {} s; `yurthub status` on the \
                 node says why. Not restarted: {}",
                LED_LIMIT.as_secs(),
                pods.join(", ")
            );
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    rebirth::restart(cluster, node, &plan.restarted, &Unready::default(), progress).await
}

/// What all nodes get.
pub fn site(config: &HubConfig) -> Result<Site> {
    let pods: Option<SocketAddr> = config.pods_address()?.parse().ok();
    Ok(Site {
        // Of the programs, which come from the image, and not of this one.
        version: config.image_version(),
        hub_settings: config.settings.clone(),
        pods_address: pods.map(|address| address.ip()),
    })
}
