//! Edge nodes for people: a row for each, or one described in lines (pure).

use std::fmt::Write as _;

use yurthub_object::parse_time;

use super::node::EdgeNode;
use crate::check::Finding;
use crate::show::{DIRECT, THROUGH, findings, pods, table};

const HEAD: [&str; 11] = [
    "NODE",
    "READY",
    "STATE",
    "AUTONOMY",
    "VERSION",
    "KUBELET",
    "MIRROR",
    "WAITING",
    "CERTIFICATE ENDS",
    "DIRECT",
    "THROUGH",
];
const WIDE: [&str; 6] = [
    "CONNECTED SINCE",
    "LIVE",
    "BEHIND",
    "STORE",
    "PODS LED",
    "RUNTIME",
];

/// `now`: in seconds since 1970.
pub(super) fn rows(nodes: &[EdgeNode], wide: bool, now: i64) -> String {
    let mut head = HEAD.to_vec();
    if wide {
        head.extend(WIDE);
    }
    let rows: Vec<_> = nodes
        .iter()
        .map(|node| {
            let mut cells = vec![
                node.node.clone(),
                node.ready.to_string(),
                node.state.to_owned(),
                autonomy(node),
                node.version.clone(),
                node.kubelet.clone(),
                mirror(node, now),
                node.waiting.to_string(),
                node.certificate_ends.clone(),
                node.pods.direct.len().to_string(),
                node.pods.through_yurthub.len().to_string(),
            ];
            if wide {
                cells.extend([
                    node.connected_since.clone(),
                    node.scopes_live.to_string(),
                    node.scopes_behind.to_string(),
                    node.store.clone(),
                    node.pods_led.to_string(),
                    node.runtime.clone(),
                ]);
            }
            cells
        })
        .collect();
    table(&head, &rows)
}

/// All that is known of one, a line for each thing.
pub(super) fn description(node: &EdgeNode, found: &[Finding], now: i64) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{:<18} {value}", format!("{name}:"));
        }
    };
    line("Name", &node.node);
    line("State", node.state);
    line("Ready", if node.ready { "yes" } else { "no" });
    line("Autonomy", &autonomy_in_words(node));
    line("Kubelet", &node.kubelet);
    line("Runtime", &node.runtime);
    if let Some(since) = &node.converted_since {
        line("Converted", &format!("since {since}"));
        line("yurthub", &node.version);
        line("Connected", &told("since ", &node.connected_since));
        line("Mirror", &mirror_in_words(node, now));
        line(
            "Waiting for cloud",
            &format!(
                "{} statuses, {} events",
                node.waiting_statuses, node.waiting_events
            ),
        );
        line("Store", &node.store);
        line("Certificate", &certificate(node, now));
        line(
            "New pods",
            if node.pods_led {
                "talk to yurthub"
            } else {
                "talk to the apiserver directly"
            },
        );
        pods(&mut text, DIRECT, &node.pods.direct);
        pods(&mut text, THROUGH, &node.pods.through_yurthub);
    }
    findings(&mut text, found);
    text
}

/// The reason in a word; `none` where nobody asked for it.
fn autonomy(node: &EdgeNode) -> String {
    node.autonomy
        .as_ref()
        .map_or_else(|| "none".to_owned(), |autonomy| autonomy.reason.clone())
}

fn autonomy_in_words(node: &EdgeNode) -> String {
    match &node.autonomy {
        Some(autonomy) => format!("{}: {}", autonomy.reason, autonomy.message),
        None => "none: its pods are evicted when the cloud does not hear of it for some minutes".to_owned(),
    }
}

fn told(before: &str, value: &str) -> String {
    if value.is_empty() {
        String::new()
    } else {
        format!("{before}{value}")
    }
}

/// `live`, or its age.
fn mirror(node: &EdgeNode, now: i64) -> String {
    match (&node.mirror_since, node.converted_since.is_some()) {
        (Some(since), _) => age(since, now),
        (None, true) if node.state != "silent" => "live".to_owned(),
        (None, _) => String::new(),
    }
}

fn mirror_in_words(node: &EdgeNode, now: i64) -> String {
    let scopes = format!(
        "{} scopes follow the cloud, {} are behind, {} denied",
        node.scopes_live, node.scopes_behind, node.scopes_denied
    );
    match &node.mirror_since {
        Some(since) => format!("{} old, as of {since} ({scopes}, as told last)", age(since, now)),
        None if node.state == "silent" => "unknown: yurthub has told nothing of itself".to_owned(),
        None => format!("live ({scopes})"),
    }
}

fn certificate(node: &EdgeNode, now: i64) -> String {
    match parse_time(&node.certificate_ends) {
        Ok(end) => format!(
            "ends {} (in {} days)",
            node.certificate_ends,
            (end - now) / 86_400
        ),
        Err(_) => String::new(),
    }
}

/// As kubectl tells it: one unit, the largest.
fn age(since: &str, now: i64) -> String {
    let Ok(since) = parse_time(since) else {
        return since.to_owned();
    };
    let seconds = (now - since).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::warning;
    use crate::plan::PodName;
    use crate::samples;
    use crate::selection::{Autonomy, NodeView};
    use crate::summary::ANNOTATION;

    const NOW: i64 = 1_767_268_800; // 2026-01-01T12:00:00Z

    fn node(ready: Result<(), String>) -> EdgeNode {
        let summary = r#"{"version":"0.1.0","connected":"2026-01-01T08:00:00Z","scopes":{"live":14,"behind":0,"denied":1},
            "waiting":{"statuses":2,"events":5},"certificate":"2026-03-02T12:00:00Z","store":"fine","led":true}"#;
        let view = NodeView {
            ready,
            ready_since: Some("2026-01-01T11:30:00Z".to_owned()),
            annotations: [(ANNOTATION.to_owned(), summary.to_owned())].into(),
            ..samples::view()
        };
        let mut node = EdgeNode::of(&view, Some("2026-01-01T07:00:00Z".parse().unwrap()), &[]);
        let pod = |name: &str| PodName {
            namespace: "n".to_owned(),
            name: name.to_owned(),
        };
        node.pods.direct = vec![pod("old")];
        node.pods.through_yurthub = vec![pod("new"), pod("newer")];
        node
    }

    #[test]
    fn a_row_tells_of_mirror_versions_certificate_and_both_kinds_of_pods() {
        let nodes = [node(Ok(())), node(Err(String::new()))];
        let text = rows(&nodes, false, NOW);
        let cells = |line: usize| {
            let line = text.lines().nth(line).unwrap();
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let expected = "edge1 true fine none 0.1.0 v1.34.4 live 7 2026-03-02T12:00:00Z 1 2";
        assert_eq!(cells(1).join(" "), expected);
        assert_eq!(cells(2)[6], "30m", "{text}");
    }

    #[test]
    fn a_description_has_a_line_for_each_thing() {
        let found = [warning("no-dns", "it has none", "run one")];
        let mut node = node(Ok(()));
        node.autonomy = Some(Autonomy {
            holds: true,
            reason: "ForEver".to_owned(),
            message: "pods stay".to_owned(),
        });
        let text = description(&node, &found, NOW);
        let expected = "\
Name:              edge1
State:             fine
Ready:             yes
Autonomy:          ForEver: pods stay
Kubelet:           v1.34.4
Runtime:           containerd://2.0.0
Converted:         since 2026-01-01T07:00:00Z
yurthub:           0.1.0
Connected:         since 2026-01-01T08:00:00Z
Mirror:            live (14 scopes follow the cloud, 0 are behind, 1 denied)
Waiting for cloud: 2 statuses, 5 events
Store:             fine
Certificate:       ends 2026-03-02T12:00:00Z (in 60 days)
New pods:          talk to yurthub
  talk to the apiserver directly until they are restarted: n/old
  talk to yurthub: n/new, n/newer
  warning no-dns: it has none
    → run one
";
        assert_eq!(text, expected);
    }

    #[test]
    fn ages_have_one_unit() {
        let at = |seconds: i64| age("2026-01-01T12:00:00Z", NOW + seconds);
        assert_eq!(
            [at(5), at(119), at(3_600), at(90_000), at(400_000)],
            ["5s", "119s", "60m", "25h", "4d"]
        );
    }
}
