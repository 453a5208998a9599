//! What this node answers by itself while the cloud is away. Never pretends: [`mod@write`] holds the table.

pub mod events;
pub mod journal;
pub mod lease;
pub mod mirror_pods;
pub mod overlay;
pub mod replay;
pub mod reviews;
pub mod token;
pub mod write;
