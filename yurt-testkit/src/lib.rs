//! A real etcd and kube-apiserver on loopback, and a link that can be cut, for component tests.
//!
//! Reading order: what a test starts ([`api_server`]), whom it is there ([`ca`]), how it talks to it ([`api`],
//! [`objects`]), what it puts in between ([`link`]), how it waits ([`poll`]), how it compares ([`parity`]), how benches
//! report what they have measured ([`figure`]), and what all of that stands on ([`process`], [`scratch`]).
//!
//! Not here: containers, kubelets, namespaces of the network. Those belong to the end-to-end cluster.
//!
//! Invariant: nothing that this crate starts or writes outlives the process that asked for it, however that ends.

pub mod api;
pub mod api_server;
pub mod ca;
pub mod figure;
pub mod link;
pub mod objects;
pub mod parity;
pub mod poll;
pub mod process;
pub mod scratch;

mod binaries;
mod etcd;
mod runtime;

pub use api::Api;
pub use api_server::ApiServer;
pub use binaries::binary;
pub use link::Link;
pub use poll::wait_for;
