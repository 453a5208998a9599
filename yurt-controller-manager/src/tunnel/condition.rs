//! What the condition `TunnelConnected` of a Node says (pure).

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
pub use yurt_common::tunnel::CONDITION as TYPE;

use crate::autonomy::condition::Condition;
use crate::cache::Standing;
/// The agent of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// It has no pod there.
    Missing,
    /// Its pod is not ready: it holds no session.
    Away,
    /// It holds one.
    Connected,
}

impl Agent {
    /// By how its pods on the node stand.
    pub fn of(pods: &[Standing]) -> Self {
        if pods.contains(&Standing::Ready) {
            Self::Connected
        } else if pods.iter().any(|pod| *pod != Standing::Ending) {
            Self::Away
        } else {
            Self::Missing
        }
    }
}

/// What is seen of a node.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// It is an edge node.
    pub edge: bool,
    /// The cloud does not hear of it.
    pub silent: bool,
    /// There is a tunnel in this cluster.
    pub deployed: bool,
    /// Its agent.
    pub agent: Agent,
    /// For how long that is known not to be connected.
    pub lacking_for: Duration,
    /// How long it may be: agents of nodes that are just converted, and of servers that are replaced, come by themselves.
    pub grace: Duration,
}

/// Why the condition says what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The tunnel reaches the kubelet.
    AgentConnected,
    /// The agent runs, or tries to, and holds no session with a server.
    AgentNotConnected,
    /// There is no agent.
    NoAgent,
}

impl Reason {
    const ALL: [Self; 3] = [Self::AgentConnected, Self::AgentNotConnected, Self::NoAgent];

    /// As the condition has it, and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AgentConnected => "AgentConnected",
            Self::AgentNotConnected => "AgentNotConnected",
            Self::NoAgent => "NoAgent",
        }
    }

    /// The condition's status.
    pub fn status(self) -> &'static str {
        match self {
            Self::AgentConnected => "True",
            Self::AgentNotConnected | Self::NoAgent => "False",
        }
    }

    /// In a sentence, with what to do.
    pub fn message(self) -> &'static str {
        match self {
            Self::AgentConnected => "kubectl logs, exec and port-forward reach this node through yurt-tunnel",
            Self::AgentNotConnected => {
                "kubectl logs, exec and port-forward are refused: the agent of yurt-tunnel on this node holds no session with a server; `yurtctl tunnel status` and the agent's log on the node say more"
            }
            Self::NoAgent => {
                "kubectl logs, exec and port-forward are refused: no agent of yurt-tunnel runs on this node; look at the DaemonSet yurt-tunnel-agent"
            }
        }
    }
}

/// What the condition shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say {
    /// It is as it shall be.
    Nothing,
    /// It goes: the node is no edge node any more, or there is no tunnel.
    Remove,
    /// It says this.
    Set {
        /// Why.
        reason: Reason,
        /// Since when it has this status.
        since: Timestamp,
    },
}

/// What the condition shall be, and after how long the node must be looked at again.
pub fn decide(seen: &Seen, held: Option<&Condition>, now: Timestamp) -> (Say, Option<Duration>) {
    let ours = held.filter(|held| Reason::ALL.iter().any(|one| one.as_str() == held.reason));
    if !seen.edge || !seen.deployed {
        let say = ours.map_or(Say::Nothing, |_| Say::Remove);
        return (say, None);
    }
    if seen.silent {
        return (Say::Nothing, None);
    }
    let reason = match seen.agent {
        Agent::Connected => Reason::AgentConnected,
        Agent::Away => Reason::AgentNotConnected,
        Agent::Missing => Reason::NoAgent,
    };
    if held.is_some_and(|held| held.status == reason.status() && held.reason == reason.as_str()) {
        return (Say::Nothing, None);
    }
    let left = seen.grace.saturating_sub(seen.lacking_for);
    if reason != Reason::AgentConnected && !left.is_zero() {
        return (Say::Nothing, Some(left));
    }
    let since = held
        .filter(|held| held.status == reason.status())
        .and_then(|held| held.last_transition_time)
        .unwrap_or(now);
    (Say::Set { reason, since }, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn held(reason: Reason) -> Condition {
        Condition {
            kind: TYPE.to_owned(),
            status: reason.status().to_owned(),
            reason: reason.as_str().to_owned(),
            message: reason.message().to_owned(),
            last_transition_time: Some(at(5)),
        }
    }

    fn seen(agent: Agent, lacking_for: u64) -> Seen {
        Seen {
            edge: true,
            silent: false,
            deployed: true,
            agent,
            lacking_for: Duration::from_secs(lacking_for),
            grace: Duration::from_mins(1),
        }
    }

    #[test]
    fn an_agent_is_connected_while_one_of_its_pods_is_ready() {
        use Standing::{Ending, Marked, Ready, Unready};
        for (pods, expected) in [
            (&[][..], Agent::Missing),
            (&[Ending], Agent::Missing),
            (&[Unready], Agent::Away),
            (&[Marked, Ending], Agent::Away),
            (&[Ending, Ready], Agent::Connected),
        ] {
            assert_eq!(Agent::of(pods), expected, "{pods:?}");
        }
    }

    #[test]
    fn an_agent_that_stays_away_is_told_once() {
        let set = |reason, since| {
            let say = Say::Set {
                reason,
                since: at(since),
            };
            (say, None)
        };
        let nothing = (Say::Nothing, None);
        let (connected, away, none) = (
            held(Reason::AgentConnected),
            held(Reason::AgentNotConnected),
            held(Reason::NoAgent),
        );
        for (agent, lacking_for, held, expected) in [
            (Agent::Connected, 0, None, set(Reason::AgentConnected, 100)),
            (Agent::Connected, 0, Some(&connected), nothing),
            (Agent::Connected, 0, Some(&away), set(Reason::AgentConnected, 100)),
            (
                Agent::Away,
                20,
                Some(&connected),
                (Say::Nothing, Some(Duration::from_secs(40))),
            ),
            (
                Agent::Away,
                60,
                Some(&connected),
                set(Reason::AgentNotConnected, 100),
            ),
            (Agent::Away, 99, Some(&away), nothing),
            (Agent::Missing, 60, None, set(Reason::NoAgent, 100)),
            // The same status, since when it was.
            (Agent::Missing, 60, Some(&away), set(Reason::NoAgent, 5)),
            (Agent::Missing, 60, Some(&none), nothing),
        ] {
            let decided = decide(&seen(agent, lacking_for), held, at(100));
            assert_eq!(decided, expected, "{agent:?} {lacking_for} {held:?}");
        }
    }

    #[test]
    fn a_silent_node_and_one_that_is_none_of_ours_are_left_alone() {
        let connected = held(Reason::AgentConnected);
        let silent = Seen {
            silent: true,
            ..seen(Agent::Away, 1000)
        };
        assert_eq!(decide(&silent, Some(&connected), at(100)).0, Say::Nothing);
        let mut others = connected.clone();
        others.reason = "SomebodyElse".to_owned();
        for (edge, deployed) in [(false, true), (true, false), (false, false)] {
            let seen = Seen {
                edge,
                deployed,
                ..seen(Agent::Missing, 1000)
            };
            assert_eq!(decide(&seen, Some(&connected), at(100)).0, Say::Remove);
            assert_eq!(decide(&seen, Some(&others), at(100)).0, Say::Nothing);
            assert_eq!(decide(&seen, None, at(100)).0, Say::Nothing);
        }
    }
}
