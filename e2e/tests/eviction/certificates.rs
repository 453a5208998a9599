//! A node gets certificates of ours for itself alone; one that is forgotten gets none, and may change nothing.
//!
//! The node is an identity without a machine: a Node, and a certificate for it from the cluster's own CA.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::conversion::yurtctl;
use e2e::progress::say;
use e2e::{Cluster, Node, hub, wait_for};
use serde_json::{Value, json};

use crate::autonomy::wait_managed;
use crate::leader::Leader;
use crate::{DEADLINE, Stay};

const NAME: &str = "lost";
const ADDRESS: &str = "10.99.0.77";
const SIGNER: &str = "yurt.openyurt.io/tunnel-agent";
const ORGANIZATION: &str = "yurt:tunnel-agents";
/// Where its keys lie on the control plane's node.
const KEYS: &str = "/run/lost";
/// The goal is five seconds; a busy machine may take three times as long.
const FORGET_DEADLINE: Duration = Duration::from_secs(15);

/// All that it asks for.
const REQUESTS: [&str; 8] = [
    "lost-own",
    "lost-address",
    "lost-other",
    "lost-foreign-address",
    "lost-foreign-name",
    "lost-master",
    "lost-failover",
    "lost-again",
];

/// What became of a request.
#[derive(Debug, PartialEq)]
enum Answer {
    Issued(String),
    Denied(String),
    /// The apiserver did not take it.
    Refused(String),
}

/// The identity `system:node:lost`.
struct Identity<'a> {
    cluster: &'a Cluster,
    /// Where keys are made and requests begin.
    cloud: Node,
}

impl<'a> Identity<'a> {
    fn make(cluster: &'a Cluster) -> Result<Self> {
        cluster.kubectl([&["delete", "csr", "--ignore-not-found"][..], &REQUESTS].concat())?;
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}});
        cluster.apply_yaml(&node.to_string())?;
        let addresses = json!({"status": {"addresses": [{"type": "InternalIP", "address": ADDRESS}]}});
        let patch = addresses.to_string();
        cluster.kubectl([
            "patch",
            "node",
            NAME,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ])?;
        let cloud = cluster.node("cloud1");
        let script = format!(
            "mkdir -p {KEYS} && cd {KEYS} && \
             openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout node.key \
             -subj '/O=system:nodes/CN=system:node:{NAME}' -out node.csr && \
             openssl x509 -req -in node.csr -days 1 -CA /etc/kubernetes/pki/ca.crt -CAkey /etc/kubernetes/pki/ca.key \
             -CAcreateserial -CAserial {KEYS}/serial -out node.crt"
        );
        cloud.exec_ok(["sh", "-c", &script])?;
        Ok(Self { cluster, cloud })
    }

    /// One request to the apiserver: code and body.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<(u16, String)> {
        let url = format!("https://{}:6443{path}", self.cloud.ip()?);
        let (certificate, key, body) = (
            format!("{KEYS}/node.crt"),
            format!("{KEYS}/node.key"),
            body.to_string(),
        );
        let args = [
            "curl",
            "-sS",
            "-m",
            "10",
            "--cacert",
            "/etc/kubernetes/pki/ca.crt",
            "--cert",
            &certificate,
            "--key",
            &key,
            "-X",
            method,
            "-H",
            "content-type: application/json",
            "-d",
            &body,
            "-w",
            "\n%{http_code}",
            &url,
        ];
        let text = self.cloud.exec_ok(args)?;
        let (body, code) = text.rsplit_once('\n').context("curl says the code")?;
        Ok((
            code.trim().parse().context("a code is a number")?,
            body.to_owned(),
        ))
    }

    /// Asks for a certificate, and waits for the answer.
    fn request(&self, name: &str, subject: &str, alternative: Option<&str>) -> Result<(Answer, Duration)> {
        let extension =
            alternative.map_or_else(String::new, |names| format!("-addext subjectAltName={names}"));
        let script = format!(
            "cd {KEYS} && openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout {name}.key \
             -subj '{subject}' {extension} -outform PEM | base64 -w0"
        );
        let request = self.cloud.exec_ok(["sh", "-c", &script])?;
        let object = json!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
            "spec": {
                "request": request.trim(), "signerName": SIGNER, "expirationSeconds": 3600, "usages": ["client auth", "digital signature"],
            },
        });
        let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
        let start = Instant::now();
        let (code, body) = self.ask("POST", path, &object)?;
        if code != 201 {
            return Ok((Answer::Refused(format!("{code} {body}")), start.elapsed()));
        }
        let answer = wait_for(&format!("an answer to the request `{name}`"), DEADLINE, || {
            let found = self.cluster.get_json(["csr", name])?;
            if let Some(certificate) = found["status"]["certificate"].as_str() {
                return Ok(Some(Answer::Issued(certificate.to_owned())));
            }
            let conditions = found["status"]["conditions"].as_array().into_iter().flatten();
            let mut denials = conditions.filter(|condition| condition["type"] == "Denied");
            let denial = denials.next().map(|denial| denial["message"].to_string());
            ensure!(denial.is_some(), "{}", found["status"]);
            Ok(denial.map(Answer::Denied))
        })?;
        Ok((answer, start.elapsed()))
    }

    /// What is in a certificate.
    fn read(&self, certificate: &str) -> Result<String> {
        let script = format!(
            "echo {certificate} | base64 -d | openssl x509 -noout -subject -ext extendedKeyUsage,subjectAltName"
        );
        self.cloud.exec_ok(["sh", "-c", &script])
    }
}

impl Drop for Identity<'_> {
    fn drop(&mut self) {
        let node = self
            .cluster
            .kubectl(["delete", "node", NAME, "--ignore-not-found", "--wait=false"]);
        let keys = self.cloud.exec(["rm", "-rf", KEYS]);
        if let (Err(error), _) | (_, Err(error)) = (node.map_err(anyhow::Error::from), keys) {
            say(format_args!("failed to remove the identity {NAME}: {error:#}"));
        }
    }
}

/// Names and addresses of others, and other rights.
fn refuses_what_is_others(lost: &Identity<'_>, own: &str, other: &str) -> Result<()> {
    let others = format!("/O={ORGANIZATION}/CN={other}");
    for (name, subject, alternative) in [
        ("lost-other", &*others, None),
        ("lost-foreign-address", own, Some("IP:10.99.0.10")),
        ("lost-foreign-name", own, Some("DNS:kubernetes.default.svc")),
        ("lost-master", "/O=system:masters/CN=lost", None),
    ] {
        let (answer, _) = lost.request(name, subject, alternative)?;
        ensure!(matches!(answer, Answer::Denied(_)), "{name}: {answer:?}");
    }
    Ok(())
}

/// Returns how long after `yurtctl node forget` had ended what the node writes was refused.
fn forget_and_remember(lost: &Identity<'_>, own: &str) -> Result<Duration> {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": NAME, "namespace": "kube-node-lease"}, "spec": {"holderIdentity": NAME},
    });
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    let (code, body) = lost.ask("POST", leases, &lease)?;
    ensure!(code == 201, "{code} {body}");
    yurtctl(lost.cluster, ["node", "forget", NAME, "--yes"])?.run_ok()?;
    let start = Instant::now();
    wait_for(
        "what the forgotten node writes to be refused",
        FORGET_DEADLINE,
        || {
            let (code, body) = lost.ask("POST", leases, &lease)?;
            ensure!(code == 403 || code == 422, "{code} {body}");
            Ok(Some(()))
        },
    )?;
    let refused = start.elapsed();
    let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}});
    let (code, body) = lost.ask("POST", "/api/v1/nodes", &object)?;
    ensure!(
        code == 403 || code == 422,
        "it came back by itself: {code} {body}"
    );
    let (answer, _) = lost.request("lost-again", own, None)?;
    ensure!(
        !matches!(answer, Answer::Issued(_)),
        "a forgotten node got a certificate"
    );

    yurtctl(lost.cluster, ["node", "remember", NAME])?.run_ok()?;
    wait_for(
        "what the remembered node writes to be taken",
        FORGET_DEADLINE,
        || {
            let (code, body) = lost.ask("POST", "/api/v1/nodes", &object)?;
            ensure!(code == 201 || code == 409, "{code} {body}");
            Ok(Some(()))
        },
    )?;
    Ok(refused)
}

#[test]
fn a_node_gets_certificates_for_itself_alone_until_it_is_forgotten() -> Result<()> {
    let stay = Stay::begin()?;
    let cluster = &stay.cluster;
    // A converted node, so that there is a manager.
    drop(hub::lock_any(cluster)?);
    let (node, guard) = hub::share_any(cluster)?;
    wait_managed(cluster)?;
    yurtctl(cluster, ["node", "remember", NAME])?.run()?;
    let lost = Identity::make(cluster)?;

    let own = format!("/O={ORGANIZATION}/CN={NAME}");
    let (answer, issued) = lost.request("lost-own", &own, None)?;
    let Answer::Issued(certificate) = answer else {
        anyhow::bail!("its own certificate: {answer:?}");
    };
    let content = lost.read(&certificate)?;
    ensure!(
        content.contains(NAME) && content.contains("Client Authentication"),
        "{content}"
    );
    let with_address = format!("IP:{ADDRESS}");
    let (answer, _) = lost.request("lost-address", &own, Some(&with_address))?;
    ensure!(
        matches!(answer, Answer::Issued(_)),
        "with its own address: {answer:?}"
    );

    refuses_what_is_others(&lost, &own, node.name())?;

    // The one that would answer dies.
    let leader = Leader::find(cluster)?;
    leader.kill()?;
    let (answer, by_another) = lost.request("lost-failover", &own, None)?;
    ensure!(
        matches!(answer, Answer::Issued(_)),
        "after a fail-over: {answer:?}"
    );
    drop(leader);

    let refused = forget_and_remember(&lost, &own)?;
    say(format_args!(
        "certificates: issued after {:.1} s, and {:.1} s after the leader was killed; none for others; a forgotten node was \
         refused {:.1} s after it was forgotten",
        issued.as_secs_f64(),
        by_another.as_secs_f64(),
        refused.as_secs_f64()
    ));
    drop((lost, node, guard));
    stay.end()
}
