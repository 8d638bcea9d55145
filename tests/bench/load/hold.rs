//! Sessions that ask for nothing (what one costs), that come and go (what a flapping router
//! costs), and that stop reading (what they cost the others).

use std::error::Error;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::process::Usage;
use crate::report::{figure, median, millis, percentile_99, usage};
use crate::session::{Connector, Target};
use crate::sync::{SETTLE, sync};
use crate::update::{Trigger, join, take};
use crate::wire::Digest;

/// Long enough for a server to free what it frees at leisure.
const REST: Duration = Duration::from_secs(1);

/// Established sessions that are silent
#[derive(Args, Clone, Debug)]
pub(crate) struct Idle {
    #[command(flatten)]
    target: Target,
    /// Sessions
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// Hold them for so many seconds
    #[arg(long, default_value_t = 1)]
    hold: u64,
}

impl Idle {
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let connector = Connector::new(&self.target, Digest::No);
        let deadline = self.target.deadline();
        // The memory of a first answer is not that of a session.
        drop(timeout_at(deadline, join(&connector, 1)).await??);
        tokio::time::sleep(REST).await;
        let before = self.target.pid.and_then(Usage::of);
        let started = Instant::now();
        let sessions = timeout_at(deadline, join(&connector, self.clients)).await??;
        millis("establish_ms", started.elapsed());
        tokio::time::sleep(REST).await;
        let after = self.target.pid.and_then(Usage::of);
        figure("sessions", sessions.len());
        usage(before, after, self.clients);
        if let (Some(before), Some(after)) = (before, after) {
            let octets = after.rss_kib.saturating_sub(before.rss_kib) * 1024;
            let sessions = u64::try_from(self.clients.max(1))?;
            figure("octets_each", octets / sessions);
        }
        tokio::time::sleep(Duration::from_secs(self.hold)).await;
        Ok(())
    }
}

/// Routers that connect, ask for everything, and leave at its first octet
#[derive(Args, Clone, Debug)]
pub(crate) struct Churn {
    #[command(flatten)]
    target: Target,
    /// For so many seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Routers at the same time
    #[arg(long, default_value_t = 32)]
    parallel: usize,
}

impl Churn {
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let connector = Connector::new(&self.target, Digest::No);
        let before = self.target.pid.and_then(Usage::of);
        let started = Instant::now();
        let end = started + Duration::from_secs(self.seconds);
        let deadline = tokio::time::Instant::from_std(end);
        let mut tasks = JoinSet::new();
        for _ in 0..self.parallel {
            let connector = connector.clone();
            tasks.spawn_local(async move {
                let (mut cycles, mut failed) = (Vec::new(), 0u64);
                while let Ok(cycle) = timeout_at(deadline, cycle(&connector)).await {
                    match cycle {
                        Ok(time) => cycles.push(time),
                        Err(_) => failed += 1,
                    }
                }
                (cycles, failed)
            });
        }
        let (mut cycles, mut failures) = (Vec::new(), 0);
        while let Some(joined) = tasks.join_next().await {
            let (times, failed) = joined?;
            cycles.extend(times);
            failures += failed;
        }
        let wall = started.elapsed();
        // A server may still be sending to peers that are gone: that is part of the price.
        tokio::time::sleep(SETTLE).await;
        let after = self.target.pid.and_then(Usage::of);
        figure("cycles", cycles.len());
        figure("failed", failures);
        let count = u32::try_from(cycles.len())?;
        let rate = f64::from(count) / wall.as_secs_f64();
        figure("cycles_per_s", format_args!("{rate:.0}"));
        millis("cycle_p50_ms", median(&mut cycles));
        millis("cycle_p99_ms", percentile_99(&mut cycles));
        usage(before, after, cycles.len());
        Ok(())
    }
}

async fn cycle(connector: &Connector) -> std::io::Result<Duration> {
    let started = Instant::now();
    let mut session = connector.connect(1).await?;
    session.reset_query().await?;
    session.first_octet().await?;
    session.abandon()?;
    Ok(started.elapsed())
}

/// Readers that ask and stop reading, and what becomes of the others
#[derive(Args, Clone, Debug)]
pub(crate) struct Stall {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    trigger: Trigger,
    /// Readers that stop
    #[arg(long, default_value_t = 50)]
    slow: usize,
    /// Routers that go on
    #[arg(long, default_value_t = 10)]
    good: usize,
}

impl Stall {
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let connector = Connector::new(&self.target, Digest::No);
        let deadline = self.target.deadline();
        let rss = |name: &str| {
            if let Some(usage) = self.target.pid.and_then(Usage::of) {
                figure(name, usage.rss_kib);
            }
        };
        let alone = sync(connector.connect_all(self.good).await?, deadline).await;
        millis("alone_ms", alone.wall);
        figure("synced_alone", alone.count());
        drop(alone);
        tokio::time::sleep(REST).await;
        rss("rss_before_kib");
        let mut slow = connector.connect_all(self.slow).await?;
        for session in &mut slow {
            session.reset_query().await?;
        }
        tokio::time::sleep(2 * REST).await;
        rss("rss_with_slow_kib");
        let beside = sync(connector.connect_all(self.good).await?, deadline).await;
        millis("beside_slow_ms", beside.wall);
        figure("good", self.good);
        figure("synced", beside.count());
        drop(beside);
        let waiting = timeout_at(deadline, join(&connector, self.good)).await??;
        take(waiting, &self.trigger, deadline).await?.print();
        rss("rss_end_kib");
        drop(slow);
        Ok(())
    }
}
