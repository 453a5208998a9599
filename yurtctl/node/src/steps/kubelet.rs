//! The kubelet is turned by one file and a restart. Its containers run on: they are not its children.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use yurthub_object::parse_time;

use super::files;
use super::{Scene, StepError};
use crate::host::Host;
use crate::spec::PROGRAMS;

const POLL_INTERVAL: Duration = Duration::from_millis(200);
const RESTART: Duration = Duration::from_mins(2);
/// How long the kubelet gets to be healthy again after a way back. What fails then, fails for another reason.
const HEALTHY_AGAIN: Duration = Duration::from_mins(1);

/// Who has begun it before may have come as far as the file, so the file proves nothing: the kubelet is restarted.
pub(super) fn turn(scene: &Scene<'_>) -> Result<(), StepError> {
    let switch = &scene.spec().switch;
    let stands =
        files::is_as(scene.host, &switch.file) && scene.host.is_turned(&switch.kubeconfig) == Some(true);
    if stands && !scene.again && !scene.transaction.restart_kubelet {
        return Ok(());
    }
    files::place(scene, &switch.file)?;
    restart(scene.host, &switch.unit)
}

/// Always with a restart: what the kubelet was started with cannot be seen in every layout, and is ours if it was begun.
pub(super) fn turn_back(scene: &Scene<'_>) -> Result<(), StepError> {
    let switch = &scene.spec().switch;
    files::take(scene, &switch.file.path)?;
    restart(scene.host, &switch.unit)?;
    let shall_be_turned = scene.is_update();
    wait_healthy(scene, HEALTHY_AGAIN, || {
        match scene.host.is_turned(&switch.kubeconfig) {
            Some(turned) if turned == shall_be_turned => Ok(()),
            _ => Err("it does not use its kubeconfig of before".to_owned()),
        }
    })
}

/// The kubelet is healthy when it says so itself, and its node's last heartbeat, as yurthub has it, is from after the
/// kubelet's start and says Ready.
pub(super) fn verify(scene: &Scene<'_>) -> Result<(), StepError> {
    let switch = &scene.spec().switch;
    wait_healthy(scene, scene.left, || {
        if scene.host.is_turned(&switch.kubeconfig) != Some(true) {
            return Err(format!("it does not use {}", switch.kubeconfig.display()));
        }
        let hub = Path::new(PROGRAMS).join("yurthub");
        let node = scene.host.call(
            &hub.to_string_lossy(),
            &["get", "nodes", &scene.spec().node, "-o", "json"],
            Duration::from_secs(10),
        );
        let node = node.map_err(|error| error.to_string())?;
        let started = started(scene.host, &switch.unit)?;
        ready_since(&node, started)
    })
}

fn restart(host: &dyn Host, unit: &str) -> Result<(), StepError> {
    host.systemctl(&["daemon-reload"], RESTART)?;
    host.systemctl(&["restart", "--", unit], RESTART)?;
    Ok(())
}

fn wait_healthy(
    scene: &Scene<'_>,
    limit: Duration,
    check: impl Fn() -> Result<(), String>,
) -> Result<(), StepError> {
    let switch = &scene.spec().switch;
    let start = scene.host.elapsed();
    loop {
        let health = scene.host.kubelet_health(switch.healthz_port);
        let what = match health.and_then(|()| check()) {
            Ok(()) => return Ok(()),
            Err(what) => what,
        };
        if scene.host.elapsed().saturating_sub(start) >= limit {
            return Err(StepError::KubeletNotHealthy {
                what,
                unit: switch.unit.clone(),
                after: limit,
            });
        }
        scene.host.pause(POLL_INTERVAL);
    }
}

/// When the unit's process was started, in seconds since 1970 by the node's clock.
fn started(host: &dyn Host, unit: &str) -> Result<i64, String> {
    let since = host
        .property(unit, "ActiveEnterTimestampMonotonic")
        .map_err(|error| error.to_string())?;
    let since: i64 = since
        .parse()
        .map_err(|_| "systemd does not say since when it runs".to_owned())?;
    let uptime = std::fs::read_to_string("/proc/uptime").map_err(|error| error.to_string())?;
    let uptime = uptime
        .split('.')
        .next()
        .and_then(|seconds| seconds.parse::<i64>().ok());
    let age = (uptime.unwrap_or_default() - since / 1_000_000).max(0);
    Ok(host.now().cast_signed() - age)
}

/// Whether the Node in `json` is Ready by a heartbeat that is not older than `started`.
fn ready_since(json: &str, started: i64) -> Result<(), String> {
    let node: Value =
        serde_json::from_str(json).map_err(|error| format!("its Node cannot be read ({error})"))?;
    let ready = node["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == "Ready")
        .ok_or("its Node has no condition Ready")?;
    let heartbeat = ready["lastHeartbeatTime"].as_str().unwrap_or_default();
    if ready["status"] != "True" {
        return Err(format!(
            "its Node is not Ready: {}",
            ready["message"].as_str().unwrap_or_default()
        ));
    }
    match parse_time(heartbeat) {
        // Whole seconds, and the age of a process is rounded.
        Ok(heartbeat) if heartbeat + 2 >= started => Ok(()),
        _ => Err(format!(
            "its last heartbeat ({heartbeat}) is from before its start"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use crate::transaction::Goal;

    /// A kubelet that is turned, in version 1; does `step` as it says, and tells whether that has restarted it.
    fn restarts(
        is_k3s: bool,
        version: u32,
        change: impl Fn(Scene<'_>) -> Scene<'_>,
        step: fn(&Scene<'_>) -> Result<(), StepError>,
    ) -> bool {
        let node = Model::new(is_k3s);
        let store = node.store();
        store.make().unwrap();
        let first = node.transaction(Goal::Converted, 1);
        turn(&node.scene(&store, &first)).unwrap();
        node.calls.borrow_mut().clear();
        let transaction = node.transaction(Goal::Converted, version);
        step(&change(node.scene(&store, &transaction))).unwrap();
        let restart = format!("systemctl restart -- {}", transaction.spec.switch.unit);
        node.calls.take().contains(&restart)
    }

    #[test]
    fn a_kubelet_is_restarted_unless_it_certainly_runs_as_it_shall() {
        for is_k3s in [false, true] {
            assert!(!restarts(is_k3s, 1, |scene| scene, turn));
            // The file stands since the step was begun before; whether the kubelet has read it, nobody knows.
            assert!(restarts(is_k3s, 1, |scene| Scene { again: true, ..scene }, turn));
            // The file has other content.
            assert!(restarts(is_k3s, 2, |scene| scene, turn));
            assert!(restarts(is_k3s, 1, |scene| scene, turn_back));
        }
    }

    #[test]
    fn a_heartbeat_from_before_the_start_does_not_count() {
        let node = |status: &str, time: &str| {
            format!(
                r#"{{"status":{{"conditions":[{{"type":"Ready","status":"{status}","lastHeartbeatTime":"{time}","message":"m"}}]}}}}"#
            )
        };
        assert_eq!(ready_since(&node("True", "1970-01-01T00:01:40Z"), 100), Ok(()));
        let old = ready_since(&node("True", "1970-01-01T00:01:30Z"), 100).unwrap_err();
        assert!(old.contains("from before its start"), "{old}");
        let not_ready = ready_since(&node("False", "1970-01-01T00:01:40Z"), 100).unwrap_err();
        assert!(not_ready.contains("not Ready: m"), "{not_ready}");
        assert!(ready_since("{}", 0).is_err() && ready_since("?", 0).is_err());
    }
}
