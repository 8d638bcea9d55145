//! Load and throughput: a generator of lists, a load client, a raw sender, and the times of the
//! library's own steps. `tests/bench/compare` drives it against several servers; `cargo bench`
//! without arguments prints the library's times.
//!
//! Read in this order: what is served ([`random`], [`list`], [`json`], [`exceptions`]), how a router is played
//! ([`wire`], [`session`]), the loads ([`start`], [`sync`], [`secure`], [`update`], [`hold`], [`web`]), what
//! they are compared with ([`raw`], [`alone`], [`steps`]), how they are told ([`process`], [`report`]).
#![expect(clippy::print_stdout, reason = "printing figures is its purpose")]

mod alone;
mod exceptions;
mod hold;
mod json;
mod list;
mod process;
mod random;
mod raw;
mod report;
mod secure;
mod session;
mod start;
mod steps;
mod sync;
mod update;
mod web;
mod wire;

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Parser, Subcommand};
use rutter::payload::UnixTime;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::exceptions::Shape;
use crate::list::{Aspas, List, Plan};

/// Load and throughput of RTR servers. Without a command: the times of the library's steps.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Load>,
}

#[derive(Debug, Subcommand)]
enum Load {
    Alone(alone::Alone),
    Churn(hold::Churn),
    Generate(Generate),
    Idle(hold::Idle),
    /// Print a free port of loopback
    Port,
    Raw(raw::Raw),
    /// Wait for a server's first full answer
    Ready(update::Ready),
    Record(raw::Record),
    Secure(secure::Secure),
    Stall(hold::Stall),
    Start(start::Start),
    Steps(steps::Steps),
    Sync(sync::Sync),
    Update(update::Update),
    Web(web::Web),
}

/// Write an invented list in rpki-client's layout, and print what it amounts to on the wire
#[derive(Args, Clone, Debug)]
struct Generate {
    /// VRPs, a fifth of them IPv6
    #[arg(long, default_value_t = 800_000)]
    vrps: usize,
    /// The same seed gives the same list
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Moment the list is made at, in seconds since 1970 [default: now]
    #[arg(long)]
    now: Option<u64>,
    /// The list
    #[arg(long)]
    out: PathBuf,
    /// The same list with changes; each further one has other changes
    #[arg(long)]
    changed: Vec<PathBuf>,
    /// VRPs that only the changed list has
    #[arg(long, default_value_t = 1000)]
    announce: usize,
    /// VRPs that the changed list lacks
    #[arg(long, default_value_t = 1000)]
    withdraw: usize,
    /// A file of local exceptions for the list: thousands of filters and of assertions
    #[arg(long)]
    exceptions: Option<PathBuf>,
    /// Leave the ASPAs out
    #[arg(long)]
    without_aspas: bool,
}

fn main() -> ExitCode {
    // Cargo hands `--bench` to every benchmark.
    let arguments = std::env::args_os().filter(|argument| argument != "--bench");
    let command = Cli::parse_from(arguments).command;
    match run(command.unwrap_or_else(|| Load::Steps(steps::Steps::default()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut stderr = std::io::stderr().lock();
            writeln!(stderr, "load: {error}").ok();
            ExitCode::from(2)
        }
    }
}

fn run(load: Load) -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    match load {
        Load::Generate(generate) => generate.run(),
        Load::Port => {
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            println!("{port}");
            Ok(())
        }
        Load::Steps(steps) => steps.run(),
        Load::Alone(alone) => local.block_on(&runtime, alone.run()),
        Load::Churn(churn) => local.block_on(&runtime, churn.run()),
        Load::Idle(idle) => local.block_on(&runtime, idle.run()),
        Load::Raw(raw) => local.block_on(&runtime, raw.run()),
        Load::Ready(ready) => local.block_on(&runtime, ready.run()),
        Load::Record(record) => local.block_on(&runtime, record.run()),
        Load::Secure(secure) => local.block_on(&runtime, secure.run()),
        Load::Stall(stall) => local.block_on(&runtime, stall.run()),
        Load::Start(start) => local.block_on(&runtime, start.run()),
        Load::Sync(sync) => local.block_on(&runtime, sync.run()),
        Load::Update(update) => local.block_on(&runtime, update.run()),
        Load::Web(web) => local.block_on(&runtime, web.run()),
    }
}

impl Generate {
    fn run(self) -> Result<(), Box<dyn Error>> {
        let now = match self.now {
            Some(seconds) => seconds,
            None => SystemTime::UNIX_EPOCH.elapsed()?.as_secs(),
        };
        let list = List::new(Plan {
            vrps: self.vrps,
            seed: self.seed,
            now: UnixTime::new(now),
            aspas: if self.without_aspas {
                Aspas::Absent
            } else {
                Aspas::Present
            },
        })?;
        save(&list, &self.out)?;
        for (seed, path) in (self.seed..).zip(&self.changed) {
            save(&list.changed(seed, self.announce, self.withdraw)?, path)?;
        }
        if let Some(path) = self.exceptions {
            std::fs::write(path, exceptions::document(&list, Shape::Mixed, self.seed))?;
        }
        Ok(())
    }
}

fn save(list: &List, path: &PathBuf) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(File::create(path)?);
    json::write(list, &mut out)?;
    out.flush()?;
    let count = list.count();
    let mut with_aspas = count;
    let aspas = list.aspas.iter();
    aspas.for_each(|row| with_aspas.add_aspa(&row.payload));
    println!("{count}\nchecksum_v2 {:016x}", with_aspas.checksum);
    Ok(())
}
