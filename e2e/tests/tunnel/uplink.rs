//! What happens to a node's way out, and how soon the node is reached again.

use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::progress::say;
use e2e::{Namespace, Node, pod, wait_for};

use crate::site::{DEADLINE, NAMESPACE, Site};

/// The port of the servers.
const PORT: &str = "10262";
/// Three times what is promised, as everywhere.
const AFTER_UDP: Duration = Duration::from_secs(15);
const AFTER_CUT: Duration = Duration::from_secs(6);
const OUTAGE: Duration = Duration::from_mins(1);

/// A firewall of the site that lets no datagrams out to the servers, until it is dropped.
struct NoDatagrams<'n>(&'n Node);

impl<'n> NoDatagrams<'n> {
    fn begin(node: &'n Node) -> Result<Self> {
        rule(node, "-I")?;
        Ok(Self(node))
    }
}

impl Drop for NoDatagrams<'_> {
    fn drop(&mut self) {
        if let Err(error) = rule(self.0, "-D") {
            say(format_args!("the firewall of {} stays: {error:#}", self.0.name()));
        }
    }
}

fn rule(node: &Node, verb: &str) -> Result<()> {
    let udp = ["OUTPUT", "-p", "udp", "--dport", PORT, "-j", "DROP"];
    node.exec_ok([&["iptables", "-w", verb], &udp[..]].concat())?;
    Ok(())
}

#[test]
fn a_node_is_reached_over_tcp_where_datagrams_do_not_pass() -> Result<()> {
    let site = Site::begin()?;
    let node = &site.edges[0];
    let namespace = site.cluster.namespace("tunnel-udp")?;
    namespace.apply([pod("web").on(node.name())])?;
    namespace.wait_ready("web", DEADLINE)?;

    let firewall = NoDatagrams::begin(node)?;
    // What is under way is noticed to be dead first.
    let blocked = Instant::now();
    let mid_life = loop {
        let asked = Instant::now();
        wait_dialled(&namespace)?;
        // An answer that was under way when the firewall came says nothing.
        if asked.duration_since(blocked) > Duration::from_secs(1) && over_tcp(node)? {
            break blocked.elapsed();
        }
    };
    assert_eq!(namespace.kubectl(["exec", "web", "--", "hostname"])?, "web");
    let field = format!("--field-selector=spec.nodeName={}", node.name());
    let agents = ["-l", "app.kubernetes.io/component=tunnel-agent", "--wait=true"];
    site.cluster
        .kubectl([&["-n", NAMESPACE, "delete", "pod", &field], &agents[..]].concat())?;
    let replaced = Instant::now();
    wait_dialled(&namespace)?;
    let from_the_start = replaced.elapsed();
    wait_for("a connection over TCP", DEADLINE, || {
        Ok(over_tcp(node)?.then_some(()))
    })?;
    drop(firewall);
    say(format_args!(
        "tunnel without UDP: reached again over TCP after {:.1} s, and {:.1} s after its agent was replaced",
        mid_life.as_secs_f64(),
        from_the_start.as_secs_f64()
    ));
    assert!(mid_life < AFTER_UDP, "{mid_life:?}");
    Ok(())
}

/// Waits until a new connection gets to the kubelet: of those that there are the apiserver keeps some for other requests.
fn wait_dialled(namespace: &Namespace) -> Result<()> {
    wait_for("a new connection to the kubelet", DEADLINE, || {
        let exec = namespace.kubectl_cmd(["exec", "web", "--", "true"]);
        exec.deadline(Duration::from_secs(3)).run_ok()?;
        Ok(Some(()))
    })
}

/// Whether the node has a TCP connection to the servers' port.
fn over_tcp(node: &Node) -> Result<bool> {
    let filter = format!("dport = :{PORT}");
    Ok(!node
        .exec_ok(["ss", "-Htn", "state", "established", &filter])?
        .is_empty())
}

#[test]
fn a_node_is_reached_soon_after_its_cable_is_back() -> Result<()> {
    let site = Site::begin()?;
    let node = &site.edges[1];
    let namespace = site.cluster.namespace("tunnel-cut")?;
    namespace.apply([pod("web").on(node.name())])?;
    namespace.wait_ready("web", DEADLINE)?;
    wait_dialled(&namespace)?;
    node.cut()?;
    let cut = Instant::now();
    // A dial to a node that is away fails at once, once that is known; kubectl is not left waiting.
    std::thread::sleep(OUTAGE / 2); // the outage itself is what is tested
    let asked = Instant::now();
    let refused = namespace.kubectl_cmd(["exec", "web", "--", "true"]).run()?;
    let refused_after = asked.elapsed();
    assert!(!refused.status.success(), "the node is cut off");
    std::thread::sleep(OUTAGE.saturating_sub(cut.elapsed()));
    node.join()?;
    let joined = Instant::now();
    wait_dialled(&namespace)?;
    let back = joined.elapsed();
    say(format_args!(
        "tunnel after a cut of {} s: reached {:.1} s after the join; in the cut refused after {:.2} s",
        OUTAGE.as_secs(),
        back.as_secs_f64(),
        refused_after.as_secs_f64()
    ));
    assert!(back < AFTER_CUT, "{back:?}");
    assert!(refused_after < AFTER_CUT, "{refused_after:?}");
    Ok(())
}
