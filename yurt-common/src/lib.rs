//! What more than one program of this project needs, and no library has as we need it.

pub mod autonomy;
pub mod error_chain;
pub mod fs;

#[cfg(feature = "node-certificates")]
pub mod node_certificates;
#[cfg(feature = "pool")]
pub mod pool;
#[cfg(feature = "service")]
pub mod status_server;
#[cfg(feature = "service")]
pub mod telemetry;
pub mod tunnel;
