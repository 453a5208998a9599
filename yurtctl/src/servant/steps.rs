//! Tells what happens on a node while it happens: the lines of its pod's log, as long as the link carries them. What was
//! not heard is told at the end, from the transaction's own records.
//!
//! Bounded: so many lines of such a length, and a new try once in a while.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::{AsyncBufReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};
use yurtctl_node::journal::Record;

use crate::progress::Progress;

/// Lines that are told of one transaction; it has some twenty.
const MOST_LINES: usize = 200;
const LONGEST: usize = 400;
const MOST_BYTES: i64 = 1 << 20;
const PAUSE: Duration = Duration::from_secs(1);

/// What of one transaction was told.
pub(super) struct Steps<'a> {
    node: &'a str,
    progress: Progress,
    told: Mutex<BTreeSet<String>>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(node: &'a str, progress: Progress) -> Self {
        Self {
            node,
            progress,
            told: Mutex::new(BTreeSet::new()),
        }
    }

    /// Follows the log of a pod, without an end. The restart of a kubelet and a bad link
    /// end a log; it is opened again, and what was told is not told again.
    pub(super) async fn follow(&self, pods: &Api<Pod>, pod: &str) {
        let params = LogParams {
            follow: true,
            limit_bytes: Some(MOST_BYTES),
            ..LogParams::default()
        };
        loop {
            if let Ok(log) = pods.log_stream(pod, &params).await {
                let mut lines = log.lines();
                while let Some(Ok(line)) = lines.next().await {
                    self.tell(&line);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Tells of what was not heard while it happened.
    pub(super) fn complete(&self, records: &[Record]) {
        for record in records {
            self.tell(&record.event.to_string());
        }
    }

    fn tell(&self, line: &str) {
        if let Some(news) = self.news(line) {
            self.progress.node(self.node, &news);
        }
    }

    /// What of a line is to be told, once.
    fn news(&self, line: &str) -> Option<String> {
        let line = event(line)?;
        let mut told = self.told.lock().ok()?;
        (told.len() < MOST_LINES && told.insert(line.clone())).then_some(line)
    }
}

/// A line that is for people; a pod's last one is what it says to yurtctl (pure).
fn event(line: &str) -> Option<String> {
    let line = line.trim_end();
    let is_message = ["Ended {", "Facts(", "Failed("]
        .iter()
        .any(|start| line.starts_with(start));
    let printable = |letter: char| if letter.is_control() { ' ' } else { letter };
    (!line.is_empty() && !is_message).then(|| line.chars().take(LONGEST).map(printable).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_and_messages_are_not() {
        assert_eq!(event("switch: done\n").as_deref(), Some("switch: done"));
        assert_eq!(event("Ended { outcome: Converted, records: [] }"), None);
        assert_eq!(event(""), None);
        assert_eq!(event(&"x".repeat(9000)).unwrap().len(), LONGEST);
        // Nothing that a terminal would obey.
        assert_eq!(event("a\u{1b}[2Jb").as_deref(), Some("a [2Jb"));
    }

    #[test]
    fn each_event_is_told_once_and_never_too_many() {
        let steps = Steps::new("edge1", Progress::begin());
        assert_eq!(steps.news("a").as_deref(), Some("a"));
        assert_eq!(steps.news("a"), None);
        let told = (0..1000).filter(|number| steps.news(&number.to_string()).is_some());
        assert_eq!(told.count(), MOST_LINES - 1);
    }
}
