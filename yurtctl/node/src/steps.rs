//! The steps of a conversion, each with its effect and its way back. Both may be begun again after an interruption
//! anywhere within them, and then come to the same end.

mod files;
mod hub;
mod kubelet;
mod set;

pub use set::StepSet;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::host::Host;
use crate::spec::NodeSpec;
use crate::systemd::CallError;
use crate::transaction::{Goal, Store, Transaction};

/// What is done to a node, in this order; and taken back in the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// The programs are put in their places.
    Programs,
    /// Configuration and service are written.
    Configuration,
    /// yurthub runs, and says that it is ready.
    Start,
    /// yurthub has mirrored what the kubelet will ask it for.
    Mirror,
    /// The kubelet is turned to yurthub and restarted.
    Switch,
    /// The kubelet has reported its node Ready, through yurthub.
    Verify,
}

impl Step {
    /// All of them, in the order of doing.
    pub const ALL: [Self; 6] = [
        Self::Programs,
        Self::Configuration,
        Self::Start,
        Self::Mirror,
        Self::Switch,
        Self::Verify,
    ];

    /// Its name in journals and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Programs => "programs",
            Self::Configuration => "configuration",
            Self::Start => "start",
            Self::Mirror => "mirror",
            Self::Switch => "switch",
            Self::Verify => "verify",
        }
    }

    /// What it does, for people.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Programs => "put yurthub and yurtctl in their places",
            Self::Configuration => "write yurthub's configuration and service",
            Self::Start => "start yurthub and wait until it is ready",
            Self::Mirror => "wait until yurthub has mirrored what this node needs",
            Self::Switch => "add one drop-in to the kubelet's service and restart the kubelet",
            Self::Verify => "wait until the kubelet reports the node Ready through yurthub",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a step failed.
#[derive(Debug, Error)]
pub enum StepError {
    /// A file.
    #[error("failed to {action} `{path}`; is there space on the disk (`df`), and is it writable?")]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A program in the image is not the one that was planned.
    #[error(
        "the program `{path}` is not the one of the plan (SHA-256 {found}); was the image replaced meanwhile?"
    )]
    OtherProgram {
        /// Which.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// systemd, or yurthub's own command.
    #[error(transparent)]
    Call(#[from] CallError),
    /// yurthub did not start.
    #[error("yurthub did not become ready; its last lines: {log}")]
    HubNotReady {
        /// What it said last.
        log: String,
        /// What systemd said.
        source: CallError,
    },
    /// The kubelet is not healthy in time.
    #[error("the kubelet is not healthy after {} s: {what}; see `journalctl -u {unit}`", .after.as_secs())]
    KubeletNotHealthy {
        /// What is missing.
        what: String,
        /// Its service.
        unit: String,
        /// How long was waited.
        after: Duration,
    },
}

/// Where a way back leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    /// To what was here before this transaction; an update may have begun from a converted node.
    Before,
    /// To what was here before any conversion.
    Nothing,
}

/// What steps work on.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The node.
    pub host: &'a dyn Host,
    /// Our folder on the node.
    pub store: &'a Store,
    /// What shall happen.
    pub transaction: &'a Transaction,
    /// Whether the node was converted before this transaction.
    pub was_converted: bool,
    /// Whether the step was begun before, and nobody knows how far it came.
    pub again: bool,
    /// Time that is left.
    pub left: Duration,
}

impl Scene<'_> {
    fn spec(&self) -> &NodeSpec {
        &self.transaction.spec
    }

    fn back(&self) -> Back {
        match self.transaction.goal {
            Goal::Converted => Back::Before,
            Goal::Reverted => Back::Nothing,
        }
    }

    /// Whether the node was converted before this transaction, and will be after it.
    fn is_update(&self) -> bool {
        self.transaction.goal == Goal::Converted && self.was_converted
    }
}

/// Does a step.
pub fn apply(step: Step, scene: &Scene<'_>) -> Result<(), StepError> {
    match step {
        Step::Programs => files::place_programs(scene),
        Step::Configuration => files::place_configuration(scene),
        Step::Start => hub::start(scene),
        Step::Mirror => hub::mirror(scene),
        Step::Switch => kubelet::turn(scene),
        Step::Verify => kubelet::verify(scene),
    }
}

/// Takes a step back, whether it was done wholly, partly or not at all.
pub fn undo(step: Step, scene: &Scene<'_>) -> Result<(), StepError> {
    match step {
        Step::Verify | Step::Mirror => Ok(()),
        Step::Switch => kubelet::turn_back(scene),
        Step::Start => hub::stop(scene),
        Step::Configuration => {
            // A boot since then, or before the step `start`, has started it: its service is enabled.
            hub::stop(scene)?;
            files::take_configuration(scene)
        }
        Step::Programs => {
            files::take_programs(scene)?;
            hub::resume(scene)
        }
    }
}

/// Files of `spec` that are not on the node, or not as it says.
pub(crate) fn drifted(host: &dyn Host, spec: &NodeSpec) -> Vec<PathBuf> {
    files::drifted(host, spec)
}
