//! Everything that may go wrong, in any order, with the kubelet, kube-proxy and a DNS server as clients: nothing is
//! started again for our sake, and in the end the mirror is the cloud.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::containers::{self, Containers};
use e2e::hub::clients::lead_pods_here;
use e2e::hub::guard;
use e2e::progress::say;
use e2e::{BrokenNode, Cluster, Namespace, Node, hub, wait_for};
use serde_json::json;

use crate::chaos::{assert_mirrored, churn_for, start_pods};
use crate::disk_full::SmallDisk;
use crate::services::{dns_server, look_up, resolved};
use crate::setup::{Chance, POD_DEADLINE, alone, wait_agreed, wait_kubelet_healthy};

const DISK: &str = "64M";
/// A kubelet waits up to five minutes before it starts a container again that ends again and again.
const APISERVER_DEADLINE: Duration = Duration::from_mins(7);
const BOOT_DEADLINE: Duration = Duration::from_mins(2);
/// How long somebody else's use of another node is looked at.
const OTHER_WITHIN: Duration = Duration::from_millis(200);
/// In `cargo xtask test`; one hour in `cargo xtask soak`.
const TEST_TIME: Duration = Duration::from_mins(5);
const SOAK_TIME: Duration = Duration::from_hours(1);

/// What happens to the node in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Cut,
    BlackHole,
    YurthubKilled,
    YurthubKilledWhileCut,
    KubeletRestarted,
    KubeProxyKilled,
    RebootWhileCut,
    PowerCut,
    PowerCutWhileCut,
    DiskFull,
    ApiserverRestarted,
}

const TROUBLES: [Trouble; 11] = [
    Trouble::Cut,
    Trouble::YurthubKilled,
    Trouble::DiskFull,
    Trouble::RebootWhileCut,
    Trouble::BlackHole,
    Trouble::KubeProxyKilled,
    Trouble::PowerCut,
    Trouble::YurthubKilledWhileCut,
    Trouble::ApiserverRestarted,
    Trouble::KubeletRestarted,
    Trouble::PowerCutWhileCut,
];

impl Trouble {
    fn starts_containers_anew(self) -> bool {
        matches!(
            self,
            Self::RebootWhileCut | Self::PowerCut | Self::PowerCutWhileCut
        )
    }
}

fn kill_hub(node: &BrokenNode) -> Result<()> {
    node.exec_ok(["sh", "-c", "kill -9 $(systemctl show -P MainPID yurthub)"])?;
    Ok(())
}

fn crash(node: &Node, namespace: &str, pod: &str) -> Result<()> {
    let running = containers::running(node, namespace)?;
    let prefix = format!("{namespace}/{pod}");
    match running.iter().find(|(name, _)| name.starts_with(&prefix)) {
        Some((_, id)) => containers::crash(node, id),
        None => Ok(()), // it is being started
    }
}

/// The other edge nodes, where nobody uses them now: their tests talk to the same apiserver. Never waited for, because a
/// test on them may wait for ours.
fn others(cluster: &Cluster, node: &Node) -> Option<Vec<BrokenNode>> {
    let others = guard::NODES.into_iter().filter(|name| *name != node.name());
    others
        .map(|name| cluster.node(name).lock_within(OTHER_WITHIN).ok())
        .collect()
}

fn restart_apiserver(cluster: &Cluster) -> Result<()> {
    crash(&cluster.node("cloud1"), "kube-system", "kube-apiserver")?;
    wait_for("the apiserver to be ready again", APISERVER_DEADLINE, || {
        let ready = cluster.kubectl(["get", "--raw", "/readyz"])?;
        ensure!(ready == "ok", "{ready}");
        Ok(Some(()))
    })
}

/// Breaks something, lets things change, and mends it.
fn round(trouble: Trouble, stage: &Stage<'_>, chance: &mut Chance) -> Result<()> {
    let Stage {
        cluster,
        node,
        disk,
        namespace,
    } = stage;
    let mut churn = |most: u64| {
        let time = chance.between(Duration::from_secs(2), Duration::from_secs(most));
        churn_for(time, namespace, chance)
    };
    match trouble {
        Trouble::Cut => node.cut()?,
        Trouble::BlackHole => node.blackhole()?,
        Trouble::YurthubKilled => kill_hub(node)?,
        Trouble::YurthubKilledWhileCut => {
            node.cut()?;
            churn(4)?;
            kill_hub(node)?;
        }
        Trouble::KubeletRestarted => {
            node.exec_ok(["systemctl", "restart", "kubelet"])?;
        }
        Trouble::KubeProxyKilled => crash(node, "kube-system", "kube-proxy")?,
        Trouble::RebootWhileCut => {
            node.cut()?;
            node.reboot()?;
            node.wait_booted(BOOT_DEADLINE)?;
        }
        Trouble::PowerCut | Trouble::PowerCutWhileCut => {
            if trouble == Trouble::PowerCutWhileCut {
                node.cut()?;
                churn(4)?;
            }
            node.power_cut()?;
            node.wait_booted(BOOT_DEADLINE)?;
        }
        Trouble::DiskFull => disk.fill()?,
        Trouble::ApiserverRestarted => restart_apiserver(cluster)?,
    }
    churn(12)?;
    if trouble == Trouble::DiskFull {
        disk.make_room()?;
    }
    node.join()?;
    node.unblackhole()?;
    hub::wait_ready(node)?;
    wait_kubelet_healthy(node)?;
    Ok(())
}

struct Stage<'a> {
    cluster: &'a Cluster,
    node: &'a BrokenNode,
    disk: &'a SmallDisk,
    namespace: &'a Namespace,
}

impl Stage<'_> {
    /// The containers that nothing but a reboot may start anew.
    fn steady(&self) -> Result<Containers> {
        let mut running = containers::running(self.node, self.namespace.name())?;
        running.retain(|name, _| name.contains("/steady") || name.contains("/dns"));
        Ok(running)
    }

    /// Those of a new life of the node, once they all run.
    fn steady_again(&self, before: &Containers) -> Result<Containers> {
        wait_for("the pods to run in the node's next life", POD_DEADLINE, || {
            let now = self.steady()?;
            let anew = now.iter().filter(|(name, id)| before.get(*name) != Some(*id));
            ensure!(anew.count() == before.len(), "{now:?}");
            Ok(Some(now))
        })
    }

    fn start_dns(&self) -> Result<()> {
        let name = self.namespace.name();
        let corefile = self
            .cluster
            .get_json(["--namespace", "kube-system", "configmap", "coredns"])?;
        let objects = [
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "dns"}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "coredns"}, "data": corefile["data"]}),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"},
                "subjects": [{"kind": "ServiceAccount", "name": "dns", "namespace": name}],
            }),
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "dns"},
                "spec": {"selector": {"app": "dns"}, "ports": [{"port": 53, "protocol": "UDP"}]},
            }),
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "churn"},
                "spec": {"selector": {"app": "churn"}, "clusterIP": "None"},
            }),
            dns_server(self.cluster, name, "dns", self.node.name())?,
        ];
        let documents = objects.map(|object| object.to_string());
        self.namespace.apply_yaml(&documents.join("\n---\n"))?;
        self.namespace.wait_ready("dns", POD_DEADLINE)
    }

    /// The DNS server, reached through kube-proxy, knows the pods of the Deployment that changed all the time.
    fn assert_names_right(&self) -> Result<()> {
        let (namespace, node) = (self.namespace, self.node);
        let server = namespace.kubectl(["get", "service", "dns", "-o", "jsonpath={.spec.clusterIP}"])?;
        let name = format!("churn.{}.svc.cluster.local", namespace.name());
        wait_for("DNS to name the pods that run", POD_DEADLINE, || {
            let addresses = containers::addresses(node, namespace.name())?;
            let churning = addresses.iter().filter(|(name, _)| name.contains("/churn-"));
            let expected: std::collections::BTreeSet<_> =
                churning.map(|(_, address)| address.clone()).collect();
            let client = self.steady()?;
            let Some((_, client)) = client.iter().find(|(name, _)| name.contains("/steady0/")) else {
                return Ok(None);
            };
            let text = look_up(node, client, &name, &server)?;
            ensure!(resolved(&text) == expected, "{text} instead of {expected:?}");
            Ok(Some(()))
        })
    }
}

#[test]
fn whatever_happens_no_container_is_started_anew_and_the_mirror_is_the_cloud() -> Result<()> {
    let (cluster, node) = alone()?;
    let mut chance = Chance::new("hub mayhem");
    let disk = SmallDisk::new(&cluster, &node, "mayhem", DISK)?;
    node.power_on()?;
    node.wait_booted(BOOT_DEADLINE)?;
    hub::wait_ready(&node)?;
    lead_pods_here(&cluster, &node)?;
    let namespace = cluster.namespace("mayhem")?;
    start_pods(&node, &namespace)?;
    let stage = Stage {
        cluster: &cluster,
        node: &node,
        disk: &disk,
        namespace: &namespace,
    };
    stage.start_dns()?;
    let mut steady = stage.steady()?;

    let (start, mut happened) = (Instant::now(), BTreeMap::<_, usize>::new());
    let time = [TEST_TIME, SOAK_TIME][e2e::rounds(0, 1)];
    for number in 0.. {
        if start.elapsed() >= time {
            break;
        }
        // Each once at first, in any order later.
        let trouble = TROUBLES
            .get(number)
            .copied()
            .unwrap_or_else(|| chance.choice(&TROUBLES));
        let (trouble, _silence) = match trouble {
            Trouble::ApiserverRestarted => match others(&cluster, &node) {
                Some(silence) => (trouble, Some(silence)),
                None => (Trouble::Cut, None),
            },
            _ => (trouble, None),
        };
        round(trouble, &stage, &mut chance)
            .map_err(|error| error.context(format!("{trouble:?}, after {happened:?}")))?;
        if trouble.starts_containers_anew() {
            steady = stage.steady_again(&steady)?;
        }
        let now = stage.steady()?;
        ensure!(
            now == steady,
            "{trouble:?} started containers anew: {now:?} instead of {steady:?}"
        );
        *happened.entry(format!("{trouble:?}")).or_default() += 1;
    }

    let rollout = namespace.kubectl_cmd(["rollout", "status", "deployment/churn", "--timeout=120s"]);
    rollout.deadline(Duration::from_secs(130)).run_ok()?;
    wait_agreed(&cluster, &node, &namespace, POD_DEADLINE)?;
    let objects = assert_mirrored(&cluster, &node, &namespace)?;
    stage.assert_names_right()?;
    ensure!(
        stage.steady()? == steady,
        "containers were started anew in the end"
    );
    cluster.kubectl(["delete", "clusterrolebinding", namespace.name()])?;
    say(format_args!(
        "hub mayhem: {:.0} s of {happened:?}; no container started anew but by reboots, {objects} objects in the mirror equal the cloud's, DNS right",
        start.elapsed().as_secs_f64()
    ));
    Ok(())
}
