//! Puts both ends together from flags, and runs them until SIGTERM or SIGINT.
//!
//! Each end has two sources for what it is and whom it trusts: the cluster, and files that somebody else looks after.

pub mod agent;
pub mod server;

use std::future::Future;
use std::net::SocketAddr;
use std::num::NonZero;
use std::process::ExitCode;
use std::thread;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};
use yurt_common::telemetry;

use crate::args::{Args, Common, End};
use crate::cleanup;

/// Runs what was asked for.
pub fn main(args: Args) -> ExitCode {
    let common = match &args.end {
        End::Agent(agent) => &agent.common,
        End::Server(server) => &server.common,
        End::Cleanup => return clean_up(),
    };
    let _logs = telemetry::install(common.log_format, &common.log);
    ended(run(args.end))
}

fn clean_up() -> ExitCode {
    let _logs = telemetry::install(telemetry::LogFormat::Human, "info");
    ended(
        cleanup::run()
            .map(|found| info!("{found}"))
            .context("failed to clean up"),
    )
}

fn ended(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!("{failure:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(end: End) -> Result<()> {
    let mut runtime = match end {
        // One node's streams are not more than one core's work, and threads of a runtime hand each other what one could do.
        End::Agent(_) | End::Cleanup => runtime::Builder::new_current_thread(),
        End::Server(_) => runtime::Builder::new_multi_thread(),
    };
    runtime.worker_threads(workers(thread::available_parallelism().map_or(1, NonZero::get)));
    let runtime = runtime
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    runtime.block_on(async {
        match end {
            End::Agent(args) => agent::run(*args, stop()?).await,
            End::Server(args) => server::run(*args, stop()?).await,
            End::Cleanup => Ok(()),
        }
    })
}

/// Threads of a server where there are so many processors: half of them, as the apiserver that it stands beside needs some, too.
fn workers(processors: usize) -> usize {
    (processors / 2).max(1)
}

fn stop() -> Result<impl Future<Output = ()> + Send> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

async fn health_listener(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen at {address} for health and metrics"))
}

async fn client(common: &Common) -> Result<kube::Client> {
    let client = crate::api::client(common.kubeconfig.as_deref()).await;
    client.context("failed to find the API, which gives certificates")
}
