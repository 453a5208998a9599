//! A privileged pod on a node, from its Job to what it says at its end.

mod job;
mod pod_state;
mod silence;
mod steps;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use yurtctl_node::facts::Facts;
use yurtctl_node::journal::{Outcome, Record};
use yurtctl_node::message::Message;
use yurtctl_node::transaction::Transaction;

use crate::cluster::{Cluster, HubConfig, is_missing, list};
use crate::progress::Progress;
use crate::selection::NodeView;
use job::Task;
use pod_state::PodState;
use silence::Errand;
use steps::Steps;

pub use silence::Silent;

const POLL_INTERVAL: Duration = Duration::from_millis(400);
/// Between two questions whether the node is Ready.
const READY_INTERVAL: Duration = Duration::from_secs(3);
/// A pod starts in this time, its image pulled, or its node does not work.
const FACTS_LIMIT: Duration = Duration::from_mins(2);
/// Beyond a transaction's own time: to start the pod, and to take back what was done.
const BEYOND: Duration = Duration::from_mins(6);
/// How long a reason that often goes by itself may hold.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a transaction ended, and how it came to that.
#[derive(Debug)]
pub struct Ended {
    /// The end.
    pub outcome: Outcome,
    /// What happened.
    pub records: Vec<Record>,
}

/// Looks at a node. The error is [`Silent`] where it does not answer.
pub async fn facts(cluster: &Cluster, config: &HubConfig, node: &str) -> Result<Facts> {
    let task = Task::Facts {
        pods_address: config.pods_address()?,
    };
    let visit = Visit::begin(cluster, config, node, &task).await?;
    let message = visit.wait(Errand::Look, FACTS_LIMIT).await;
    match visit.end(message).await? {
        Message::Facts(facts) => Ok(*facts),
        Message::Failed(why) => bail!("{why}"),
        Message::Ended { .. } => bail!("the pod on the node answered another question; try again"),
    }
}

/// Carries a transaction out on its node, and tells what happens there. The error is [`Silent`] where the node does not
/// answer and so nothing was begun.
pub async fn carry_out(
    cluster: &Cluster,
    config: &HubConfig,
    transaction: &Transaction,
    progress: Progress,
) -> Result<Ended> {
    let task = Task::CarryOut {
        transaction: Box::new(transaction.clone()),
    };
    let node = transaction.spec.node.as_str();
    let limit = Duration::from_secs(transaction.deadline_s) + BEYOND;
    let visit = Visit::begin(cluster, config, node, &task).await?;
    let steps = Steps::new(node, progress);
    let message = tokio::select! {
        message = visit.wait(Errand::CarryOut, limit) => message,
        () = visit.tell(&steps) => bail!("the log of the pod on the node ended; try again"),
    };
    match visit.end(message).await? {
        Message::Ended { outcome, records } => {
            steps.complete(&records);
            Ok(Ended { outcome, records })
        }
        Message::Failed(why) => bail!("{why}"),
        Message::Facts(_) => bail!("the pod on the node answered another question; try again"),
    }
}

/// A Job, and its pod on the node.
struct Visit<'a> {
    cluster: &'a Cluster,
    node: &'a str,
    name: String,
    jobs: Api<Job>,
    pods: Api<Pod>,
    /// Its pods. By the Job's UID: the pod of an earlier Job of this name may still be there, with what it said.
    own: ListParams,
}

impl<'a> Visit<'a> {
    async fn begin(cluster: &'a Cluster, config: &HubConfig, node: &'a str, task: &Task) -> Result<Self> {
        let job = job::of(node, task, config);
        let name = job.metadata.name.clone().unwrap_or_default();
        let jobs: Api<Job> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        cluster.may_change().await?;
        remove(cluster, &jobs, &name).await?;
        let created = jobs
            .create(&PostParams::default(), &job)
            .await
            .with_context(|| format!("create Job {}/{name}", cluster.namespace))?;
        let uid = created.metadata.uid.as_deref().unwrap_or_default();
        Ok(Self {
            cluster,
            node,
            name,
            jobs,
            pods: Api::namespaced(cluster.client.clone(), &cluster.namespace),
            own: ListParams::default().labels(&format!("batch.kubernetes.io/controller-uid={uid}")),
        })
    }

    /// Until the pod has said something.
    async fn wait(&self, errand: Errand, limit: Duration) -> Result<Message> {
        let start = Instant::now();
        let mut last = PodState::None;
        let mut changed = start;
        let mut complained: Option<Instant> = None;
        let mut asked = start;
        loop {
            // The apiserver may be gone for a moment; the pod goes on.
            if let Ok(found) = list(&self.pods, &self.own, "pods of the Job").await {
                let state = pod_state::of(&found);
                match &state {
                    PodState::Said(text) => return Ok(Message::decode(text)?),
                    PodState::Hopeless(why) => bail!("{why}"),
                    PodState::Stuck(why) => {
                        let since = *complained.get_or_insert_with(Instant::now);
                        if since.elapsed() >= PATIENCE {
                            bail!("{why}");
                        }
                    }
                    PodState::Unanswered | PodState::Starting | PodState::Runs => complained = None,
                    PodState::None => {}
                }
                if state != last {
                    (last, changed) = (state, Instant::now());
                }
            }
            let mut ready = None;
            if asked.elapsed() >= READY_INTERVAL {
                asked = Instant::now();
                ready = self.ready().await;
            }
            if let Some(silent) = silence::judge(errand, &last, ready.as_ref(), changed.elapsed()) {
                return Err(silent.into());
            }
            if start.elapsed() >= limit {
                bail!(
                    "the pod of Job {}/{} said nothing within {} s: {last}",
                    self.cluster.namespace,
                    self.name,
                    limit.as_secs()
                );
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Whether the cloud has the node Ready; `None` where it does not answer.
    async fn ready(&self) -> Option<Result<(), String>> {
        let node = self.cluster.node(self.node).await.ok()?;
        Some(node.map_or_else(
            || Err("it is no node of this cluster any more".to_owned()),
            |node| NodeView::of(&node).ready,
        ))
    }

    /// Tells of what the pod's log says; without an end.
    async fn tell(&self, steps: &Steps<'_>) {
        loop {
            let found = list(&self.pods, &self.own, "pods of the Job")
                .await
                .unwrap_or_default();
            if let Some(name) = found.iter().find_map(|pod| pod.metadata.name.as_deref()) {
                steps.follow(&self.pods, name).await;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Removes the Job. One that still runs, on a node that cannot be reached, ends by itself.
    async fn end(&self, message: Result<Message>) -> Result<Message> {
        let removed = remove(self.cluster, &self.jobs, &self.name).await;
        let message = message?;
        removed?;
        Ok(message)
    }
}

/// Removes the Job and its pod, and waits until they are gone.
async fn remove(cluster: &Cluster, jobs: &Api<Job>, name: &str) -> Result<()> {
    match jobs.delete(name, &DeleteParams::background()).await {
        Err(error) if is_missing(&error) => return Ok(()),
        deleted => deleted.with_context(|| format!("delete Job {}/{name}", cluster.namespace))?,
    };
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        match jobs.get(name).await {
            Err(error) if is_missing(&error) => return Ok(()),
            _ => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
    Ok(())
}
