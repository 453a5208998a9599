//! Who may come in, what is redirected, and what is left of it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::hub::guard::NODES;
use e2e::progress::say;
use e2e::{Node, conversion, hub, image, pod, wait_for};

use crate::site::{DEADLINE, Site};

#[test]
fn no_port_answers_who_shows_no_certificate() -> Result<()> {
    let site = Site::begin()?;
    let cloud = site.cluster.node("cloud1");
    let mut walked = Vec::new();
    for node in [&cloud, &*site.edges[0]] {
        for address in listening(node)? {
            let (host, port) = address.rsplit_once(':').context("an address has a port")?;
            let loopback = host.starts_with("127.") || host == "[::1]";
            let host = if loopback {
                "127.0.0.1".to_owned()
            } else {
                node.ip()?
            };
            walked.push(format!("{} {address}", node.name()));
            for (scheme, path) in [("https", "/"), ("http", "/pods"), ("http", "/metrics")] {
                let url = format!("{scheme}://{host}:{port}{path}");
                let asked = node.exec(["curl", "-sk", "-m", "10", "-w", "\n%{http_code}", &url])?;
                let text = asked.text();
                let (body, code) = text.rsplit_once('\n').unwrap_or_default();
                if loopback {
                    // Health and metrics, which show no objects.
                    assert!(
                        ["200", "404", "503", "000"].contains(&code),
                        "{url}: {code} {body}"
                    );
                    assert!(!body.contains("apiVersion"), "{url}: {body}");
                } else {
                    assert_eq!((code, body), ("000", ""), "{url}");
                    assert!(!asked.status.success(), "{url}");
                }
            }
        }
    }
    ensure!(walked.len() >= 3, "the tunnel listens at {walked:?} only");
    // Whoever has no rights gets through the redirect to the kubelet, and no further: this node, and a pod on it.
    let url = format!("https://{}:10250/pods", site.edges[0].ip()?);
    let code = cloud.exec_ok([
        "curl",
        "-sk",
        "-m",
        "10",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        &url,
    ])?;
    assert_eq!(code, "401");
    let namespace = site.cluster.namespace("tunnel-doors")?;
    namespace.apply([pod("guest").on("cloud1")])?;
    namespace.wait_ready("guest", DEADLINE)?;
    let (request, address) = ("GET /pods HTTP/1.0\\r\\n\\r\\n", site.edges[0].ip()?);
    let ask = format!("printf '{request}' | nc -w 10 {address} 10250");
    let answer = namespace.kubectl(["exec", "guest", "--", "sh", "-c", &ask])?;
    assert!(answer.contains("HTTP request to an HTTPS server"), "{answer}");
    say(format_args!("tunnel doors: {} ports walked", walked.len()));
    Ok(())
}

/// Where yurt-tunnel listens, as `ss` writes it.
fn listening(node: &Node) -> Result<Vec<String>> {
    let lines = node.exec_ok(["ss", "-Hltnp"])?;
    let ours = lines.lines().filter(|line| line.contains("\"yurt-tunnel\""));
    Ok(ours
        .filter_map(|line| line.split_whitespace().nth(3).map(str::to_owned))
        .collect())
}

/// The tables of nftables on the control plane.
fn tables(site: &Site) -> Result<Vec<String>> {
    let cloud = site.cluster.node("cloud1");
    let listed = Site::in_network(&cloud, &["nft", "list", "tables"]).run_ok()?;
    Ok(listed.lines().map(str::to_owned).collect())
}

fn is_ours(table: &str) -> bool {
    table.contains("yurt")
}

#[test]
fn a_killed_server_harms_nobody_and_the_last_revert_leaves_no_table() -> Result<()> {
    let site = Site::begin()?;
    let cloud = site.cluster.node("cloud1");
    let namespace = site.cluster.namespace("tunnel-killed")?;
    namespace.apply([
        pod("in-the-cloud").on("cloud1"),
        pod("at-the-edge").on(site.edges[0].name()),
    ])?;
    for name in ["in-the-cloud", "at-the-edge"] {
        namespace.wait_ready(name, DEADLINE)?;
    }
    assert!(tables(&site)?.iter().any(|table| is_ours(table)));
    let pid = cloud.exec_ok(["pgrep", "-x", "yurt-tunnel"])?;
    cloud.exec_ok(["kill", "-9", &pid])?;
    let killed = Instant::now();
    while killed.elapsed() < Duration::from_secs(5) {
        assert_eq!(namespace.kubectl(["logs", "in-the-cloud"])?, "started");
    }
    site.wait_reached(&site.edges[0])?;
    let back = killed.elapsed();
    wait_for("another server", DEADLINE, || {
        Ok((cloud.exec_ok(["pgrep", "-x", "yurt-tunnel"])? != pid).then_some(()))
    })?;

    drop(namespace);
    for edge in &site.edges {
        edge.unnat()?;
        conversion::revert(edge)?;
    }
    // Other tests may have left the others converted.
    let others = NODES.into_iter().map(|name| site.cluster.node(name));
    for other in others.filter(|node| site.edges.iter().all(|edge| edge.name() != node.name())) {
        let other = other.lock()?;
        // One that nobody has converted yet does not have it, and yurtctl looks at a node from a pod.
        image::load(&other, &image::with(hub::built()?)?)?;
        conversion::revert(&other)?;
    }
    let plain = tables(&site)?;
    assert!(!plain.iter().any(|table| is_ours(table)), "{plain:?}");
    hub::ensure(&site.edges[0])?;
    site.wait_reached(&site.edges[0])?;
    assert!(tables(&site)?.iter().any(|table| is_ours(table)));
    conversion::revert(&site.edges[0])?;
    assert_eq!(tables(&site)?, plain);
    say(format_args!(
        "tunnel killed: the edge is reached {:.1} s after its server was killed",
        back.as_secs_f64()
    ));
    Ok(())
}
