//! What the pipeline is told beside what sources say.

use std::time::Duration;

use tokio::sync::oneshot;

use super::guard::Digest;
use crate::config::{Guard, Merge, Source};
use crate::daemon::slurm::Loaded;
use crate::rtr::{Serial, Timing};

/// Something to do.
#[derive(Debug)]
pub enum Order {
    /// Other sources, rules and exceptions, all in one turn.
    Configure(Box<Configure>),
    /// The exceptions changed, or could not be read.
    Exceptions {
        /// The task that reads them. What one says that was told to stop counts no more.
        reader: usize,
        /// What they are, or why that is not known.
        read: Result<Box<Loaded>, String>,
    },
    /// Let a candidate pass.
    Approve(Approval),
    /// Say when all sources have been asked.
    Await(Wait),
}

/// What a configuration means for the pipeline.
#[derive(Debug)]
pub struct Configure {
    /// The rules.
    pub rules: Rules,
    /// The sources in their order, each with the name of its task.
    pub feeds: Vec<(usize, Source)>,
    /// The exceptions, which were read before; `None` when they are as they were.
    pub slurm: Option<Loaded>,
    /// The task that reads them from now on.
    pub reader: usize,
    /// Told when it holds.
    pub done: oneshot::Sender<()>,
}

/// The rules of the pipeline.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rules {
    /// How several sources become one list.
    pub merge: Merge,
    /// What is not let through.
    pub guard: Guard,
    /// How long increments are kept.
    pub history: Duration,
    /// The timers that routers are told.
    pub timing: Timing,
    /// Whether local exceptions are configured.
    pub slurm_configured: bool,
}

/// The operator lets a candidate pass.
#[derive(Debug)]
pub struct Approval {
    /// Its digest, as it was typed.
    pub digest: Box<str>,
    /// What came of it, or why nothing did.
    pub answer: oneshot::Sender<Result<Approved, String>>,
}

/// A candidate that was let pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Approved {
    /// Its digest.
    pub digest: Digest,
    /// The serial that is served then, `None` while none is.
    pub serial: Option<Serial>,
}

/// The operator waits for sources that were asked.
#[derive(Debug)]
pub struct Wait {
    /// The number that the question has.
    pub asked: u64,
    /// The tasks that were asked.
    pub ids: Vec<usize>,
    /// What came of it, a line for each source.
    pub answer: oneshot::Sender<Vec<Heard>>,
}

/// What came of asking one source.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The source.
    pub source: Box<str>,
    /// What it has, or why it has nothing new.
    pub outcome: Result<String, String>,
}
