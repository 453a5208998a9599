//! Which command runs where: on a node without a runtime (a process that joins the node must have one thread), all
//! others with one.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;

use crate::args::{Args, Command, NodeCommand, TunnelCommand};
use crate::{autonomy, console, convert, doctor, forget, on_node, revert, status, tunnel};

/// How a command ended, for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All is done, or fine.
    Fine,
    /// Something failed, or would.
    Failed,
    /// Some nodes could not be reached.
    Pending,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let ending = match dispatch(args) {
        Ok(ending) => ending,
        Err(error) => {
            drop(writeln!(io::stderr(), "yurtctl: {error:#}"));
            Ending::Failed
        }
    };
    ExitCode::from(ending.code())
}

impl Ending {
    /// What a script sees. 2 is clap's, for a command line that makes no sense.
    pub const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Failed => 1,
            Self::Pending => 3,
        }
    }
}

fn dispatch(args: Args) -> Result<Ending> {
    let cluster = args.cluster;
    match args.command {
        Command::Servant(servant) => Ok(on_node::servant(&servant)),
        Command::Node(NodeCommand::Forget(what)) => on_cluster(forget::command(&cluster, &what)),
        Command::Node(NodeCommand::Remember { name }) => on_cluster(forget::remember(&cluster, &name)),
        Command::Node(NodeCommand::Conduct) => on_node::conduct(),
        Command::Node(NodeCommand::Revert { .. }) => console::revert(),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "yurtctl", &mut io::stdout());
            Ok(Ending::Fine)
        }
        Command::Convert(what) => on_cluster(convert::command(&cluster, &what)),
        Command::Revert(what) => on_cluster(revert::command(&cluster, &what)),
        Command::Status(shown) => on_cluster(status::command(&cluster, shown)),
        Command::Node(NodeCommand::Show { name, shown }) => on_cluster(status::show(&cluster, &name, shown)),
        Command::Doctor(what) => on_cluster(doctor::command(&cluster, &what)),
        Command::Tunnel(TunnelCommand::Status(shown)) => on_cluster(tunnel::status(&cluster, shown)),
        Command::Tunnel(TunnelCommand::Ping(what)) => on_cluster(tunnel::ping::command(&cluster, &what)),
        Command::Autonomy(what) => on_cluster(autonomy::command(&cluster, &what)),
        Command::Version(shown) => on_cluster(status::versions(&cluster, shown)),
    }
}

fn on_cluster(command: impl Future<Output = Result<Ending>>) -> Result<Ending> {
    // Only fails where one is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start the runtime")?
        .block_on(command)
}
