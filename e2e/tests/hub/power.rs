//! Power cuts of a node whose yurthub keeps its data on a disk that forgets what was not flushed: what was acknowledged
//! is there afterwards, and all pods run again, with or without a cloud.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::containers::{self, Containers};
use e2e::progress::say;
use e2e::{BrokenNode, Cluster, Namespace, Node, hub, pod, rounds, wait_for};
use powercut_disk::cache::Cut;
use serde_json::json;

use crate::burst::{self, Burst};
use crate::setup::{Chance, POD_DEADLINE, alone, in_the_cloud, shared_objects, use_objects, wait_agreed};
use crate::volatile_disk::Disk;

const PODS: usize = 5;
/// yurthub writes what it mirrors within 200 ms; a busy machine takes longer.
const MIRROR_DURABLE: Duration = Duration::from_secs(2);

/// The largest number behind `mark` in what yurthub answers from the mirror, in the kubelet's encoding: strings are
/// plain text in protobuf.
fn number_in(node: &Node, path: &str, mark: &str) -> Result<u64> {
    let accept = "accept: application/vnd.kubernetes.protobuf";
    let (code, body) = hub::ask(node, &format!("{path}?resourceVersion=0"), &["--header", accept])?;
    ensure!(code == 200, "{path} is answered with {code}: {body}");
    let numbers = body.split(mark).skip(1).filter_map(|rest| {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse().ok()
    });
    numbers.max().with_context(|| format!("no {mark} in {path}"))
}

/// The objects that are counted up in the cloud, as paths.
fn counted(namespace: &Namespace) -> [String; 3] {
    let object = |kind: &str, name: &str| format!("/api/v1/namespaces/{}/{kind}/{name}", namespace.name());
    [
        object("configmaps", "conf0"),
        object("secrets", "conf0"),
        object("pods", "pod0"),
    ]
}

/// A change in the cloud of all that is counted.
fn count_up(namespace: &Namespace, number: u64) -> Result<bool> {
    let count = format!("count-{number}");
    let config = json!({"data": {"count": count}}).to_string();
    let secret = json!({"stringData": {"count": count}}).to_string();
    namespace.kubectl(["patch", "configmap", "conf0", "--patch", &config])?;
    namespace.kubectl(["patch", "secret", "conf0", "--patch", &secret])?;
    namespace.kubectl([
        "annotate",
        "--overwrite",
        "pod",
        "pod0",
        &format!("count={count}"),
    ])?;
    Ok(true)
}

/// Calls `step` with rising numbers until `stop`; keeps the last one that succeeded.
fn keep_counting(counter: &AtomicU64, stop: &AtomicBool, step: impl Fn(u64) -> Result<bool>) {
    while !stop.load(Ordering::Acquire) {
        let next = counter.load(Ordering::Acquire) + 1;
        // It fails when the power goes.
        if step(next).unwrap_or(false) {
            counter.store(next, Ordering::Release);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cable {
    In,
    Out,
}

/// Its disk goes before its node, which is healed then.
struct Trial {
    disk: Disk,
    cluster: Cluster,
    namespace: Namespace,
    node: BrokenNode,
    chance: Chance,
    counter: AtomicU64,
    bursts: u64,
    acked: u64,
    cuts: Vec<Cut>,
    slowest: Duration,
}

impl Trial {
    fn burst(&mut self) -> Result<Burst> {
        self.bursts += 1;
        let burst = Burst::start(&self.node, &self.namespace, self.bursts * burst::LENGTH)?;
        wait_for("an acknowledged write", POD_DEADLINE, || {
            ensure!(burst.acked() >= burst.first, "{:?}", burst.lines());
            Ok(Some(()))
        })?;
        Ok(burst)
    }

    /// The mirror changes until the power goes; what it held a while before is there afterwards. `cable` says whether the
    /// cloud is there when the power returns.
    fn cut_online(&mut self, cable: Cable) -> Result<()> {
        // Its writes come back from the cloud as changes of the mirror.
        let _burst = self.burst()?;
        let (stop, counter) = (AtomicBool::new(false), &self.counter);
        let held = thread::scope(|scope| {
            let namespace = &self.namespace;
            scope.spawn(|| keep_counting(counter, &stop, |number| count_up(namespace, number)));
            let result = (|| {
                let held = counted(namespace).map(|path| number_in(&self.node, &path, "count-"));
                thread::sleep(
                    MIRROR_DURABLE + self.chance.between(Duration::ZERO, Duration::from_millis(300)),
                ); // a random moment
                let (cut, _) = self.disk.cut_power(&mut self.chance, || 0)?;
                self.cuts.push(cut);
                anyhow::Ok(held)
            })();
            stop.store(true, Ordering::Release);
            result
        })?;
        if cable == Cable::Out {
            self.node.cut()?;
        }
        self.return_of_the_power()?;
        for (path, held) in counted(&self.namespace).iter().zip(held) {
            let (found, held) = (number_in(&self.node, path, "count-")?, held?);
            ensure!(
                found >= held,
                "{path} was at {held} long before the cut, and is at {found} after it"
            );
        }
        Ok(())
    }

    /// The kubelet writes until the power goes; what was acknowledged is there afterwards.
    fn cut_offline(&mut self) -> Result<()> {
        self.node.cut()?;
        hub::wait_offline(&self.node)?;
        let burst = self.burst()?;
        thread::sleep(self.chance.between(Duration::ZERO, Duration::from_secs(1))); // a random moment
        let (cut, acked) = self.disk.cut_power(&mut self.chance, || burst.acked())?;
        self.cuts.push(cut);
        self.acked += acked + 1 - burst.first;
        self.return_of_the_power()?;
        let [_, _, pod] = counted(&self.namespace);
        let found = number_in(&self.node, &pod, "acked-")?;
        ensure!(
            found >= acked,
            "write {acked} was acknowledged before the cut, {found} is the last one after it"
        );
        Ok(())
    }

    /// Boots, and waits until all pods run again.
    fn return_of_the_power(&mut self) -> Result<()> {
        let start = Instant::now();
        self.node.power_on()?;
        hub::wait_ready(&self.node)?;
        let opened = "journalctl --boot --unit yurthub --output cat | grep -o 'report=.*' | tail -1";
        let report = wait_for("yurthub's word about its store", POD_DEADLINE, || {
            let report = self.node.exec_ok(["sh", "-c", opened])?;
            Ok(Some(report).filter(|report| !report.is_empty()))
        })?;
        ensure!(
            report == "report=Clean" || report.starts_with("report=Recovered"),
            "yurthub says {report}"
        );
        wait_for("all pods to run after the power cut", POD_DEADLINE, || {
            let running = containers::running(&self.node, self.namespace.name())?;
            ensure!(running.len() == PODS, "{} of {PODS}", running.len());
            Ok(Some(()))
        })?;
        self.slowest = self.slowest.max(start.elapsed());
        Ok(())
    }

    /// With the cloud back, nothing starts once more.
    fn return_of_the_cloud(&self) -> Result<()> {
        let running: Containers = containers::running(&self.node, self.namespace.name())?;
        self.node.join()?;
        let agreed = wait_agreed(&self.cluster, &self.node, &self.namespace, POD_DEADLINE)?;
        assert_eq!(
            agreed, running,
            "containers were restarted by the return of the cloud"
        );
        Ok(())
    }
}

#[test]
fn power_cuts_lose_nothing_that_was_acknowledged() -> Result<()> {
    let (cluster, node) = alone()?;
    let chance = Chance::new("hub power");
    let namespace = cluster.namespace("power")?;
    let disk = Disk::new(&cluster, &node)?;
    node.power_on()?;
    hub::wait_ready(&node)?;
    hub::wait_mirrored(&node)?;

    namespace.apply_yaml(&shared_objects(1))?;
    let pods = (0..PODS).map(|number| {
        let mut pod = pod(&format!("pod{number}")).on(node.name()).to_json();
        use_objects(&mut pod["spec"], 1);
        pod.to_string()
    });
    namespace.apply_yaml(&pods.collect::<Vec<_>>().join("\n---\n"))?;
    wait_for("the pods to run", POD_DEADLINE, || {
        Ok((in_the_cloud(&cluster, &namespace)?.len() == PODS).then_some(()))
    })?;
    count_up(&namespace, 1)?;
    let counter = AtomicU64::new(1);
    let mut trial = Trial {
        disk,
        cluster,
        namespace,
        node,
        chance,
        counter,
        bursts: 0,
        acked: 0,
        cuts: Vec::new(),
        slowest: Duration::ZERO,
    };
    for round in 0..rounds(10, 100) {
        let outcome = match round % 4 {
            0 => trial.cut_online(Cable::Out),
            2 => trial.cut_online(Cable::In),
            _ => trial.cut_offline(),
        };
        outcome.with_context(|| format!("power cut {round}"))?;
        trial
            .return_of_the_cloud()
            .with_context(|| format!("after power cut {round}"))?;
    }
    let with = |counts: fn(&Cut) -> bool| trial.cuts.iter().filter(|cut| counts(cut)).count();
    say(format_args!(
        "hub power: {} cuts, {} with unflushed blocks ({} in all), {} kept a part of them; none of {} acknowledged \
         writes lost, last of {PODS} pods at most {:.1} s after the power's return",
        trial.cuts.len(),
        with(|cut| cut.unflushed > 0),
        trial.cuts.iter().map(|cut| cut.unflushed).sum::<usize>(),
        with(|cut| cut.kept > 0),
        trial.acked,
        trial.slowest.as_secs_f64()
    ));
    Ok(())
}
