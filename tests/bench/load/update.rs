//! Updates: sessions that wait for a Serial Notify, ask for the increment and read it.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::task::JoinSet;
use tokio::time::{Instant as Deadline, timeout_at};

use crate::process::Usage;
use crate::report::{figure, median, millis, usage};
use crate::session::{Answer, Connector, Session, Target, until_synced};
use crate::sync::SETTLE;
use crate::wire::{Count, Digest, Event, State};

/// How long an update may take once the file is in place.
const PATIENCE: Duration = Duration::from_secs(90);

/// What sets off an update
#[derive(Args, Clone, Debug)]
pub(crate) struct Trigger {
    /// The new list, on the same file system
    #[arg(long)]
    rename: PathBuf,
    /// The file that the server reads
    #[arg(long)]
    to: PathBuf,
    /// Send SIGHUP to this process afterwards
    #[arg(long)]
    hup: Option<u32>,
}

impl Trigger {
    /// Puts the new list in place; the moment returned is the one before that.
    pub(crate) fn pull(&self) -> io::Result<Instant> {
        let moment = Instant::now();
        std::fs::rename(&self.rename, &self.to)?;
        if let Some(pid) = self.hup {
            let status = Command::new("kill")
                .args(["-HUP", &pid.to_string()])
                .status()?;
            if !status.success() {
                return Err(io::Error::other("the signal was not sent"));
            }
        }
        Ok(moment)
    }
}

/// Many routers take one update
#[derive(Args, Clone, Debug)]
pub(crate) struct Update {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    trigger: Trigger,
    /// Routers that wait for it
    #[arg(long, default_value_t = 1000)]
    clients: usize,
}

impl Update {
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let deadline = self.target.deadline();
        let connector = Connector::new(&self.target, Digest::No);
        let sessions = timeout_at(deadline, join(&connector, self.clients)).await??;
        tokio::time::sleep(SETTLE).await;
        let before = self.target.pid.and_then(Usage::of);
        let taken = take(sessions, &self.trigger, deadline).await?;
        tokio::time::sleep(SETTLE).await;
        let after = self.target.pid.and_then(Usage::of);
        taken.print();
        usage(before, after, self.clients);
        Ok(())
    }
}

/// Sessions that are in step with the server, by an empty increment each: one router learns
/// where the server stands, the others ask from there.
pub(crate) async fn join(connector: &Connector, count: usize) -> io::Result<Vec<(Session, State)>> {
    let (_, answer) = until_synced(connector).await;
    let mut joined = Vec::with_capacity(count);
    for mut session in connector.connect_all(count).await? {
        session.serial_query(answer.state).await?;
        let state = session.answer().await?.state;
        joined.push((session, state));
    }
    Ok(joined)
}

/// How a session took an update.
struct One {
    notified: Instant,
    answer: Answer,
    reset: bool,
}

/// What came of an update.
pub(crate) struct Taken {
    started: Instant,
    clients: usize,
    done: Vec<One>,
}

/// Pulls the trigger and waits for all sessions; those that fail or are late are left out.
pub(crate) async fn take(
    sessions: Vec<(Session, State)>,
    trigger: &Trigger,
    deadline: Deadline,
) -> io::Result<Taken> {
    let clients = sessions.len();
    let mut tasks = JoinSet::new();
    let deadline = deadline.min(Deadline::now() + PATIENCE);
    for (mut session, state) in sessions {
        tasks.spawn_local(async move {
            let one = timeout_at(deadline, take_one(&mut session, state)).await;
            one.ok()?.ok()
        });
    }
    // All tasks wait for their socket before anything happens.
    tokio::time::sleep(SETTLE).await;
    let started = trigger.pull()?;
    let mut done = Vec::with_capacity(clients);
    while let Some(joined) = tasks.join_next().await {
        done.extend(joined.ok().flatten());
    }
    Ok(Taken {
        started,
        clients,
        done,
    })
}

async fn take_one(session: &mut Session, state: State) -> io::Result<One> {
    loop {
        match session.event().await? {
            Event::Notify(new) if new != state => break,
            Event::Notify(_) => {}
            other => return Err(io::Error::other(format!("no notify but {other:?}"))),
        }
    }
    let notified = Instant::now();
    session.serial_query(state).await?;
    let mut reset = false;
    loop {
        match session.answer().await {
            Ok(answer) => {
                return Ok(One {
                    notified,
                    answer,
                    reset,
                });
            }
            // The only other answer that is one: Cache Reset.
            Err(error) if error.kind() == io::ErrorKind::Other && !reset => {
                reset = true;
                session.reset_query().await?;
            }
            Err(error) => return Err(error),
        }
    }
}

impl Taken {
    pub(crate) fn print(&self) {
        figure("update_clients", self.clients);
        figure("updated", self.done.len());
        figure("resets", self.done.iter().filter(|one| one.reset).count());
        let since = |moment: Instant| moment - self.started;
        let first = self.done.iter().map(|one| since(one.notified)).min();
        millis("first_notify_ms", first.unwrap_or_default());
        let mut ends: Vec<Duration> = self.done.iter().map(|o| since(o.answer.end)).collect();
        millis("update_p50_ms", median(&mut ends));
        millis("update_max_ms", ends.last().copied().unwrap_or_default());
        let changes = |count: &Count| (count.payload() - count.withdrawn, count.withdrawn);
        let mut counts = self.done.iter().map(|one| changes(&one.answer.count));
        if let Some((announced, withdrawn)) = counts.next() {
            figure("announced", announced);
            figure("withdrawn", withdrawn);
            let alike = counts.all(|count| count == (announced, withdrawn));
            figure("increments_alike", if alike { "yes" } else { "no" });
        }
    }
}

/// A server that may not be up yet
#[derive(Args, Clone, Debug)]
pub(crate) struct Ready {
    #[command(flatten)]
    target: Target,
}

impl Ready {
    /// Waits until the server gives a full answer.
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let connector = Connector::new(&self.target, Digest::Yes);
        let synced = timeout_at(self.target.deadline(), until_synced(&connector)).await;
        let (_, answer) = synced.map_err(|_| no_answer(self.target.address))?;
        println!("{}", answer.count);
        Ok(())
    }
}

fn no_answer(address: SocketAddr) -> String {
    format!("no full answer from {address} in time")
}
