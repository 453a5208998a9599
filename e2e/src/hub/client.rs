//! Asking yurthub on a node what the kubelet would ask, with the kubelet's own certificate.
//!
//! Uses curl on the node: what it prints is what came over the wire. Invariant: no answer is hidden; its code is
//! returned whatever it is.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::background::Background;
use crate::command::Cmd;
use crate::informer::Access;
use crate::node::Node;

pub(super) const CERTIFICATE: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
pub(super) const CA: &str = "/var/lib/yurthub/pki/ca.crt";
const STRATEGIC: &str = "content-type: application/strategic-merge-patch+json";

/// Where yurthub listens for the kubelet.
pub const SERVER: &str = "https://127.0.0.1:10261";

/// What a client with the kubelet's certificate is told to use: server, CA, certificate, key.
pub const AS_KUBELET: Access = [
    ("server", SERVER),
    ("ca", CA),
    ("cert", CERTIFICATE),
    ("key", CERTIFICATE),
];

/// The answer of yurthub on `node` to a request for `path`: code and body. `curl_args` add method, headers, body.
///
/// # Errors
/// When there is no answer within 20 s.
pub fn ask(node: &Node, path: &str, curl_args: &[&str]) -> Result<(u16, String)> {
    let cmd = curl(node, path, &["--max-time", "20", "--write-out", "\n%{http_code}"])?;
    let text = cmd.args(curl_args).run_ok()?;
    let (body, code) = text.rsplit_once('\n').unwrap_or(("", &text));
    let code = code
        .parse()
        .with_context(|| format!("read the code of the answer to {path}"))?;
    Ok((code, body.to_owned()))
}

/// The object or list at `path`, which yurthub must answer with 200.
///
/// # Errors
/// When it answers otherwise.
pub fn get(node: &Node, path: &str) -> Result<Value> {
    let (code, body) = ask(node, path, &[])?;
    ensure!(code == 200, "{path} is answered with {code}: {body}");
    serde_json::from_str(&body).with_context(|| format!("parse the answer to {path}"))
}

/// A strategic merge patch of what is at `path`, as the kubelet writes statuses. Returns the code and the body.
///
/// # Errors
/// When there is no answer within 20 s.
pub fn patch(node: &Node, path: &str, patch: &Value) -> Result<(u16, String)> {
    let patch = patch.to_string();
    ask(
        node,
        path,
        &[
            "--request",
            "PATCH",
            "--header",
            STRATEGIC,
            "--data-binary",
            &patch,
        ],
    )
}

/// Sends patches as [`patch`] does, one after another on one connection; prints code and name of each as its answer
/// comes: `200 NAME`.
///
/// # Errors
/// When they cannot be put on the node.
pub fn patches(
    node: &Node,
    path: &str,
    patches: impl IntoIterator<Item = (String, Value)>,
) -> Result<Background> {
    const SCRIPT: &str = "/tmp/patches";
    let requests: Vec<_> = patches
        .into_iter()
        .map(|(name, patch)| {
            let patch = quoted(&patch.to_string());
            // On stderr, which is not buffered.
            let told = quoted(&format!("%{{stderr}}%{{http_code}} {name}\n"));
            format!(
                "url = {SERVER}{path}\nrequest = PATCH\ncacert = {CA}\ncert = {CERTIFICATE}\nkey = {CERTIFICATE}\n\
                 header = \"{STRATEGIC}\"\ndata-binary = {patch}\nwrite-out = {told}\n\
                 output = /dev/null\nsilent\nshow-error\nmax-time = 20\n"
            )
        })
        .collect();
    node.push_file(SCRIPT, requests.join("next\n").as_bytes(), 0o600)?;
    Background::start(&node.cmd(["sh", "-c", &format!("exec curl --config {SCRIPT} 2>&1")])?)
}

/// A word of a configuration file of curl.
fn quoted(text: &str) -> String {
    let text = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{text}\"")
}

/// curl on `node`, ready to ask yurthub for `path` as the kubelet: for answers that do not end.
///
/// # Errors
/// When the node is not up.
pub fn curl(node: &Node, path: &str, args: &[&str]) -> Result<Cmd> {
    let url = format!("{SERVER}{path}");
    let cmd = node.cmd(["curl", "--silent", "--show-error", "--globoff", "--no-buffer"])?;
    // For curl the apiserver indents what it answers.
    let cmd = cmd.args(["--user-agent", "e2e"]);
    let cmd = cmd.args(["--cacert", CA, "--cert", CERTIFICATE, "--key", CERTIFICATE]);
    Ok(cmd.args(args).arg(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_for_curl_keeps_quotes_and_line_ends() {
        assert_eq!(quoted("{\"a\": \"b\\c\"}\n"), r#""{\"a\": \"b\\c\"}\n""#);
    }
}
