//! Somebody overwrites the database under the running yurthub while the cloud is there: it starts anew and fills another
//! one, and neither kubelet nor containers are the worse for it.

use std::time::Instant;

use anyhow::{Result, ensure};
use e2e::progress::say;
use e2e::{containers, hub, pod, wait_for};

use crate::setup::{POD_DEADLINE, alone, wait_agreed, wait_kubelet_healthy};

/// Overwrites the files from their beginning to their end.
const OVERWRITE: &str = "cd /var/lib/yurthub/store && for file in store.sqlite store.sqlite-wal; do \
    head -c $(stat -c %s $file) /dev/urandom | dd of=$file conv=notrunc status=none; done";

#[test]
fn a_database_that_is_damaged_in_use_is_rebuilt_while_the_cloud_is_there() -> Result<()> {
    let (cluster, node) = alone()?;
    let namespace = cluster.namespace("damage")?;
    namespace.apply([pod("web").on(node.name())])?;
    namespace.wait_ready("web", POD_DEADLINE)?;
    let running = wait_agreed(&cluster, &node, &namespace, POD_DEADLINE)?;
    let pid = ["systemctl", "show", "-P", "MainPID", "yurthub"];
    let first = node.exec_ok(pid)?;
    node.exec_ok(["sh", "-c", OVERWRITE])?;

    let start = Instant::now();
    let pods = format!(
        "/api/v1/pods?fieldSelector=spec.nodeName={}&resourceVersion=0",
        node.name()
    );
    wait_for("another yurthub", POD_DEADLINE, || {
        // What it does not read, it cannot find damaged.
        let answer = hub::ask(&node, &pods, &[]);
        let now = node.exec_ok(pid)?;
        ensure!(now != first && now != "0", "the list is answered with {answer:?}");
        Ok(Some(()))
    })?;
    hub::wait_ready(&node)?;
    hub::wait_mirrored(&node)?;
    let healed = start.elapsed().as_secs_f64();
    let log = node.exec_ok(["journalctl", "--boot", "--unit", "yurthub", "--output", "cat"])?;
    let report = log.lines().rfind(|line| line.contains("store opened"));
    ensure!(
        report.is_some_and(|report| report.contains("Recovered")),
        "it says {report:?}"
    );
    wait_kubelet_healthy(&node)?;
    assert_eq!(
        wait_agreed(&cluster, &node, &namespace, POD_DEADLINE)?,
        running,
        "containers were restarted"
    );
    ensure!(containers::running(&node, namespace.name())? == running);
    say(format_args!(
        "hub damage: an overwritten database is rebuilt and the mirror is there after {healed:.1} s"
    ));
    Ok(())
}
