//! What a server without a cluster reads in folders: who the other servers are, and which nodes are forgotten.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::warn;
use yurt_common::node_certificates::verifier::Verifier;

use crate::agent::servers;
use crate::files;
use crate::protocol::Member;

/// How often they are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Where they are.
pub(super) struct Folders {
    /// A file for each server.
    pub(super) servers: Option<PathBuf>,
    /// A file for each node that is forgotten.
    pub(super) forgotten: Option<PathBuf>,
}

impl Folders {
    /// Reads them once.
    pub(super) fn read(&self, members: &watch::Sender<Vec<Member>>, verifier: &Verifier) -> Result<()> {
        if let Some(folder) = &self.servers {
            let all = read_members(folder).with_context(|| format!("failed to read {}", folder.display()))?;
            members.send_if_modified(|now| {
                let changed = *now != all;
                *now = all;
                changed
            });
        }
        match &self.forgotten {
            Some(folder) => verifier.forget(&files::folder(folder)?),
            None if verifier.is_ready() => {}
            None => verifier.forget(&BTreeMap::new()),
        }
        Ok(())
    }

    /// Reads them again and again.
    pub(super) async fn follow(self, members: watch::Sender<Vec<Member>>, verifier: Arc<Verifier>) {
        if self.servers.is_none() && self.forgotten.is_none() {
            return;
        }
        loop {
            sleep(LOOK).await;
            if let Err(error) = self.read(&members, &verifier) {
                warn!(error = format!("{error:#}"), "what was read before counts still");
            }
        }
    }
}

fn read_members(folder: &Path) -> std::io::Result<Vec<Member>> {
    let servers = servers::of_folder(folder)?;
    Ok(servers
        .into_iter()
        .map(|(id, addresses)| Member { id, addresses })
        .collect())
}
