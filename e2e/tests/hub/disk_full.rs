//! The disk under yurthub's data is filled by something else: it goes on with what it has, says what is wrong, refuses
//! what it cannot keep, and heals when there is space again.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::progress::say;
use e2e::{BrokenNode, Cluster, Cmd, Namespace, Node, containers, hub, pod, wait_for};
use serde_json::json;

use crate::setup::{POD_DEADLINE, alone, wait_agreed, wait_kubelet_healthy};

const DISK: &str = "24M";
const FOLDER: &str = "/var/lib/yurthub";
/// A change of this size needs new blocks, wherever the store has left room in its files.
const LARGE: usize = 300 << 10;

/// A small file system under `/var/lib/yurthub` of a node.
pub(crate) struct SmallDisk {
    node: Node,
    folder: PathBuf,
}

impl SmallDisk {
    /// Puts the node's `/var/lib/yurthub` on a new one; the node is off afterwards.
    pub(crate) fn new(cluster: &Cluster, node: &Node, name: &str, size: &str) -> Result<Self> {
        let disk = Self {
            node: node.clone(),
            folder: cluster.instance().state().join(format!("small-disk-{name}")),
        };
        let (image, mountpoint) = (disk.folder.join("image"), disk.mountpoint());
        fs::create_dir_all(&mountpoint).context("make the disk's folder")?;
        Cmd::new("truncate").args(["-s", size]).arg(&image).run_ok()?;
        // Nothing is reserved for root: both who fill it are root.
        Cmd::new("mkfs.ext4")
            .args(["-q", "-F", "-m", "0"])
            .arg(&image)
            .run_ok()?;
        Cmd::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(&mountpoint)
            .run_ok()?;
        node.power_off()?;
        node.bind(&mountpoint, FOLDER)?;
        Ok(disk)
    }

    fn mountpoint(&self) -> PathBuf {
        self.folder.join("mnt")
    }

    /// Leaves not one block.
    pub(crate) fn fill(&self) -> Result<()> {
        let fill = format!("head -c 100M /dev/zero >{FOLDER}/ballast");
        let output = self.node.exec(["sh", "-c", &fill])?;
        ensure!(!output.status.success(), "the disk is larger than it should be");
        Ok(())
    }

    pub(crate) fn make_room(&self) -> Result<()> {
        self.node.exec_ok(["rm", &format!("{FOLDER}/ballast")])?;
        Ok(())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let taken = self.node.power_off().and_then(|()| self.node.unbind_all());
        let unmounted = taken.and_then(|()| Ok(Cmd::new("umount").arg(self.mountpoint()).run_ok()?));
        if let Err(error) = unmounted {
            say(format_args!(
                "cannot take the disk from {}: {error:#}",
                self.node.name()
            ));
        }
        // What cannot be removed now goes with the cluster.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A ConfigMap whose data is large and different each time.
fn change(namespace: &Namespace, number: usize) -> Result<()> {
    let noise: String = std::iter::repeat_with(fastrand::alphanumeric)
        .take(LARGE)
        .collect();
    let data = json!({"number": number.to_string(), "noise": noise});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf"}, "data": data});
    namespace
        .kubectl_cmd(["replace", "-f", "-"])
        .stdin(map.to_string())
        .run_ok()?;
    Ok(())
}

/// What the mirror says of that ConfigMap.
fn mirrored(node: &Node, namespace: &Namespace) -> Result<String> {
    let selector = "fieldSelector=metadata.name=conf&resourceVersion=0";
    let path = format!("/api/v1/namespaces/{}/configmaps?{selector}", namespace.name());
    let list = hub::client::get(node, &path)?;
    let number = list["items"][0]["data"]["number"].as_str();
    Ok(number
        .context("the mirror does not have the ConfigMap")?
        .to_owned())
}

fn wait_mirrored(node: &Node, namespace: &Namespace, number: usize) -> Result<()> {
    wait_for("the change in the mirror", POD_DEADLINE, || {
        let seen = mirrored(node, namespace)?;
        ensure!(seen == number.to_string(), "it has {seen} instead of {number}");
        Ok(Some(()))
    })
}

/// Writes a status as the kubelet would; returns code and body.
fn write_status(node: &Node, namespace: &Namespace) -> Result<(u16, String)> {
    let condition =
        json!({"type": "e2e.test/full", "status": "True", "message": fastrand::u64(..).to_string()});
    let path = format!("/api/v1/namespaces/{}/pods/pod0/status", namespace.name());
    hub::client::patch(node, &path, &json!({"status": {"conditions": [condition]}}))
}

fn start_pod(namespace: &Namespace, node: &BrokenNode, name: &str) -> Result<()> {
    let mut pod = pod(name).on(node.name()).to_json();
    pod["spec"]["volumes"] = json!([{"name": "conf", "configMap": {"name": "conf"}}]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "conf", "mountPath": "/conf"}]);
    namespace.apply_yaml(&pod.to_string())?;
    namespace.wait_ready(name, POD_DEADLINE)
}

fn commit_failures(node: &Node) -> Result<f64> {
    hub::metric(node, "yurthub_store_commit_failures")
}

fn wait_written(node: &Node) -> Result<()> {
    wait_for("everything to be on the disk", POD_DEADLINE, || {
        let pending = hub::metric(node, "yurthub_store_pending_bytes")?;
        ensure!(pending == 0.0, "{pending} bytes wait");
        Ok(Some(()))
    })
}

/// It has neither ended by itself nor been ended by its watchdog since the node booted.
fn assert_never_ended(node: &Node) -> Result<()> {
    let restarts = node.exec_ok(["systemctl", "show", "-P", "NRestarts", "yurthub"])?;
    ensure!(restarts == "0", "yurthub was started again {restarts} times");
    Ok(())
}

#[test]
fn on_a_full_disk_yurthub_serves_what_it_has_and_heals_when_there_is_space() -> Result<()> {
    let (cluster, node) = alone()?;
    let namespace = cluster.namespace("full")?;
    let disk = SmallDisk::new(&cluster, &node, "full", DISK)?;
    node.power_on()?;
    hub::wait_ready(&node)?;
    hub::wait_mirrored(&node)?;
    namespace.kubectl(["create", "configmap", "conf"])?;
    change(&namespace, 0)?;
    start_pod(&namespace, &node, "pod0")?;
    wait_mirrored(&node, &namespace, 0)?;
    wait_written(&node)?;

    // Online: nothing but the disk fails.
    disk.fill()?;
    let mut number = 0;
    wait_for("a commit to fail", POD_DEADLINE, || {
        number += 1;
        change(&namespace, number)?;
        wait_mirrored(&node, &namespace, number)?;
        let failures = commit_failures(&node)?;
        ensure!(failures > 0.0, "none of {number} changes");
        Ok(Some(()))
    })?;
    let log = node.exec_ok(["journalctl", "--boot", "--unit", "yurthub", "--output", "cat"])?;
    ensure!(
        log.contains("failed to write to disk"),
        "the log does not say it: {log}"
    );
    start_pod(&namespace, &node, "pod1")?;
    wait_kubelet_healthy(&node)?;
    let running = wait_agreed(&cluster, &node, &namespace, POD_DEADLINE)?;

    // Offline: what cannot be kept is refused, what is here is served.
    node.cut()?;
    hub::wait_offline(&node)?;
    let (code, body) = write_status(&node, &namespace)?;
    ensure!(
        code == 503 && body.contains("check the disk"),
        "a status is answered with {code}: {body}"
    );
    wait_mirrored(&node, &namespace, number)?;
    wait_kubelet_healthy(&node)?;
    assert_never_ended(&node)?;

    // A start on a full disk: what was durable is there.
    node.exec_ok(["systemctl", "restart", "yurthub"])?;
    hub::wait_ready(&node)?;
    let durable = mirrored(&node, &namespace).context("after a start on a full disk")?;

    disk.make_room()?;
    let start = Instant::now();
    wait_for("a status to be kept", POD_DEADLINE, || {
        let (code, body) = write_status(&node, &namespace)?;
        ensure!(code == 200, "it is answered with {code}: {body}");
        Ok(Some(()))
    })?;
    let healed = start.elapsed().as_secs_f64();
    node.join()?;
    change(&namespace, number + 1)?;
    wait_mirrored(&node, &namespace, number + 1)?;
    let agreed = wait_agreed(&cluster, &node, &namespace, POD_DEADLINE)?;
    assert_eq!(agreed, running, "containers were restarted");
    wait_written(&node)?;
    ensure!(
        hub::metric(&node, "yurthub_store_corrupt")? == 0.0,
        "values are corrupt"
    );
    assert_never_ended(&node)?;
    ensure!(
        containers::running(&node, namespace.name())? == running,
        "containers were restarted"
    );
    say(format_args!(
        "hub disk full: commit {number} failed, Ready all the time, the mirror of a start on the full disk is at \
         {durable} of {number}, a status is kept {healed:.1} s after there was space"
    ));
    Ok(())
}
