//! The programs take what the manifests and the chart give them, and what is beside it in the pod fits.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use clap::Parser as _;
use serde::Deserialize as _;
use serde_yaml::Value;
use yurt_testkit::binary;
use yurt_tunnel::agent::policy;
use yurt_tunnel::args::{Args, End};
use yurt_tunnel::network::Network;

const MANIFESTS: &str = include_str!("../../manifests/yurt.yaml");
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/yurt");

/// What Helm makes of the chart with these values; an error is what it complains of.
fn rendered(values: &[&str]) -> Result<String, String> {
    let mut helm = Command::new(binary("helm").unwrap());
    helm.args(["template", "yurt", CHART]);
    for value in values {
        helm.args(["--set", value]);
    }
    // It would look for plugins and repositories of whoever runs it.
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        helm.env(name, "/nonexistent");
    }
    let output = helm.output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

/// The specification of the pods of a DaemonSet.
fn pod(manifests: &str, name: &str) -> Value {
    let mut objects =
        serde_yaml::Deserializer::from_str(manifests).map(|one| Value::deserialize(one).unwrap());
    let set = objects.find(|object| object["kind"] == "DaemonSet" && object["metadata"]["name"] == name);
    set.unwrap()["spec"]["template"]["spec"].clone()
}

/// The only container of a DaemonSet.
fn container(name: &str) -> Value {
    pod(MANIFESTS, name)["containers"][0].clone()
}

/// What a container may beside what anybody may.
fn capabilities(container: &Value) -> Vec<&str> {
    let capabilities = &container["securityContext"]["capabilities"];
    assert_eq!(capabilities["drop"][0], "ALL");
    let added = capabilities["add"].as_sequence();
    added.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The volume that is mounted at `path`.
fn mounted<'a>(pod: &'a Value, path: &Path) -> &'a Value {
    let mounts = pod["containers"][0]["volumeMounts"].as_sequence().unwrap();
    let mount = mounts
        .iter()
        .find(|mount| mount["mountPath"].as_str() == path.to_str());
    let mut volumes = pod["volumes"].as_sequence().unwrap().iter();
    volumes
        .find(|volume| volume["name"] == mount.unwrap()["name"])
        .unwrap()
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

fn is_mounted(container: &Value, path: &Path) -> bool {
    let mounts = container["volumeMounts"].as_sequence().unwrap();
    let mut paths = mounts.iter().filter_map(|mount| mount["mountPath"].as_str());
    paths.any(|mount| path.starts_with(mount))
}

#[test]
fn the_agent_takes_what_its_unit_gives_it() {
    let unit = include_str!("../packaging/yurt-tunnel-agent.service").replace("\\\n", " ");
    let command = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .unwrap();
    let words = command.split_whitespace().chain(["--node-name=edge1"]);
    let End::Agent(agent) = Args::try_parse_from(words).unwrap().end else {
        panic!("another end");
    };
    let state = agent.common.state_dir.unwrap();
    let kept = unit.lines().find_map(|line| line.strip_prefix("StateDirectory="));
    assert_eq!(state, Path::new("/var/lib").join(kept.unwrap()));
    assert!(agent.common.kubeconfig.is_some() && agent.common.trust_file.is_some());
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
    for path in [
        agent.servers_dir,
        agent.policy_dir,
        agent.common.state_dir,
        agent.common.trust_file,
    ] {
        assert!(is_mounted(&container, &path.unwrap()));
    }
}

#[test]
fn agents_read_what_the_chart_says_of_their_nodes() {
    let name = "yurt-tunnel-policy";
    let map = |manifests: &str| {
        let objects = serde_yaml::Deserializer::from_str(manifests);
        let mut objects = objects.map(|one| Value::deserialize(one).unwrap());
        objects.find(|object| object["kind"] == "ConfigMap" && object["metadata"]["name"] == name)
    };
    assert!(
        map(MANIFESTS).is_none(),
        "it would be taken from who wrote one by hand"
    );
    let values = [
        "tunnel.agent.nodePolicies.edge1={9100,22}",
        "tunnel.agent.nodePolicies.edge2={9256}",
    ];
    let manifests = rendered(&values).unwrap();
    let policies = map(&manifests).unwrap();
    let pod = pod(&manifests, "yurt-tunnel-agent");
    let volume = mounted(&pod, Path::new("/etc/yurt-tunnel/policy"));
    assert_eq!(volume["configMap"]["name"], policies["metadata"]["name"]);
    let ports = |node: &str| {
        let text = policies["data"][node].as_str().unwrap();
        policy::parse(text).unwrap().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(ports("edge1"), [22, 9100]);
    assert_eq!(ports("edge2"), [9256]);
}

fn server_with(values: &[&str]) -> (Value, Box<yurt_tunnel::args::Server>) {
    let pod = pod(&rendered(values).unwrap(), "yurt-tunnel-server");
    let End::Server(server) = parsed(&pod["containers"][0], "10.0.0.1") else {
        unreachable!("the arguments of a server");
    };
    (pod, server)
}

#[test]
fn without_values_front_door_a_alone_is_open() {
    let (pod, server) = server_with(&[]);
    assert!(server.redirect_port.is_some());
    assert_eq!((server.connect_socket, server.connect_listen), (None, None));
    assert_eq!(capabilities(&pod["containers"][0]), ["NET_ADMIN"]);
    assert_eq!(pod["volumes"].as_sequence().unwrap().len(), 1);
}

#[test]
fn the_socket_of_front_door_b_is_in_a_folder_of_the_node() {
    let values = [
        "tunnel.server.connect.socketDir=/run/yurt-tunnel",
        "tunnel.server.redirect=false",
    ];
    let (pod, server) = server_with(&values);
    assert_eq!(server.redirect_port, None);
    assert_eq!(
        server.connect_socket.as_deref(),
        Some(Path::new("/run/yurt-tunnel/connect.sock"))
    );
    assert_eq!(server.connect_listen, None);
    // It touches no packets, and needs no right to.
    assert_eq!(capabilities(&pod["containers"][0]), [""; 0]);
    let folder = mounted(&pod, Path::new("/run/yurt-tunnel"));
    assert_eq!(folder["hostPath"]["path"], "/run/yurt-tunnel");
    assert_eq!(folder["hostPath"]["type"], "DirectoryOrCreate");
    assert_eq!(
        pod["containers"][0]["securityContext"]["runAsUser"].as_u64(),
        Some(0)
    );
}

#[test]
fn front_door_b_over_tls_has_its_certificate_from_a_secret() {
    let (pod, server) = server_with(&[
        "tunnel.server.connect.listen=127.0.0.1:443",
        "tunnel.server.connect.tlsSecret=door",
    ]);
    assert!(server.redirect_port.is_some(), "both doors are open");
    assert_eq!(server.connect_listen, Some(([127, 0, 0, 1], 443).into()));
    assert_eq!(
        capabilities(&pod["containers"][0]),
        ["NET_ADMIN", "NET_BIND_SERVICE"]
    );
    for (file, name) in [
        (server.connect_cert_file, "tls.crt"),
        (server.connect_key_file, "tls.key"),
        (server.connect_client_ca_file, "ca.crt"),
    ] {
        let file = file.unwrap();
        assert_eq!(file.file_name().and_then(|name| name.to_str()), Some(name));
        let volume = mounted(&pod, file.parent().unwrap());
        assert_eq!(volume["secret"]["secretName"], "door");
        assert_eq!(volume["secret"]["defaultMode"].as_u64(), Some(0o400));
    }
}

#[test]
fn a_server_without_a_door_is_refused() {
    for values in [
        &["tunnel.server.redirect=false"][..],
        &["tunnel.server.connect.listen=127.0.0.1:10271"],
        &["tunnel.server.connect.socketDir=run"],
    ] {
        let refused = rendered(values).unwrap_err();
        assert!(refused.contains("/tunnel/server"), "{values:?}: {refused}");
    }
    let (pod, server) = server_with(&[
        "tunnel.server.redirect=false",
        "tunnel.server.sniListen=0.0.0.0:443",
    ]);
    assert!(server.sni_listen.is_some() && server.redirect_port.is_none());
    assert_eq!(capabilities(&pod["containers"][0]), ["NET_BIND_SERVICE"]);
}
