//! One dial over one connection: from the first message to an answered stream. Both ends.

use std::time::Duration;

use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::protocol::{Answer, Dial, Reason};
use crate::transport::stream::TunnelStream;
use crate::transport::{Connection, read_message, write_message};

/// Nothing heard for so long after a dial was sent, not even that it has arrived: it does not arrive. Over QUIC it is
/// acknowledged, over HTTP/2 the stream is answered at once.
const UNHEARD: Duration = Duration::from_millis(1100);
/// The same where there is another way to the node.
const UNHEARD_ELSE: Duration = Duration::from_millis(600);
/// The same after something was heard: while a dial waits, the other end asks every second whether anybody is there.
const LATER: Duration = Duration::from_secs(4);
/// The node has less time than whoever asks, so that what it says arrives in time: a tenth less, and not more than that.
const MARGIN: Duration = Duration::from_millis(500);

/// How long silence after a dial is borne (pure); `rtt` is how long packets usually take.
fn patience(rtt: Option<Duration>, other_ways: bool) -> Duration {
    let least = if other_ways { UNHEARD_ELSE } else { UNHEARD };
    least.max(rtt.unwrap_or_default() * 3).min(Duration::from_secs(3))
}

/// How much of `left` the other end has for its part of a dial (pure).
pub fn their_part(left: Duration) -> Duration {
    left.saturating_sub(MARGIN.min(left / 10))
}

/// Why a dial failed.
#[derive(Debug, Clone, Error)]
pub enum DialError {
    /// No server holds the node.
    #[error("node `{node}` is not connected to the tunnel{}; look at its agent and its network", seen(*last_seen))]
    NotConnected {
        /// The node.
        node: String,
        /// How long ago it was, where that is known.
        last_seen: Option<Duration>,
    },
    /// The agent, or the other server, says no.
    #[error("refused at the node: {words}")]
    Refused {
        /// For programs.
        reason: Reason,
        /// For people.
        words: String,
    },
    /// The connection is alive, and there was no answer in time.
    #[error("{whose} is heard, and has not answered a dial within {after:?}; look at its load and its log")]
    Deadline {
        /// Who should have answered.
        whose: &'static str,
        /// How long that was waited for.
        after: Duration,
    },
    /// A limit of this server is reached.
    #[error("too many {0}; try again later")]
    TooMany(&'static str),
    /// Nothing was heard after the dial: the connection is dead, and nobody has said so.
    #[error("nothing is heard of the node, as if its network were cut; look at its uplink")]
    Unheard,
    /// The connection failed meanwhile.
    #[error("the node's connection failed: {0}")]
    Lost(String),
}

fn seen(last: Option<Duration>) -> String {
    last.map(|last| format!(", last seen {} s ago", last.as_secs()))
        .unwrap_or_default()
}

impl DialError {
    /// As a label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NotConnected { .. } => "not-connected",
            Self::Refused { reason, .. } => reason.label(),
            Self::Deadline { .. } => "deadline",
            Self::TooMany(_) => "too-many",
            Self::Unheard => "unheard",
            Self::Lost(_) => "lost",
        }
    }
}

/// Dials over `connection`. `within` is how long that may take, `other_ways` whether silence should be given up sooner.
pub async fn over(
    connection: &Connection,
    dial: &Dial,
    within: Duration,
    other_ways: bool,
) -> Result<TunnelStream, DialError> {
    let exchange = async {
        let mut stream = connection.open().await?;
        write_message(&mut stream.writer, dial).await?;
        let answer: Answer = read_message(&mut stream.reader).await?;
        Ok::<_, std::io::Error>((stream, answer))
    };
    let unheard = async {
        let before = connection.heard();
        connection.silent(patience(connection.rtt(), other_ways)).await;
        if connection.heard() != before {
            connection.silent(LATER).await;
        }
    };
    let answered = tokio::select! {
        answered = timeout_at(Instant::now() + within, exchange) => answered,
        () = unheard => return Err(DialError::Unheard),
    };
    match answered {
        Err(_) => Err(DialError::Deadline {
            whose: if dial.hop.is_some() {
                "the other server"
            } else {
                "the node's agent"
            },
            after: within,
        }),
        Ok(Err(error)) => Err(DialError::Lost(error.to_string())),
        Ok(Ok((stream, Answer::Ok))) => Ok(stream),
        Ok(Ok((stream, Answer::Refused { reason, words }))) => {
            drop(stream);
            Err(DialError::Refused { reason, words })
        }
    }
}

/// Answers a dial with a refusal, and ends its stream. An error is that of the stream, which is gone then anyhow.
pub async fn refuse(mut stream: TunnelStream, reason: Reason, words: String) {
    let answer = Answer::refused(reason, words);
    if write_message(&mut stream.writer, &answer).await.is_ok() && stream.writer.finish().is_ok() {
        stream.writer.acknowledged().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_borne_longer_where_there_is_no_other_way_and_packets_travel_long() {
        let millis = Duration::from_millis;
        assert_eq!(patience(None, false), UNHEARD);
        assert_eq!(patience(Some(millis(20)), true), UNHEARD_ELSE);
        assert_eq!(patience(Some(millis(600)), true), millis(1800));
        assert_eq!(patience(Some(millis(9000)), false), millis(3000));
    }

    #[test]
    fn the_other_end_gives_up_first_so_that_it_can_say_why() {
        let millis = Duration::from_millis;
        assert_eq!(their_part(millis(10_000)), millis(9500));
        assert_eq!(their_part(millis(1000)), millis(900));
        assert_eq!(their_part(Duration::ZERO), Duration::ZERO);
    }
}
