//! What is done to a node, who interrupts it, and where it must end.

use std::collections::BTreeMap;

use crate::conductor::propose;
use crate::course;
use crate::disk::trial;
use crate::journal::{self, Event, Outcome, Record};
use crate::model::{Model, PROGRAM_NAMES, program};
use crate::service;
use crate::transaction::{Goal, Transaction};

pub(super) type Snapshot = BTreeMap<String, String>;

/// More than a transaction has that is interrupted as often as may be and in which every step fails to be taken back.
const JOURNAL_MOST: usize = 60;
/// With what is left of it where the power was cut while it was written.
const UNIT_PATH: &str = "/etc/systemd/system/yurt-conversion.service";

/// What is done to a node, and how that goes when nobody interrupts it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scenario {
    pub(super) is_k3s: bool,
    /// The version that it was converted to before.
    pub(super) before: Option<u32>,
    pub(super) goal: Goal,
    pub(super) version: u32,
    /// Calls that fail always.
    pub(super) broken: Option<&'static str>,
    pub(super) outcome: Outcome,
}

pub(super) const CONVERT: Scenario = Scenario {
    is_k3s: false,
    before: None,
    goal: Goal::Converted,
    version: 1,
    broken: None,
    outcome: Outcome::Converted,
};
pub(super) const UPDATE: Scenario = Scenario {
    before: Some(1),
    version: 2,
    ..CONVERT
};
pub(super) const REVERT: Scenario = Scenario {
    before: Some(1),
    goal: Goal::Reverted,
    outcome: Outcome::Reverted,
    ..CONVERT
};

/// Every way, on every layout, to success and to failure late and early.
pub(super) fn scenarios() -> Vec<Scenario> {
    let failing = |scenario: Scenario, broken| Scenario {
        broken: Some(broken),
        outcome: Outcome::RolledBack,
        ..scenario
    };
    let plain = [
        CONVERT,
        UPDATE,
        REVERT,
        failing(CONVERT, "yurthub get nodes"),
        failing(UPDATE, "yurthub get nodes"),
        failing(UPDATE, "yurthub warm"),
    ];
    let k3s = [
        CONVERT,
        UPDATE,
        REVERT,
        failing(CONVERT, "yurthub get nodes"),
        failing(UPDATE, "yurthub get nodes"),
    ];
    let k3s = k3s.map(|scenario| Scenario {
        is_k3s: true,
        ..scenario
    });
    [plain.as_slice(), &k3s].concat()
}

impl Scenario {
    /// The node before it.
    pub(super) fn node(&self) -> Model {
        let node = Model::new(self.is_k3s);
        if let Some(version) = self.before {
            propose_and_start(&node, &node.transaction(Goal::Converted, version));
            service::run(&node, &node.store()).unwrap();
            node.serving.set(false);
        }
        if let Some(call) = self.broken {
            node.fail(call, usize::MAX);
        }
        node
    }

    pub(super) fn transaction(&self, node: &Model) -> Transaction {
        // Who reverts takes away what is there.
        let version = match self.goal {
            Goal::Converted => self.version,
            Goal::Reverted => self.before.unwrap(),
        };
        node.transaction(self.goal, version)
    }

    /// The node as it was, and as it is when all goes well.
    pub(super) fn ends(&self) -> (Snapshot, Snapshot) {
        let before = self.node().snapshot();
        let after = Self {
            broken: None,
            ..*self
        };
        let node = after.node();
        propose_and_start(&node, &after.transaction(&node));
        service::run(&node, &node.store()).unwrap();
        (before, node.snapshot())
    }
}

/// What the pod does.
pub(super) fn propose_and_start(node: &Model, transaction: &Transaction) {
    let store = node.store();
    store.make().unwrap();
    let version = transaction.spec.version.parse().unwrap();
    for name in PROGRAM_NAMES {
        store.bring(name, &program(name, version)).unwrap();
    }
    propose(&store, transaction).unwrap();
    service::start(node, &store).unwrap();
}

/// What interrupts the service at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Kill,
    PowerCut,
}

/// One life of the service, until its end or that point of it. Whether it came to its own end.
pub(super) fn live(node: &Model, point: Option<usize>, end: End) -> bool {
    let ended = trial::until(point, || service::run(node, &node.store()));
    match (ended, end) {
        (Some(Ok(())), _) => {
            node.serving.set(false);
            true
        }
        (Some(Err(_)) | None, End::Kill) => {
            node.restart_service();
            false
        }
        (Some(Err(_)) | None, End::PowerCut) => {
            node.reboot();
            false
        }
    }
}

/// As often as systemd starts it, with nothing to interrupt it any more.
pub(super) fn live_on(node: &Model) {
    for _ in 0..20 {
        if !node.serving.get() || live(node, None, End::Kill) {
            return;
        }
    }
    panic!("no end in twenty lives");
}

pub(super) fn events(node: &Model) -> Vec<Event> {
    let path = node.store().journal();
    let text = yurt_common::fs::read_optional(&path).unwrap().unwrap_or_default();
    let records = journal::read(&path).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(
        records.len(),
        text.matches('\n').count(),
        "a line in the middle of the journal is torn"
    );
    records.into_iter().map(|record| record.event).collect()
}

pub(super) fn outcome_of(node: &Model, transaction: &Transaction) -> Option<Outcome> {
    course::outcome(&records_of(node, transaction))
}

fn records_of(node: &Model, transaction: &Transaction) -> Vec<Record> {
    let records = journal::read(&node.store().journal()).unwrap();
    course::of_transaction(&records, &transaction.id).to_vec()
}

/// The node is at one of both ends, and nothing goes on. What of our own may be left where the power was cut while the
/// service took itself away does nothing by itself. Returns whether it came to its goal.
pub(super) fn assert_ended(
    node: &Model,
    transaction: &Transaction,
    (before, after): &(Snapshot, Snapshot),
) -> bool {
    let store = node.store();
    let events = events(node);
    assert_eq!(store.under_way().unwrap(), None, "{events:#?}");
    assert!(!node.serving.get());
    let outcome = outcome_of(node, transaction);
    let spec = store.spec().unwrap();
    let is_done = match (outcome, transaction.goal) {
        (Some(outcome), _) => matches!(outcome, Outcome::Converted | Outcome::Reverted),
        // Not even the journal could be written.
        (None, Goal::Converted) => spec.as_ref() == Some(&transaction.spec),
        (None, Goal::Reverted) => spec.is_none(),
    };
    let expected = if is_done { after } else { before };
    let mut found = node.snapshot();
    found.retain(|path, _| !path.starts_with(UNIT_PATH));
    assert_eq!(&found, expected, "{outcome:?}\n{events:#?}");
    let is_converted = expected.contains_key("/usr/local/bin/yurthub");
    assert_eq!(spec.is_some(), is_converted);
    for name in node.left() {
        let is_fine = match name.as_str() {
            "journal" | "programs" => true,
            "installed.json" | "folders.json" => is_converted,
            // Never accepted, or interrupted when it was written.
            _ => outcome.is_none() && name.starts_with("proposed.json"),
        };
        assert!(is_fine, "{name} is left after {outcome:?}");
    }
    let own = records_of(node, transaction).len();
    assert!(own <= JOURNAL_MOST, "{own} lines in the journal");
    is_done
}

/// What is left hinders nobody: another one goes well.
pub(super) fn assert_another_goes_well(scenario: &Scenario, node: &Model, ends: &(Snapshot, Snapshot)) {
    node.repair();
    trial::full_at(0..0);
    let transaction = scenario.transaction(node);
    propose_and_start(node, &transaction);
    live_on(node);
    assert!(assert_ended(node, &transaction, ends));
    assert_eq!(node.store().proposed().unwrap(), None);
    assert!(!node.left().contains(&"programs".to_owned()));
}
