//! The built server, started and stopped from outside.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::payloads::Payloads;
use super::process::Process;
use super::wait_for;

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(20);

/// `rutter serve` on a loopback port, with one source file.
pub(crate) struct RtrServer {
    // Before the folder, so that its log is still there when it is dropped.
    process: Process,
    folder: tempfile::TempDir,
    listener: String,
    port: u16,
    starts: u32,
}

impl RtrServer {
    /// Starts it on a port that the system chooses, serving these payloads.
    ///
    /// Timers are short: a Notify may follow another after a second, routers retry after two.
    #[track_caller]
    pub(crate) fn start(payloads: &Payloads) -> Self {
        Self::listening(payloads, "")
    }

    /// The same, with these further keys of its listener.
    #[track_caller]
    pub(crate) fn listening(payloads: &Payloads, listener: &str) -> Self {
        let folder = super::temp_dir();
        payloads.write_json(&folder.path().join("vrps.json"));
        let (process, port) = launch(&folder, listener, 0, 0);
        Self {
            folder,
            listener: listener.to_owned(),
            process,
            port,
            starts: 1,
        }
    }

    /// The port it listens on, the same for its whole life.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Renames a new list into the place of the old one.
    pub(crate) fn publish(&self, payloads: &Payloads) {
        payloads.write_json(&self.source());
    }

    /// Kills it without a word.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on its port, after [`kill`](Self::kill).
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        let (process, port) = launch(&self.folder, &self.listener, self.port, self.starts);
        assert_eq!(port, self.port);
        self.process = process;
        self.starts += 1;
    }

    /// What it has counted since its last start: the sum of all samples of a metric that have
    /// these words among their labels.
    #[track_caller]
    pub(crate) fn counted(&self, metric: &str, words: &[&str]) -> u64 {
        let mut socket = UnixStream::connect(self.folder.path().join("control")).unwrap();
        socket.set_read_timeout(Some(START)).unwrap();
        let request = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        socket.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        let (mut sum, mut found) = (0, false);
        for line in text.lines() {
            let Some(rest) = line.strip_prefix(metric) else {
                continue;
            };
            let Some((labels, value)) = rest.rsplit_once(' ') else {
                continue;
            };
            found = true;
            if words.iter().all(|word| labels.contains(word)) {
                sum += value.parse::<u64>().unwrap();
            }
        }
        assert!(found, "no metric {metric}: {text}");
        sum
    }

    /// What it has logged since its last start.
    pub(crate) fn log(&self) -> String {
        self.process.output()
    }

    /// It runs, and has logged no error since its last start.
    #[track_caller]
    pub(crate) fn is_well(&mut self) {
        self.process.check().unwrap();
        let log = self.log();
        let bad = |line: &&str| line.contains(" ERROR ") || line.contains("panicked");
        let lines: Vec<&str> = log.lines().filter(bad).collect();
        assert!(lines.is_empty(), "{lines:#?}");
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("vrps.json")
    }
}

/// Starts the program and learns its port from the line that says where it listens.
#[track_caller]
fn launch(folder: &tempfile::TempDir, listener: &str, port: u16, starts: u32) -> (Process, u16) {
    let config = folder.path().join("rutter.toml");
    fs::write(
        &config,
        format!(
            "control = \"control\"\n\
             state-dir = \"state\"\n\
             [rtr]\n\
             refresh = \"60s\"\n\
             retry = \"2s\"\n\
             expire = \"600s\"\n\
             notify-interval = \"1s\"\n\
             [[source]]\n\
             url = \"vrps.json\"\n\
             [[listener]]\n\
             address = \"127.0.0.1:{port}\"\n\
             {listener}\n"
        ),
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rutter"));
    command.arg("serve").arg("--config").arg(config);
    let log = folder.path().join(format!("server-{starts}.log"));
    let mut process = Process::start(&mut command, &log);
    let port = wait_for("the server listens", START, || {
        process.check()?;
        listening_port(&process.output()).ok_or_else(|| process.output())
    });
    (process, port)
}

fn listening_port(log: &str) -> Option<u16> {
    let line = log.lines().find(|line| line.contains("listening"))?;
    let (_, rest) = line.split_once("address=127.0.0.1:")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit());
    rest[..digits.unwrap_or(rest.len())].parse().ok()
}
