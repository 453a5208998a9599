//! What is on a node and in the cluster of a conversion: what is to be as before when it is taken back.

use anyhow::{Context, Result};
use e2e::{Cluster, Node};

/// What a conversion may not change but by what it brings.
const SNAPSHOT: &str = r#"
cd / && find etc usr/local usr/lib/systemd var/lib -xdev \
  -path var/lib/kubelet -prune -o -path var/lib/containerd -prune -o -path var/lib/yurt-conversion -prune -o \
  -path var/lib/cni -prune -o -path var/lib/systemd -prune -o \( -type f -o -type l -o -type d \) -print |
while read -r path; do
  if [ -L "$path" ]; then echo "$path -> $(readlink "$path")"
  elif [ -d "$path" ]; then echo "$path/ $(stat -c '%a %u' "$path")"
  else echo "$path $(stat -c '%a %u' "$path") $(sha256sum <"$path")"; fi
done | sort
systemctl list-unit-files --no-legend | grep -v '\.mount\|\.scope' | sort
ip -br link | grep -v '^veth\|^cni0' | awk '{print "link", $1}' | sort
ip -br address show dev lo
nft list tables 2>/dev/null | sort
iptables-save 2>/dev/null | grep -v 'KUBE-\|^#' | sed 's/ \[.*//' | sort
findmnt -rno TARGET | grep -v '/var/lib/kubelet\|/run/containerd\|/run/netns\|/run/credentials' | sort
"#;

/// What is on `node` now.
pub(crate) fn snapshot(node: &Node) -> Result<String> {
    node.exec_ok(["sh", "-c", SNAPSHOT])
        .context("list what is on the node")
}

/// Lines that differ.
pub(crate) fn difference(before: &str, after: &str) -> String {
    let only = |these: &str, those: &str, mark: &str| -> Vec<String> {
        let those: std::collections::BTreeSet<_> = those.lines().collect();
        let lines = these.lines().filter(|line| !those.contains(line));
        lines.map(|line| format!("{mark}{line}")).collect()
    };
    [only(before, after, "-"), only(after, before, "+")]
        .concat()
        .join("\n")
}

/// The cluster knows of no conversion of `node`.
pub(crate) fn assert_unknown(cluster: &Cluster, node: &Node) -> Result<()> {
    let labels = cluster.get_json(["node", node.name()])?["metadata"]["labels"].clone();
    assert_eq!(labels.get("openyurt.io/is-edge-worker"), None, "{labels}");
    let kinds =
        "namespaces,clusterroles,clusterrolebindings,rolebindings,configmaps,serviceaccounts,jobs,leases";
    let ours = [
        "get",
        kinds,
        "-A",
        "-l",
        "app.kubernetes.io/part-of=yurt",
        "-o",
        "name",
    ];
    let left = cluster.kubectl(ours)?;
    assert!(!left.contains(node.name()), "{left}");
    Ok(())
}
