//! `yurtctl node revert --local`: on the node's own console, with or without the cloud.

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use yurtctl_node::journal::Outcome;
use yurtctl_node::message::Message;
use yurtctl_node::service::complaint;
use yurtctl_node::transaction::{Goal, Store, Transaction};
use yurtctl_node::{FOLDER, conductor};

use crate::app::Ending;
use crate::on_node::follow;

/// Seconds until what has not succeeded counts as failed.
const DEADLINE: u64 = 180;

/// Reverts this node. A transaction that is under way comes to its end first; its service is started where it does not run.
pub fn revert() -> Result<Ending> {
    let store = Store::at(Path::new(FOLDER));
    let under_way = store
        .under_way()
        .context("look for a transaction under way (are you root?)")?;
    if let Some(under_way) = under_way {
        say(&format!(
            "A transaction ({}) is under way on this node; following it to its end first.",
            under_way.id
        ));
        let outcome = ended(&follow(&store, &under_way)?)?;
        if outcome == Outcome::Reverted {
            tell_of_pods(&under_way.spec.node);
            return Ok(Ending::Fine);
        }
    }
    let Some(spec) = store.known_spec().context("look at what is installed")? else {
        bail!("this node is not converted: there is no {FOLDER}/installed.json");
    };
    let transaction = Transaction {
        id: format!("local-{:08x}", fastrand::u32(..)),
        goal: Goal::Reverted,
        deadline_s: DEADLINE,
        restart_kubelet: false,
        spec,
    };
    let itself = std::fs::read("/proc/self/exe").context("read this program")?;
    store
        .bring("yurtctl", &itself)
        .context("keep this program until it has ended")?;
    conductor::propose(&store, &transaction)?;
    match ended(&follow(&store, &transaction)?)? {
        Outcome::Reverted => tell_of_pods(&transaction.spec.node),
        outcome => bail!("this node is not reverted: {outcome}"),
    }
    Ok(Ending::Fine)
}

/// How it ended, told; what is left behind is an error.
fn ended(message: &Message) -> Result<Outcome> {
    match message {
        Message::Ended {
            outcome: outcome @ Outcome::Incomplete(_),
            records,
        } => bail!("{outcome}; {}", complaint(records).unwrap_or_default()),
        Message::Ended { outcome, .. } => Ok(*outcome),
        Message::Facts(_) | Message::Failed(_) => bail!("the service answered another question: {message:?}"),
    }
}

fn tell_of_pods(node: &str) {
    say(&format!(
        "Pods that were started while it was converted look for the API at yurthub's address, which is gone: restart them, \
         or run `yurtctl revert --edge-nodes {node}` from where the cluster can be reached: it does that, and takes the \
         node's rights and labels back."
    ));
}

fn say(text: &str) {
    drop(writeln!(io::stdout(), "{text}"));
}
