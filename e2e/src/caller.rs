//! A client in a node's network that asks a Service again and again, and notes when it got which answer.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};

use crate::background::Background;
use crate::node::Node;
use crate::wait::wait_for;

/// What it notes where nobody answers within two seconds.
pub const LOST: &str = "LOST";
/// So many answers in a row must be as expected: with three endpoints one is missed in that many by chance once in ten
/// million times.
const SETTLED: usize = 40;

/// See the module.
pub struct Caller(Background);

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// When it was asked for.
    pub at: SystemTime,
    /// The first line of it; [`LOST`] for none.
    pub text: String,
}

impl Caller {
    /// Asks `url` (without the scheme) on `node` some 20 times a second.
    ///
    /// # Errors
    /// When the node is not up.
    pub fn start(node: &Node, url: &str) -> Result<Self> {
        let once = noted(&format!("curl -sS -m 2 http://{url}/"));
        Self::run(node, &format!("while sleep 0.03; do {once}; done"))
    }

    /// The same, for the status code of `url` (over TLS, whoever vouches for the server), and without waiting for answers: one
    /// that comes late, or never, keeps no other question back.
    ///
    /// # Errors
    /// When the node is not up.
    pub fn start_for_status(node: &Node, url: &str) -> Result<Self> {
        let once = noted(&format!(
            "curl -sSk -m 2 -o /dev/null -w '%{{http_code}}' https://{url}"
        ));
        Self::run(node, &format!("while sleep 0.1; do {{ {once}; }} & done"))
    }

    fn run(node: &Node, script: &str) -> Result<Self> {
        Ok(Self(Background::start(&node.cmd(["sh", "-c", script])?)?))
    }

    /// What it got so far.
    pub fn answers(&self) -> Vec<Answer> {
        self.0
            .lines()
            .iter()
            .filter_map(|line| Answer::parse(line))
            .collect()
    }

    /// Waits until all of `names` answer, and nobody else. Returns how long after `since` that began: when the last other
    /// answer came, or the last of them answered first.
    ///
    /// # Errors
    /// When it is not so in time.
    pub fn wait_settled(&self, names: &[&str], since: SystemTime, deadline: Duration) -> Result<Duration> {
        let expected: BTreeSet<_> = names.iter().copied().collect();
        wait_for(&format!("{names:?} to answer, and nobody else"), deadline, || {
            let answers = self.answers();
            let begun = answers.partition_point(|answer| answer.at < since);
            let answers = &answers[begun..];
            let strange = answers
                .iter()
                .rposition(|answer| !expected.contains(&*answer.text));
            let settled = &answers[strange.map_or(0, |last| last + 1)..];
            let found: BTreeSet<_> = settled.iter().map(|answer| &*answer.text).collect();
            let last = strange.map(|last| &answers[last]);
            ensure!(
                settled.len() >= SETTLED && found == expected,
                "{} answers from {found:?}; the last other one: {last:?}",
                settled.len()
            );
            let first = |name: &&str| answers.iter().find(|answer| answer.text == **name);
            let firsts = expected.iter().filter_map(first);
            let when = firsts.chain(last).map(|answer| answer.at).max().unwrap_or(since);
            Ok(Some(when.duration_since(since).unwrap_or_default()))
        })
    }
}

/// Shell that asks once, and prints a line as [`Answer`] reads it.
fn noted(curl: &str) -> String {
    format!("t=$(date +%s.%N); a=$({curl} 2>/dev/null) || a={LOST}; echo \"$t $a\"")
}

/// The longest time in which no request was asked that was answered as `is_right` wants it.
pub fn longest_gap(answers: &[Answer], is_right: impl Fn(&str) -> bool) -> Duration {
    let answered = answers.iter().filter(|answer| is_right(&answer.text));
    let mut moments: Vec<SystemTime> = answered.map(|answer| answer.at).collect();
    moments.sort_unstable();
    let gaps = moments
        .windows(2)
        .filter_map(|pair| pair[1].duration_since(pair[0]).ok());
    gaps.max().unwrap_or(Duration::MAX)
}

impl Answer {
    fn parse(line: &str) -> Option<Self> {
        let (time, text) = line.split_once(' ')?;
        let (seconds, nanos) = time.split_once('.')?;
        let time = Duration::new(seconds.parse().ok()?, nanos.parse().ok()?);
        Some(Self {
            at: UNIX_EPOCH + time,
            text: text.trim().to_owned(),
        })
    }
}
