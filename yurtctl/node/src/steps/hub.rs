//! yurthub's service: started until it is ready, filled with what the node needs, and stopped.

use std::path::Path;
use std::time::Duration;

use super::{Scene, StepError};
use crate::spec::{DATA_FOLDER, HUB_UNIT, PROGRAMS};

const RELOAD: Duration = Duration::from_mins(1);
const IP: Duration = Duration::from_secs(10);
/// The link that yurthub makes for its address (`yurthub/src/network.rs`).
const LINK: &str = "yurthub0";
const STOP: Duration = Duration::from_mins(2);

/// `systemctl restart` returns when yurthub has said that it is ready (`Type=notify`).
pub(super) fn start(scene: &Scene<'_>) -> Result<(), StepError> {
    let host = scene.host;
    host.systemctl(&["daemon-reload"], RELOAD)?;
    host.systemctl(&["restart", HUB_UNIT], scene.left)
        .map_err(|source| {
            let log = host.call(
                "journalctl",
                &["-u", HUB_UNIT, "-n", "5", "-o", "cat", "--no-pager"],
                Duration::from_secs(10),
            );
            StepError::HubNotReady {
                log: log.unwrap_or_default().trim().replace('\n', " | "),
                source,
            }
        })?;
    Ok(())
}

pub(super) fn mirror(scene: &Scene<'_>) -> Result<(), StepError> {
    let hub = Path::new(PROGRAMS).join("yurthub");
    let timeout = format!("{}s", scene.left.as_secs().max(1));
    // A little more, so that it can say itself what is missing.
    let limit = scene.left + Duration::from_secs(5);
    scene
        .host
        .call(&hub.to_string_lossy(), &["warm", "--timeout", &timeout], limit)?;
    Ok(())
}

/// Stops yurthub, unless it served this node before and shall go on.
pub(super) fn stop(scene: &Scene<'_>) -> Result<(), StepError> {
    if scene.is_update() {
        return Ok(());
    }
    if scene.host.property(HUB_UNIT, "LoadState")? != "not-found" {
        scene.host.systemctl(&["stop", HUB_UNIT], STOP)?;
    }
    remove_address(scene)?;
    super::files::remove_folder(scene, Path::new(DATA_FOLDER))
}

/// yurthub keeps its address for pods when it ends, so that a restart does not break their connections.
fn remove_address(scene: &Scene<'_>) -> Result<(), StepError> {
    let host = scene.host;
    if host.at(&Path::new("/sys/class/net").join(LINK)).exists() {
        host.call("ip", &["link", "delete", LINK], IP)?;
    }
    // Where the kernel has no link for it, it is on the loopback link.
    if let Some(address) = scene.spec().pods_address.map(|address| address.to_string()) {
        let on_loopback = ["-oneline", "address", "show", "dev", "lo", "to", &address];
        if !host.call("ip", &on_loopback, IP)?.trim().is_empty() {
            host.call("ip", &["address", "delete", &address, "dev", "lo"], IP)?;
        }
    }
    Ok(())
}

/// After the files of before are in their places again: the yurthub of before runs again. Where there was none, systemd
/// forgets ours.
pub(super) fn resume(scene: &Scene<'_>) -> Result<(), StepError> {
    if scene.is_update() {
        scene.host.systemctl(&["daemon-reload"], RELOAD)?;
        scene.host.systemctl(&["restart", HUB_UNIT], STOP)?;
        return Ok(());
    }
    // A unit that failed is remembered until it is reset; one that is gone and did not fail cannot be reset.
    drop(scene.host.systemctl(&["reset-failed", HUB_UNIT], RELOAD));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;
    use crate::model::Model;
    use crate::transaction::Goal;

    /// Does `step` on the node, and gives what was called for it.
    fn calls(
        node: &Model,
        goal: Goal,
        was_converted: bool,
        step: impl Fn(&Scene<'_>) -> Result<(), StepError>,
    ) -> (Result<(), StepError>, Vec<String>) {
        let store = node.store();
        let transaction = node.transaction(goal, 1);
        node.calls.borrow_mut().clear();
        let done = step(&Scene {
            was_converted,
            ..node.scene(&store, &transaction)
        });
        (done, node.calls.take())
    }

    /// One on which yurthub runs.
    fn serving() -> Model {
        let node = Model::new(false);
        let files = ["/etc/systemd/system/yurthub.service", "/usr/local/bin/yurthub"];
        for path in files {
            std::fs::write(node.at(Path::new(path)), "text").unwrap();
        }
        let (done, _) = calls(&node, Goal::Converted, false, start);
        done.unwrap();
        node
    }

    #[test]
    fn yurthub_is_started_by_what_systemd_has_just_read() {
        let (done, made) = calls(&serving(), Goal::Converted, false, start);
        done.unwrap();
        assert_eq!(
            made,
            ["systemctl daemon-reload", "systemctl restart yurthub.service"]
        );
    }

    #[test]
    fn what_yurthub_said_last_is_in_the_error() {
        let (done, made) = calls(&Model::new(false), Goal::Converted, false, start);
        let error = done.unwrap_err();
        assert!(matches!(error, StepError::HubNotReady { .. }), "{error}");
        assert!(made.last().unwrap().starts_with("journalctl -u yurthub.service"));
    }

    #[test]
    fn yurthub_is_given_the_time_that_is_left() {
        let (done, made) = calls(&serving(), Goal::Converted, false, mirror);
        done.unwrap();
        assert_eq!(made, ["/usr/local/bin/yurthub warm --timeout 9s"]);
    }

    #[test]
    fn a_yurthub_that_served_before_goes_on_and_another_goes_with_its_data_and_address() {
        let node = serving();
        let data = node.at(Path::new(DATA_FOLDER));
        let link = node.at(&Path::new("/sys/class/net").join(LINK));
        let (done, made) = calls(&node, Goal::Converted, true, stop);
        done.unwrap();
        assert!(made.is_empty() && data.exists() && link.exists(), "{made:?}");

        for goal in [Goal::Converted, Goal::Reverted] {
            let node = serving();
            let (done, made) = calls(&node, goal, goal == Goal::Reverted, stop);
            done.unwrap();
            assert!(made.contains(&"systemctl stop yurthub.service".to_owned()));
            assert!(!node.at(Path::new(DATA_FOLDER)).exists());
            assert!(!node.at(&Path::new("/sys/class/net").join(LINK)).exists());
        }
    }

    #[test]
    fn where_there_was_no_yurthub_nothing_is_stopped() {
        let (done, made) = calls(&Model::new(false), Goal::Converted, false, stop);
        done.unwrap();
        assert!(!made.iter().any(|call| call.contains("stop")), "{made:?}");
    }

    #[test]
    fn only_after_an_update_the_yurthub_of_before_runs_again() {
        let restart = "systemctl restart yurthub.service".to_owned();
        for (goal, was_converted, runs) in [
            (Goal::Converted, true, true),
            (Goal::Converted, false, false),
            (Goal::Reverted, true, false),
        ] {
            let (done, made) = calls(&serving(), goal, was_converted, resume);
            done.unwrap();
            assert_eq!(made.contains(&restart), runs, "{goal:?} {was_converted}");
        }
    }
}
