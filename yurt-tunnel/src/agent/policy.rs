//! Which further ports of this node may be dialled: what the file of this node in a folder says, as a ConfigMap is mounted.
//!
//! The folder has a file for each node; only the one with this node's name is read. Kubernetes changes it by turning a
//! symbolic link: a poll finds that and cannot go deaf.
//!
//! Invariant: what cannot be read, or makes no sense as a whole, allows nothing.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use crate::complaint::Complaint;

/// Time between two looks. The kubelet itself brings changes within a minute.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// Ports of one node, beside those of the agent's flags.
pub const MOST_PORTS: usize = 64;
/// Bytes of a file, comments included.
const LARGEST: u64 = 16 << 10;
/// Letters of a word that are told when it is no port.
const LONGEST_WORD: usize = 32;

/// Why a file allows nothing.
#[derive(Debug, Error)]
pub enum BadPolicy {
    /// It cannot be read.
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    /// It is too large.
    #[error("it is larger than {LARGEST} bytes")]
    TooLarge,
    /// Something else than a port is in it.
    #[error("`{0}` is no port; expected numbers from 1 to 65535, with commas, blanks or new lines between")]
    NoPort(String),
    /// It has too many.
    #[error("it has more than {MOST_PORTS} ports")]
    TooMany,
}

/// The ports in a file (pure): numbers with commas, blanks or new lines between; a `#` begins a comment.
pub fn parse(text: &str) -> Result<BTreeSet<u16>, BadPolicy> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    let words = lines.flat_map(|line| line.split(|c: char| c == ',' || c.is_whitespace()));
    let mut ports = BTreeSet::new();
    for word in words.filter(|word| !word.is_empty()) {
        let port = word.parse::<u16>().ok().filter(|port| *port != 0);
        let port = port.ok_or_else(|| BadPolicy::NoPort(word.chars().take(LONGEST_WORD).collect()))?;
        ports.insert(port);
        if ports.len() > MOST_PORTS {
            return Err(BadPolicy::TooMany);
        }
    }
    Ok(ports)
}

/// The file of this node, which need not be there.
#[derive(Debug)]
pub struct Policy {
    path: PathBuf,
    complaint: Complaint,
    ports: watch::Sender<BTreeSet<u16>>,
}

impl Policy {
    /// Reads the file of `node` in `folder`.
    pub fn open(folder: &Path, node: &str) -> Self {
        let mut policy = Self {
            path: folder.join(node),
            complaint: Complaint::default(),
            ports: watch::Sender::default(),
        };
        policy.look();
        policy
    }

    /// The ports that it allows now.
    pub fn ports(&self) -> watch::Receiver<BTreeSet<u16>> {
        self.ports.subscribe()
    }

    /// Looks every `interval`, for ever.
    pub async fn follow(mut self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look();
        }
    }

    /// Looks once. The file is small, and in memory.
    fn look(&mut self) {
        let ports = match self.read() {
            Ok(ports) => {
                self.complaint.settle();
                ports
            }
            Err(bad) => {
                if let Some(error) = self.complaint.anew(&bad) {
                    warn!(
                        file = %self.path.display(), error,
                        "the policy of this node is not taken: no port beside those of the flags may be dialled; mend \
                         its key in ConfigMap yurt-tunnel-policy"
                    );
                }
                BTreeSet::new()
            }
        };
        self.ports.send_if_modified(|now| {
            let changed = *now != ports;
            if changed {
                info!(file = %self.path.display(), ?ports, "the policy of this node allows other ports now");
                *now = ports;
            }
            changed
        });
    }

    fn read(&self) -> Result<BTreeSet<u16>, BadPolicy> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(error) => return Err(BadPolicy::Unreadable(error)),
        };
        let mut text = String::new();
        let read = file.take(LARGEST + 1).read_to_string(&mut text);
        if read.map_err(BadPolicy::Unreadable)? as u64 > LARGEST {
            return Err(BadPolicy::TooLarge);
        }
        parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ports_are_read_however_they_are_separated() {
        for (text, ports) in [
            ("", &[][..]),
            (" \n# nothing yet\n", &[]),
            ("9100", &[9100]),
            ("9100,9256", &[9100, 9256]),
            ("9256, 9100\r\n 22 # ssh, for a while\n9100\n", &[22, 9100, 9256]),
            ("1\t65535", &[1, 65535]),
        ] {
            let read = parse(text).unwrap();
            assert_eq!(read.into_iter().collect::<Vec<_>>(), ports, "{text:?}");
        }
    }

    #[test]
    fn one_bad_word_spoils_all_of_it() {
        for (text, told) in [
            ("0", "`0` is no port"),
            ("65536", "`65536` is no port"),
            ("9100 -1", "`-1` is no port"),
            ("127.0.0.1:9100", "`127.0.0.1:9100` is no port"),
            ("- 9100", "`-` is no port"),
            ("[9100]", "`[9100]` is no port"),
            ("9100\u{a0}ü", "`ü` is no port"),
        ] {
            let bad = parse(text).unwrap_err().to_string();
            assert!(bad.starts_with(told), "{text:?}: {bad}");
        }
        let long = parse(&"x".repeat(5000)).unwrap_err().to_string();
        assert!(long.len() < 200, "{long}");
    }

    #[test]
    fn ports_are_bounded() {
        let ports = |count: usize| {
            (1..=count)
                .map(|port| port.to_string())
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(parse(&ports(MOST_PORTS)).unwrap().len(), MOST_PORTS);
        assert!(matches!(parse(&ports(MOST_PORTS + 1)), Err(BadPolicy::TooMany)));
        // The same one many times is one.
        assert_eq!(parse(&"22 ".repeat(1000)).unwrap().len(), 1);
    }

    #[test]
    fn only_the_file_of_this_node_counts_and_bad_content_allows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let write = |node: &str, text: &[u8]| std::fs::write(folder.path().join(node), text).unwrap();
        write("edge2", b"22");
        let mut policy = Policy::open(folder.path(), "edge1");
        let ports = policy.ports();
        let mut now = || {
            policy.look();
            ports.borrow().iter().copied().collect::<Vec<_>>()
        };
        assert_eq!(now(), [0; 0]);
        write("edge1", b"9100");
        assert_eq!(now(), [9100]);
        let too_large = " ".repeat(LARGEST as usize + 1);
        for bad in [&b"9100 x"[..], b"\xff", too_large.as_bytes()] {
            write("edge1", b"9100");
            assert_eq!(now(), [9100]);
            write("edge1", bad);
            assert_eq!(now(), [0; 0]);
        }
        write("edge1", b"9100");
        assert_eq!(now(), [9100]);
        std::fs::remove_file(folder.path().join("edge1")).unwrap();
        assert_eq!(now(), [0; 0]);
        std::fs::create_dir(folder.path().join("edge1")).unwrap();
        assert_eq!(now(), [0; 0]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String) {
            if let Ok(ports) = parse(&text) {
                prop_assert!(ports.len() <= MOST_PORTS && !ports.contains(&0));
            }
        }
    }
}
