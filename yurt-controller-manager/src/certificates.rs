//! Certificates of our own for nodes: the controller `certificates`, approver and signer of our signer names.
//!
//! Who asks is known from the apiserver, what is asked for is read from bytes that anybody may have written ([`request`]),
//! and a rule for each signer ([`signers`]) says who gets what; [`mod@decide`] puts these together. All of them are pure.
//! [`answer`] writes. The authority that signs ([`authority`]) is in a Secret that nobody else reads ([`safe`]), and is
//! replaced without an outage ([`rotation`], pure; [`keeper`] does it). [`inbox`] hears of requests.
//!
//! Invariants: a certificate names the node that asked for it and nothing that its Node does not have; what is signed is
//! made here, and nothing but the key comes from the request; an authority that cannot be read is never replaced.

pub mod answer;
pub mod authority;
pub mod decide;
pub mod inbox;
pub mod keeper;
pub mod request;
pub mod rotation;
pub mod safe;
pub mod signers;

use std::time::{Duration, SystemTime};

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::Client;
use kube::api::{Api, ObjectMeta};
use yurt_common::node_certificates::FORGOTTEN;
use yurt_common::node_certificates::forgotten::Forgotten;

use crate::controller::Reconcile;
use crate::failure::{self, Failure};
use crate::queue::Key;
use answer::Answer;
use decide::{Verdict, decide};
use safe::Safe;

/// Its name.
pub const NAME: &str = "certificates";

/// The controller.
pub struct Certificates {
    /// To the apiserver.
    pub client: Client,
    /// Where our objects are.
    pub namespace: String,
    /// How long a certificate is valid, at most.
    pub lifetime: Duration,
    /// The authority.
    pub safe: Safe,
    /// What writes.
    pub answer: Answer,
}

impl Reconcile for Certificates {
    /// Looks at the request of that name. All that counts is read now: requests are rare, and who was forgotten a moment
    /// ago gets nothing.
    async fn reconcile(&self, name: &Key) -> Result<Option<Duration>, Failure> {
        let requests: Api<CertificateSigningRequest> = Api::all(self.client.clone());
        let Some(request) = requests.get_opt(name).await.map_err(seen)? else {
            return Ok(None);
        };
        let Some(signer) = signers::of(&request.spec.signer_name) else {
            return Ok(None);
        };
        let node = match signers::requester(signer, &request, &self.namespace) {
            Some(node) => Api::<Node>::all(self.client.clone()).get_opt(&node).await,
            None => Ok(None),
        };
        let node = node.map_err(seen)?;
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let forgotten = maps.get_opt(FORGOTTEN).await.map_err(seen)?;
        let forgotten = Forgotten::of(&forgotten.and_then(|map| map.data).unwrap_or_default());
        let facts = decide::Facts {
            namespace: &self.namespace,
            node: node.as_ref(),
            forgotten: &forgotten,
            lifetime: self.lifetime,
            now: SystemTime::now(),
        };
        match decide(&request, signer, &facts) {
            Verdict::Settled => Ok(None),
            Verdict::Wait(again) => Ok(Some(again)),
            Verdict::Refuse(reason) => self.answer.refuse(request, signer, &reason).await.map(|()| None),
            Verdict::Sign(grant) => {
                // Who cannot sign does not approve either.
                let authority = self.safe.signing().await?;
                self.answer
                    .sign(request, signer, &grant, &authority)
                    .await
                    .map(|()| None)
            }
        }
    }
}

/// A read that failed.
fn seen(error: kube::Error) -> Failure {
    failure::of(error).unwrap_or(Failure::Conflict)
}

/// Metadata of an object of ours.
fn labelled() -> ObjectMeta {
    let labels = [
        ("app.kubernetes.io/name", "yurt"),
        ("app.kubernetes.io/part-of", "yurt"),
        ("app.kubernetes.io/managed-by", crate::MANAGER),
    ];
    ObjectMeta {
        labels: Some(
            labels
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        ),
        ..ObjectMeta::default()
    }
}
