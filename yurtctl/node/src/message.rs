//! What a pod on the node says to yurtctl: its termination message, which the kubelet puts into the pod's status.
//!
//! Nobody has to dial the node for it, and the pod needs no right in the cluster. Kubernetes keeps 4,096 bytes, so the
//! text is JSON, deflated, in base64; what is too long is cut where it hurts least.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::facts::Facts;
use crate::journal::{Outcome, Record};

/// What Kubernetes keeps of a termination message.
pub const MOST: usize = 4096;
/// What a message may be when it is unpacked.
const UNPACKED_MOST: usize = 1 << 20;

/// What a pod says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Message {
    /// How the node is.
    Facts(Box<Facts>),
    /// How a transaction ended, with what happened, from its beginning.
    Ended {
        /// How.
        outcome: Outcome,
        /// What happened; the end of it where it was long.
        records: Vec<Record>,
    },
    /// It could not be done.
    Failed(String),
}

/// What is wrong with a message.
#[derive(Debug, Error)]
pub enum MessageError {
    /// Not base64.
    #[error("the pod on the node said {0:?}, which is no message of yurtctl")]
    NotOurs(String),
    /// Not JSON that we know.
    #[error("the pod on the node is of another version: its message cannot be read")]
    Unknown(#[source] serde_json::Error),
}

impl Message {
    /// As bytes for the termination message.
    pub fn encode(mut self) -> String {
        loop {
            let json = serde_json::to_vec(&self).unwrap_or_default();
            let text = STANDARD.encode(miniz_oxide::deflate::compress_to_vec(&json, 9));
            if text.len() <= MOST || !self.shorten() {
                return text;
            }
        }
    }

    /// From what Kubernetes kept.
    pub fn decode(text: &str) -> Result<Self, MessageError> {
        let not_ours = || MessageError::NotOurs(text.chars().take(300).collect());
        let packed = STANDARD.decode(text.trim()).map_err(|_| not_ours())?;
        let json = miniz_oxide::inflate::decompress_to_vec_with_limit(&packed, UNPACKED_MOST)
            .map_err(|_| not_ours())?;
        serde_json::from_slice(&json).map_err(MessageError::Unknown)
    }

    /// Whether there was something to leave out.
    fn shorten(&mut self) -> bool {
        match self {
            Self::Facts(facts) if !facts.pods.is_empty() => {
                let half = facts.pods.len() / 2;
                facts.pods.truncate(half);
                facts.pods_cut = true;
                true
            }
            Self::Ended { records, .. } if !records.is_empty() => {
                records.remove(0);
                true
            }
            Self::Failed(why) if why.len() > 1000 => {
                *why = why.chars().take(250).collect();
                true
            }
            Self::Facts(_) | Self::Ended { .. } | Self::Failed(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Event;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_the_same_at_the_other_end() {
        let message = Message::Ended {
            outcome: Outcome::RolledBack,
            records: vec![Record {
                at: 7,
                event: Event::Taken,
            }],
        };
        assert_eq!(Message::decode(&message.clone().encode()).unwrap(), message);
    }

    #[test]
    fn a_long_one_keeps_its_end() {
        let record = |at: u64| Record {
            at,
            event: Event::Failed {
                step: crate::steps::Step::Start,
                why: (0..400_u64)
                    .map(|digit| ((at * 31 + digit * digit) % 97).to_string())
                    .collect(),
            },
        };
        let message = Message::Ended {
            outcome: Outcome::RolledBack,
            records: (0..60).map(record).collect(),
        };
        let text = message.encode();
        assert!(text.len() <= MOST);
        let Message::Ended { records, .. } = Message::decode(&text).unwrap() else {
            panic!("another message");
        };
        assert_eq!(records.last(), Some(&record(59)));
    }

    #[test]
    fn what_is_no_message_is_shown() {
        let error = Message::decode("exec format error").unwrap_err().to_string();
        assert!(error.contains("exec format error"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in ".{0,200}") {
            let _ = Message::decode(&text);
        }
    }
}
