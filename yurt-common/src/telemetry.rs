//! Logs: human lines or JSON on stderr, with a level that can be changed while running.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt as format, reload};

pub use crate::error_chain::ErrorChain;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line per event.
    Human,
    /// One JSON object per event.
    Json,
}

/// Changes the log filter of the running process.
#[derive(Clone)]
pub struct LogControl(reload::Handle<EnvFilter, Registry>);

impl LogControl {
    /// Sets a new filter, in the syntax of `RUST_LOG`; the error says what is wrong with it.
    pub fn set(&self, filter: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
        self.0.reload(filter).map_err(|error| error.to_string())
    }
}

/// Installs the process-wide subscriber. `filter` has been checked by the configuration.
pub fn install(log_format: LogFormat, filter: &str) -> LogControl {
    let (filter, handle) = reload::Layer::new(EnvFilter::new(filter));
    let registry = tracing_subscriber::registry().with(filter);
    let outcome = match log_format {
        LogFormat::Human => registry
            .with(
                format::layer()
                    .with_ansi(std::io::stderr().is_terminal())
                    .with_writer(std::io::stderr)
                    .with_target(false),
            )
            .try_init(),
        LogFormat::Json => registry
            .with(
                format::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
    drop(outcome); // a second installation (several hubs in one test process) keeps the first
    LogControl(handle)
}
