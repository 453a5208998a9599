//! The same questions to yurthub and to the apiserver, from the node and with the kubelet's own certificate.
//!
//! One curl sends them all at once. Invariant: the answers are what came over the wire, in the order of the questions.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::client;
use crate::informer;
use crate::node::Node;

/// The CA of the apiserver, where `kubeadm join` puts it.
const CLOUD_CA: &str = "/etc/kubernetes/pki/ca.crt";
/// How long all answers may take.
const DEADLINE: Duration = Duration::from_mins(1);
/// Each answer goes to a file of its own, what curl tells of it to stderr, and all files in order to stdout.
const SCRIPT: &str = r#"
folder=$(mktemp -d) && cd "$folder" && touch $(seq 0 "$1") || exit
curl --no-progress-meter --parallel --parallel-immediate --parallel-max 200 --config - >heads
code=$?
cat heads >&2
cat $(seq 0 "$1")
cd / && rm -r "$folder"
exit $code
"#;

/// A GET.
#[derive(Clone, Debug)]
pub struct Question {
    /// Path and query.
    pub path: String,
    /// The header `Accept`.
    pub accept: &'static str,
}

/// An answer, as it came.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The content type; empty where there is none.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// The answers of the apiserver and of yurthub on `node`, in this order, to each question. Watches among them must end
/// by themselves.
///
/// # Errors
/// When one of them does not answer.
pub fn ask(node: &Node, questions: &[Question]) -> Result<Vec<[Reply; 2]>> {
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    let [(_, cloud), ..] = informer::DIRECT;
    let ends = [(cloud, CLOUD_CA), (client::SERVER, client::CA)];
    let mut config = String::new();
    let mut count = 0;
    for Question { path, accept } in questions {
        for (server, ca) in ends {
            let certificate = client::CERTIFICATE;
            write!(
                config,
                "url = \"{server}{path}\"\nheader = \"accept: {accept}\"\nuser-agent = \"e2e\"\ngloboff\n\
                 output = \"{count}\"\ncacert = \"{ca}\"\ncert = \"{certificate}\"\nkey = \"{certificate}\"\n\
                 write-out = \"= {count} %{{http_code}} %{{size_download}} %{{content_type}}\\n\"\nnext\n"
            )?;
            count += 1;
        }
    }
    let config = config.trim_end_matches("next\n");
    let last = (count - 1).to_string();
    let cmd = node.cmd(["sh", "-c", SCRIPT, "sh", &last])?;
    let output = cmd.stdin(config).deadline(DEADLINE).run()?;
    let told = output.errors();
    ensure!(
        output.status.success(),
        "curl on {} ended with {}: {}",
        node.name(),
        output.status,
        told.lines()
            .filter(|line| !line.starts_with("= "))
            .collect::<Vec<_>>()
            .join("; ")
    );
    let mut heads = told.lines().filter_map(head).collect::<Vec<_>>();
    heads.sort_unstable_by_key(|(number, ..)| *number);
    ensure!(
        heads.len() == count,
        "{} answers to {count} requests",
        heads.len()
    );
    let mut rest = output.stdout.as_slice();
    let mut replies = Vec::with_capacity(count);
    for (_, status, length, content_type) in heads {
        let body;
        (body, rest) = rest
            .split_at_checked(length)
            .context("an answer is shorter than curl says")?;
        replies.push(Reply {
            status,
            content_type,
            body: body.to_vec(),
        });
    }
    let mut replies = replies.into_iter();
    let mut pairs = Vec::with_capacity(questions.len());
    while let (Some(cloud), Some(hub)) = (replies.next(), replies.next()) {
        pairs.push([cloud, hub]);
    }
    Ok(pairs)
}

/// Number, status code, length of the body, content type.
fn head(line: &str) -> Option<(usize, u16, usize, String)> {
    let mut words = line.strip_prefix("= ")?.splitn(4, ' ');
    Some((
        words.next()?.parse().ok()?,
        words.next()?.parse().ok()?,
        words.next()?.parse().ok()?,
        words.next().unwrap_or_default().to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_curl_tells_is_read() {
        let protobuf = "application/vnd.kubernetes.protobuf;stream=watch";
        assert_eq!(
            head(&format!("= 12 200 345 {protobuf}")),
            Some((12, 200, 345, protobuf.to_owned()))
        );
        assert_eq!(
            head("= 3 404 0 text/plain; charset=utf-8"),
            Some((3, 404, 0, "text/plain; charset=utf-8".to_owned()))
        );
        assert_eq!(head("= 3 404 0 "), Some((3, 404, 0, String::new())));
        assert_eq!(head("curl: (7) Failed to connect"), None);
    }
}
