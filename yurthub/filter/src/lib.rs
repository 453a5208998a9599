//! What an edge node sees otherwise than the cloud sent it: object filters on bytes.
//!
//! A filter changes single values in objects that yurthub hands to this node's kubelet, so that pods reach the
//! API through yurthub without knowing of it:
//!
//! | module | OpenYurt's name | object | what changes | why |
//! |---|---|---|---|---|
//! | [`mod@trust_bundle`] | – | ConfigMap `kube-root-ca.crt` of each namespace | yurthub's CA is appended to `ca.crt` | pods verify the API's certificate by this file, and yurthub's is not signed by the cluster's CA |
//! | [`mod@kubernetes_service`] | `masterservice` | Service `default/kubernetes` | address and `https` port are yurthub's | the kubelet makes `KUBERNETES_SERVICE_HOST` and `_PORT` of new containers from it |
//! | [`mod@service_env`] | `serviceenvupdater` | each pod that sets these two variables itself | their values are yurthub's | what a pod sets goes before what the kubelet makes |
//! | [`mod@kube_proxy_config`] | `inclusterconfig` | ConfigMap `kube-system/kube-proxy` | `server` in `kubeconfig.conf` is yurthub | kube-proxy does not look at the variables while it has a kubeconfig |
//!
//! The order is the one in which they may be switched on: a pod that is led to yurthub before it trusts
//! yurthub's CA has lost the API. OpenYurt has no counterpart of the first, because its hub speaks to pods with
//! a certificate of the cluster's CA; and its `inclusterconfig` comments the kubeconfig out, which leaves
//! kube-proxy without the file that its configuration names. No filter has an annotation to opt out, nor has
//! OpenYurt.
//!
//! The crate is pure: objects and settings in, bytes out. Its invariants:
//! - Edits are lossless. Fields of a newer Kubernetes, the order of fields and white space stay; `metadata` is
//!   never touched, so versions are the cloud's. What is absent is not made.
//! - A filter that has nothing to change gives [`Filtered::Keep`] without copying the object; what it gave,
//!   it keeps.
//! - Bytes from anywhere give an answer or [`Malformed`], never a panic, and linear work.
//!
//! What has been filtered is for reading: nobody may write it back to the cloud. The kubelet does not (it
//! patches statuses, and these filters touch none).
//!
//! A new filter is a file with an [`ObjectFilter`], a name, and a line in [`Filters::new`] and the table above.

mod config_map;
mod filter;
mod fingerprint;
pub mod kube_proxy_config;
pub mod kubernetes_service;
pub mod service_env;
mod settings;
pub mod trust_bundle;

pub use filter::{FilterName, Filtered, Filters, ObjectFilter, Place};
pub use settings::{BadSettings, Server, Settings};
pub use yurthub_object::{Encoding, Malformed};
