//! One dial over one connection: from the first message to an answered stream. Both ends.

use std::time::Duration;

use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::protocol::{Answer, Dial, Reason};
use crate::transport::stream::TunnelStream;
use crate::transport::{Connection, Transport, read_message, write_message};

/// Nothing heard for so long after a dial was sent over QUIC, not even that it has arrived: it does not arrive.
const UNHEARD: Duration = Duration::from_secs(3);

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
    /// There was no answer in time.
    #[error("no answer of the node within {0:?}")]
    Deadline(Duration),
    /// A limit of this server is reached.
    #[error("too many {0}; try again later")]
    TooMany(&'static str),
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
            Self::Deadline(_) => "deadline",
            Self::TooMany(_) => "too-many",
            Self::Lost(_) => "lost",
        }
    }
}

/// Dials over `connection`; `dial.deadline_ms` is how long that may take.
pub async fn over(connection: &Connection, dial: &Dial) -> Result<TunnelStream, DialError> {
    let patience = Duration::from_millis(dial.deadline_ms.into());
    let exchange = async {
        let mut stream = connection.open().await?;
        write_message(&mut stream.writer, dial).await?;
        let answer: Answer = read_message(&mut stream.reader).await?;
        Ok::<_, std::io::Error>((stream, answer))
    };
    let unheard = async {
        match connection.transport() {
            Transport::Quic => connection.silent(UNHEARD).await,
            Transport::Tcp => std::future::pending().await,
        }
    };
    let answered = tokio::select! {
        answered = timeout_at(Instant::now() + patience, exchange) => answered,
        () = unheard => return Err(DialError::Lost("nothing is heard of it".into())),
    };
    match answered {
        Err(_) => Err(DialError::Deadline(patience)),
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
