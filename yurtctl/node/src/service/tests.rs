//! The service of a node on a model of one: it begins, is followed, and goes.

use std::cell::Cell;
use std::path::PathBuf;

use super::*;
use crate::model::Model;
use crate::systemd::CallError;
use crate::transaction::Goal;

/// A node whose service of an earlier transaction still goes on for some time, and goes then.
#[derive(Debug)]
struct Lingering {
    node: Model,
    /// How many pauses of the one who waits are left until it takes its files away, and ends.
    pauses: Cell<usize>,
}

impl Host for Lingering {
    fn root(&self) -> &Path {
        self.node.root()
    }
    fn call(&self, program: &str, args: &[&str], limit: Duration) -> Result<String, CallError> {
        self.node.call(program, args, limit)
    }
    fn is_turned(&self, kubeconfig: &Path) -> Option<bool> {
        self.node.is_turned(kubeconfig)
    }
    fn kubelet_health(&self, port: u16) -> Result<(), String> {
        self.node.kubelet_health(port)
    }
    fn elapsed(&self) -> Duration {
        self.node.elapsed()
    }
    fn now(&self) -> u64 {
        self.node.now()
    }
    fn say(&self, _: &str) {}
    fn pause(&self, time: Duration) {
        self.node.pause(time);
        match self.pauses.get() {
            0 => {}
            1 => {
                self.pauses.set(0);
                remove(&self.node).unwrap();
                self.node.serving.set(false);
            }
            more => self.pauses.set(more - 1),
        }
    }
}

fn unit(node: &Model) -> PathBuf {
    node.at(Path::new(UNIT_PATH))
}

/// A node on which a transaction has ended, and its service is about to go.
fn lingering(pauses: usize) -> (Lingering, Transaction) {
    let node = Model::new(false);
    let store = node.store();
    let transaction = node.transaction(Goal::Reverted, 1);
    store.make().unwrap();
    conductor::propose(&store, &transaction).unwrap();
    start(&node, &store).unwrap();
    run(&node, &store).unwrap();
    // As it was just before its end.
    disk::write(&unit(&node), b"", 0o644).unwrap();
    let pauses = Cell::new(pauses);
    (Lingering { node, pauses }, transaction)
}

#[test]
fn who_follows_waits_until_the_service_is_gone() {
    let (host, transaction) = lingering(3);
    let store = host.node.store();
    let mut told = 0;
    let outcome = follow(&host, &store, &transaction, Duration::from_mins(1), |_| told += 1).unwrap();
    assert_eq!((outcome, host.pauses.get()), (Outcome::Reverted, 0));
    assert!(!unit(&host.node).exists() && told > 6, "{told} events");
}

#[test]
fn a_unit_that_a_power_cut_has_left_is_not_waited_for() {
    let (host, transaction) = lingering(usize::MAX);
    host.node.serving.set(false);
    let store = host.node.store();
    let outcome = follow(&host, &store, &transaction, Duration::from_hours(1), |_| {}).unwrap();
    assert_eq!(outcome, Outcome::Reverted);
    assert!(host.node.elapsed() < Duration::from_mins(1));
}

#[test]
fn who_follows_a_service_that_does_not_go_is_told_how_it_ended_all_the_same() {
    let (host, transaction) = lingering(usize::MAX);
    let outcome = follow(
        &host,
        &host.node.store(),
        &transaction,
        Duration::from_secs(1),
        |_| {},
    );
    assert_eq!(outcome.unwrap(), Outcome::Reverted);
}

#[test]
fn a_service_that_is_about_to_go_is_not_taken_for_one_that_was_started() {
    let (host, _) = lingering(3);
    let store = host.node.store();
    let next = host.node.transaction(Goal::Converted, 1);
    conductor::propose(&store, &next).unwrap();
    start(&host, &store).unwrap();
    // It was gone before: its end takes no file of the new one away.
    assert_eq!(host.pauses.get(), 0);
    assert!(unit(&host.node).exists() && host.node.serving.get());
}

#[test]
fn a_service_that_does_not_go_is_told() {
    let (host, _) = lingering(usize::MAX);
    let error = start(&host, &host.node.store()).unwrap_err();
    assert!(matches!(error, ServiceError::Busy(_)), "{error}");
}

#[test]
fn a_transaction_under_way_is_started_wherever_it_lies() {
    let node = Model::new(false);
    let store = node.store();
    let transaction = node.transaction(Goal::Reverted, 1);
    store.make().unwrap();
    store.propose(&transaction).unwrap();
    store.accept().unwrap();
    start(&node, &store).unwrap();
    assert!(node.serving.get());
    // And again, while it runs.
    start(&node, &store).unwrap();
    run(&node, &store).unwrap();
    node.serving.set(false);
    let outcome = follow(&node, &store, &transaction, Duration::from_mins(1), |_| {}).unwrap();
    assert_eq!(outcome, Outcome::Reverted);
}

#[test]
fn a_service_that_ended_without_a_word_is_no_success_and_no_endless_wait() {
    let node = Model::new(false);
    let store = node.store();
    let transaction = node.transaction(Goal::Converted, 1);
    let follow = |limit| follow(&node, &store, &transaction, limit, |_| {});
    let untold = follow(Duration::from_hours(1)).unwrap_err();
    assert!(matches!(untold, ServiceError::Untold), "{untold}");
    node.serving.set(true);
    let slow = follow(Duration::from_secs(1)).unwrap_err();
    assert!(matches!(slow, ServiceError::Slow(_)), "{slow}");
}
