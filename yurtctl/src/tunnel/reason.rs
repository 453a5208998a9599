//! Why a kubelet was not reached (pure).

use std::time::Duration;

use serde::Serialize;

use super::view::{Agent, Shared};

/// Of a message of the apiserver.
const MOST: usize = 300;

/// No answer of a kubelet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The apiserver's: code and message.
    Answer(u16, String),
    /// Nobody answered for so long.
    Silence(Duration),
    /// The apiserver itself was not reached.
    Other(String),
}

/// What a failure may come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Whether it is labelled as an edge node.
    pub edge: bool,
    /// Whether its Node is Ready, or why not.
    pub ready: Result<(), String>,
    /// Its agent.
    pub agent: Agent,
    /// Servers that are ready.
    pub servers: usize,
    /// Whether a Node of the control plane can be seen.
    pub control_plane: bool,
    /// Control-plane nodes without a server that is ready.
    pub bare: Vec<String>,
    /// An address that another Node has, too.
    pub shared: Option<Shared>,
}

/// Whether the apiserver reaches a kubelet.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reach {
    /// Whether it does.
    pub ok: bool,
    /// How long the answer took.
    pub milliseconds: Option<f64>,
    /// Why not, in a word; empty where it does.
    pub reason: &'static str,
    /// Why not, in a sentence.
    pub why: String,
}

/// What an answer, or none, says of a node.
pub fn reach(answer: Result<Duration, Failure>, known: &Known) -> Reach {
    match answer {
        Ok(time) => Reach {
            ok: true,
            milliseconds: Some((time.as_secs_f64() * 10_000.0).round() / 10.0),
            reason: "",
            why: String::new(),
        },
        Err(failure) => {
            let (reason, why) = why(&failure, known);
            Reach {
                ok: false,
                milliseconds: None,
                reason,
                why,
            }
        }
    }
}

/// The likeliest reason, in a word and in a sentence: what certainly prevents it first.
fn why(failure: &Failure, known: &Known) -> (&'static str, String) {
    let said = said(failure);
    match failure {
        Failure::Other(_) => return ("apiserver", format!("the apiserver was not reached: {said}")),
        Failure::Answer(403, _) => {
            return (
                "forbidden",
                format!("it needs the right to get nodes/proxy: {said}"),
            );
        }
        Failure::Answer(401, _) => {
            return (
                "kubelet-refuses",
                format!("a kubelet was reached, and does not know who asks: {said}"),
            );
        }
        Failure::Answer(404, _) => return ("no-node", format!("there is no such node: {said}")),
        Failure::Answer(..) | Failure::Silence(_) => {}
    }
    if let Err(why) = &known.ready {
        return ("node-not-ready", format!("the node is not Ready: {why}"));
    }
    if !known.edge {
        let label = crate::EDGE_LABEL;
        return (
            "no-edge-node",
            format!(
                "it is not labelled {label}=true, so that the apiserver dials it without the tunnel: {said}"
            ),
        );
    }
    if known.servers == 0 {
        return ("no-server", "no server of the tunnel is ready".to_owned());
    }
    match &known.agent {
        Agent::Absent => return ("no-agent", "no agent of the tunnel is on the node".to_owned()),
        Agent::NotRunning(why) => {
            return (
                "agent-not-running",
                format!("the node's agent does not run: {why}"),
            );
        }
        Agent::NotConnected => {
            let why = "the node's agent runs, and is connected to no server; its log says why";
            return ("agent-not-connected", why.to_owned());
        }
        Agent::Ready => {}
    }
    if let Some(Shared { address, other }) = &known.shared {
        return (
            "shared-address",
            format!(
                "its address {address} is that of node {other}, too: front door B or C can tell them apart"
            ),
        );
    }
    if !known.control_plane {
        return (
            "no-control-plane",
            format!(
                "no Node of the control plane can be seen, so that no server is beside an apiserver: {said}"
            ),
        );
    }
    if !known.bare.is_empty() {
        let bare = known.bare.join(", ");
        return (
            "no-server-there",
            format!("no server is ready on {bare}, and an apiserver there may have been asked: {said}"),
        );
    }
    ("unknown", format!("{said}; the servers' logs say more"))
}

fn said(failure: &Failure) -> String {
    match failure {
        Failure::Answer(code, message) => {
            let message: String = message.chars().take(MOST).collect();
            format!("{} ({code})", message.trim())
        }
        Failure::Silence(time) => format!("no answer within {} s", time.as_secs()),
        Failure::Other(why) => why.chars().take(MOST).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine() -> Known {
        Known {
            edge: true,
            ready: Ok(()),
            agent: Agent::Ready,
            servers: 1,
            control_plane: true,
            bare: Vec::new(),
            shared: None,
        }
    }

    fn reset() -> Failure {
        Failure::Answer(503, "connection reset by peer".to_owned())
    }

    #[test]
    fn what_certainly_prevents_it_is_told_first() {
        let shared = Shared {
            address: "10.0.0.1".to_owned(),
            other: "edge2".to_owned(),
        };
        let worst = Known {
            edge: false,
            ready: Err("silent".to_owned()),
            agent: Agent::Absent,
            servers: 0,
            control_plane: false,
            bare: vec!["cloud2".to_owned()],
            shared: Some(shared),
        };
        let mut left = worst.clone();
        let mut reasons = Vec::new();
        let mended: [fn(&mut Known); 7] = [
            |known| known.ready = Ok(()),
            |known| known.edge = true,
            |known| known.servers = 1,
            |known| known.agent = Agent::Ready,
            |known| known.shared = None,
            |known| known.control_plane = true,
            |known| known.bare.clear(),
        ];
        for mend in mended {
            reasons.push(why(&reset(), &left).0);
            mend(&mut left);
        }
        reasons.push(why(&reset(), &left).0);
        assert_eq!(
            reasons,
            [
                "node-not-ready",
                "no-edge-node",
                "no-server",
                "no-agent",
                "shared-address",
                "no-control-plane",
                "no-server-there",
                "unknown"
            ]
        );
        assert_eq!(left, fine());
    }

    #[test]
    fn what_the_answer_itself_says_counts_before_all_else() {
        for (failure, reason) in [
            (Failure::Other("refused".to_owned()), "apiserver"),
            (Failure::Answer(403, "no".to_owned()), "forbidden"),
            (Failure::Answer(401, "Unauthorized".to_owned()), "kubelet-refuses"),
            (Failure::Answer(404, "not found".to_owned()), "no-node"),
            (Failure::Silence(Duration::from_secs(10)), "unknown"),
        ] {
            assert_eq!(why(&failure, &fine()).0, reason, "{failure:?}");
        }
        let agents = [
            (
                Agent::NotRunning("ImagePullBackOff".to_owned()),
                "agent-not-running",
            ),
            (Agent::NotConnected, "agent-not-connected"),
        ];
        for (agent, reason) in agents {
            let known = Known { agent, ..fine() };
            assert_eq!(why(&reset(), &known).0, reason);
        }
    }

    #[test]
    fn a_message_without_end_is_cut() {
        let (_, why) = why(&Failure::Answer(500, "ä".repeat(100_000)), &fine());
        assert!(why.chars().count() < 400);
    }

    #[test]
    fn an_answer_has_its_time() {
        let reach = reach(Ok(Duration::from_micros(1_250)), &fine());
        assert!(reach.ok && reach.milliseconds.is_some_and(|time| (1.2..1.4).contains(&time)));
    }
}
