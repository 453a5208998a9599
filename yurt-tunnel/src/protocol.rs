//! What both ends say to each other (pure): messages, and how they are framed.
//!
//! A message is its length, four bytes, big-endian, then JSON. Fields and kinds that are not known are ignored, so that two
//! versions can talk. A stream begins with a message that says what it is for; after a dial is answered with
//! [`Answer::Ok`] there is no framing at all.
//!
//! Invariant: no bytes from outside panic, or make this allocate more than [`LARGEST`].

use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Bytes of a message's JSON, at most.
pub const LARGEST: usize = 16 << 10;
/// Bytes of a message's length.
pub const PREFIX: usize = 4;
/// How many names of nodes go into one message: with names of 253 bytes it stays far below [`LARGEST`].
pub const NODES_AT_A_TIME: usize = 48;
/// Servers that an agent remembers, at most; those above are ignored.
pub const MOST_MEMBERS: usize = 32;
/// Addresses of one server, at most.
pub const MOST_ADDRESSES: usize = 8;
/// Letters of the words of a refusal, at most.
const LONGEST_WORDS: usize = 512;

/// The versions of the protocol that an end speaks: all from the oldest to the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The oldest one.
    pub oldest: u16,
    /// The newest one.
    pub newest: u16,
}

/// Those of this program.
pub const VERSIONS: Versions = Versions { oldest: 1, newest: 1 };

/// A server, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The common name of its certificate.
    pub id: String,
    /// `host:port`, for UDP and TCP.
    pub addresses: Vec<String>,
}

/// The first message of each end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hello {
    /// The oldest version that is spoken.
    pub min_version: u16,
    /// The newest one.
    pub max_version: u16,
    /// The version of the program, for logs.
    pub program: String,
    /// All servers that are known. Agents know of none.
    pub members: Vec<Member>,
}

impl Hello {
    /// That of this program, which speaks `versions`.
    pub fn ours(versions: Versions, members: Vec<Member>) -> Self {
        Self {
            min_version: versions.oldest,
            max_version: versions.newest,
            program: env!("CARGO_PKG_VERSION").into(),
            members,
        }
    }

    /// The newest version that both speak.
    pub fn agree(&self, other: &Self) -> Result<u16, ProtocolError> {
        let version = self.max_version.min(other.max_version);
        if version >= self.min_version.max(other.min_version) {
            return Ok(version);
        }
        Err(ProtocolError::Version {
            ours: (self.min_version, self.max_version),
            theirs: (other.min_version, other.max_version),
        })
    }
}

/// What is said on the stream for greetings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Greeting {
    /// The first one of each end.
    Hello(Hello),
    /// A server tells of all servers.
    Members {
        /// They.
        members: Vec<Member>,
    },
    /// A server tells another one which nodes it holds.
    Nodes {
        /// New ones.
        #[serde(default)]
        added: Vec<String>,
        /// Those that are gone.
        #[serde(default)]
        removed: Vec<String>,
    },
    /// Is there anybody? Answered by [`Greeting::Pong`].
    Ping,
    /// There is.
    Pong,
    /// Of a server: it is about to end; find another one. Of an agent: it has found a better one; dial no more over this
    /// session, and end it when its streams have.
    Drain,
    /// Of a later version.
    #[serde(other)]
    Unknown,
}

/// What is dialled on a node. A host never travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// The kubelet, at the port that the agent knows.
    Kubelet,
    /// A port of 127.0.0.1 that the agent's flags list.
    Port(u16),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kubelet => f.write_str("kubelet"),
            Self::Port(port) => write!(f, "port {port}"),
        }
    }
}

/// The first message of a stream that a server opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dial {
    /// The version of the session.
    pub version: u16,
    /// Names the stream in the logs of both ends.
    pub id: u64,
    /// What is dialled.
    pub target: Target,
    /// How long that may take, in milliseconds.
    pub deadline_ms: u32,
    /// The node, where a server asks another one: such a dial goes no further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<String>,
}

/// The answer to a dial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Answer {
    /// Bytes follow.
    Ok,
    /// Nothing follows.
    Refused {
        /// Why, for programs.
        reason: Reason,
        /// Why, for people.
        words: String,
    },
}

impl Answer {
    /// A refusal with words that fit.
    pub fn refused(reason: Reason, mut words: String) -> Self {
        if words.len() > LONGEST_WORDS {
            words.truncate(words.floor_char_boundary(LONGEST_WORDS));
        }
        Self::Refused { reason, words }
    }
}

/// Why a dial is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// The agent's flags do not list it.
    NotAllowed,
    /// Nothing listens there, or it cannot be reached.
    Unreachable,
    /// It did not answer in time.
    Deadline,
    /// The other server does not hold the node.
    NotConnected,
    /// A limit is reached.
    TooMany,
    /// The dial could not be read, or is of a version that is not spoken.
    Malformed,
    /// Of a later version.
    #[serde(other)]
    Other,
}

impl Reason {
    /// As a label.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotAllowed => "not-allowed",
            Self::Unreachable => "unreachable",
            Self::Deadline => "deadline",
            Self::NotConnected => "not-connected",
            Self::TooMany => "too-many",
            Self::Malformed => "malformed",
            Self::Other => "other",
        }
    }
}

/// Why a message is none.
#[derive(Debug, Error)]
pub enum ProtocolError {
    /// It is longer than any.
    #[error("a message of {0} bytes; at most {LARGEST} are taken")]
    TooLong(usize),
    /// It is not JSON, or not what is expected here.
    #[error("a message that cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// The ends have no version in common.
    #[error(
        "no common version: here {} to {}, there {} to {}; upgrade the older end", ours.0, ours.1, theirs.0, theirs.1
    )]
    Version {
        /// Oldest and newest of this end.
        ours: (u16, u16),
        /// Oldest and newest of the other end.
        theirs: (u16, u16),
    },
    /// Something else was said first.
    #[error("the other end did not begin with a greeting")]
    NoHello,
}

impl ProtocolError {
    /// Whether `error` is that there is no common version.
    pub fn is_of_versions(error: &io::Error) -> bool {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        matches!(inner, Some(Self::Version { .. }))
    }
}

/// The length of a message, from its prefix.
pub fn length(prefix: [u8; PREFIX]) -> Result<usize, ProtocolError> {
    let length = u32::from_be_bytes(prefix) as usize;
    if length > LARGEST {
        return Err(ProtocolError::TooLong(length));
    }
    Ok(length)
}

/// A message, without its prefix.
pub fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<T, ProtocolError> {
    serde_json::from_slice(json).map_err(ProtocolError::Unreadable)
}

/// A message with its prefix.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, ProtocolError> {
    let mut bytes = vec![0; PREFIX];
    serde_json::to_writer(&mut bytes, message).map_err(ProtocolError::Unreadable)?;
    let length = bytes.len() - PREFIX;
    if length > LARGEST {
        return Err(ProtocolError::TooLong(length));
    }
    bytes[..PREFIX].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_versions_agree_on_the_newest_that_both_speak() {
        let hello = |min_version, max_version| Hello {
            min_version,
            max_version,
            ..Hello::default()
        };
        for (a, b, agreed) in [
            ((1, 1), (1, 1), Some(1)),
            ((1, 2), (2, 3), Some(2)),
            ((1, 3), (1, 2), Some(2)),
            ((0, 1), (1, 1), Some(1)),
            ((1, 1), (0, 2), Some(1)),
            ((1, 1), (2, 3), None),
            ((2, 3), (1, 1), None),
            ((2, 1), (1, 2), None),
        ] {
            let (a, b) = (hello(a.0, a.1), hello(b.0, b.1));
            assert_eq!(a.agree(&b).ok(), agreed);
            assert_eq!(b.agree(&a).ok(), agreed);
        }
    }

    #[test]
    fn what_a_later_version_says_is_ignored() {
        let later: Greeting = decode(br#"{"type":"weather","sunny":true}"#).unwrap();
        assert_eq!(later, Greeting::Unknown);
        let later: Greeting = decode(br#"{"type":"hello","max_version":2,"colour":"red"}"#).unwrap();
        assert!(matches!(later, Greeting::Hello(hello) if hello.max_version == 2));
        let later: Answer = decode(br#"{"type":"refused","reason":"tired","words":"zzz"}"#).unwrap();
        assert!(matches!(
            later,
            Answer::Refused {
                reason: Reason::Other,
                ..
            }
        ));
        assert!(
            decode::<Dial>(br#"{"version":1,"id":1,"target":{"host":"10.0.0.1"},"deadline_ms":1}"#).is_err()
        );
    }

    #[test]
    fn as_many_nodes_as_are_told_at_a_time_fit_into_a_message() {
        let nodes: Vec<_> = (0..NODES_AT_A_TIME).map(|_| "n".repeat(253)).collect();
        let greeting = Greeting::Nodes {
            added: nodes,
            removed: Vec::new(),
        };
        assert!(encode(&greeting).is_ok());
        let member = Member {
            id: "n".repeat(63),
            addresses: vec!["a".repeat(40); MOST_ADDRESSES],
        };
        let members = vec![member; MOST_MEMBERS];
        assert!(encode(&Greeting::Hello(Hello::ours(VERSIONS, members))).is_ok());
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_is_read() {
        assert_eq!(length([0, 0, 0x40, 0]).unwrap(), LARGEST);
        assert!(length([0, 0, 0x40, 1]).is_err());
        assert!(length([0xff; 4]).is_err());
        let words = "ä".repeat(20_000);
        assert!(encode(&Answer::refused(Reason::Other, words)).unwrap().len() < 1024);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode::<Greeting>(&bytes);
            let _ = decode::<Dial>(&bytes);
            let _ = decode::<Answer>(&bytes);
        }

        #[test]
        fn a_dial_comes_back_as_it_was(id: u64, port: u16, deadline_ms: u32, hop in proptest::option::of("[a-z]{1,20}")) {
            let dial = Dial { version: 1, id, target: Target::Port(port), deadline_ms, hop };
            let bytes = encode(&dial).unwrap();
            let prefix = bytes[..PREFIX].try_into().unwrap();
            prop_assert_eq!(length(prefix).unwrap(), bytes.len() - PREFIX);
            prop_assert_eq!(decode::<Dial>(&bytes[PREFIX..]).unwrap(), dial);
        }
    }
}
