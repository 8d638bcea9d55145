//! Full syncs, many at once: all connect first, then all ask, and each reads to End of Data.

use std::error::Error;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::task::JoinSet;
use tokio::time::{Instant as Deadline, timeout_at};

use crate::process::Usage;
use crate::report::{figure, median, millis, usage};
use crate::session::{Answer, Connector, Session, Target};
use crate::wire::Digest;

/// Long enough for a server to come to rest after an answer, so that all its time is counted.
pub(crate) const SETTLE: Duration = Duration::from_millis(50);

/// Full syncs of many routers at once
#[derive(Args, Clone, Debug)]
pub(crate) struct Sync {
    #[command(flatten)]
    target: Target,
    /// Routers that ask at the same time
    #[arg(long, default_value_t = 1)]
    clients: usize,
    /// Repeat, and report medians
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Digest what the first router reads; it slows a short run down
    #[arg(long)]
    digest: bool,
}

impl Sync {
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let connector = Connector::new(
            &self.target,
            if self.digest { Digest::Yes } else { Digest::No },
        );
        let deadline = self.target.deadline();
        let (mut walls, mut cpus) = (Vec::new(), Vec::new());
        for run in 1..=self.runs {
            let sessions = timeout_at(deadline, connector.connect_all(self.clients)).await??;
            tokio::time::sleep(SETTLE).await;
            let before = self.target.pid.and_then(Usage::of);
            let own = Usage::of(std::process::id());
            let synced = sync(sessions, deadline).await;
            let own = own.zip(Usage::of(std::process::id()));
            tokio::time::sleep(SETTLE).await;
            let after = self.target.pid.and_then(Usage::of);
            walls.push(synced.wall);
            if let (Some(before), Some(after)) = (before, after) {
                cpus.push(after.cpu_since(&before));
            }
            if run == self.runs {
                synced.print();
                if let Some((before, after)) = own {
                    millis("client_cpu_ms", after.cpu_since(&before));
                }
                usage(before, after, self.clients);
            }
        }
        millis("median_wall_ms", median(&mut walls));
        if !cpus.is_empty() {
            let clients = u32::try_from(self.clients).unwrap_or(u32::MAX).max(1);
            millis("median_cpu_ms_each", median(&mut cpus) / clients);
        }
        Ok(())
    }
}

/// What came of many full syncs.
pub(crate) struct Synced {
    started: Instant,
    pub(crate) wall: Duration,
    clients: usize,
    answers: Vec<Answer>,
    /// Open to the end: what closing costs is not measured here.
    sessions: Vec<Session>,
}

/// Asks on all sessions and reads the answers. Those that fail or are late are left out.
pub(crate) async fn sync(sessions: Vec<Session>, deadline: Deadline) -> Synced {
    let clients = sessions.len();
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    for mut session in sessions {
        // A query fits every socket buffer: nothing is waited for here.
        let sent = session.reset_query().await;
        tasks.spawn_local(async move {
            sent.ok()?;
            let answer = timeout_at(deadline, session.answer()).await.ok()?.ok()?;
            Some((session, answer))
        });
    }
    let (mut kept, mut answers) = (Vec::new(), Vec::new());
    while let Some(joined) = tasks.join_next().await {
        if let Ok(Some((session, answer))) = joined {
            kept.push(session);
            answers.push(answer);
        }
    }
    let last = answers.iter().map(|answer| answer.end).max();
    Synced {
        started,
        wall: last.unwrap_or_else(Instant::now) - started,
        clients,
        answers,
        sessions: kept,
    }
}

impl Synced {
    pub(crate) fn count(&self) -> usize {
        self.sessions.len()
    }

    fn times(&self, of: impl Fn(&Answer) -> Instant) -> Vec<Duration> {
        self.answers
            .iter()
            .map(|answer| of(answer) - self.started)
            .collect()
    }

    fn print(&self) {
        figure("clients", self.clients);
        figure("synced", self.count());
        millis("wall_ms", self.wall);
        millis("ttfb_p50_ms", median(&mut self.times(|a| a.first_octet)));
        let mut ends = self.times(|answer| answer.end);
        millis("eod_p50_ms", median(&mut ends));
        millis("eod_max_ms", ends.last().copied().unwrap_or_default());
        let octets: u64 = self.answers.iter().map(|answer| answer.octets).sum();
        figure("octets", octets);
        let micros = u64::try_from(self.wall.as_micros()).unwrap_or(u64::MAX);
        figure("mb_per_s", octets / micros.max(1));
        let digested = self.answers.iter().find(|a| a.count.checksum != 0);
        let Some(first) = digested.or_else(|| self.answers.first()) else {
            return;
        };
        figure("serial", first.state.serial);
        println!("{}", first.count);
        let alike = self.answers.iter().all(|answer| {
            let mut count = answer.count;
            count.checksum = first.count.checksum;
            count == first.count
        });
        figure("all_alike", if alike { "yes" } else { "no" });
    }
}
