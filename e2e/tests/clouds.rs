//! yurt-tunnel with a server on each of two control planes: one of them goes, one more comes, and nobody is without.
//!
//! On a cluster of its own, as the others have one control plane. Each door is asked through the apiserver beside it.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, ensure};
use e2e::caller::{Answer, longest_gap};
use e2e::progress::say;
use e2e::{Background, BrokenNode, Caller, Cluster, Namespace, Node, hub, image, pod, up, wait_for};

/// Three times what it takes on a busy machine.
const DEADLINE: Duration = Duration::from_mins(3);
/// Streams through each door, half of them logs and half of them commands.
const STREAMS: usize = 26;
/// How long a server that was told to end may live on with streams that it has ended.
const ENDING: Duration = Duration::from_secs(10);
/// Between two looks at streams.
const LOOK: Duration = Duration::from_millis(200);
/// What a kubelet answers to who does not say who they are.
const UNAUTHORIZED: &str = "401";
/// For how long new dials may fail; three times what is promised.
const LONGEST_GAP: Duration = Duration::from_secs(6);
const NAMESPACE: &str = "yurt-system";
const SERVERS: [&str; 2] = ["cloud1", "cloud2"];
/// Where a third server is put, and by which label.
const THIRD: &str = "edge2";
const ROLE: &str = "node-role.kubernetes.io/control-plane";
const METRICS: &str = "http://127.0.0.1:10265/metrics";
const HELD: &str = "yurt_tunnel_connected_nodes ";
/// Says something every second.
const TALK: &str = "while :; do echo here; sleep 1; done";

/// Both control planes, and a node behind NAT.
struct Site {
    cluster: Cluster,
    edge: BrokenNode,
}

impl Site {
    fn begin() -> Result<Self> {
        let cluster = up::attach_or_up_clouds()?;
        let edge = cluster.node("edge1").lock()?;
        hub::ensure(&edge)?;
        image::load(&cluster.node(THIRD), &image::with(hub::built()?)?)?;
        edge.nat()?;
        Ok(Self { cluster, edge })
    }

    /// The doors of both servers.
    fn doors<'s>(&'s self, namespace: &'s Namespace) -> Result<[Door<'s>; 2]> {
        let [first, second] = SERVERS.map(|name| Door::of(self.cluster.node(name), namespace));
        Ok([first?, second?])
    }

    /// The servers that hold the only node with an agent, by their own metrics.
    fn holders(&self) -> Result<BTreeSet<&'static str>> {
        let mut holders = BTreeSet::new();
        for name in SERVERS.into_iter().chain([THIRD]) {
            let asked = self
                .cluster
                .node(name)
                .exec(["curl", "-s", "-m", "2", METRICS])?
                .text();
            let held = asked.lines().find_map(|line| line.strip_prefix(HELD));
            if held.is_some_and(|count| count.trim() == "1") {
                holders.insert(name);
            }
        }
        Ok(holders)
    }

    fn label(&self, node: &str, label: &str) -> Result<()> {
        self.cluster
            .kubectl(["label", "node", "--overwrite", node, label])?;
        Ok(())
    }
}

/// The way to kubelets through one control plane's apiserver and the server beside it.
struct Door<'n> {
    cloud: Node,
    url: String,
    namespace: &'n Namespace,
}

impl<'n> Door<'n> {
    fn of(cloud: Node, namespace: &'n Namespace) -> Result<Self> {
        let url = format!("--server=https://{}:6443", cloud.ip()?);
        Ok(Self {
            cloud,
            url,
            namespace,
        })
    }

    fn dial(&self) -> Result<()> {
        let exec = [self.url.as_str(), "exec", "talker", "--", "true"];
        self.namespace
            .kubectl_cmd(exec)
            .deadline(Duration::from_secs(2))
            .run_ok()?;
        Ok(())
    }

    fn wait_open(&self) -> Result<()> {
        wait_for(&format!("the door of {}", self.cloud.name()), DEADLINE, || {
            self.dial().map(Some)
        })
    }

    /// The process of the server beside it.
    fn server(&self) -> Result<String> {
        let found = self.cloud.exec(["pgrep", "-x", "yurt-tunnel"])?;
        Ok(found.text())
    }

    fn streams(&self) -> Result<Vec<Background>> {
        let kinds: [&[&str]; 2] = [
            &["logs", "-f", "--tail=1", "talker"],
            &["exec", "talker", "--", "sh", "-c", TALK],
        ];
        let streams: Vec<_> = kinds
            .iter()
            .cycle()
            .take(STREAMS)
            .map(|args| {
                Background::start(&self.namespace.kubectl_cmd([&[self.url.as_str()], *args].concat()))
            })
            .collect::<Result<_>>()?;
        for stream in &streams {
            wait_for("a stream to begin", DEADLINE, || {
                Ok((!stream.lines().is_empty()).then_some(()))
            })?;
        }
        Ok(streams)
    }
}

/// New connections to the kubelet through one door, some ten a second, as the apiserver beside it would make them.
struct Dials(Caller);

impl Dials {
    fn begin(site: &Site, door: &Door<'_>) -> Result<Self> {
        let kubelet = format!("{}:10250/healthz", site.edge.ip()?);
        let dials = Self(Caller::start_for_status(&door.cloud, &kubelet)?);
        dials.wait_answered()?;
        Ok(dials)
    }

    /// Waits for an answer to a question that is asked from now on.
    fn wait_answered(&self) -> Result<()> {
        let now = SystemTime::now();
        wait_for("a new connection to the kubelet", DEADLINE, || {
            let answers = self.0.answers();
            let right = |answer: &Answer| answer.at > now && answer.text == UNAUTHORIZED;
            Ok(answers.iter().any(right).then_some(()))
        })
    }

    /// The longest time without one that succeeded, and how many did.
    fn end(self) -> Result<(Duration, usize)> {
        self.wait_answered()?;
        let answers = self.0.answers();
        let right = |text: &str| text == UNAUTHORIZED;
        let count = answers.iter().filter(|answer| right(&answer.text)).count();
        Ok((longest_gap(&answers, right), count))
    }
}

/// One door while the servers are restarted.
struct Watched<'w> {
    door: &'w Door<'w>,
    streams: Vec<Background>,
    /// The process beside it at the beginning.
    server: String,
    /// Since when streams have ended.
    broken: Option<Instant>,
}

impl<'w> Watched<'w> {
    fn begin(door: &'w Door<'w>) -> Result<Self> {
        Ok(Self {
            door,
            streams: door.streams()?,
            server: door.server()?,
            broken: None,
        })
    }

    /// Whether another server is there; streams may end with the one before, and not otherwise.
    fn is_replaced(&mut self) -> Result<bool> {
        let running = self.streams.iter_mut().map(Background::is_running);
        let broken = running.collect::<Result<Vec<_>>>()?.contains(&false);
        let now = self.door.server()?;
        if now.split_whitespace().any(|pid| pid == self.server) {
            if broken {
                let since = self.broken.get_or_insert_with(Instant::now);
                let name = self.door.cloud.name();
                ensure!(
                    since.elapsed() < ENDING,
                    "streams through {name} ended, whose server lives"
                );
            }
            return Ok(false);
        }
        Ok(!now.is_empty())
    }
}

/// Restarts all servers, one after the other, and watches the streams of each door meanwhile.
fn restart_servers(cluster: &Cluster, watched: &mut [Watched<'_>; 2]) -> Result<()> {
    let target = "daemonset/yurt-tunnel-server";
    cluster.kubectl(["-n", NAMESPACE, "rollout", "restart", target])?;
    let begin = Instant::now();
    let mut replaced = [false; 2];
    while replaced.contains(&false) {
        ensure!(
            begin.elapsed() < DEADLINE,
            "not all servers were replaced: {replaced:?}"
        );
        for (replaced, watched) in replaced.iter_mut().zip(watched.iter_mut()) {
            *replaced = *replaced || watched.is_replaced()?;
        }
        thread::sleep(LOOK); // between two looks
    }
    cluster.kubectl(["-n", NAMESPACE, "rollout", "status", target, "--timeout=120s"])?;
    Ok(())
}

#[test]
fn servers_come_and_go_and_nodes_are_reached_all_the_time() -> Result<()> {
    let site = Site::begin()?;
    let namespace = site.cluster.namespace("clouds")?;
    namespace.apply([pod("talker").on(site.edge.name()).running(TALK)])?;
    namespace.wait_ready("talker", DEADLINE)?;
    let doors = site.doors(&namespace)?;
    for door in &doors {
        door.wait_open()?;
    }
    wait_for("the node to hold both servers", DEADLINE, || {
        let holders = site.holders()?;
        ensure!(holders.len() == SERVERS.len(), "{holders:?}");
        Ok(Some(()))
    })?;
    let mut watched = [Watched::begin(&doors[0])?, Watched::begin(&doors[1])?];
    let dials = doors.each_ref().map(|door| Dials::begin(&site, door));
    restart_servers(&site.cluster, &mut watched)?;
    drop(watched);
    let [first, second] = dials.map(|dials| dials?.end());
    let gaps = [first?, second?];
    say(format_args!(
        "tunnel servers: restarted one by one under {} streams; without a new connection for at most {:.2} s at the one ({} dials) and {:.2} s at the other ({} dials)",
        2 * STREAMS,
        gaps[0].0.as_secs_f64(),
        gaps[0].1,
        gaps[1].0.as_secs_f64(),
        gaps[1].1,
    ));
    for (gap, _) in gaps {
        assert!(gap < LONGEST_GAP, "{gap:?}");
    }
    a_third_comes(&site, &doors)
}

/// A third server is used, and the node holds on to two where the first goes.
fn a_third_comes(site: &Site, doors: &[Door<'_>; 2]) -> Result<()> {
    let third = format!("{ROLE}=");
    site.label(THIRD, &third)?;
    // Of two that stay each is wanted.
    site.label(SERVERS[0], &format!("{ROLE}-"))?;
    let begin = Instant::now();
    let used = wait_for("the node to hold the third server", DEADLINE, || {
        let holders = site.holders()?;
        ensure!(holders == BTreeSet::from([SERVERS[1], THIRD]), "{holders:?}");
        Ok(Some(begin.elapsed()))
    });
    let open = doors[1].wait_open();
    site.label(SERVERS[0], &third)?;
    site.label(THIRD, &format!("{ROLE}-"))?;
    let used = used?;
    open?;
    doors[0].wait_open()?;
    say(format_args!(
        "tunnel servers: a third one was held {:.1} s after it was asked for and another was taken away",
        used.as_secs_f64()
    ));
    Ok(())
}
