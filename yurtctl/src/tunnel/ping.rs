//! `yurtctl tunnel ping`: asks one kubelet some times.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use tokio::time::sleep;
use yurt_common::node_certificates::is_node_name;

use super::reason::{Reach, reach};
use super::{Scene, ask, text};
use crate::app::Ending;
use crate::args::{ClusterArgs, Format, Ping};
use crate::cluster::Cluster;
use crate::selection::NodeView;
use crate::show::data;
use crate::status::print;

/// Between an answer and the next question.
const PAUSE: Duration = Duration::from_secs(1);

/// What was asked, and how it went.
#[derive(Debug, Serialize)]
pub(super) struct Pings {
    pub(super) node: String,
    pub(super) pings: Vec<Reach>,
}

/// Runs the command.
pub async fn command(args: &ClusterArgs, what: &Ping) -> Result<Ending> {
    if !is_node_name(&what.node) {
        bail!("`{}` is no name of a node", what.node);
    }
    let cluster = Cluster::connect(args).await?;
    let mut scene = Scene::read(&cluster).await?;
    view(&scene, &what.node)?;
    let lines = matches!(what.output, Format::Table | Format::Wide);
    let mut pings = Pings {
        node: what.node.clone(),
        pings: Vec::new(),
    };
    let mut is_away = false;
    for number in 1..=what.count {
        if number > 1 {
            sleep(PAUSE).await;
        }
        let answer = ask::kubelet(&cluster, &what.node).await;
        if answer.is_err() && number > 1 {
            // What prevents it may be new.
            scene = Scene::read(&cluster).await?;
        }
        let view = view(&scene, &what.node)?;
        let found = reach(answer, &scene.known(&view));
        if lines {
            print(&line(number, &found));
        }
        is_away = view.ready.is_err();
        pings.pings.push(found);
    }
    print(&if lines {
        text::pings(&pings)
    } else {
        data(&pings, what.output)?
    });
    Ok(ending(&pings.pings, is_away))
}

fn view(scene: &Scene, name: &str) -> Result<NodeView> {
    let mut nodes = scene.nodes.iter();
    let node = nodes.find(|node| node.metadata.name.as_deref() == Some(name));
    node.map(NodeView::of)
        .with_context(|| format!("there is no node {name}"))
}

fn line(number: u16, found: &Reach) -> String {
    match found.milliseconds {
        Some(time) => format!("{number}: answered in {time:.1} ms\n"),
        None => format!("{number}: not reached ({}): {}\n", found.reason, found.why),
    }
}

/// A node that is not Ready is pending.
fn ending(pings: &[Reach], is_away: bool) -> Ending {
    if pings.iter().all(|ping| ping.ok) {
        Ending::Fine
    } else if is_away {
        Ending::Pending
    } else {
        Ending::Failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ping_that_is_lost_is_a_failure_and_a_node_that_is_away_is_pending() {
        let ping = |ok| Reach {
            ok,
            milliseconds: ok.then_some(1.0),
            reason: if ok { "" } else { "unknown" },
            why: String::new(),
        };
        assert_eq!(ending(&[ping(true), ping(true)], false), Ending::Fine);
        assert_eq!(ending(&[ping(true), ping(false)], false), Ending::Failed);
        assert_eq!(ending(&[ping(false)], true), Ending::Pending);
        assert_eq!(line(1, &ping(true)), "1: answered in 1.0 ms\n");
        assert_eq!(line(2, &ping(false)), "2: not reached (unknown): \n");
    }
}
