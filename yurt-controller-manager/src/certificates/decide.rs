//! Whether a request gets its certificate, and what is in it (pure).

mod names;

use std::time::{Duration, SystemTime};

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::Node;
use yurt_common::node_certificates::forgotten::{Forgotten, Standing};
use yurt_common::node_certificates::{BACKDATED, EDGE_LABEL};

use super::request::{self, Name};
use super::signers::{self, Kind, Signer};

/// The Node of a request may come a moment later than the request.
const PATIENCE: Duration = Duration::from_mins(1);
const AGAIN: Duration = Duration::from_secs(2);
/// Nobody is asked to wait for longer at a time.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// The shortest time that the API allows to ask for.
const SHORTEST: Duration = Duration::from_mins(10);

/// What is known beside the request.
pub struct Facts<'a> {
    /// Where our objects are.
    pub namespace: &'a str,
    /// The Node of the requester.
    pub node: Option<&'a Node>,
    /// Who is forgotten.
    pub forgotten: &'a Forgotten,
    /// How long a certificate is valid, at most.
    pub lifetime: Duration,
    /// Now.
    pub now: SystemTime,
}

/// What is done about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it has its certificate, or was refused.
    Settled,
    /// Nothing yet.
    Wait(Duration),
    /// It is approved and signed.
    Sign(Grant),
    /// It is refused for good.
    Refuse(Reason),
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The node.
    pub node: String,
    /// Names of that node, or of the server on it.
    pub names: Vec<Name>,
    /// The key, as a DER `SubjectPublicKeyInfo`.
    pub key: Vec<u8>,
    /// From when it is valid.
    pub not_before: SystemTime,
    /// Until when.
    pub not_after: SystemTime,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Nobody who stands for a node has asked.
    #[error(
        "{0} does not stand for a node: a pod of the signer's account may ask by a token that names its node, and a kubelet where the certificate is that of a client alone"
    )]
    NoNode(String),
    /// It is for another node than the requester's.
    #[error("it is for `{asked}`, and was asked for by node `{requester}`")]
    AnotherNode {
        /// The common name.
        asked: String,
        /// Who asked.
        requester: String,
    },
    /// There is no such Node.
    #[error("there is no Node `{0}`")]
    UnknownNode(String),
    /// It is an edge node, and the signer serves none.
    #[error(
        "node `{0}` is an edge node (label {EDGE_LABEL}=true): servers of the tunnel run in the cloud only"
    )]
    EdgeNode(String),
    /// It is forgotten.
    #[error("node `{0}` is forgotten; `yurtctl node remember` takes that back")]
    ForgottenNode(String),
    /// It cannot be read.
    #[error("the request cannot be read: {0}")]
    Unreadable(&'static str),
    /// Its key is none that is taken.
    #[error("its key is none of ECDSA P-256, ECDSA P-384 and Ed25519")]
    WeakKey,
    /// Its subject is not a common name and an organization, or not these.
    #[error(
        "its subject is not that of this signer: the node's name as CN and the signer's organization as O, each once"
    )]
    Subject,
    /// It asks for something that no certificate of ours has.
    #[error("it asks for {0}, which this signer does not give")]
    Extension(&'static str),
    /// It has a name that is none of its Node.
    #[error("it asks for a name that its Node does not have: {0}")]
    ForeignName(String),
    /// Its usages are not those of the signer.
    #[error(
        "its usages must be `digital signature`, `client auth` and, for servers only, `server auth`, and may be `key encipherment`: {0}"
    )]
    Usages(String),
    /// It asks for a time that is too short.
    #[error("it asks to be valid for less than ten minutes")]
    TooShort,
}

impl Reason {
    /// As conditions and metrics have it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NoNode(_) => "NoNode",
            Self::AnotherNode { .. } => "AnotherNode",
            Self::UnknownNode(_) => "UnknownNode",
            Self::EdgeNode(_) => "EdgeNode",
            Self::ForgottenNode(_) => "ForgottenNode",
            Self::Unreadable(_) => "Unreadable",
            Self::WeakKey => "WeakKey",
            Self::Subject => "Subject",
            Self::Extension(_) => "Extension",
            Self::ForeignName(_) => "ForeignName",
            Self::Usages(_) => "Usages",
            Self::TooShort => "TooShort",
        }
    }
}

/// Judges a request for a certificate of `signer`. That somebody else has approved it makes no difference: what this
/// signer gives is for itself to judge.
pub fn decide(request: &CertificateSigningRequest, signer: &Signer, facts: &Facts<'_>) -> Verdict {
    if is_settled(request) {
        return Verdict::Settled;
    }
    match judge(request, signer, facts) {
        Err(Reason::UnknownNode(_)) if age(request, facts.now) < PATIENCE => Verdict::Wait(AGAIN),
        Err(reason) => Verdict::Refuse(reason),
        Ok(grant) => match facts.now.duration_since(grant.not_before) {
            Ok(_) => Verdict::Sign(grant),
            // Only where the clock by which the node was remembered is ahead.
            Err(ahead) => Verdict::Wait(ahead.duration().min(LONGEST_WAIT)),
        },
    }
}

/// Whether nothing is left to do: it has its certificate, or was refused by anybody.
pub fn is_settled(request: &CertificateSigningRequest) -> bool {
    let status = request.status.as_ref();
    let signed = status.and_then(|status| status.certificate.as_ref());
    signed.is_some_and(|signed| !signed.0.is_empty())
        || has_condition(request, "Denied")
        || has_condition(request, "Failed")
}

/// Whether it is approved.
pub fn is_approved(request: &CertificateSigningRequest) -> bool {
    has_condition(request, "Approved")
}

fn has_condition(request: &CertificateSigningRequest, kind: &str) -> bool {
    let conditions = request
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|one| one.type_ == kind)
}

fn age(request: &CertificateSigningRequest, now: SystemTime) -> Duration {
    let made = request.metadata.creation_timestamp.as_ref();
    let made = made.map_or(SystemTime::UNIX_EPOCH, |made| made.0.into());
    now.duration_since(made).unwrap_or_default()
}

fn judge(request: &CertificateSigningRequest, signer: &Signer, facts: &Facts<'_>) -> Result<Grant, Reason> {
    let spec = &request.spec;
    let requester = signers::requester(signer, request, facts.namespace)
        .ok_or_else(|| Reason::NoNode(spec.username.clone().unwrap_or_default()))?;
    let standing = facts.forgotten.standing(&requester);
    if matches!(standing, Some(Standing::Out(_))) {
        return Err(Reason::ForgottenNode(requester));
    }
    let asked = request::read(&spec.request.0)?;
    if asked.common_name != requester {
        return Err(Reason::AnotherNode {
            asked: asked.common_name,
            requester,
        });
    }
    if asked.organization != signer.organization {
        return Err(Reason::Subject);
    }
    let is_server = signer.kind != Kind::Client;
    if asked.serves && !is_server {
        return Err(Reason::Extension("a use beyond that of a client"));
    }
    usages(spec.usages.as_deref().unwrap_or_default(), is_server)?;
    let lifetime = lifetime(spec.expiration_seconds, facts.lifetime)?;
    let node = facts
        .node
        .filter(|node| node.metadata.name.as_ref() == Some(&requester));
    let node = node.ok_or_else(|| Reason::UnknownNode(requester.clone()))?;
    if is_server && is_edge(node) {
        return Err(Reason::EdgeNode(requester));
    }
    Ok(Grant {
        node: requester,
        names: names::granted(signer, node, asked.names)?,
        key: asked.key,
        not_before: begin(standing, facts.now),
        not_after: facts.now + lifetime,
    })
}

/// A certificate of a node that was forgotten once begins after it was remembered, by which it is told from older ones.
fn begin(standing: Option<Standing>, now: SystemTime) -> SystemTime {
    let usual = now - BACKDATED;
    match standing {
        Some(Standing::Back(since)) => usual.max(since + Duration::from_secs(1)),
        _ => usual,
    }
}

/// Whether a Node is marked as one at the edge. Its kubelet could take the mark off: where servers run is up to a label that
/// it cannot set, as the chart's default is.
fn is_edge(node: &Node) -> bool {
    let labels = node.metadata.labels.as_ref();
    labels.is_some_and(|labels| labels.get(EDGE_LABEL).is_some_and(|value| value == "true"))
}

fn usages(usages: &[String], server: bool) -> Result<(), Reason> {
    let has = |usage: &str| usages.iter().any(|one| one == usage);
    let known = [
        "client auth",
        "digital signature",
        "key encipherment",
        "server auth",
    ];
    let foreign = usages.iter().any(|usage| !known.contains(&usage.as_str()));
    if foreign || !has("client auth") || !has("digital signature") || has("server auth") != server {
        return Err(Reason::Usages(usages.join(", ")));
    }
    Ok(())
}

/// Who asks for more than there is gets what there is.
fn lifetime(asked: Option<i32>, longest: Duration) -> Result<Duration, Reason> {
    let Some(seconds) = asked else {
        return Ok(longest);
    };
    let asked = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    if asked < SHORTEST {
        return Err(Reason::TooShort);
    }
    Ok(asked.min(longest))
}

#[cfg(test)]
mod tests;
