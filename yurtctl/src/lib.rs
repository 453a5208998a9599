//! Makes nodes of a running cluster edge nodes, and takes it back: facts → plan → show → run.
//!
//! In reading order: what the user types ([`args`]), which nodes that means ([`selection`], pure), how these nodes are
//! ([`servant`], by a pod on each), what is wrong with them ([`check`], pure), what would be done ([`plan`], pure), how
//! that is shown ([`show`], pure), in which order ([`waves`], pure), and the doing ([`convert`], [`revert`]). A node that is lost is
//! [forgotten](forget). What happens
//! on a node itself is `yurtctl-node`.

pub mod app;
pub mod args;

pub mod born;
pub mod check;
pub mod plan;
pub mod selection;
pub mod show;
pub mod waves;

pub mod autonomy;
pub mod convert;
pub mod doctor;
pub mod forget;
pub mod revert;
pub mod status;
pub mod tunnel;

pub mod cluster;
pub mod objects;
pub mod progress;
pub mod rebirth;
pub mod run;
pub mod servant;
pub mod session;
pub mod summary;
pub mod survey;

pub mod console;
pub mod on_node;

#[cfg(test)]
mod samples;

/// Who writes our objects, for the apiserver: field manager and label.
pub const MANAGER: &str = "yurtctl";
/// Nodes that are, or shall be, edge nodes; as in OpenYurt.
pub use yurt_common::node_certificates::EDGE_LABEL;
/// Says on a Node that the label is ours to take away again.
pub const LABELLED_BY: &str = "yurt.openyurt.io/labelled-by";
