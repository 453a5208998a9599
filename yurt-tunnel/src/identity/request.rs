//! Asks the API for a certificate: a `CertificateSigningRequest`, and the answer of yurt-controller-manager.
//!
//! The key is made here and is never sent. A request that is not answered in time is not made again: the next attempt waits
//! for the same one, so that a cloud without a signer does not fill with requests. Requests are left to Kubernetes, which
//! removes them after an hour, or after a day where nobody has answered.

use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, PostParams};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use thiserror::Error;
use tokio::time::Instant;
use yurt_common::node_certificates::Role;

use super::held::{Held, Unfit};

/// One call to the API.
const CALL: Duration = Duration::from_secs(CALL_SECONDS);
const CALL_SECONDS: u64 = 15;
/// An answer comes within a second; where the Node has just been made, within a minute.
const ANSWER: Duration = Duration::from_secs(90);
/// The first pause between two looks, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(5));

/// Why there is no certificate.
#[derive(Debug, Error)]
pub enum Failure {
    /// The key or the request could not be made.
    #[error("make a key and a request for it")]
    Make(#[source] rcgen::Error),
    /// The API did not take the request.
    #[error("create a certificate request for signer {signer}")]
    Create {
        /// The signer.
        signer: &'static str,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// It could not be read.
    #[error("read certificate request `{name}`")]
    Read {
        /// The request.
        name: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API did not answer a call.
    #[error("the API has not answered within {CALL_SECONDS} s, to {0} a certificate request")]
    Silent(&'static str),
    /// It was refused.
    #[error("certificate request `{name}` is {verdict}: {reason}: {message}")]
    Refused {
        /// The request.
        name: String,
        /// `denied`, or `failed`.
        verdict: &'static str,
        /// In a word.
        reason: String,
        /// In a sentence.
        message: String,
    },
    /// Nobody has answered.
    #[error(
        "certificate request `{0}` is not answered yet; is yurt-controller-manager there, with its controller \
         `certificates`? Waiting on"
    )]
    Unanswered(String),
    /// It is gone without an answer.
    #[error("certificate request `{0}` is gone, and was not answered; making another one")]
    Gone(String),
    /// What was signed is not what was asked for.
    #[error("what was signed for certificate request `{name}` is not used")]
    Unfit {
        /// The request.
        name: String,
        /// Why.
        #[source]
        source: Unfit,
    },
}

/// A request that waits for its answer.
struct Pending {
    name: String,
    key: KeyPair,
}

/// Who asks.
pub struct Asker {
    requests: Api<CertificateSigningRequest>,
    role: Role,
    node: String,
    pending: Option<Pending>,
}

impl std::fmt::Debug for Asker {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pending = self.pending.as_ref().map(|pending| &pending.name);
        f.debug_struct("Asker")
            .field("node", &self.node)
            .field("pending", &pending)
            .finish_non_exhaustive()
    }
}

/// What became of a request (pure).
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    None,
    Certificate(Vec<u8>),
    Refused {
        verdict: &'static str,
        reason: String,
        message: String,
    },
}

impl Asker {
    /// Asks for `node` what `role` needs. Who asks is known by `client`.
    pub fn new(client: Client, role: Role, node: String) -> Self {
        Self {
            requests: Api::all(client),
            role,
            node,
            pending: None,
        }
    }

    /// Gets a certificate. `chance`: see [`super::renewal::Term`].
    pub async fn obtain(&mut self, chance: f64) -> Result<Held, Failure> {
        // A request that waits keeps its place unless its answer is known.
        let pending = match self.pending.take() {
            Some(pending) => pending,
            None => self.create().await?,
        };
        match self.wait(&pending.name).await {
            Ok(certificate) => {
                let pem = [pending.key.serialize_pem().as_bytes(), &certificate].concat();
                let unfit = |source| Failure::Unfit {
                    name: pending.name.clone(),
                    source,
                };
                let pem = String::from_utf8(pem).map_err(|_| unfit(Unfit::Unreadable("certificate")))?;
                Held::read(&pem, self.role, &self.node, chance).map_err(unfit)
            }
            Err(failure) => {
                let waits = matches!(
                    failure,
                    Failure::Unanswered(_) | Failure::Silent(_) | Failure::Read { .. }
                );
                self.pending = waits.then_some(pending);
                Err(failure)
            }
        }
    }

    async fn create(&self) -> Result<Pending, Failure> {
        let key = KeyPair::generate().map_err(Failure::Make)?;
        let name = format!("{}-{:016x}", account(self.role), fastrand::u64(..));
        let request = request(&name, self.role, &self.node, &key)?;
        let params = PostParams::default();
        let created = tokio::time::timeout(CALL, self.requests.create(&params, &request)).await;
        created
            .map_err(|_| Failure::Silent("create"))?
            .map_err(|source| Failure::Create {
                signer: self.role.signer(),
                source: Box::new(source),
            })?;
        Ok(Pending { name, key })
    }

    /// Waits for the certificate, in PEM.
    async fn wait(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let deadline = Instant::now() + ANSWER;
        let mut pause = PAUSES.0;
        loop {
            tokio::time::sleep(pause.mul_f64(0.75 + 0.5 * fastrand::f64())).await;
            pause = (pause * 2).min(PAUSES.1);
            let read = tokio::time::timeout(CALL, self.requests.get_opt(name)).await;
            let read = read.map_err(|_| Failure::Silent("read"))?;
            let request = read.map_err(|source| Failure::Read {
                name: name.to_owned(),
                source: Box::new(source),
            })?;
            let request = request.ok_or_else(|| Failure::Gone(name.to_owned()))?;
            match answer(request) {
                Answer::Certificate(pem) => return Ok(pem),
                Answer::Refused {
                    verdict,
                    reason,
                    message,
                } => {
                    return Err(Failure::Refused {
                        name: name.to_owned(),
                        verdict,
                        reason,
                        message,
                    });
                }
                Answer::None if Instant::now() >= deadline => {
                    return Err(Failure::Unanswered(name.to_owned()));
                }
                Answer::None => {}
            }
        }
    }
}

/// How requests of a role begin; as its service account is called.
fn account(role: Role) -> &'static str {
    match role {
        Role::TunnelAgent => "yurt-tunnel-agent",
        Role::TunnelServer => "yurt-tunnel-server",
    }
}

/// A request as the signer takes it: subject and key, and nothing else. What else is in the certificate is the signer's.
fn request(name: &str, role: Role, node: &str, key: &KeyPair) -> Result<CertificateSigningRequest, Failure> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, role.organization());
    params.distinguished_name.push(DnType::CommonName, node);
    let pem = params.serialize_request(key).and_then(|request| request.pem());
    let mut usages = vec!["digital signature".to_owned(), "client auth".to_owned()];
    if role == Role::TunnelServer {
        usages.push("server auth".to_owned());
    }
    Ok(CertificateSigningRequest {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        spec: CertificateSigningRequestSpec {
            signer_name: role.signer().to_owned(),
            usages: Some(usages),
            request: ByteString(pem.map_err(Failure::Make)?.into_bytes()),
            ..CertificateSigningRequestSpec::default()
        },
        status: None,
    })
}

fn answer(request: CertificateSigningRequest) -> Answer {
    let status = request.status.unwrap_or_default();
    for condition in status.conditions.unwrap_or_default() {
        let verdict = match condition.type_.as_str() {
            "Denied" => "denied",
            "Failed" => "failed",
            _ => continue,
        };
        return Answer::Refused {
            verdict,
            reason: condition.reason.unwrap_or_default(),
            message: condition.message.unwrap_or_default(),
        };
    }
    match status.certificate {
        Some(ByteString(pem)) if !pem.is_empty() => Answer::Certificate(pem),
        _ => Answer::None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn with(status: &Value) -> CertificateSigningRequest {
        let object = json!({
            "metadata": {"name": "r"}, "status": status,
            "spec": {"signerName": "s", "request": "", "usages": []},
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_refusal_counts_before_a_certificate_and_an_approval_is_no_answer() {
        let condition = |kind: &str| json!([{"type": kind, "status": "True", "reason": "R", "message": "M"}]);
        let refused = |verdict| Answer::Refused {
            verdict,
            reason: "R".to_owned(),
            message: "M".to_owned(),
        };
        for (status, expected) in [
            (json!({}), Answer::None),
            (json!({"certificate": ""}), Answer::None),
            (json!({"conditions": condition("Approved")}), Answer::None),
            (json!({"conditions": condition("Denied")}), refused("denied")),
            (json!({"conditions": condition("Failed")}), refused("failed")),
            (json!({"certificate": "eA=="}), Answer::Certificate(b"x".to_vec())),
            (
                json!({"certificate": "eA==", "conditions": condition("Failed")}),
                refused("failed"),
            ),
        ] {
            assert_eq!(answer(with(&status)), expected, "{status}");
        }
    }

    #[test]
    fn a_request_has_the_usages_of_its_role_and_no_key() {
        let key = KeyPair::generate().unwrap();
        for (role, server) in [(Role::TunnelAgent, false), (Role::TunnelServer, true)] {
            let request = request("r", role, "n1", &key).unwrap();
            let usages = request.spec.usages.unwrap();
            assert_eq!(
                usages.iter().any(|usage| usage == "server auth"),
                server,
                "{usages:?}"
            );
            let pem = String::from_utf8(request.spec.request.0).unwrap();
            assert!(pem.starts_with("-----BEGIN CERTIFICATE REQUEST") && !pem.contains("PRIVATE"));
        }
    }
}
