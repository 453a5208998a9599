//! The programs take what the manifests give them, and what is beside it in the pod fits.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::SocketAddr;

use clap::Parser as _;
use serde::Deserialize as _;
use serde_yaml::Value;
use yurt_tunnel::args::{Args, End};
use yurt_tunnel::network::Network;

const MANIFESTS: &str = include_str!("../../manifests/yurt.yaml");

/// The only container of a DaemonSet.
fn container(name: &str) -> Value {
    let mut objects =
        serde_yaml::Deserializer::from_str(MANIFESTS).map(|one| Value::deserialize(one).unwrap());
    let set = objects.find(|object| object["kind"] == "DaemonSet" && object["metadata"]["name"] == name);
    set.unwrap()["spec"]["template"]["spec"]["containers"][0].clone()
}

/// Its arguments as the kubelet would give them on a host with this address.
fn parsed(container: &Value, host: &str) -> End {
    let words = container["args"].as_sequence().unwrap().iter().map(|word| {
        let word = word.as_str().unwrap();
        [
            ("NODE_NAME", "cloud1"),
            ("POD_NAMESPACE", "yurt-system"),
            ("HOST_IP", host),
            ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ]
        .iter()
        .fold(word.to_owned(), |word, (name, value)| {
            word.replace(&format!("$({name})"), value)
        })
    });
    let words = ["yurt-tunnel".to_owned()].into_iter().chain(words);
    Args::try_parse_from(words).unwrap().end
}

/// The port that both probes ask.
fn assert_probed(container: &Value, health: SocketAddr) {
    for probe in ["livenessProbe", "readinessProbe"] {
        let get = &container[probe]["httpGet"];
        assert_eq!(
            get["host"].as_str(),
            Some(health.ip().to_string().as_str()),
            "{probe}"
        );
        assert_eq!(get["port"].as_u64(), Some(health.port().into()), "{probe}");
    }
}

fn is_mounted(container: &Value, path: &std::path::Path) -> bool {
    let mounts = container["volumeMounts"].as_sequence().unwrap();
    let mut paths = mounts.iter().filter_map(|mount| mount["mountPath"].as_str());
    paths.any(|mount| path.starts_with(mount))
}

#[test]
fn the_server_takes_what_its_daemonset_gives_it() {
    let container = container("yurt-tunnel-server");
    for (host, address) in [("10.0.0.1", "10.0.0.1:10262"), ("fd00::1", "[fd00::1]:10262")] {
        let End::Server(server) = parsed(&container, host) else {
            panic!("another end");
        };
        assert_eq!(server.addresses, [address]);
        assert_eq!(server.reserved, ["10.96.0.1".parse::<Network>().unwrap()]);
        assert!(server.redirect_port.is_some_and(|port| port != 0));
        assert_eq!(server.listen, "[::]:10262".parse().unwrap());
        assert_probed(&container, server.health_listen);
        assert!(is_mounted(
            &container,
            server.common.state_dir.as_deref().unwrap()
        ));
        let limit = container["resources"]["limits"]["memory"].as_str().unwrap();
        let limit: u32 = limit.strip_suffix("Gi").unwrap().parse().unwrap();
        assert!(
            server.memory_budget * 4 <= limit * 1024 * 3,
            "a quarter is for sessions"
        );
    }
}

#[test]
fn the_agent_takes_what_its_daemonset_gives_it() {
    let container = container("yurt-tunnel-agent");
    let End::Agent(agent) = parsed(&container, "10.0.0.1") else {
        panic!("another end");
    };
    assert_eq!(agent.kubelet_port, 10250);
    assert_probed(&container, agent.health_listen);
    for path in [agent.servers_dir, agent.common.state_dir, agent.common.trust_file] {
        assert!(is_mounted(&container, &path.unwrap()));
    }
}
