//! The tunnel for people (pure).

use std::fmt::Write as _;

use super::ping::Pings;
use super::view::Server;
use super::{EdgeNode, Tunnel};
use crate::show::table;

/// Servers, then nodes. `now`: in seconds since 1970.
pub(super) fn status(tunnel: &Tunnel, wide: bool, now: i64) -> String {
    let mut text = servers(&tunnel.servers, wide, now);
    if !tunnel.servers.is_empty() && !tunnel.nodes.is_empty() {
        text.push('\n');
    }
    if !tunnel.nodes.is_empty() {
        text.push_str(&nodes(&tunnel.nodes, wide));
    }
    text
}

fn servers(servers: &[Server], wide: bool, now: i64) -> String {
    if servers.is_empty() {
        return String::new();
    }
    let mut head = vec!["SERVER", "READY", "RENEWED", "ADDRESSES"];
    if wide {
        head.push("POD");
    }
    let rows: Vec<_> = servers
        .iter()
        .map(|server| {
            let mut cells = vec![
                server.node.clone(),
                server.ready.to_string(),
                age(server.renewed, now),
                server.addresses.join(","),
            ];
            if wide {
                cells.push(server.pod.clone());
            }
            cells
        })
        .collect();
    table(&head, &rows)
}

fn nodes(nodes: &[EdgeNode], wide: bool) -> String {
    let mut head = vec!["NODE", "READY", "AGENT", "REACHED", "TIME"];
    if wide {
        head.push("ADDRESSES");
    }
    head.push("WHY NOT");
    let rows: Vec<_> = nodes
        .iter()
        .map(|node| {
            let mut cells = vec![
                node.node.clone(),
                node.ready.to_string(),
                node.agent.word().to_owned(),
                node.reach.ok.to_string(),
                milliseconds(node.reach.milliseconds),
            ];
            if wide {
                cells.push(node.addresses.join(","));
            }
            cells.push(if wide {
                one_line(&node.reach.why)
            } else {
                node.reach.reason.to_owned()
            });
            cells
        })
        .collect();
    table(&head, &rows)
}

/// How all went that were sent.
pub(super) fn pings(pings: &Pings) -> String {
    let times: Vec<_> = pings.pings.iter().filter_map(|ping| ping.milliseconds).collect();
    let mut text = format!(
        "{}: {} of {} answered",
        pings.node,
        times.len(),
        pings.pings.len()
    );
    let least = times.iter().copied().reduce(f64::min);
    let most = times.iter().copied().reduce(f64::max);
    if let (Some(least), Some(most)) = (least, most) {
        let count = u32::try_from(times.len()).unwrap_or(u32::MAX);
        let mean = times.iter().sum::<f64>() / f64::from(count);
        let _ = write!(
            text,
            "; least {least:.1} ms, mean {mean:.1} ms, most {most:.1} ms"
        );
    }
    text.push('\n');
    text
}

fn milliseconds(time: Option<f64>) -> String {
    time.map_or_else(String::new, |time| format!("{time:.1} ms"))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Clocks differ: a Lease from the future is new.
fn age(renewed: Option<i64>, now: i64) -> String {
    renewed.map_or_else(
        || "never".to_owned(),
        |renewed| format!("{}s ago", now.saturating_sub(renewed).max(0)),
    )
}

#[cfg(test)]
mod tests {
    use super::super::reason::Reach;
    use super::super::view::Agent;
    use super::*;

    fn reach(milliseconds: Option<f64>) -> Reach {
        let ok = milliseconds.is_some();
        Reach {
            ok,
            milliseconds,
            reason: if ok { "" } else { "agent-not-connected" },
            why: if ok { "" } else { "its agent\nis not connected" }.to_owned(),
        }
    }

    #[test]
    fn servers_and_nodes_have_a_row_each() {
        let node = |name: &str, agent, milliseconds| EdgeNode {
            node: name.to_owned(),
            ready: true,
            addresses: vec!["10.0.0.7".to_owned()],
            agent,
            reach: reach(milliseconds),
        };
        let tunnel = Tunnel {
            servers: vec![Server {
                node: "cloud1".to_owned(),
                pod: "yurt-tunnel-server-x".to_owned(),
                ready: true,
                addresses: vec!["a:1".to_owned(), "b:2".to_owned()],
                renewed: Some(95),
            }],
            nodes: vec![
                node("edge1", Agent::Ready, Some(4.25)),
                node("edge2", Agent::NotConnected, None),
            ],
        };
        let expected = "\
SERVER   READY   RENEWED   ADDRESSES
cloud1   true    5s ago    a:1,b:2

NODE    READY   AGENT           REACHED   TIME     WHY NOT
edge1   true    ready           true      4.2 ms
edge2   true    not connected   false              agent-not-connected
";
        assert_eq!(status(&tunnel, false, 100), expected);
        let wide = status(&tunnel, true, 100);
        assert!(wide.contains("yurt-tunnel-server-x"), "{wide}");
        assert!(
            wide.contains("10.0.0.7    its agent is not connected\n"),
            "{wide}"
        );
    }

    #[test]
    fn pings_are_summed_up() {
        let pings = Pings {
            node: "edge1".to_owned(),
            pings: vec![reach(Some(2.0)), reach(None), reach(Some(4.0))],
        };
        let expected = "edge1: 2 of 3 answered; least 2.0 ms, mean 3.0 ms, most 4.0 ms\n";
        assert_eq!(super::pings(&pings), expected);
        let none = Pings {
            node: "edge1".to_owned(),
            pings: vec![reach(None)],
        };
        assert_eq!(super::pings(&none), "edge1: 0 of 1 answered\n");
    }

    #[test]
    fn a_lease_from_the_future_is_new() {
        assert_eq!([age(None, 5), age(Some(9), 5)], ["never", "0s ago"]);
    }
}
