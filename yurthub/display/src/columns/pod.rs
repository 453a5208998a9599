//! Cells of a pod (`printPod`).

use std::borrow::Cow;

use serde_json::Value;

use super::{AGE, Column, NAME, condition, list, narrow, number, or_none, since, text, wide};

pub(super) const COLUMNS: [Column; 9] = [
    NAME,
    narrow("Ready"),
    narrow("Status"),
    narrow("Restarts"),
    AGE,
    wide("IP"),
    wide("Node"),
    wide("Nominated Node"),
    wide("Readiness Gates"),
];

pub(super) fn cells(pod: &Value, name: String, age: String, now: i64) -> Vec<String> {
    let told = told(pod);
    let mut restarts = told.restarts.to_string();
    if told.restarts > 0 && !told.last_end.is_empty() {
        restarts = format!("{restarts} ({} ago)", since(told.last_end, now));
    }
    let sidecars = list(pod, "/spec/initContainers").iter();
    let sidecars = sidecars
        .filter(|container| text(container, "/restartPolicy") == "Always")
        .count();
    let all = list(pod, "/spec/containers").len() + sidecars;
    vec![
        name,
        format!("{}/{all}", told.ready),
        told.status.into_owned(),
        restarts,
        age,
        or_none(text(pod, "/status/podIP")),
        or_none(text(pod, "/spec/nodeName")),
        or_none(text(pod, "/status/nominatedNodeName")),
        gates(pod),
    ]
}

fn gates(pod: &Value) -> String {
    let gates = list(pod, "/spec/readinessGates");
    let open = gates
        .iter()
        .filter(|gate| condition(pod, text(gate, "/conditionType")) == "True");
    if gates.is_empty() {
        or_none("")
    } else {
        format!("{}/{}", open.count(), gates.len())
    }
}

#[derive(Default)]
struct Told<'a> {
    status: Cow<'a, str>,
    ready: usize,
    restarts: i64,
    /// When the container ended that ended last.
    last_end: &'a str,
}

impl<'a> Told<'a> {
    fn restarted(&mut self, container: &'a Value) {
        self.restarts += number(container, "/restartCount");
        let end = text(container, "/lastState/terminated/finishedAt");
        self.last_end = self.last_end.max(end); // times of one form sort as text
    }
}

fn told(pod: &Value) -> Told<'_> {
    let reason = text(pod, "/status/reason");
    let phase = text(pod, "/status/phase");
    let mut told = Told {
        status: if reason.is_empty() { phase } else { reason }.into(),
        ..Told::default()
    };
    let mut sidecars = Told::default();
    let initializing = init_containers(pod, &mut told, &mut sidecars);
    if !initializing || condition(pod, "Initialized") == "True" {
        (told.restarts, told.last_end) = (sidecars.restarts, sidecars.last_end);
        containers(pod, &mut told);
    }
    if pod.pointer("/metadata/deletionTimestamp").is_some() && !matches!(phase, "Succeeded" | "Failed") {
        told.status = if reason == "NodeLost" {
            "Unknown"
        } else {
            "Terminating"
        }
        .into();
    }
    told
}

/// Whether init containers are still at work; the status says which.
fn init_containers<'a>(pod: &'a Value, told: &mut Told<'a>, sidecars: &mut Told<'a>) -> bool {
    let specs = list(pod, "/spec/initContainers");
    for (index, container) in list(pod, "/status/initContainerStatuses").iter().enumerate() {
        told.restarted(container);
        let is_sidecar = specs.iter().any(|spec| {
            text(spec, "/name") == text(container, "/name") && text(spec, "/restartPolicy") == "Always"
        });
        if is_sidecar {
            sidecars.restarted(container);
        }
        let terminated = container.pointer("/state/terminated");
        let waiting = text(container, "/state/waiting/reason");
        let is = |name: &str| container.get(name) == Some(&Value::Bool(true));
        if terminated.is_some_and(|end| number(end, "/exitCode") == 0) {
            continue;
        }
        if is_sidecar && is("started") {
            told.ready += usize::from(is("ready"));
            continue;
        }
        told.status = match terminated {
            Some(end) => format!("Init:{}", ended(end)).into(),
            None if !matches!(waiting, "" | "PodInitializing") => format!("Init:{waiting}").into(),
            None => format!("Init:{index}/{}", specs.len()).into(),
        };
        return true;
    }
    false
}

fn containers<'a>(pod: &'a Value, told: &mut Told<'a>) {
    let mut has_running = false;
    for container in list(pod, "/status/containerStatuses").iter().rev() {
        told.restarted(container);
        let waiting = text(container, "/state/waiting/reason");
        if !waiting.is_empty() {
            told.status = waiting.into();
        } else if let Some(end) = container.pointer("/state/terminated") {
            told.status = ended(end);
        } else if container.get("ready") == Some(&Value::Bool(true))
            && container.pointer("/state/running").is_some()
        {
            has_running = true;
            told.ready += 1;
        }
    }
    if told.status == "Completed" && has_running {
        told.status = if condition(pod, "Ready") == "True" {
            "Running"
        } else {
            "NotReady"
        }
        .into();
    }
}

fn ended(end: &Value) -> Cow<'_, str> {
    match (text(end, "/reason"), number(end, "/signal")) {
        ("", 0) => format!("ExitCode:{}", number(end, "/exitCode")).into(),
        ("", signal) => format!("Signal:{signal}").into(),
        (reason, _) => reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(status: &Value) -> [String; 3] {
        let pod = json!({
            "metadata": {"name": "a"},
            "spec": {"containers": [{"name": "main"}, {"name": "side"}],
                "initContainers": [{"name": "first"}, {"name": "proxy", "restartPolicy": "Always"}]},
            "status": status,
        });
        let cells = cells(&pod, "a".into(), "1s".into(), 100);
        [cells[1].clone(), cells[2].clone(), cells[3].clone()]
    }

    #[test]
    fn status_and_restarts_are_those_of_kubectl() {
        let running = json!({"running": {}});
        let done = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
        for (status, expected) in [
            (json!({"phase": "Pending"}), ["0/3", "Pending", "0"]),
            (
                json!({"phase": "Failed", "reason": "Evicted"}),
                ["0/3", "Evicted", "0"],
            ),
            (
                json!({"phase": "Pending", "initContainerStatuses": [{"name": "first", "state": {"waiting": {"reason": "PodInitializing"}}}]}),
                ["0/3", "Init:0/2", "0"],
            ),
            (
                json!({"phase": "Pending", "initContainerStatuses": [{"name": "first", "restartCount": 2, "state": {"terminated": {"exitCode": 3}}}]}),
                ["0/3", "Init:ExitCode:3", "2"],
            ),
            (
                json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
                    "initContainerStatuses": [
                        {"name": "first", "restartCount": 1, "state": done},
                        {"name": "proxy", "restartCount": 4, "started": true, "ready": true, "state": running}],
                    "containerStatuses": [
                        {"name": "main", "ready": true, "restartCount": 1, "state": running,
                            "lastState": {"terminated": {"finishedAt": "1970-01-01T00:00:10Z"}}},
                        {"name": "side", "ready": false, "state": done}]}),
                ["2/3", "Running", "5 (90s ago)"],
            ),
            (
                json!({"phase": "Running", "containerStatuses": [
                    {"name": "main", "ready": false, "restartCount": 7, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}),
                ["0/3", "CrashLoopBackOff", "7"],
            ),
        ] {
            assert_eq!(shown(&status), expected, "{status}");
        }
    }

    #[test]
    fn a_pod_that_is_being_deleted_terminates() {
        let pod = json!({"metadata": {"deletionTimestamp": "1970-01-01T00:00:00Z"}, "status": {"phase": "Running"}});
        assert_eq!(told(&pod).status, "Terminating");
    }
}
