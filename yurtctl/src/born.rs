//! Which pods of a node were born before it was converted, as far as the cloud knows: by the times at which their
//! containers were started (pure). The node itself knows better; `doctor` and every plan ask it.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;

use crate::plan::{PodName, Routes, has_ended, is_servant};

/// `converted`: when the node got its rights, which is just before. `led`: whether its yurthub leads new containers to
/// itself.
pub fn routes(pods: &[Pod], converted: Timestamp, led: bool) -> Routes {
    let mut routes = Routes::default();
    for pod in pods.iter().filter(|pod| !has_ended(pod) && !is_servant(pod)) {
        let Some(started) = last_start(pod) else {
            continue;
        };
        let list = if led && started >= converted {
            &mut routes.through_yurthub
        } else {
            &mut routes.direct
        };
        list.push(PodName::of(pod));
    }
    routes.direct.sort();
    routes.through_yurthub.sort();
    routes
}

/// When the youngest of its running containers was started.
fn last_start(pod: &Pod) -> Option<Timestamp> {
    let statuses = pod.status.as_ref()?.container_statuses.iter().flatten();
    let running = statuses.filter_map(|status| status.state.as_ref()?.running.as_ref());
    running
        .filter_map(|running| running.started_at.as_ref())
        .map(|time| time.0)
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods_are_told_apart_by_when_their_containers_were_started() {
        let pod = |name: &str, started: &str| -> Pod {
            let status = json!({
                "name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "state": {"running": {"startedAt": started}},
            });
            let metadata = json!({"name": name, "namespace": "n"});
            serde_json::from_value(json!({"metadata": metadata, "status": {"containerStatuses": [status]}}))
                .unwrap()
        };
        let waiting: Pod = serde_json::from_value(json!({"metadata": {"name": "w"}, "status": {}})).unwrap();
        let pods = [
            pod("old", "2026-01-01T00:00:00Z"),
            pod("new", "2026-01-01T00:10:00Z"),
            waiting,
        ];
        let converted: Timestamp = "2026-01-01T00:05:00Z".parse().unwrap();
        let names = |pods: &[PodName]| pods.iter().map(|pod| pod.name.clone()).collect::<Vec<_>>();
        let found = routes(&pods, converted, true);
        assert_eq!(
            (names(&found.direct), names(&found.through_yurthub)),
            (vec!["old".to_owned()], vec!["new".to_owned()])
        );
        assert_eq!(names(&routes(&pods, converted, false).direct), ["new", "old"]);
    }
}
