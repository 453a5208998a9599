//! On a node: the body of the pod that yurtctl puts there, and the service that carries a transaction out.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use yurtctl_node::conductor;
use yurtctl_node::course::{of_transaction, outcome};
use yurtctl_node::host::Machine;
use yurtctl_node::message::Message;
use yurtctl_node::spec::{NodeSpec, PROGRAMS, Program};
use yurtctl_node::transaction::{Goal, Store, Transaction};
use yurtctl_node::{FOLDER, entrance, facts, journal, service};

use crate::app::Ending;
use crate::args::Servant;

/// The variable with the transaction, as JSON.
pub const TRANSACTION: &str = "YURT_TRANSACTION";
const TERMINATION_LOG: &str = "/dev/termination-log";
const IMAGE_PROGRAMS: [&str; 2] = ["yurthub", "yurtctl"];
/// Beyond the time of a transaction: to take it back.
const AFTER_DEADLINE: Duration = Duration::from_mins(5);

/// The body of a pod. It has succeeded when it has said something, good or bad: only who is interrupted is started again.
pub fn servant(what: &Servant) -> Ending {
    let said = match OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(TERMINATION_LOG)
    {
        Ok(mut file) => {
            let message = serve(what).unwrap_or_else(|error| Message::Failed(format!("{error:#}")));
            log(&format!("{message:?}"));
            file.write_all(message.encode().as_bytes()).is_ok()
        }
        Err(error) => {
            log(&format!(
                "cannot write {TERMINATION_LOG}: {error}; this runs only as a pod of yurtctl"
            ));
            false
        }
    };
    if said { Ending::Fine } else { Ending::Failed }
}

fn serve(what: &Servant) -> Result<Message> {
    // The image is out of sight once the node is entered.
    let image = IMAGE_PROGRAMS
        .iter()
        .map(|name| {
            let path = Path::new(PROGRAMS).join(name);
            let bytes =
                std::fs::read(&path).with_context(|| format!("read `{}` of the image", path.display()))?;
            Ok(((*name).to_owned(), bytes))
        })
        .collect::<Result<Vec<_>>>()?;
    entrance::enter_node()?;
    match what {
        Servant::Facts { pods_address } => {
            let programs = image
                .iter()
                .map(|(name, bytes)| Program::of(name, bytes))
                .collect();
            Ok(Message::Facts(Box::new(facts::gather(programs, pods_address)?)))
        }
        Servant::CarryOut => carry_out(&image),
    }
}

fn carry_out(image: &[(String, Vec<u8>)]) -> Result<Message> {
    let text = std::env::var(TRANSACTION).with_context(|| format!("read the variable {TRANSACTION}"))?;
    let mut transaction: Transaction =
        serde_json::from_str(&text).with_context(|| format!("parse the transaction in {TRANSACTION}"))?;
    let store = Store::at(Path::new(FOLDER));
    match state(&store, &transaction)? {
        // This pod was interrupted; the transaction was not.
        State::Ours | State::Ended => {}
        State::Another(id) => bail!(
            "another transaction ({id}) is under way on this node; see `journalctl -u {unit}` there. If {unit} does not run, \
             `yurtctl node revert --local` on the node starts it",
            unit = service::UNIT
        ),
        State::Nothing => {
            // What was written there is known there best.
            if let (Goal::Reverted, Some(spec)) = (transaction.goal, installed(&store)?) {
                transaction.spec = spec;
            }
            prepare(&store, &transaction, image)?;
            conductor::propose(&store, &transaction)?;
        }
    }
    follow(&store, &transaction)
}

/// How far a transaction is.
enum State {
    /// Nobody knows of it.
    Nothing,
    /// It is proposed, or under way.
    Ours,
    /// Another one is.
    Another(String),
    /// It was carried out.
    Ended,
}

fn state(store: &Store, transaction: &Transaction) -> Result<State> {
    let proposed = store.proposed().context("look for a proposed transaction")?;
    let is_proposed = proposed.is_some_and(|proposed| proposed.id == transaction.id);
    // After what is proposed: that may become this one in between, and would be seen as neither.
    let under_way = store.under_way().context("look for a transaction under way")?;
    let records = journal::read(&store.journal()).context("read this node's journal")?;
    Ok(match under_way {
        Some(other) if other.id != transaction.id => State::Another(other.id),
        Some(_) => State::Ours,
        None if outcome(of_transaction(&records, &transaction.id)).is_some() => State::Ended,
        None if is_proposed => State::Ours,
        None => State::Nothing,
    })
}

fn installed(store: &Store) -> Result<Option<NodeSpec>> {
    store
        .known_spec()
        .context("look at what is installed on this node")
}

/// Checks what only the node knows at this moment, and brings the programs.
fn prepare(store: &Store, transaction: &Transaction, image: &[(String, Vec<u8>)]) -> Result<()> {
    if transaction.goal == Goal::Converted && installed(store)?.is_none() {
        let taken: Vec<_> = transaction
            .spec
            .paths()
            .filter(|path| path.symlink_metadata().is_ok())
            .map(|path| path.display().to_string())
            .collect();
        ensure!(
            taken.is_empty(),
            "there are files now that were not when the plan was made: {}",
            taken.join(", ")
        );
    }
    store
        .make()
        .with_context(|| format!("make {FOLDER} on the node"))?;
    for (name, bytes) in image {
        store
            .bring(name, bytes)
            .with_context(|| format!("bring `{name}` to the node; is there space in /var/lib?"))?;
    }
    Ok(())
}

/// Starts the service, and passes on what it does until the end.
pub fn follow(store: &Store, transaction: &Transaction) -> Result<Message> {
    let machine = Machine::here();
    if !matches!(state(store, transaction)?, State::Ended) {
        service::start(&machine, store)?;
    }
    let limit = Duration::from_secs(transaction.deadline_s) + AFTER_DEADLINE;
    let tell = |record: &journal::Record| log(&record.event.to_string());
    let outcome = service::follow(&machine, store, transaction, limit, tell)?;
    let records = journal::read(&store.journal()).context("read this node's journal")?;
    Ok(Message::Ended {
        outcome,
        records: of_transaction(&records, &transaction.id).to_vec(),
    })
}

/// The body of the service. It takes itself away when the transaction has ended.
pub fn conduct() -> Result<Ending> {
    service::run(&Machine::here(), &Store::at(Path::new(FOLDER)))?;
    Ok(Ending::Fine)
}

fn log(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}
