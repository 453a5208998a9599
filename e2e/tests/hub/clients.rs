//! client-go's informers and kube's reflectors over yurthub, through cuts, changes and restarts of yurthub, beside
//! informers that have the apiserver itself: no event is lost, doubled or out of order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::informer::{self, Event};
use e2e::progress::say;
use e2e::{BrokenNode, Cluster, Informer, Namespace, hub, pod, rounds, wait_for};
use serde_json::json;

use crate::reflector::{Followed, Reflector};
use crate::setup::{Chance, POD_DEADLINE, alone};

/// Versions from here on are yurthub's own: what the kubelet wrote and the cloud does not know yet.
const FIRST_OWN_VERSION: u64 = 1 << 62;
/// A client-go that was refused several times within two minutes waits up to a minute before it tries again
/// (`NewReflectorWithOptions` in `tools/cache/reflector.go`).
const SETTLED_DEADLINE: Duration = Duration::from_mins(3);

/// What happens to the node in a round.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    Cut,
    BlackHole,
    Killed,
    KilledWhileCut,
    Restarted,
}

const TROUBLES: [Trouble; 6] = [
    Trouble::Cut,
    Trouble::Killed,
    Trouble::KilledWhileCut,
    Trouble::BlackHole,
    Trouble::Restarted,
    Trouble::None,
];

fn kill_hub(node: &BrokenNode) -> Result<()> {
    node.exec_ok(["sh", "-c", "kill -9 $(systemctl show -P MainPID yurthub)"])?;
    Ok(())
}

fn begin(trouble: Trouble, node: &BrokenNode) -> Result<()> {
    match trouble {
        Trouble::None => {}
        Trouble::Cut => node.cut()?,
        Trouble::BlackHole => node.blackhole()?,
        Trouble::Killed => kill_hub(node)?,
        Trouble::KilledWhileCut => {
            node.cut()?;
            kill_hub(node)?;
        }
        Trouble::Restarted => {
            node.exec_ok(["systemctl", "restart", "yurthub"])?;
        }
    }
    Ok(())
}

/// Changes of a round, in the cloud: a ConfigMap, pods that come, change and go.
fn change(namespace: &Namespace, node: &BrokenNode, round: usize) -> Result<()> {
    namespace.apply([pod(&format!("new{round}")).on(node.name())])?;
    for step in 0..3 {
        let data = json!({"data": {"number": format!("{round}.{step}")}}).to_string();
        namespace.kubectl(["patch", "configmap", "conf", "--patch", &data])?;
        namespace.kubectl([
            "annotate",
            "--overwrite",
            "pod",
            "user",
            &format!("number={round}.{step}"),
        ])?;
    }
    // The one before goes, the kubelet willing or not.
    let old = format!("new{}", round.wrapping_sub(1));
    let delete = [
        "delete",
        "pod",
        &old,
        "--ignore-not-found",
        "--force",
        "--grace-period=0",
        "--wait=false",
    ];
    namespace.kubectl(delete)?;
    Ok(())
}

/// A client over yurthub.
enum Seen {
    ClientGo(Informer),
    Kube(Reflector),
}

impl Seen {
    fn events(&self) -> Result<Vec<Event>> {
        match self {
            Self::ClientGo(informer) => informer.events(),
            Self::Kube(reflector) => Ok(reflector.events()),
        }
    }

    fn dump(&mut self) -> Result<Vec<Event>> {
        match self {
            Self::ClientGo(informer) => informer.dump(),
            Self::Kube(reflector) => Ok(reflector.dump()),
        }
    }

    fn disturbances(&self) -> Result<Vec<String>> {
        match self {
            Self::ClientGo(informer) => informer.disturbances(),
            Self::Kube(reflector) => Ok(reflector.disturbances()),
        }
    }

    fn log(&self) -> String {
        match self {
            Self::ClientGo(informer) => informer.log(),
            Self::Kube(_) => String::new(),
        }
    }
}

/// The events of each object of `namespace`, in order.
///
/// Pods of the test that had the node before may go after one client has come and before the next one has.
fn by_object(events: Vec<Event>, namespace: &Namespace) -> BTreeMap<(String, String), Vec<(String, u64)>> {
    let prefix = format!("{}/", namespace.name());
    let mut objects = BTreeMap::<_, Vec<_>>::new();
    for Event {
        kind,
        key,
        uid,
        version,
    } in events
    {
        if key.starts_with(&prefix) {
            objects.entry((key, uid)).or_default().push((kind, version));
        }
    }
    objects
}

/// What `seen` has of `namespace` over yurthub is what `truth` has from the apiserver. Returns how many events were
/// compared.
fn assert_same(truth: &Informer, seen: &Seen, namespace: &Namespace, label: &str) -> Result<usize> {
    let truth = by_object(truth.events()?, namespace);
    let seen = by_object(seen.events()?, namespace);
    ensure!(
        !truth.is_empty(),
        "{label}: nothing was told of {}",
        namespace.name()
    );
    let keys: BTreeSet<_> = truth.keys().chain(seen.keys()).collect();
    let mut count = 0;
    for key in keys {
        let (Some(truth), Some(seen)) = (truth.get(key), seen.get(key)) else {
            // What `truth` came too late for had ended before.
            ensure!(
                !truth.contains_key(key),
                "{label}: {key:?} was never told: {:?}",
                truth[key]
            );
            continue;
        };
        count += seen.len();
        let context = || format!("{label}: {key:?}\n  told {seen:?}\n  true {truth:?}");
        let deletions = |events: &[(String, u64)]| events.iter().filter(|(kind, _)| kind == "delete").count();
        let adds = seen.iter().filter(|(kind, _)| kind == "add").count();
        ensure!(adds == 1 && seen[0].0 == "add", "not added once: {}", context());
        ensure!(
            deletions(seen) == deletions(truth),
            "deletions differ: {}",
            context()
        );
        // The last version of what was deleted counts as an event of its own.
        let versions = |events: &[(String, u64)]| -> Vec<u64> {
            let changes = events.iter().filter(|(kind, _)| kind != "delete");
            changes.map(|(_, version)| *version).collect()
        };
        let (true_versions, told) = (versions(truth), versions(seen));
        let of_cloud: Vec<_> = told
            .iter()
            .copied()
            .filter(|version| *version < FIRST_OWN_VERSION)
            .collect();
        ensure!(
            of_cloud.is_sorted_by(|one, next| one < next),
            "doubled or out of order: {}",
            context()
        );
        ensure!(
            told.iter().collect::<BTreeSet<_>>().len() == told.len(),
            "doubled: {}",
            context()
        );
        if of_cloud.len() == told.len() {
            let begin = told.first().copied().unwrap_or_default();
            let expected: Vec<_> = true_versions
                .iter()
                .copied()
                .filter(|version| *version >= begin)
                .collect();
            ensure!(told == expected, "lost: {}", context());
        } else {
            let unknown = of_cloud.iter().find(|version| !true_versions.contains(version));
            ensure!(unknown.is_none(), "{unknown:?} never was: {}", context());
        }
    }
    Ok(count)
}

/// Clients over yurthub, each beside an informer of the same that has the apiserver.
fn start_clients(
    cluster: &Cluster,
    node: &BrokenNode,
    namespace: &Namespace,
) -> Result<Vec<(&'static str, Informer, Seen)>> {
    let cloud1 = cluster.node("cloud1");
    let of_node = format!("--field-selector=spec.nodeName={}", node.name());
    let of_namespace = format!("--namespace={}", namespace.name());
    let pods = ["--resource=pods", &of_node];
    let conf = [
        "--resource=configmaps",
        &of_namespace,
        "--field-selector=metadata.name=conf",
    ];
    let here = |flags: &[&str]| {
        let informer = Informer::start(cluster.instance(), node, hub::client::AS_KUBELET, flags);
        informer.map(Seen::ClientGo)
    };
    let reflector = |streaming| {
        let fields = format!("spec.nodeName={}", node.name());
        let followed = Followed { fields, streaming };
        Reflector::start(node, hub::client::AS_KUBELET, followed).map(Seen::Kube)
    };
    let there = |flags: &[&str]| Informer::start(cluster.instance(), &cloud1, informer::DIRECT, flags);
    Ok(vec![
        (
            "pods, protobuf",
            there(&pods)?,
            here(&[&pods[..], &["--protobuf"]].concat())?,
        ),
        ("pods, JSON", there(&pods)?, here(&pods)?),
        (
            "a ConfigMap",
            there(&conf)?,
            here(&[&conf[..], &["--protobuf"]].concat())?,
        ),
        ("kube's pods", there(&pods)?, reflector(false)?),
        (
            "kube's pods, the first list by watch",
            there(&pods)?,
            reflector(true)?,
        ),
    ])
}

#[test]
fn informers_lose_nothing_through_cuts_and_restarts() -> Result<()> {
    let (cluster, node) = alone()?;
    let mut chance = Chance::new("hub clients");
    let namespace = cluster.namespace("clients")?;
    namespace.kubectl(["create", "configmap", "conf", "--from-literal=number=0"])?;
    let mut user = pod("user").on(node.name()).to_json();
    user["spec"]["volumes"] = json!([{"name": "conf", "configMap": {"name": "conf"}}]);
    user["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "conf", "mountPath": "/conf"}]);
    namespace.apply_yaml(&user.to_string())?;
    namespace.wait_ready("user", POD_DEADLINE)?;

    let mut clients = start_clients(&cluster, &node, &namespace)?;
    let mut slowest = Duration::ZERO;
    let rounds = rounds(TROUBLES.len(), 120);
    for round in 0..rounds {
        // Each once at first, in any order later.
        let trouble = TROUBLES
            .get(round)
            .copied()
            .unwrap_or_else(|| chance.choice(&TROUBLES));
        // A watch that ends within a second makes client-go list once more, which skips what lay between.
        std::thread::sleep(chance.between(Duration::from_millis(1200), Duration::from_secs(3)));
        begin(trouble, &node)?;
        change(&namespace, &node, round)?;
        std::thread::sleep(chance.between(Duration::ZERO, Duration::from_secs(4))); // a random moment
        node.join()?;
        node.unblackhole()?;
        let start = Instant::now();
        for (label, truth, seen) in &mut clients {
            let what = format!("the informer of {label} to hold what the cloud holds after {trouble:?}");
            wait_for(&what, SETTLED_DEADLINE, || {
                let (truth, seen) = (truth.dump()?, seen.dump()?);
                ensure!(truth == seen, "it holds {seen:#?} instead of {truth:#?}");
                Ok(Some(()))
            })?;
        }
        slowest = slowest.max(start.elapsed());
    }
    let (mut count, mut disturbances) = (0, 0);
    for (label, truth, seen) in &clients {
        disturbances += seen.disturbances()?.len();
        count += assert_same(truth, seen, &namespace, label).map_err(|error| {
            error.context(format!(
                "{:#?} {}",
                seen.disturbances().unwrap_or_default(),
                seen.log()
            ))
        })?;
    }
    say(format_args!(
        "hub clients: {} informers and reflectors, {rounds} rounds, {count} events, none lost, doubled or out of order; \
         {disturbances} lists or watches failed; equal to the cloud at most {:.1} s after the join",
        clients.len(),
        slowest.as_secs_f64()
    ));
    Ok(())
}
