//! From a plan to the nodes: asked for, in waves, each node in a transaction of its own.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Node;
use kube::api::Api;
use yurtctl_node::journal::{Outcome, Record};
use yurtctl_node::service::complaint;
use yurtctl_node::spec::NodeSpec;
use yurtctl_node::transaction::{Goal, Transaction};

use crate::app::Ending;
use crate::args::{Format, Pace};
use crate::cluster::Cluster;
use crate::plan::{Action, NodePlan};
use crate::progress::Progress;
use crate::selection::NodeView;
use crate::servant::Silent;
use crate::{show, waves};

const READY_LIMIT: Duration = Duration::from_mins(2);
const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// Whether a plan is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Yes.
    Given,
    /// It was only to be shown, or there is nothing to do, or something is wrong; this is how it ended.
    Over(Ending),
}

/// Shows the plan, and finds out whether it is carried out.
pub fn consent(plan: &show::Plan<'_>, pace: &Pace) -> Result<Consent> {
    let (text, plans) = (show::plan(plan, pace.output)?, plan.nodes);
    // Data goes to stdout if that is what was asked for.
    let as_data = matches!(pace.output, Format::Json | Format::Yaml);
    if pace.dry_run || as_data {
        drop(io::stdout().write_all(text.as_bytes()));
    } else {
        drop(io::stderr().write_all(text.as_bytes()));
    }
    if plans.iter().any(|plan| plan.action == Action::Refused) {
        drop(writeln!(
            io::stderr(),
            "Nothing was changed: repair what is marked ERROR first."
        ));
        return Ok(Consent::Over(Ending::Failed));
    }
    if pace.dry_run {
        return Ok(Consent::Over(ending_of(plans)));
    }
    if !plans.iter().any(NodePlan::changes) {
        return Ok(Consent::Over(ending_of(plans)));
    }
    if pace.yes {
        return Ok(Consent::Given);
    }
    asked("--yes to carry the plan out, --dry-run to see it")
}

/// Asks the person at the terminal; `otherwise`: what to give where there is none.
pub fn asked(otherwise: &str) -> Result<Consent> {
    if !io::stdin().is_terminal() {
        bail!("nothing was changed: nobody is here to be asked; give {otherwise}");
    }
    drop(write!(io::stderr(), "Carry this out? [y/N] "));
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .context("read the answer")?;
    if answer.trim().eq_ignore_ascii_case("y") || answer.trim().eq_ignore_ascii_case("yes") {
        Ok(Consent::Given)
    } else {
        Ok(Consent::Over(Ending::Failed))
    }
}

/// How a run ends where no node failed.
pub fn ending_of(plans: &[NodePlan]) -> Ending {
    if plans
        .iter()
        .any(|plan| matches!(plan.action, Action::Pending { .. }))
    {
        Ending::Pending
    } else {
        Ending::Fine
    }
}

/// The waves of a plan: nodes that change.
pub fn waves_of(plans: &[NodePlan], pace: &Pace) -> Vec<Vec<String>> {
    let nodes: Vec<_> = plans
        .iter()
        .filter(|plan| plan.changes())
        .map(|plan| plan.node.clone())
        .collect();
    waves::of(&nodes, pace.canary, pace.max_unavailable)
}

/// What became of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// All that was planned.
    All,
    /// It could not be reached, and nothing was begun.
    Pending(String),
}

/// How the waves went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// The end.
    pub ending: Ending,
    /// Nodes to which all that was planned was done.
    pub done: Vec<String>,
}

/// Does `change` to the nodes of each wave together, and ends with the first wave in which one fails. One that cannot be
/// reached stays pending, and stops nobody.
pub async fn in_waves<F>(
    plans: &[NodePlan],
    waves: &[Vec<String>],
    progress: Progress,
    change: impl Fn(NodePlan) -> F,
) -> Walk
where
    F: Future<Output = Result<Done>>,
{
    let mut walk = Walk {
        ending: ending_of(plans),
        done: Vec::new(),
    };
    for (number, wave) in waves.iter().enumerate() {
        progress.say(&format!(
            "wave {} of {}: {}",
            number + 1,
            waves.len(),
            wave.join(", ")
        ));
        let nodes = plans.iter().filter(|plan| wave.contains(&plan.node)).cloned();
        let changes = nodes.map(|plan| {
            let name = plan.node.clone();
            let change = change(plan);
            async move { (name, change.await) }
        });
        for (node, outcome) in join_all(changes).await {
            match outcome {
                Ok(Done::All) => walk.done.push(node),
                Ok(Done::Pending(why)) => {
                    progress.trouble(&node, &format!("PENDING, cannot be reached: {why}"));
                    walk.ending = worse(walk.ending, Ending::Pending);
                }
                Err(error) => {
                    progress.trouble(&node, &format!("FAILED: {error:#}"));
                    walk.ending = Ending::Failed;
                }
            }
        }
        if walk.ending == Ending::Failed {
            let rest: Vec<_> = waves[number + 1..].concat();
            if !rest.is_empty() {
                progress.say(&format!("stopped; nothing was done to {}", rest.join(", ")));
            }
            break;
        }
    }
    walk
}

/// Of two ends the one that is told.
pub const fn worse(one: Ending, other: Ending) -> Ending {
    match (one, other) {
        (Ending::Failed, _) | (_, Ending::Failed) => Ending::Failed,
        (Ending::Pending, _) | (_, Ending::Pending) => Ending::Pending,
        (Ending::Fine, Ending::Fine) => Ending::Fine,
    }
}

/// A node that did not answer, and to which nothing was done, is pending; all else is as it is.
pub fn or_pending(outcome: Result<Done>) -> Result<Done> {
    match outcome {
        Err(error) => match error.downcast::<Silent>() {
            Ok(silent) => Ok(Done::Pending(silent.0)),
            Err(error) => Err(error),
        },
        done => done,
    }
}

/// A new transaction.
pub fn transaction(goal: Goal, spec: &NodeSpec, pace: &Pace) -> Transaction {
    let goal_name = match goal {
        Goal::Converted => "convert",
        Goal::Reverted => "revert",
    };
    Transaction {
        id: format!("{goal_name}-{:016x}", fastrand::u64(..)),
        goal,
        deadline_s: pace.timeout.as_secs().max(1),
        restart_kubelet: false,
        spec: spec.clone(),
    }
}

/// An error where a transaction did not come to `wanted`.
pub fn require(outcome: Outcome, wanted: Outcome, records: &[Record]) -> Result<()> {
    if outcome == wanted {
        return Ok(());
    }
    let why = complaint(records).unwrap_or_else(|| "see its journal in /var/lib/yurt-conversion".to_owned());
    match outcome {
        Outcome::RolledBack => bail!("it is as it was before: {why}"),
        Outcome::Incomplete(_) => bail!("{outcome}; {why}"),
        Outcome::Converted | Outcome::Reverted => bail!("it ended otherwise than asked: {why}"),
    }
}

/// Waits until the cloud has the node Ready.
pub async fn wait_ready(cluster: &Cluster, node: &str) -> Result<()> {
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let start = Instant::now();
    loop {
        let why = match nodes.get(node).await {
            Ok(found) => match NodeView::of(&found).ready {
                Ok(()) => return Ok(()),
                Err(why) => why,
            },
            Err(error) => error.to_string(),
        };
        if start.elapsed() >= READY_LIMIT {
            bail!(
                "the cloud does not have it Ready after {} s: {why}",
                READY_LIMIT.as_secs()
            );
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn plan(node: &str, action: Action) -> NodePlan {
        let view = NodeView {
            name: node.to_owned(),
            ..samples::view()
        };
        NodePlan {
            action,
            ..NodePlan::new(&view)
        }
    }

    async fn walk(outcomes: &[(&str, Result<Done, &'static str>)]) -> (Walk, Vec<String>) {
        let plans: Vec<_> = outcomes
            .iter()
            .map(|(node, _)| plan(node, Action::Convert))
            .collect();
        let waves: Vec<_> = plans.iter().map(|plan| vec![plan.node.clone()]).collect();
        let asked = std::sync::Mutex::new(Vec::new());
        let walk = in_waves(&plans, &waves, Progress::begin(), |plan| {
            asked.lock().unwrap().push(plan.node.clone());
            let (_, outcome) = outcomes.iter().find(|(node, _)| *node == plan.node).unwrap();
            let outcome = outcome.clone().map_err(anyhow::Error::msg);
            async move { outcome }
        })
        .await;
        (walk, asked.into_inner().unwrap())
    }

    #[tokio::test]
    async fn a_node_that_went_away_stops_nobody_and_one_that_failed_stops_the_waves() {
        let pending = || Ok(Done::Pending("it is cut off".to_owned()));
        let (found, asked) = walk(&[("a", pending()), ("b", Ok(Done::All))]).await;
        assert_eq!(asked, ["a", "b"]);
        assert_eq!(
            (found.ending, found.done),
            (Ending::Pending, vec!["b".to_owned()])
        );
        let (found, asked) = walk(&[("a", pending()), ("b", Err("no")), ("c", Ok(Done::All))]).await;
        assert_eq!(asked, ["a", "b"]);
        assert_eq!(found.ending, Ending::Failed);
    }

    #[test]
    fn only_silence_is_pending() {
        let silent = or_pending(Err(Silent("cut".to_owned()).into()));
        assert_eq!(silent.unwrap(), Done::Pending("cut".to_owned()));
        assert!(or_pending(Err(anyhow::anyhow!("no image"))).is_err());
        let plans = [
            plan("a", Action::Nothing),
            plan("b", Action::Pending { why: String::new() }),
        ];
        assert_eq!(ending_of(&plans), Ending::Pending);
        assert_eq!(ending_of(&plans[..1]), Ending::Fine);
    }
}
