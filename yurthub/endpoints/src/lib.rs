//! Reality in EndpointSlices and Endpoints: what they should say to the readers on this node while the
//! cloud cannot be told.
//!
//! The controllers that write these objects run in the cloud. When the node reboots without it, its
//! pods come back with other addresses, and every cluster address still points at the old ones. This crate
//! takes such an object as the cloud last wrote it, and what this node knows, and gives the object as
//! kube-proxy and CoreDNS on the node should see it.
//!
//! # Rules
//!
//! The first row that fits decides. *Dead* means: `ready` and `serving` are false, the address is left;
//! in Endpoints: the address stands in `notReadyAddresses`.
//!
//! | endpoint | shown | why |
//! |---|---|---|
//! | in a slice of names (`FQDN`) or of an unknown address type | as in the cloud | no pod is behind it |
//! | without a `targetRef` of kind `Pod` that has a UID | as in the cloud | whoever wrote it by hand knows what it is |
//! | on another node that cannot be reached, while detached | dead | otherwise clients time out there |
//! | on another node that the cloud does not hear of, endpoints kept, pod ready before | *kept* | its pool takes it to be alive |
//! | on another node | as in the cloud | also when the UID is that of a pod here: the cloud names the node |
//! | any other, while the pods of this node are not known as a whole | as in the cloud | nobody has said otherwise |
//! | pod that is not known here, `nodeName` is this node | dead | the pod is gone |
//! | pod that is not known here, no `nodeName` | as in the cloud | nothing is known of it |
//! | pod that has ended (`Succeeded`, `Failed`) | dead | (R) `ShouldPodBeInEndpoints` drops it, whatever the Service says |
//! | pod with hostNetwork, not reported since the boot | as in the cloud | its address, the node's, is still right |
//! | pod not reported since the boot | dead | its address went with its sandbox |
//! | pod with hostNetwork | cloud's address, conditions as reported | the node's address does not change with the pod |
//! | pod without an address of the family | dead | (R) drops an endpoint without addresses |
//! | any other pod | address and conditions as reported | (P) |
//!
//! - Conditions as reported (P): `serving` = Ready; `terminating` = being deleted;
//!   `ready` = `publishNotReadyAddresses` or (serving and not terminating). In Endpoints the address
//!   stands in `addresses` when `ready`, else in `notReadyAddresses` (E).
//! - Ready is what the kubelet says. Of a node that is silent the cloud says that its pods are not (N): it sets `Ready`
//!   to `False` and leaves `ContainersReady` as it is. The kubelet never says that of a pod without readiness gates (G):
//!   such a pod counts as ready, else all pods of a node would be dead on it when its cloud comes back.
//! - `publishNotReadyAddresses` does not revive the dead: it publishes pods before they are ready, not
//!   addresses at which there is no pod.
//! - *Kept*: what the cloud calls not ready and not terminating is `ready` and `serving`; in Endpoints the address stands in
//!   `addresses`. What the cloud calls ready or terminating stays as it is: the Endpoints controller lists nothing that
//!   is being deleted unless its Service publishes that (R). A pod counts as ready before where `ContainersReady` says so,
//!   which the cloud leaves as it was (N); who is not is told from outside, so that `CrashLoopBackOff` is not revived.
//! - Nothing revives the dead: where all endpoints of a Service are dead, all are shown dead. kube-proxy then rejects what is
//!   sent to the Service at once, where the addresses would take seconds to time out, and the controllers do the same
//!   when all nodes of a Service are silent (N).
//! - `serving` of the dead is false because kube-proxy falls back to endpoints that serve and terminate
//!   when none is ready (K).
//! - The address type of a slice decides which of a pod's addresses are shown: all of that family, as in
//!   (A). In Endpoints it is the family of the address that stands there, and the first of the pod's, as
//!   in (E). An object never mixes families.
//! - The Endpoints controller drops what is being deleted; here it moves to `notReadyAddresses`, which no
//!   reader uses: so the next version is compared with what the cloud wrote and not with a gap.
//! - Ports stay: a slice, and a subset, is the group of the pods that have these port numbers, a pod's
//!   named ports are part of its immutable spec, and a pod with other ports has another UID.
//! - An endpoint is never added: a pod that the cloud has not listed is not in its Service yet.
//! - A condition that was unset is set when a rule has something to say about its endpoint.
//!
//! Sources, in `k8s.io/kubernetes`: (P) `podToEndpoint` and (A) `getEndpointAddresses` in
//! `staging/src/k8s.io/endpointslice/utils.go`; (R) `reconcileByAddressType` in `…/reconciler.go` and
//! `ShouldPodBeInEndpoints` in `…/util/controller_utils.go`; (E) `addEndpointSubset` and
//! `podToEndpointAddressForService` in `pkg/controller/endpoint/endpoints_controller.go`; (K)
//! `CategorizeEndpoints` in `pkg/proxy/topology.go`; (N) `MarkPodsNotReady` in
//! `pkg/controller/util/node/controller_utils.go`; (G) `GeneratePodReadyCondition` in `pkg/kubelet/status/generate.go`.
//!
//! # Order and bytes
//!
//! What a rule does not touch keeps its bytes: unknown fields, labels, other endpoints. Endpoints of a
//! slice keep their places. In Endpoints an address that moves to the other list goes behind those that
//! stay there, in the order of the cloud; a list that runs empty is left out and one that is made stands
//! where Go's marshaller puts it. Subsets keep their places; the controller would sort them anew by
//! hash, which means nothing to a reader. In JSON white space within a subset whose lists change is
//! lost; the apiserver writes none.
//!
//! Deliberately not here: when to call this, who knows the pods' statuses, resource versions, and
//! whether a node can be reached. Invariants: pure; work linear in the object; bytes from anywhere give
//! a value or [`Malformed`], never a panic; showing what was shown changes nothing.
//!
//! In reading order: `reality` holds the rules, `slice` and `subsets` apply them to the two kinds,
//! `target` reads what an endpoint stands for, `numbers` has the field numbers of protobuf, `pod` and
//! `service` read what the rules need from other objects.

mod numbers;
mod pod;
mod reality;
mod service;
mod slice;
mod subsets;
mod target;

use std::collections::BTreeSet;

use bytes::Bytes;
use yurthub_object::{Encoding, Malformed, meta};

pub use reality::{LocalPod, Reality};
pub use service::publishes_not_ready;

/// The label of an EndpointSlice that names its Service (`k8s.io/api/discovery/v1/well_known_labels.go`).
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// The kinds that list endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice,
    /// `v1` Endpoints.
    Endpoints,
}

impl Kind {
    const fn subject(self) -> &'static str {
        match self {
            Self::EndpointSlice => "EndpointSlice",
            Self::Endpoints => "Endpoints",
        }
    }
}

/// An object that lists endpoints, as the cloud last wrote it.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What it is.
    pub kind: Kind,
    /// How `item` is encoded.
    pub encoding: Encoding,
    /// The object in its stored form, see [`yurthub_object`].
    pub item: &'a [u8],
}

/// How an object is to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// As it is: reality does not differ.
    Keep,
    /// With these bytes, in the encoding of the source.
    Changed(Bytes),
}

/// What an object's endpoints stand for: an index from pods and nodes to the objects that their changes
/// concern. Only what [`show`] would look at is in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Targets {
    /// The UIDs of pods.
    pub pods: BTreeSet<String>,
    /// The names of the nodes of these pods.
    pub nodes: BTreeSet<String>,
}

/// The object as local readers should see it.
///
/// `publish_not_ready` is `spec.publishNotReadyAddresses` of its Service ([`publishes_not_ready`]), false
/// when the Service is not known. `source` is always the cloud's object, never one that was shown before.
pub fn show(source: Source<'_>, reality: &Reality<'_>, publish_not_ready: bool) -> Result<Shown, Malformed> {
    let shown = match source.kind {
        Kind::EndpointSlice => slice::show(source.encoding, source.item, reality, publish_not_ready),
        Kind::Endpoints => subsets::show(source.encoding, source.item, reality, publish_not_ready),
    };
    shown
        .map(|changed| changed.map_or(Shown::Keep, |bytes| Shown::Changed(bytes.into())))
        .map_err(|reason| reason.reading(source.kind.subject()))
}

/// The pods and nodes that the object's endpoints stand for.
pub fn targets(source: Source<'_>) -> Result<Targets, Malformed> {
    let mut targets = Targets::default();
    let collected = match source.kind {
        Kind::EndpointSlice => slice::targets(source.encoding, source.item, &mut targets),
        Kind::Endpoints => subsets::targets(source.encoding, source.item, &mut targets),
    };
    collected
        .map(|()| targets)
        .map_err(|reason| reason.reading(source.kind.subject()))
}

/// The name of the Service that the object belongs to, in the object's namespace: the label
/// [`SERVICE_NAME_LABEL`] of a slice, `None` without it; the own name of Endpoints.
pub fn service_of(source: Source<'_>) -> Result<Option<String>, Malformed> {
    let Source { kind, encoding, item } = source;
    match kind {
        Kind::EndpointSlice => Ok(meta::labels(encoding, item)?.remove(SERVICE_NAME_LABEL)),
        Kind::Endpoints => Ok(Some(meta::key(encoding, item)?.name.into_owned())),
    }
}
