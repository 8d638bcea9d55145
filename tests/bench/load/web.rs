//! Readers of a document who have it already: conditional requests at a steady rate.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout_at};

use crate::process::Usage;
use crate::report::{figure, median, millis, usage};
use crate::session::Target;

/// The longest head of an answer, in octets.
const HEAD: usize = 8 << 10;

/// Clients that ask whether a document is still the same
#[derive(Args, Clone, Debug)]
pub(crate) struct Web {
    #[command(flatten)]
    target: Target,
    /// The document
    #[arg(long, default_value = "/rpki.json")]
    path: String,
    /// Requests a second, of all connections together
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
    /// Connections that are kept
    #[arg(long, default_value_t = 20)]
    clients: u32,
    /// For so many seconds
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Do not sleep in between. Who answers a client that sleeps pays for waking up its processor,
    /// which is a fifth of all that it costs in a virtual machine that both share
    #[arg(long)]
    awake: bool,
}

impl Web {
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let deadline = self.target.deadline();
        let mut first = Reader::connect(&self).await?;
        let tag = timeout_at(deadline, first.tag(&self.path)).await??;
        let each = self.seconds * (self.rate / self.clients).max(1);
        let pause = Duration::from_secs(1) * self.clients / self.rate.max(1);
        let mut readers = Vec::new();
        for _ in 0..self.clients {
            readers.push(Reader::connect(&self).await?);
        }
        // Ends with the process.
        let _awake = self.awake.then(|| tokio::task::spawn_local(stay_awake()));
        let before = self.target.pid.and_then(Usage::of);
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for (number, mut reader) in (0..).zip(readers) {
            let request = format!(
                "GET {} HTTP/1.1\r\nHost: bench\r\nIf-None-Match: {tag}\r\n\r\n",
                self.path
            );
            let first = pause * number / self.clients;
            tasks.spawn_local(async move {
                tokio::time::sleep(first).await;
                let mut ticks = interval(pause);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                let mut times = Vec::new();
                for _ in 0..each {
                    ticks.tick().await;
                    let asked = Instant::now();
                    let head = reader.ask(&request).await?;
                    if head.starts_with("HTTP/1.1 304 ") {
                        times.push(asked.elapsed());
                    }
                }
                Ok::<_, io::Error>(times)
            });
        }
        let mut times = Vec::new();
        while let Some(done) = timeout_at(deadline, tasks.join_next()).await? {
            times.extend(done??);
        }
        let took = started.elapsed();
        let after = self.target.pid.and_then(Usage::of);
        figure("unchanged", times.len());
        figure("asked", each * self.clients);
        let rate = f64::from(u32::try_from(times.len())?) / took.as_secs_f64();
        figure("rate", format_args!("{rate:.0}"));
        millis("median_ms", median(&mut times));
        usage(before, after, times.len());
        if let (Some(before), Some(after)) = (before, after) {
            let share = after.cpu_since(&before).as_secs_f64() / took.as_secs_f64();
            figure("core_percent", format_args!("{:.2}", share * 100.0));
        }
        Ok(())
    }
}

/// Keeps the thread from sleeping.
async fn stay_awake() {
    loop {
        tokio::task::yield_now().await;
    }
}

/// A connection that is kept.
struct Reader {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Reader {
    async fn connect(web: &Web) -> io::Result<Self> {
        let stream = TcpStream::connect(web.target.address).await?;
        stream.set_nodelay(true)?;
        let read = Vec::with_capacity(HEAD);
        Ok(Self { stream, read })
    }

    /// The tag of the document, which is made now if it was not there.
    async fn tag(&mut self, path: &str) -> Result<String, Box<dyn Error>> {
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: bench\r\n\r\n");
        let head = self.ask(&request).await?;
        let tag = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("etag").then(|| value.to_owned())
        });
        tag.ok_or_else(|| format!("no tag in the answer: {head}").into())
    }

    /// Asks, and reads the head of an answer that has no body.
    async fn ask(&mut self, request: &str) -> io::Result<String> {
        self.stream.write_all(request.as_bytes()).await?;
        self.read.clear();
        while !self.read.ends_with(b"\r\n\r\n") {
            let octets = self.stream.read_buf(&mut self.read).await?;
            if octets == 0 || self.read.len() > HEAD {
                let (length, read) = (self.read.len(), String::from_utf8_lossy(&self.read));
                let head = read.split_once("\r\n\r\n").map_or(&*read, |(head, _)| head);
                let what = format!("no head alone in {length} octets: {head}");
                return Err(io::Error::other(what));
            }
        }
        Ok(String::from_utf8_lossy(&self.read).into_owned())
    }
}
