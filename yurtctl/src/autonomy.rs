//! `yurtctl autonomy`: lets nodes keep their pods while the cloud does not hear of them. yurt-controller-manager does the
//! work; here is the wish, and what it answers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use kube::api::Api;
use yurt_common::autonomy::{AUTONOMY, BINDING, CONDITION, DURATION};

use crate::app::Ending;
use crate::args::{Autonomy, ClusterArgs};
use crate::cluster::Cluster;
use crate::progress::Progress;

/// What goes before the annotation that yurtctl writes, [`DURATION`].
const OTHERS: [&str; 2] = [AUTONOMY, BINDING];
/// yurt-controller-manager answers within a second where it runs.
const ANSWER: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(200);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Pods stay.
    ForEver,
    /// Pods stay for so long.
    For(Duration),
    /// As any other node.
    Off,
}

impl Wish {
    /// Of the flags, of which there is one.
    pub fn of(args: &Autonomy) -> Self {
        match args.wish.duration {
            Some(duration) => Self::For(duration),
            None if args.wish.off => Self::Off,
            None => Self::ForEver,
        }
    }

    /// The annotation's value, as Go writes durations.
    fn value(self) -> Option<String> {
        match self {
            Self::ForEver => Some("0".to_owned()),
            Self::For(duration) => Some(format!("{}s", duration.as_secs().max(1))),
            Self::Off => None,
        }
    }
}

/// Runs the command.
pub async fn command(args: &ClusterArgs, what: &Autonomy) -> Result<Ending> {
    let cluster = Cluster::connect(args).await?;
    let (progress, wish) = (Progress::begin(), Wish::of(what));
    let nodes = cluster.nodes().await?;
    let known: Vec<_> = nodes
        .iter()
        .filter_map(|node| node.metadata.name.as_deref())
        .collect();
    if let Some(name) = what.nodes.iter().find(|name| !known.contains(&name.as_str())) {
        bail!(
            "there is no node {name}; the cluster has {}. Nothing was changed",
            known.join(", ")
        );
    }
    let mut annotations: BTreeMap<_, _> = OTHERS.map(|name| (name, None)).into();
    let labels = BTreeMap::from([OTHERS[0], OTHERS[1], DURATION].map(|name| (name, None)));
    annotations.insert(DURATION, wish.value());
    for name in &what.nodes {
        cluster.mark_node(name, &labels, &annotations).await?;
    }
    let mut all = Ending::Fine;
    let start = Instant::now();
    for name in &what.nodes {
        if let Some(said) = answer(&cluster, name, wish, start).await? {
            progress.node(name, &said);
        } else {
            let why = format!(
                "asked for, but yurt-controller-manager does not answer; see `kubectl -n {} get deployments,pods`",
                cluster.namespace
            );
            progress.trouble(name, &why);
            all = Ending::Pending;
        }
    }
    Ok(all)
}

/// What the node says of its autonomy, once that answers the wish.
async fn answer(cluster: &Cluster, name: &str, wish: Wish, start: Instant) -> Result<Option<String>> {
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    loop {
        let node = nodes
            .get_opt(name)
            .await
            .with_context(|| format!("look at node `{name}`"))?;
        if let Some(said) = said(node.as_ref(), wish) {
            return Ok(Some(said));
        }
        if start.elapsed() >= ANSWER {
            return Ok(None);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The condition by which yurt-controller-manager says what holds on a node.
pub fn condition(node: &Node) -> Option<&NodeCondition> {
    let conditions = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().find(|one| one.type_ == CONDITION)
}

/// Whether a node asks for autonomy, by whichever name.
pub fn is_wished(node: &Node) -> bool {
    let maps = [&node.metadata.labels, &node.metadata.annotations];
    let mut names = maps.into_iter().flatten().flat_map(|map| map.keys());
    names.any(|name| name == DURATION || OTHERS.contains(&name.as_str()))
}

/// What the condition says where it answers the wish (pure).
fn said(node: Option<&Node>, wish: Wish) -> Option<String> {
    let Some(node) = node else {
        return Some("it is gone".to_owned());
    };
    match (wish, condition(node)) {
        (Wish::Off, None) => Some("its pods are evicted as those of any other node".to_owned()),
        (Wish::Off, Some(_)) | (_, None) => None,
        (_, Some(ours)) => {
            let (reason, message) = (
                ours.reason.clone().unwrap_or_default(),
                ours.message.clone().unwrap_or_default(),
            );
            let answers = match wish {
                Wish::ForEver => reason == "ForEver" && message.contains(DURATION),
                _ => ["ForDuration", "DurationOver"].contains(&reason.as_str()),
            };
            answers.then(|| format!("{message} ({reason})"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(condition: Option<(&str, &str)>) -> Node {
        let conditions = condition.map(|(reason, message)| {
            serde_json::json!([{"type": CONDITION, "status": "True", "reason": reason, "message": message}])
        });
        serde_json::from_value(
            serde_json::json!({"metadata": {"name": "a"}, "status": {"conditions": conditions}}),
        )
        .unwrap()
    }

    #[test]
    fn durations_are_written_so_that_go_reads_them() {
        assert_eq!(
            Wish::For(Duration::from_hours(2)).value().as_deref(),
            Some("7200s")
        );
        // None is for ever.
        assert_eq!(Wish::For(Duration::from_millis(1)).value().as_deref(), Some("1s"));
        assert_eq!(Wish::ForEver.value().as_deref(), Some("0"));
        assert_eq!(Wish::Off.value(), None);
    }

    #[test]
    fn an_answer_is_one_to_this_wish() {
        let by = format!("pods stay, by {DURATION}");
        let other = "pods stay, by apps.openyurt.io/binding";
        let hour = Wish::For(Duration::from_hours(1));
        for (condition, wish, answered) in [
            (None, Wish::Off, true),
            (None, Wish::ForEver, false),
            (Some(("ForEver", by.as_str())), Wish::ForEver, true),
            (Some(("ForEver", other)), Wish::ForEver, false),
            (Some(("ForEver", &by)), hour, false),
            (Some(("ForDuration", &by)), hour, true),
            (Some(("DurationOver", &by)), hour, true),
            (Some(("DurationOver", &by)), Wish::ForEver, false),
            (Some(("ForDuration", &by)), Wish::Off, false),
        ] {
            let said = said(Some(&node(condition)), wish);
            assert_eq!(said.is_some(), answered, "{condition:?} {wish:?}: {said:?}");
        }
        assert!(said(None, Wish::Off).is_some());
    }
}
