//! From the start of a process to the first router that is synced.

use std::error::Error;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use tokio::time::timeout_at;

use crate::process::Usage;
use crate::report::{figure, median, millis};
use crate::session::{Connector, Target, until_synced};
use crate::wire::Digest;

/// How long a server rests before its memory at rest is read.
const REST: Duration = Duration::from_secs(2);

/// Starts a server, waits for the first full sync, and ends the server
#[derive(Args, Clone, Debug)]
pub(crate) struct Start {
    #[command(flatten)]
    target: Target,
    /// Repeat, and report medians
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Where the server's output goes
    #[arg(long, default_value = "/dev/null")]
    log: PathBuf,
    /// The server's command line
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

impl Start {
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let (mut times, mut cpus) = (Vec::new(), Vec::new());
        let (mut rests, mut peaks) = (Vec::new(), Vec::new());
        for run in 1..=self.runs {
            let connector = Connector::new(&self.target, Digest::No);
            let (started, mut server) = self.spawn()?;
            let pid = server.0.id();
            let synced = timeout_at(self.target.deadline(), async {
                tokio::select! {
                    (session, answer) = until_synced(&connector) => Ok((session, answer)),
                    status = server.ended() => Err(format!("the server ended: {status}")),
                }
            });
            let (session, answer) = synced.await??;
            times.push(answer.end - started);
            let at_sync = Usage::of(pid).ok_or("the server is gone")?;
            cpus.push(at_sync.cpu());
            drop(session);
            tokio::time::sleep(REST).await;
            let at_rest = Usage::of(pid).ok_or("the server is gone")?;
            rests.push(at_rest.rss_kib);
            peaks.push(at_sync.peak_kib);
            if run == self.runs {
                println!("{}", answer.count);
            }
        }
        millis("start_ms", median(&mut times));
        millis("cpu_ms", median(&mut cpus));
        figure("rest_kib", median(&mut rests));
        figure("peak_kib", median(&mut peaks));
        Ok(())
    }

    fn spawn(&self) -> Result<(Instant, Server), Box<dyn Error>> {
        let (program, arguments) = self.command.split_first().ok_or("no command")?;
        let log = File::create(&self.log)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        let started = Instant::now();
        Ok((started, Server(command.spawn()?)))
    }
}

/// A process that does not outlive the run.
struct Server(Child);

impl Server {
    /// Resolves when the process has ended by itself.
    async fn ended(&mut self) -> String {
        loop {
            match self.0.try_wait() {
                Ok(None) => tokio::time::sleep(Duration::from_millis(20)).await,
                Ok(Some(status)) => return status.to_string(),
                Err(error) => return error.to_string(),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, or it does now: either way there is nothing left to do.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
